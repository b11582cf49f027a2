//! JSON as a careful server reads it: no duplicate keys, bounded depth, one form for one number.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::cell::is_too_small;
use crate::fault::Fault;

/// Parses one JSON document and refuses a key that stands twice in one object.
///
/// Two readers of such a document may see different values, which is how filters are passed by.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    document(serde_json::Deserializer::from_slice(bytes), usize::MAX)
}

/// The same for the text of a record, which is not looked at again for whether it is UTF-8. What would take
/// far more memory than the largest record ends with an error of the message [`TOO_MUCH`].
pub fn parse_record(text: &str) -> Result<Value, serde_json::Error> {
    document(serde_json::Deserializer::from_str(text), MOST_MEMORY)
}

/// What is wrong with a record that takes too much memory.
pub const TOO_MUCH: &str = "too many values";

/// The most memory that a record may take while it is read, in bytes: three times what one takes whose
/// text is nothing but small objects.
const MOST_MEMORY: usize = 16 << 20;

/// A node of a B-tree has room for eleven members, of which about eight are there.
const NODE: usize = 11 * (size_of::<String>() + size_of::<Value>());
const MEMBERS: usize = 8;

fn document<'de, R: serde_json::de::Read<'de>>(
    mut reader: serde_json::Deserializer<R>,
    memory: usize,
) -> Result<Value, serde_json::Error> {
    let left = Cell::new(memory);
    let value = Strict { left: &left }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// About how many bytes an object takes in memory. That may be a hundred times its text: a small object
/// takes a whole node of a B-tree.
pub(crate) fn size_in_memory(object: &Map<String, Value>) -> usize {
    let members = object
        .iter()
        .map(|(name, value)| name.len() + behind(value));
    object.len().div_ceil(MEMBERS) * NODE + members.sum::<usize>()
}

/// What a value takes beside itself.
fn behind(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => {
            size_of_val(values.as_slice()) + values.iter().map(behind).sum::<usize>()
        }
        Value::Object(members) => size_in_memory(members),
    }
}

/// Makes a value, and takes no more memory for it than is left.
#[derive(Clone, Copy)]
struct Strict<'a> {
    left: &'a Cell<usize>,
}

impl Strict<'_> {
    fn spend<E: de::Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.ok_or_else(|| E::custom(TOO_MUCH))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            self.spend(size_of::<Value>())?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.len().is_multiple_of(MEMBERS) {
                self.spend(NODE)?;
            }
            let value = members.next_value_seed(self)?;
            if object.insert(key, value).is_some() {
                return Err(de::Error::custom("duplicate key in an object"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// How deep lists and objects are nested: 0 for a scalar, 1 for a flat list.
#[must_use]
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Gives every number its one form: a whole number is an integer, however it was written, so
/// that `12`, `12.0` and `1.2e1` are the same content.
pub fn normalise(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(integer) = whole(number) {
                *value = Value::from(integer);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(object) => object.values_mut().for_each(normalise),
        _ => {}
    }
}

/// The largest double up to which every whole number has a double of its own: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn whole(number: &Number) -> Option<i64> {
    if number.is_i64() || number.is_u64() {
        return None;
    }
    let double = number.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number below 2^53 fits"
    )]
    (double.fract() == 0.0 && double.abs() <= EXACT).then_some(double as i64)
}

/// The fault of the first number of a JSON text that [loses digits](loses_digits), at its place.
#[must_use]
pub fn imprecise(text: &str) -> Option<Fault> {
    if !loses_digits(text) {
        return None;
    }
    if let Ok(object) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        for (name, value) in object {
            if let Some(fault) = imprecise(value.get()) {
                return Some(fault.at(&name));
            }
        }
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
        for (index, value) in items.into_iter().enumerate() {
            if let Some(fault) = imprecise(value.get()) {
                return Some(fault.at_index(index));
            }
        }
    }
    Some(too_many_digits())
}

/// What is wrong with a number that loses digits.
#[must_use]
pub fn too_many_digits() -> Fault {
    Fault::new(
        "number_precision",
        "A number has more digits than can be kept; write it as a string",
    )
}

/// As many significant digits name every double: a number with no more of them is taken for the
/// double it came from.
const DOUBLE_DIGITS: usize = 17;

/// Whether a number in `text`, which is valid JSON, has more digits than a double or a 64-bit integer
/// keeps: parsing it would lose some of them without a word.
#[must_use]
pub fn loses_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = bytes[at..].iter().take_while(is_part).count();
                if too_precise(&text[at..at + length]) {
                    return true;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    false
}

/// The byte after the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn too_precise(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let zeros = |digits: &mut dyn Iterator<Item = &u8>| digits.take_while(|d| **d == b'0').count();
    let outer = zeros(&mut digits.iter()) + zeros(&mut digits.iter().rev());
    let significant = digits.len().saturating_sub(outer);
    if significant > 0 && number.parse::<f64>().is_ok_and(is_too_small) {
        return true;
    }
    significant > DOUBLE_DIGITS && number.parse::<i64>().is_err() && number.parse::<u64>().is_err()
}

