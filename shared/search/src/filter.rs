//! Filters: conditions on the record type and on the fields of `collection_data`.

use std::iter;
use std::ops::Bound;

use model::fault::Fault;
use serde_json::{Map, Value};
use tantivy::Term;
use tantivy::query::{BooleanQuery, EmptyQuery, Occur, Query, RangeQuery};

use crate::analysis::{Fields, NUMBERS, Paths, STRINGS, exact, fold, value};
use crate::query::term;

/// The most conditions of one request.
const MAX_FILTERS: usize = 20;

/// The most values of all conditions of one request.
const MAX_VALUES: usize = 1_000;

/// The field that stands for the record type.
const RECORD_TYPE: &str = "record_type";

/// A condition as the client wrote it. What its name means depends on the fields that the
/// collection has, so it is resolved when it is applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    name: String,
    values: Vec<Operand>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    AtLeast,
    AtMost,
    Above,
    Below,
}

const SUFFIXES: [(&str, Operator); 5] = [
    ("_in", Operator::Equal),
    ("_min", Operator::AtLeast),
    ("_max", Operator::AtMost),
    ("_gt", Operator::Above),
    ("_lt", Operator::Below),
];

/// Parses the `filters` of a request.
pub(crate) fn parse(filters: &Value) -> Result<Vec<Filter>, Fault> {
    let Value::Object(filters) = filters else {
        return Err(Fault::new(
            "dict_type",
            "Input should be a valid dictionary",
        ));
    };
    if filters.len() > MAX_FILTERS {
        return Err(Fault::new(
            "too_long",
            format!(
                "Dictionary should have at most {MAX_FILTERS} items after validation, not {}",
                filters.len()
            ),
        ));
    }
    each(filters)
}

fn each(filters: &Map<String, Value>) -> Result<Vec<Filter>, Fault> {
    let mut asked = 0;
    filters
        .iter()
        .map(|(name, value)| {
            let values = operands(value).map_err(|fault| fault.at(name))?;
            asked += values.iter().map(parts).sum::<usize>();
            if asked > MAX_VALUES {
                return Err(too_many().at(name));
            }
            Ok(Filter {
                name: name.clone(),
                values,
            })
        })
        .collect()
}

fn operands(value: &Value) -> Result<Vec<Operand>, Fault> {
    match value {
        Value::Array(items) if items.len() > MAX_VALUES => Err(too_many()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| operand(item).map_err(|fault| fault.at_index(index)))
            .collect(),
        value => Ok(vec![operand(value)?]),
    }
}

fn operand(value: &Value) -> Result<Operand, Fault> {
    match value {
        Value::String(text) => Ok(Operand::Text(text.clone())),
        Value::Number(number) => Ok(Operand::Number(number.clone())),
        Value::Bool(value) => Ok(Operand::Bool(*value)),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Fault::new(
            "value_error",
            "A filter's value is a string, a number, a boolean or a list of these",
        )),
    }
}

/// Whether a field's own name ends in a suffix, so that a filter by it means one thing or another.
pub(crate) fn is_suffixed(field: &str) -> bool {
    let mut suffixes = SUFFIXES.iter();
    suffixes.any(|(suffix, _)| field.ends_with(suffix))
}

impl Filter {
    /// A field whose own name ends in a suffix wins over the suffix.
    fn resolve(&self, paths: &Paths) -> (&str, Operator) {
        if self.name == RECORD_TYPE || paths.has(&self.name) {
            return (&self.name, Operator::Equal);
        }
        SUFFIXES
            .iter()
            .find_map(|(suffix, operator)| {
                let field = self.name.strip_suffix(suffix)?;
                (!field.is_empty()).then_some((field, *operator))
            })
            .unwrap_or((&self.name, Operator::Equal))
    }

