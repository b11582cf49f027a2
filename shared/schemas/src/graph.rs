//! Which subschemas a schema has and which of them lead to which; what of it cannot be taken.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ptr;

use model::fault::Step;
use model::{Fault, Faults};
use referencing::{Draft, Registry, Resolver, Retrieve, Uri, UriRef, uri};
use serde_json::{Map, Value};

use crate::fault::{MAX_FAULTS, cut};

/// How many different patterns a schema may have: each is compiled.
const MAX_PATTERNS: usize = 100;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 2_000;

/// The address of a schema that names none.
const NAMELESS: &str = "json-schema:///";

/// Where the metaschema and its vocabularies are, the only documents beside the schema.
const METASCHEMA: &str = "https://json-schema.org/draft/2020-12/";

/// What the metaschema asks of one value, at most.
const METASCHEMA_WEIGHT: u64 = 200;

/// How many values of an `enum` are compared in the time of one subschema.
const ENUM_VALUES: u64 = 16;

/// The address of a value, which tells it from every other of its document.
fn address(value: &Value) -> usize {
    ptr::from_ref(value).addr()
}

/// Every value of a schema and where it stands.
#[derive(Debug, Default)]
pub(crate) struct Places<'a> {
    /// By address: the address of what it stands in, and how that leads to it.
    parents: HashMap<usize, Option<(usize, Way<'a>)>>,
    /// By the name of a dynamic anchor: who has it.
    anchors: HashMap<&'a str, Vec<usize>>,
    faults: Faults,
}

#[derive(Debug, Clone, Copy)]
enum Way<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Places<'a> {
    /// Looks at every value. A `$schema` that is not of 2020-12 is a fault, and so are an `$id` that
    /// only the metaschemas have and a reference that is none.
    pub(crate) fn of(schema: &'a Value) -> Result<Self, Faults> {
        let mut places = Self::default();
        places.walk(schema, None);
        places.faults.truncate(MAX_FAULTS);
        if places.faults.is_empty() {
            Ok(places)
        } else {
            Err(places.faults)
        }
    }

    fn walk(&mut self, value: &'a Value, parent: Option<(usize, Way<'a>)>) {
        let own = address(value);
        self.parents.insert(own, parent);
        match value {
            Value::Object(object) => {
                self.declared(own, object);
                for (name, value) in object {
                    self.walk(value, Some((own, Way::Name(name))));
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.walk(value, Some((own, Way::Index(index))));
                }
            }
            _ => {}
        }
    }

    fn declared(&mut self, own: usize, object: &'a Map<String, Value>) {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        if text("$schema").is_some_and(|of| Draft::from_schema_uri(of) != Draft::Draft202012) {
            let message = "Schemas are of JSON Schema 2020-12: $schema is \
                https://json-schema.org/draft/2020-12/schema or absent";
            let fault = Fault::new("schema_draft", message);
            self.faults.push(self.within(own, &["$schema"], fault));
        }
        if text("$id").is_some_and(|id| id.contains("://json-schema.org/")) {
            let fault = Fault::new("schema_ref", "The $id belongs to a metaschema");
            self.faults.push(self.within(own, &["$id"], fault));
        }
        for keyword in ["$dynamicRef", "$id", "$ref"] {
            if text(keyword).is_some_and(|reference| UriRef::parse(reference).is_err()) {
                let fault = Fault::new("schema_ref", "The value is no URI reference");
                self.faults.push(self.within(own, &[keyword], fault));
            }
        }
        if let Some(anchor) = text("$dynamicAnchor") {
            self.anchors.entry(anchor).or_default().push(own);
        }
    }

    /// The fault, at the place that steps lead to from the value of that address.
    pub(crate) fn within(&self, own: usize, steps: &[&str], fault: Fault) -> Fault {
        let mut path: Vec<Step> = steps
            .iter()
            .rev()
            .map(|step| Step::Name((*step).to_owned()))
            .collect();
        let mut at = own;
        while let Some((parent, way)) = self.parents.get(&at).copied().flatten() {
            path.push(match way {
                Way::Name(name) => Step::Name(name.to_owned()),
                Way::Index(index) => Step::Index(index),
            });
            at = parent;
        }
        path.reverse();
        Fault { path, ..fault }
    }
}

/// A subschema, and those that it leads to, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// What it asks of a value itself.
    pub(crate) weight: u64,
    /// Asked of the same value.
    pub(crate) same: Vec<usize>,
    /// Whether those are asked twice, to learn what they have looked at.
    pub(crate) twice: bool,
    /// Of them a member of an object meets one.
    pub(crate) one_member: Vec<usize>,
    /// A member may meet all of them.
    pub(crate) members: Vec<usize>,
    /// Of them an item of a list meets one.
    pub(crate) one_item: Vec<usize>,
    /// An item may meet all of them.
    pub(crate) items: Vec<usize>,
    own: usize,
}

