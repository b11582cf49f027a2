//! The fields that records have: what filters and orders call them, and what is in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

/// The most fields.
const MOST: usize = 500;

/// The most sample values of a field.
const SAMPLES: usize = 5;

/// The longest sample value, in characters.
const MAX_SAMPLE: usize = 100;

/// The longest name, in bytes: no filter and no order takes a longer one.
const MAX_NAME: usize = 500;

/// What kind of values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Boolean,
    Number,
    String,
    /// More than one of these.
    Mixed,
}

/// A field.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Field {
    /// Dots stand between the steps to a nested one.
    name: String,
    #[serde(rename = "type")]
    kind: Kind,
    sample_values: Vec<Value>,
}

/// The fields of some records.
#[derive(Default)]
pub(crate) struct Fields(BTreeMap<String, Seen>);

#[derive(Default)]
struct Seen {
    kinds: BTreeSet<Kind>,
    samples: Vec<Value>,
}

impl Fields {
    /// Takes in the data of a record.
    pub(crate) fn take(&mut self, data: &Map<String, Value>) {
        for (name, value) in data {
            if name.len() <= MAX_NAME {
                self.note(name, value);
            }
        }
    }

    fn note(&mut self, name: &str, value: &Value) {
        let kind = match value {
            Value::Null => return,
            Value::Object(object) => {
                for (key, value) in object {
                    if name.len() + 1 + key.len() <= MAX_NAME {
                        self.note(&format!("{name}.{key}"), value);
                    }
                }
                return;
            }
            // As in a filter, a list has what its items have.
            Value::Array(items) => {
                for item in items {
                    self.note(name, item);
                }
                return;
            }
            Value::Bool(_) => Kind::Boolean,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::String,
        };
        if self.0.len() >= MOST && !self.0.contains_key(name) {
            return;
        }
        let seen = self.0.entry(name.to_owned()).or_default();
        seen.kinds.insert(kind);
        if seen.samples.len() < SAMPLES {
            let sample = shortened(value);
            if !seen.samples.contains(&sample) {
                seen.samples.push(sample);
            }
        }
    }

    /// The fields in the order of their names.
    pub(crate) fn into_list(self) -> Vec<Field> {
        let fields = self.0.into_iter().map(|(name, seen)| {
            let mut kinds = seen.kinds.into_iter();
            let kind = match (kinds.next(), kinds.next()) {
                (Some(kind), None) => kind,
                _ => Kind::Mixed,
            };
            Field {
                name,
                kind,
                sample_values: seen.samples,
            }
        });
        fields.collect()
    }
}

fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) => text.chars().take(MAX_SAMPLE).collect::<String>().into(),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(records: &[Value]) -> Value {
        let mut fields = Fields::default();
        for record in records {
            fields.take(record.as_object().unwrap());
        }
        serde_json::to_value(fields.into_list()).unwrap()
    }

    #[test]
    fn fields_are_named_as_filters_name_them() {
        let records = [
            json!({"size": {"length": 5, "unit": "mm"}, "tags": ["sale", "shop"]}),
            json!({"tags": ["sale"], "in_stock": true, "nothing": null, "size": {"length": 6}}),
        ];
        assert_eq!(
            fields(&records),
            json!([
                {"name": "in_stock", "type": "boolean", "sample_values": [true]},
                {"name": "size.length", "type": "number", "sample_values": [5, 6]},
                {"name": "size.unit", "type": "string", "sample_values": ["mm"]},
                {"name": "tags", "type": "string", "sample_values": ["sale", "shop"]},
            ])
        );
    }

    #[test]
    fn samples_are_few_short_and_different() {
        let long = "x".repeat(1_000);
        let mut records = vec![json!({"a": long}), json!({"a": 1}), json!({"a": 1})];
        records.extend((0..10).map(|number| json!({"a": number})));
        let expected = json!([{
            "name": "a",
            "type": "mixed",
            "sample_values": ["x".repeat(100), 1, 0, 2, 3],
        }]);
        assert_eq!(fields(&records), expected);
    }

    #[test]
    fn there_are_at_most_500_fields() {
        let data: Map<String, Value> = (0..600).map(|n| (format!("f{n}"), json!(n))).collect();
        let mut fields = Fields::default();
        fields.take(&data);
        fields.take(&data);
        assert_eq!(fields.into_list().len(), 500);
    }
}
