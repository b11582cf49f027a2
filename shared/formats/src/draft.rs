//! From fields to a draft.
//!
//! [`Draft::parse`] decides what a row is. What is here gives the same for rows with nothing unusual
//! in them, without copying them and without writing them out to see how large they are.

use model::record::{Draft, MAX_RECORD_BYTES, Visibility};
use model::{cell, json};
use serde_json::{Map, Value};

use crate::Parsed;

/// What a record calls its own.
pub(crate) const OWN: [&str; 4] = ["name", "description", "source_id", "visibility"];

/// A row of at most so many bytes is a record of allowed size, as what is one byte in any format is at
/// most six in JSON.
pub(crate) const SMALL: usize = MAX_RECORD_BYTES / 6 - 100;

/// A name of at most so many bytes is short enough.
pub(crate) const SHORT_NAME: usize = 1_000;

/// A `source_id` of at most so many bytes is short enough.
pub(crate) const SHORT_SOURCE_ID: usize = 255;

/// Data that is nested less deeply than this is so little enough.
const SHALLOW: usize = 32;

/// The draft of an object that was written in so many bytes.
pub(crate) fn of_object(mut row: Map<String, Value>, bytes: usize) -> Parsed {
    if row.values().any(Value::is_null) {
        row.retain(|_, value| !value.is_null());
    }
    if bytes > SMALL || !is_plain(&row) {
        return Draft::parse(Value::Object(row));
    }
    let name = text(row.remove("name")).unwrap_or_default();
    let trimmed = name.trim();
    let name = if trimmed.len() == name.len() {
        name
    } else {
        trimmed.to_owned()
    };
    let description = text(row.remove("description")).filter(|text| !text.is_empty());
    let source_id = text(row.remove("source_id"));
    let visibility = text(row.remove("visibility")).and_then(|word| visibility(&word));
    row.values_mut().for_each(json::normalise);
    Ok(Draft {
        name,
        description,
        source_id,
        visibility,
        data: row,
    })
}

/// Whether there is nothing about a row without nulls that [`Draft::parse`] would have to look at.
fn is_plain(row: &Map<String, Value>) -> bool {
    let name = match row.get("name") {
        Some(Value::String(name)) => name.trim(),
        _ => return false,
    };
    let source_id = match row.get("source_id") {
        None => true,
        Some(Value::String(id)) => (1..=SHORT_SOURCE_ID).contains(&id.len()),
        Some(Value::Number(number)) => number.is_i64() || number.is_u64(),
        Some(_) => false,
    };
    let visibility = match row.get("visibility") {
        None => true,
        Some(Value::String(word)) => visibility(word).is_some(),
        Some(_) => false,
    };
    (1..=SHORT_NAME).contains(&name.len())
        && row.get("description").is_none_or(Value::is_string)
        && source_id
        && visibility
        && !["data", "collection_data"]
            .iter()
            .any(|name| row.get(*name).is_some_and(Value::is_object))
        && row.values().all(|value| json::depth(value) < SHALLOW)
}

fn text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text),
        value => Some(value.to_string()),
    }
}

/// What a word says about who may find the record.
pub(crate) fn visibility(word: &str) -> Option<Visibility> {
    match word {
        "private" => Some(Visibility::Private),
        "public" => Some(Visibility::Public),
        _ => None,
    }
}

/// The value of a cell as [`cell::infer`] has it, in a number's one form.
pub(crate) fn infer(text: &str) -> Option<Value> {
    match text.as_bytes() {
        [b'1'..=b'9', rest @ ..] if rest.len() < 15 && rest.iter().all(u8::is_ascii_digit) => {
            text.parse::<u64>().ok().map(Value::from)
        }
        [b'0'..=b'9' | b'-' | b't' | b'f', ..] => {
            let mut value = cell::infer(text)?;
            json::normalise(&mut value);
            Some(value)
        }
        [] => None,
        _ => Some(Value::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    fn same(row: Value) {
        let Value::Object(object) = row.clone() else {
            panic!("{row}");
        };
        assert_eq!(of_object(object, 100), Draft::parse(row));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_parser() {
        for row in [
            json!({}),
            json!({"name": null, "a": 1}),
            json!({"name": "  "}),
            json!({"name": 7}),
            json!({"name": "x".repeat(1_001)}),
            json!({"name": "\u{e9}".repeat(1_000)}),
            json!({"name": " x ", "description": "", "source_id": 7, "visibility": "public"}),
            json!({"name": "x", "description": 7}),
            json!({"name": "x", "source_id": ""}),
            json!({"name": "x", "source_id": 1.5}),
            json!({"name": "x", "source_id": u64::MAX}),
            json!({"name": "x", "visibility": "secret"}),
            json!({"name": "x", "visibility": null, "a": null, "b": 2.0, "c": [1e3, null]}),
            json!({"name": "x", "data": {"a": 1, "b": null}, "collection_data": {"c": 1}}),
            json!({"name": "x", "data": "text", "collection_data": [1]}),
        ] {
            same(row);
        }
        let nested = |levels| (0..levels).fold(json!(1), |value, _| json!([value]));
        same(json!({"name": "x", "a": nested(31)}));
        same(json!({"name": "x", "a": nested(32)}));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            Just(json!("public")),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                btree_map("[a-d]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_object_is_what_the_parser_says(
            row in btree_map("(name|description|source_id|visibility|data|collection_data|[a-c])", value(), 0..8),
        ) {
            same(Value::Object(row.into_iter().collect()));
        }

        #[test]
        fn a_cell_is_what_the_model_says(text in "(-?[0-9]{0,18}(\\.[0-9]{0,18})?|true|false|tr|.{0,6})") {
            let expected = cell::infer(&text).map(|mut value| {
                json::normalise(&mut value);
                value
            });
            prop_assert_eq!(infer(&text), expected);
        }
    }
}