/// The subschemas of a schema. The schema itself is the first.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node>,
    places: &'a Places<'a>,
}

impl<'a> Graph<'a> {
    /// Follows every reference as the compiler does.
    pub(crate) fn of(schema: &Value, places: &'a Places<'a>) -> Result<Self, Faults> {
        let resource = Draft::Draft202012.create_resource_ref(schema);
        let base = resource.id().unwrap_or(NAMELESS);
        let unnamed = |error: referencing::Error| {
            let fault = Fault::new("schema_ref", cut(error.to_string()));
            vec![places.within(address(schema), &["$id"], fault)]
        };
        let registry = Registry::new()
            .draft(Draft::Draft202012)
            .retriever(Nothing)
            .retrieve_known_draft_meta_schemas(false)
            .add(base, resource)
            .and_then(referencing::RegistryBuilder::prepare)
            .map_err(unnamed)?;
        let resolver = registry.resolver(uri::from_str(base).map_err(unnamed)?);
        let mut explorer = Explorer::new(places);
        explorer.node(schema, resolver);
        while let Some((number, value, resolver)) = explorer.queue.pop_front() {
            explorer.visit(number, value, &resolver);
        }
        explorer.follow_dynamic();
        explorer.faults.truncate(MAX_FAULTS);
        if explorer.faults.is_empty() {
            Ok(Self {
                nodes: explorer.nodes,
                places,
            })
        } else {
            Err(explorer.faults)
        }
    }

    /// The fault, at the place of a subschema.
    pub(crate) fn at(&self, number: usize, fault: Fault) -> Fault {
        self.places.within(self.nodes[number].own, &[], fault)
    }
}

/// Stands for every document that is not there, so that a reference to it is found by its place and
/// not while the registry is built.
struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Value::Object(Map::new()))
    }
}

/// How subschemas lie in the value of a keyword.
#[derive(Clone, Copy)]
enum Shape {
    One,
    List,
    Named,
}

/// Whom the subschemas of a keyword ask.
#[derive(Clone, Copy)]
enum Asked {
    Same,
    OneMember,
    Members,
    OneItem,
    Items,
    Nobody,
}

fn subschemas(keyword: &str) -> Option<(Shape, Asked)> {
    Some(match keyword {
        "else" | "if" | "not" | "then" => (Shape::One, Asked::Same),
        "allOf" | "anyOf" | "oneOf" => (Shape::List, Asked::Same),
        "dependencies" | "dependentSchemas" => (Shape::Named, Asked::Same),
        "properties" => (Shape::Named, Asked::OneMember),
        "additionalProperties" => (Shape::One, Asked::OneMember),
        "patternProperties" => (Shape::Named, Asked::Members),
        "propertyNames" | "unevaluatedProperties" => (Shape::One, Asked::Members),
        "prefixItems" => (Shape::List, Asked::OneItem),
        "items" => (Shape::One, Asked::OneItem),
        "contains" | "unevaluatedItems" => (Shape::One, Asked::Items),
        "$defs" | "definitions" => (Shape::Named, Asked::Nobody),
        "contentSchema" => (Shape::One, Asked::Nobody),
        _ => return None,
    })
}

fn lying_in(value: &Value, shape: Shape) -> Vec<&Value> {
    match (shape, value) {
        (Shape::One, value) => vec![value],
        (Shape::List, Value::Array(values)) => values.iter().collect(),
        (Shape::Named, Value::Object(values)) => values.values().collect(),
        _ => Vec::new(),
    }
}

