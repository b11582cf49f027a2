//! From a record to the document that the index takes in.

use std::collections::{BTreeMap, BTreeSet};

use model::record::{Record, Visibility};
use serde_json::Value;
use tantivy::TantivyDocument;
use tantivy::schema::OwnedValue;

use super::paths::{Path, Paths};
use super::schema::{EVERYBODY, Fields};
use super::text::{bare_identifier, fold, value, without_accents};

/// What a record's data is made of, flattened.
#[derive(Default)]
struct Flat {
    texts: Vec<String>,
    strings: BTreeMap<String, Vec<OwnedValue>>,
    numbers: BTreeMap<String, Vec<OwnedValue>>,
    identifiers: BTreeSet<String>,
}

impl Flat {
    fn take(&mut self, path: &Path, value: &Value, paths: &mut Paths) {
        match value {
            Value::Null => {}
            Value::Object(object) => {
                for (key, value) in object {
                    self.take(&path.step(key), value, paths);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.take(path, item, paths);
                }
            }
            Value::String(text) => {
                self.texts.push(without_accents(text));
                self.identifiers.extend(bare_identifier(text));
                self.string(path, self::value(text), paths);
            }
            Value::Bool(value) => self.string(path, value.to_string(), paths),
            Value::Number(number) => {
                if number.is_i64() || number.is_u64() {
                    self.identifiers
                        .extend(bare_identifier(&number.to_string()));
                }
                if exact(number).is_none() {
                    self.string(path, number.to_string(), paths);
                }
                if let Some(double) = number.as_f64()
                    && paths.admit(path)
                {
                    let column = self.numbers.entry(path.encoded.clone()).or_default();
                    column.push(OwnedValue::F64(double + 0.0));
                }
            }
        }
    }

    fn string(&mut self, path: &Path, text: String, paths: &mut Paths) {
        if paths.admit(path) {
            let column = self.strings.entry(path.encoded.clone()).or_default();
            column.push(OwnedValue::Str(text));
        }
    }
}

/// The double that is this very number. A longer whole number has none: it is compared by its
/// digits, and only ranges and orders take the double next to it.
pub(crate) fn exact(number: &serde_json::Number) -> Option<f64> {
    const INEXACT: u64 = 1 << 53;
    let fits = number.as_i64().map_or_else(
        || number.as_u64().is_none(),
        |integer| integer.unsigned_abs() < INEXACT,
    );
    number.as_f64().filter(|_| fits)
}

/// The document of a record. Paths that it is the first to have are noted in `paths`.
pub(crate) fn document(fields: &Fields, record: &Record, paths: &mut Paths) -> TantivyDocument {
    let mut flat = Flat::default();
    for (key, value) in &record.data {
        flat.take(&Path::default().step(key), value, paths);
    }
    flat.identifiers.extend(bare_identifier(&record.name));

    let mut document = TantivyDocument::new();
    let (high, low) = record.id.0.as_u64_pair();
    document.add_u64(fields.id_high, high);
    document.add_u64(fields.id_low, low);
    document.add_text(fields.name, without_accents(&record.name));
    document.add_text(fields.name_folded, value(&record.name));
    if let Some(description) = &record.description {
        document.add_text(fields.body, without_accents(description));
    }
    for text in &flat.texts {
        document.add_text(fields.body, text);
    }
    for identifier in &flat.identifiers {
        document.add_text(fields.identifier, identifier);
    }
    if let Some(source) = record.source_id.as_deref().and_then(bare_identifier) {
        document.add_text(fields.source, source);
    }
    document.add_object(fields.strings, columns(flat.strings));
    document.add_object(fields.numbers, columns(flat.numbers));
    document.add_text(fields.kind, record.record_type.as_str());
    document.add_text(fields.kind_folded, fold(record.record_type.as_str()));
    if record.visibility == Visibility::Public {
        document.add_text(fields.audience, EVERYBODY);
    }
    document.add_i64(fields.created, record.created_at.timestamp_micros());
    document.add_i64(fields.updated, record.updated_at.timestamp_micros());
    document
}

fn columns(values: BTreeMap<String, Vec<OwnedValue>>) -> BTreeMap<String, OwnedValue> {
    values
        .into_iter()
        .map(|(path, values)| (path, OwnedValue::Array(values)))
        .collect()
}