    /// What it may call a field: its whole name, or that without a suffix.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let suffixes = SUFFIXES.iter();
        let shorter = suffixes.filter_map(|(suffix, _)| self.name.strip_suffix(suffix));
        iter::once(self.name.as_str()).chain(shorter)
    }

    /// The query that the filter stands for.
    pub(crate) fn query(&self, fields: &Fields, paths: &Paths) -> Result<Box<dyn Query>, Fault> {
        let (field, operator) = self.resolve(paths);
        let any: Vec<Box<dyn Query>> = if operator == Operator::Equal {
            let values = self.values.iter().flat_map(alternatives);
            if field == RECORD_TYPE {
                values
                    .map(|value| term(Term::from_field_text(fields.kind_folded, &fold(&value))))
                    .collect()
            } else {
                let values: Vec<String> = values.collect();
                paths
                    .named(field)
                    .flat_map(|path| values.iter().flat_map(|value| equal(fields, path, value)))
                    .collect()
            }
        } else {
            let bound = self.bound().map_err(|fault| fault.at(&self.name))?;
            if field == RECORD_TYPE {
                Vec::new()
            } else {
                paths
                    .named(field)
                    .flat_map(|path| range(fields, path, operator, &bound))
                    .collect()
            }
        };
        Ok(any_of(any))
    }

    /// The columns that the filter reads.
    pub(crate) fn columns(&self, paths: &Paths) -> Vec<String> {
        let (field, operator) = self.resolve(paths);
        let fields: &[&str] = match operator {
            _ if field == RECORD_TYPE => &[],
            Operator::Equal => &[NUMBERS],
            _ => &[NUMBERS, STRINGS],
        };
        let named = paths.named(field);
        named
            .flat_map(|path| fields.iter().map(move |field| format!("{field}.{path}")))
            .collect()
    }

    fn bound(&self) -> Result<Operand, Fault> {
        match self.values.as_slice() {
            [Operand::Number(number)] => Ok(Operand::Number(number.clone())),
            [Operand::Text(text)] => Ok(Operand::Text(text.clone())),
            _ => Err(Fault::new(
                "value_error",
                "A range takes one number or one string",
            )),
        }
    }
}

fn too_many() -> Fault {
    Fault::new(
        "too_long",
        format!(
            "Filters should have at most {MAX_VALUES} values in all, parts between commas included"
        ),
    )
}

/// How many values an operand stands for.
fn parts(operand: &Operand) -> usize {
    match operand {
        Operand::Text(text) => 1 + text.matches(',').count(),
        Operand::Number(_) | Operand::Bool(_) => 1,
    }
}

/// A string stands for itself and, where it has commas, for each of its parts.
fn alternatives(operand: &Operand) -> Vec<String> {
    match operand {
        Operand::Number(number) => vec![number.to_string()],
        Operand::Bool(value) => vec![value.to_string()],
        Operand::Text(text) => {
            let mut all = vec![text.clone()];
            if text.contains(',') {
                all.extend(
                    text.split(',')
                        .map(str::trim)
                        .filter(|part| !part.is_empty())
                        .map(str::to_owned),
                );
            }
            all
        }
    }
}

fn equal(fields: &Fields, path: &str, text: &str) -> Vec<Box<dyn Query>> {
    let mut string = Term::from_field_json_path(fields.strings, path, false);
    string.append_type_and_str(&value(text));
    let mut any = vec![term(string)];
    let number = text.trim().parse::<serde_json::Number>().ok();
    if let Some(double) = number.as_ref().and_then(exact) {
        any.push(bounded(number_term(fields, path, double), Operator::Equal));
    }
    any
}

/// A string bounds strings, such as dates, and also numbers if it is one.
fn range(fields: &Fields, path: &str, operator: Operator, bound: &Operand) -> Vec<Box<dyn Query>> {
    let (number, text) = match bound {
        Operand::Number(number) => (Some(number.clone()), None),
        Operand::Text(text) => (text.trim().parse().ok(), Some(text)),
        Operand::Bool(_) => (None, None),
    };
    let number = number.and_then(|number: serde_json::Number| number.as_f64());
    let mut any: Vec<Box<dyn Query>> = Vec::new();
    if let Some(number) = number {
        any.push(bounded(number_term(fields, path, number), operator));
    }
    if let Some(text) = text {
        let mut at = Term::from_field_json_path(fields.strings, path, false);
        at.append_type_and_str(&value(text));
        any.push(bounded(at, operator));
    }
    any
}

fn bounded(at: Term, operator: Operator) -> Box<dyn Query> {
    let (lower, upper) = match operator {
        Operator::AtLeast => (Bound::Included(at), Bound::Unbounded),
        Operator::Above => (Bound::Excluded(at), Bound::Unbounded),
        Operator::AtMost => (Bound::Unbounded, Bound::Included(at)),
        Operator::Below => (Bound::Unbounded, Bound::Excluded(at)),
        Operator::Equal => (Bound::Included(at.clone()), Bound::Included(at)),
    };
    Box::new(RangeQuery::new(lower, upper))
}

fn number_term(fields: &Fields, path: &str, number: f64) -> Term {
    let mut term = Term::from_field_json_path(fields.numbers, path, false);
    // Zero has two doubles.
    term.append_type_and_fast_value(number + 0.0);
    term
}

fn any_of(mut any: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    match any.len() {
        0 => Box::new(EmptyQuery),
        1 => any.remove(0),
        _ => Box::new(BooleanQuery::new(
            any.into_iter()
                .map(|query| (Occur::Should, query))
                .collect(),
        )),
    }
}