struct Explorer<'a, 'r> {
    places: &'a Places<'a>,
    nodes: Vec<Node>,
    /// Numbers by address.
    known: HashMap<usize, usize>,
    queue: VecDeque<(usize, &'r Value, Resolver<'r>)>,
    metaschema: Option<usize>,
    patterns: HashSet<&'r str>,
    dynamic: Vec<(usize, &'r str)>,
    faults: Faults,
}

impl<'a, 'r> Explorer<'a, 'r> {
    fn new(places: &'a Places<'a>) -> Self {
        Self {
            places,
            nodes: Vec::new(),
            known: HashMap::new(),
            queue: VecDeque::new(),
            metaschema: None,
            patterns: HashSet::new(),
            dynamic: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// The number of a subschema, which is visited if it is new.
    fn node(&mut self, value: &'r Value, resolver: Resolver<'r>) -> usize {
        let own = address(value);
        if let Some(number) = self.known.get(&own) {
            return *number;
        }
        let number = self.nodes.len();
        self.known.insert(own, number);
        self.nodes.push(Node {
            weight: 1,
            own,
            ..Node::default()
        });
        self.queue.push_back((number, value, resolver));
        number
    }

    fn child(&mut self, value: &'r Value, resolver: &Resolver<'r>) -> usize {
        let resource = Draft::Draft202012.create_resource_ref(value);
        let resolver = match resolver.in_subresource(resource) {
            Ok(resolver) => resolver,
            Err(error) => {
                let fault = Fault::new("schema_ref", cut(error.to_string()));
                let fault = self.places.within(address(value), &["$id"], fault);
                self.faults.push(fault);
                resolver.clone()
            }
        };
        self.node(value, resolver)
    }

    fn visit(&mut self, number: usize, value: &'r Value, resolver: &Resolver<'r>) {
        let Value::Object(object) = value else { return };
        let own = address(value);
        let mut node = Node {
            weight: 1,
            own,
            ..Node::default()
        };
        for (keyword, value) in object {
            if let Some((shape, asked)) = subschemas(keyword) {
                let inner = lying_in(value, shape);
                let numbers = inner.into_iter().map(|value| self.child(value, resolver));
                let numbers: Vec<usize> = numbers.collect();
                match asked {
                    Asked::Same => node.same.extend(numbers),
                    Asked::OneMember => node.one_member.extend(numbers),
                    Asked::Members => node.members.extend(numbers),
                    Asked::OneItem => node.one_item.extend(numbers),
                    Asked::Items => node.items.extend(numbers),
                    Asked::Nobody => {}
                }
            }
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef", Value::String(reference)) => {
                    let target = self.refer(own, keyword, reference, resolver);
                    node.same.extend(target);
                    if keyword == "$dynamicRef"
                        && let Some((_, anchor)) = reference.split_once('#')
                    {
                        self.dynamic.push((number, anchor));
                    }
                }
                ("unevaluatedItems" | "unevaluatedProperties", _) => node.twice = true,
                ("enum", Value::Array(values)) => {
                    node.weight += values.len() as u64 / ENUM_VALUES;
                }
                ("pattern", Value::String(pattern)) => self.pattern(own, &["pattern"], pattern),
                ("patternProperties", Value::Object(patterns)) => {
                    for pattern in patterns.keys() {
                        self.pattern(own, &["patternProperties", pattern.as_str()], pattern);
                    }
                }
                _ => {}
            }
        }
        self.nodes[number] = node;
    }

    fn refer(
        &mut self,
        own: usize,
        keyword: &str,
        reference: &str,
        resolver: &Resolver<'r>,
    ) -> Option<usize> {
        match resolver.lookup(reference) {
            Ok(found) if self.places.parents.contains_key(&address(found.contents())) => {
                let (value, resolver, _) = found.into_inner();
                Some(self.node(value, resolver))
            }
            Ok(found) if found.resolver().base_uri().as_str().starts_with(METASCHEMA) => {
                Some(self.metaschema())
            }
            _ => {
                let message = format!("The reference '{reference}' leads to nothing in the schema");
                let fault = Fault::new("schema_ref", cut(message));
                let fault = self.places.within(own, &[keyword], fault);
                self.faults.push(fault);
                None
            }
        }
    }

    fn metaschema(&mut self) -> usize {
        if let Some(number) = self.metaschema {
            return number;
        }
        let number = self.nodes.len();
        self.nodes.push(Node {
            weight: METASCHEMA_WEIGHT,
            ..Node::default()
        });
        self.metaschema = Some(number);
        number
    }

    /// A dynamic reference may lead to whoever has the anchor.
    fn follow_dynamic(&mut self) {
        for (number, anchor) in &self.dynamic {
            let owners = self.places.anchors.get(*anchor).into_iter().flatten();
            for target in owners.filter_map(|own| self.known.get(own)) {
                if !self.nodes[*number].same.contains(target) {
                    self.nodes[*number].same.push(*target);
                }
            }
        }
    }

    fn pattern(&mut self, own: usize, steps: &[&str], pattern: &'r str) {
        if pattern.len() > MAX_PATTERN {
            let message = format!("A pattern has at most {MAX_PATTERN} bytes");
            let fault = Fault::new("schema_pattern", message);
            self.faults.push(self.places.within(own, steps, fault));
        } else if self.patterns.insert(pattern) && self.patterns.len() == MAX_PATTERNS + 1 {
            let message = format!("A schema has at most {MAX_PATTERNS} different patterns");
            let fault = Fault::new("too_complex", message);
            self.faults.push(self.places.within(own, steps, fault));
        }
    }
}