/// Writes `value` into a hash in one form: object keys sorted, every part tagged and its length
/// written in front, so that no two values share a form.
pub fn digest(value: &Value, write: &mut impl FnMut(&[u8])) {
    match value {
        Value::Null => write(b"n"),
        Value::Bool(true) => write(b"t"),
        Value::Bool(false) => write(b"f"),
        // A double by its bits: how it prints is up to a library.
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(double) => part(b".", &double.to_bits().to_be_bytes(), write),
            None => part(b"#", number.to_string().as_bytes(), write),
        },
        Value::String(text) => part(b"s", text.as_bytes(), write),
        Value::Array(items) => {
            part(b"[", &items.len().to_be_bytes(), write);
            for item in items {
                digest(item, write);
            }
        }
        Value::Object(object) => {
            part(b"{", &object.len().to_be_bytes(), write);
            let mut members: Vec<_> = object.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in members {
                part(b"k", key.as_bytes(), write);
                digest(value, write);
            }
        }
    }
}

/// Writes a tag, a length and bytes.
pub(crate) fn part(tag: &[u8], bytes: &[u8], write: &mut impl FnMut(&[u8])) {
    write(tag);
    write(&(bytes.len() as u64).to_be_bytes());
    write(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Step;
    use serde_json::json;

    fn digested(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        digest(value, &mut |part| bytes.extend_from_slice(part));
        bytes
    }

    #[test]
    fn a_duplicate_key_is_refused_at_any_depth() {
        assert!(parse(br#"{"a": 1, "a": 1}"#).is_err());
        assert!(parse(br#"{"x": [{"a": 1, "a": 2}]}"#).is_err());
        assert_eq!(
            parse(br#"{"a": {"a": [null]}}"#).unwrap(),
            json!({"a": {"a": [null]}})
        );
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "NaN",
            "1e400",
            "\"\\ud800\"",
            "{} {}",
            "\u{feff}{}",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(&[b'"', 0xff, b'"']).is_err());
        assert!(parse("[".repeat(200).as_bytes()).is_err());
    }

    #[test]
    fn one_number_has_one_form() {
        let mut value = json!([12.0, 12.5, -3.0, {"a": -0.0}, 7]);
        normalise(&mut value);
        assert_eq!(value.to_string(), r#"[12,12.5,-3,{"a":0},7]"#);
    }

    #[test]
    fn a_number_that_would_lose_digits_is_found() {
        for kept in [
            "[18446744073709551615, -9223372036854775808, 0.1, 1.7976931348623157e308]",
            "[100000000000000000000, 0.00000000000000000000001, -0, 12.50]",
            r#"{"12345678901234567890123": "12345678901234567890123 \" 1"}"#,
            r#"["\\", 1]"#,
            "[\"\u{e9}\", 1]",
        ] {
            assert!(!loses_digits(kept), "{kept}");
        }
        for lost in [
            "18446744073709551616",
            "1e-400",
            "[1, -9223372036854775809]",
            r#"{"a\\": [123456789.123456789123]}"#,
            "0.1000000000000000055511151231257827",
            "123456789012345678901234567890e-5",
        ] {
            assert!(loses_digits(lost), "{lost}");
        }
    }

    #[test]
    fn different_values_have_different_digests() {
        let values = [
            json!(null),
            json!("null"),
            json!(["a", "b"]),
            json!(["ab"]),
            json!([["a"], "b"]),
            json!({"a": "b"}),
            json!({"a": null}),
            json!(1),
            json!("1"),
            json!(true),
        ];
        for (i, left) in values.iter().enumerate() {
            for right in &values[i + 1..] {
                assert_ne!(digested(left), digested(right), "{left} {right}");
            }
        }
        assert_eq!(
            digested(&json!({"a": 1, "b": 2})),
            digested(&json!({"b": 2, "a": 1}))
        );
    }

    #[test]
    fn a_number_that_loses_digits_is_told_at_its_place() {
        let path = |text: &str| imprecise(text).map(|fault| fault.path);
        assert_eq!(path(r#"{"a": 1.5, "b": [1, {"c": "1e-400"}]}"#), None);
        let name = |name: &str| Step::Name(name.to_owned());
        assert_eq!(
            path(r#"{"a": 1.5, "b": [1, {"c": 1e-400}]}"#),
            Some(vec![name("b"), Step::Index(1), name("c")])
        );
        assert_eq!(path("123456789012345678901234"), Some(Vec::new()));
    }

    #[test]
    fn a_record_of_a_megabyte_of_small_values_is_given_up_early() {
        let list = |item: &str, count| format!("[{}]", vec![item; count].join(","));
        // The largest record that there may be.
        parse_record(&list(r#"{"":1}"#, 48 * 1024 / 7)).unwrap();
        let large = list(r#"{"":1}"#, 1024 * 1024 / 7);
        let error = parse_record(&large).unwrap_err();
        assert!(error.to_string().starts_with(TOO_MUCH), "{error}");
        assert!(error.column() < 200_000, "{error}");
        parse(large.as_bytes()).unwrap();
    }

    #[test]
    fn many_small_objects_take_many_times_their_text() {
        let size = |value: Value| size_in_memory(value.as_object().unwrap());
        assert_eq!(size(json!({})), 0);
        let text = size(json!({"a": "b".repeat(10_000)}));
        assert!((10_000..11_000).contains(&text), "{text}");
        let objects = size(json!({"a": vec![json!({"b": 1}); 1_000]}));
        assert!((600_000..700_000).contains(&objects), "{objects}");
    }

    #[test]
    fn depth_counts_lists_and_objects() {
        assert_eq!(depth(&json!(1)), 0);
        assert_eq!(depth(&json!({"a": [1, {"b": 2}]})), 3);
    }
}
