//! How much checking data can cost, from the schema alone: subschemas that refer to each other ask the
//! same value again and again, and at worst twice as often with each level of the data.

use model::Fault;
use serde_json::Value;

use crate::graph::{Graph, Node};

/// How deep data may be nested.
const MAX_DEPTH: usize = 32;

/// How many subschemas may be asked on the way to one value of the data.
const MOST_ASKED: u64 = 5_000;

/// How many of them one inside the other: each takes a part of the stack.
const MOST_NESTED: u64 = 256;

/// The most that is done for one row. It takes about a second.
const MOST_WORK: u64 = 20_000_000;

/// The most of it under which each violation is told: at worst there is one a subschema.
const MOST_LISTED: u64 = 500_000;

/// How many bytes of a text cost as much as a value.
const TEXT: u64 = 64;

/// Whether each violation may be told of data that costs so much.
pub(crate) fn may_be_listed(work: u64) -> bool {
    work <= MOST_LISTED
}

/// How many subschemas are asked on the way to one value of the data at most, by how deep the data is
/// nested. Data that is nested deeper than there are numbers is not checked.
#[derive(Debug)]
pub(crate) struct Bounds(Vec<u64>);

/// What subschemas cost, by their numbers, for data that is nested so deep.
struct Costs {
    asked: Vec<u64>,
    nested: Vec<u64>,
}

impl Bounds {
    /// It is a fault if flat data costs too much already.
    pub(crate) fn of(graph: &Graph<'_>) -> Result<Self, Fault> {
        let order = inner_first(graph)?;
        let mut bounds = Vec::new();
        let mut below: Option<Costs> = None;
        for _ in 0..=MAX_DEPTH {
            let costs = costs(graph, &order, below.as_ref());
            if costs.asked[0] > MOST_ASKED || costs.nested[0] > MOST_NESTED {
                break;
            }
            bounds.push(costs.asked[0]);
            below = Some(costs);
        }
        if bounds.len() < 2 {
            return Err(Fault::new(
                "too_complex",
                format!(
                    "The schema asks one value more than {MOST_ASKED} times, or refers to itself too often"
                ),
            ));
        }
        Ok(Self(bounds))
    }

    /// The most that checking `data` costs; `None` if it is more than is done.
    pub(crate) fn work(&self, data: &Value) -> Option<u64> {
        let (depth, size) = measure(data);
        let asked = self.0.get(depth)?;
        let work = asked.saturating_mul(size);
        (work <= MOST_WORK).then_some(work)
    }
}

/// How deep a value is nested, and how many values it has, long texts counted as several.
fn measure(value: &Value) -> (usize, u64) {
    match value {
        Value::String(text) => (0, 1 + text.len() as u64 / TEXT),
        Value::Array(items) => items.iter().map(measure).fold((1, 1), around),
        Value::Object(object) => {
            let members = object.iter().map(|(name, value)| {
                let (depth, size) = measure(value);
                (depth, size + 1 + name.len() as u64 / TEXT)
            });
            members.fold((1, 1), around)
        }
        _ => (0, 1),
    }
}

fn around((depth, size): (usize, u64), (deeper, more): (usize, u64)) -> (usize, u64) {
    (depth.max(deeper + 1), size + more)
}

fn costs(graph: &Graph<'_>, order: &[usize], below: Option<&Costs>) -> Costs {
    let mut costs = Costs {
        asked: vec![0; graph.nodes.len()],
        nested: vec![0; graph.nodes.len()],
    };
    for &number in order {
        let node = &graph.nodes[number];
        let same = sum(&node.same, &costs.asked).saturating_mul(if node.twice { 2 } else { 1 });
        let mut nested = most(&node.same, &costs.nested);
        let mut asked = node.weight.saturating_add(same);
        if let Some(below) = below {
            asked = asked.saturating_add(parts(node, &below.asked));
            let inner = [&node.one_member, &node.members, &node.one_item, &node.items];
            nested = inner
                .into_iter()
                .map(|numbers| most(numbers, &below.nested))
                .fold(nested, u64::max);
        }
        costs.asked[number] = asked;
        costs.nested[number] = nested + 1;
    }
    costs
}

/// What the parts of a value are asked: an object's members or a list's items.
fn parts(node: &Node, asked: &[u64]) -> u64 {
    let member = most(&node.one_member, asked).saturating_add(sum(&node.members, asked));
    let item = most(&node.one_item, asked).saturating_add(sum(&node.items, asked));
    member.max(item)
}

fn sum(numbers: &[usize], of: &[u64]) -> u64 {
    let each = numbers.iter().map(|number| of[*number]);
    each.fold(0, u64::saturating_add)
}

fn most(numbers: &[usize], of: &[u64]) -> u64 {
    numbers.iter().map(|number| of[*number]).max().unwrap_or(0)
}

#[derive(Clone, Copy)]
enum Mark {
    New,
    Open,
    Done,
}

/// The subschemas in an order in which each comes after those that it asks of the same value. There
/// is none if one asks itself.
fn inner_first(graph: &Graph<'_>) -> Result<Vec<usize>, Fault> {
    let mut marks = vec![Mark::New; graph.nodes.len()];
    let mut order = Vec::with_capacity(graph.nodes.len());
    for start in 0..graph.nodes.len() {
        let mut open = Vec::new();
        if matches!(marks[start], Mark::New) {
            marks[start] = Mark::Open;
            open.push((start, 0));
        }
        while let Some((number, next)) = open.pop() {
            let Some(&target) = graph.nodes[number].same.get(next) else {
                marks[number] = Mark::Done;
                order.push(number);
                continue;
            };
            open.push((number, next + 1));
            match marks[target] {
                Mark::New => {
                    marks[target] = Mark::Open;
                    open.push((target, 0));
                }
                Mark::Open => {
                    let message =
                        "The schema refers to itself without going on to a part of the value";
                    return Err(graph.at(target, Fault::new("schema_ref", message)));
                }
                Mark::Done => {}
            }
        }
    }
    Ok(order)
}
