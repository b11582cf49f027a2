//! Records: what a row has to be to become one, what identifies it, and what changes it.

mod edit;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::{self, Fault, Faults, Fields};
use crate::id::{CollectionName, RecordId, RecordType, UploadId};
use crate::json;
use crate::time::Moment;

pub use edit::{MAX_BULK, NewRecord, RecordPatch, bulk};

/// The largest record: name, description and data as JSON, in bytes.
pub const MAX_RECORD_BYTES: usize = 48 * 1024;

/// The longest name, in characters.
const MAX_NAME: usize = 1_000;

/// The longest `source_id`, in characters.
const MAX_SOURCE_ID: usize = 255;

/// How deep `collection_data` may be nested.
const MAX_DEPTH: usize = 32;

/// Who may find a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// The tenant.
    #[default]
    Private,
    /// Everyone.
    Public,
}

pub(crate) const VISIBILITIES: [(&str, Visibility); 2] = [
    ("private", Visibility::Private),
    ("public", Visibility::Public),
];

/// How a record came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceType {
    /// A row of an uploaded file.
    FileUpload,
    /// A call of the API.
    Api,
}

/// A record of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The id.
    pub id: RecordId,
    /// The collection.
    pub collection: CollectionName,
    /// The record type.
    pub record_type: RecordType,
    /// The name.
    pub name: String,
    /// The description.
    pub description: Option<String>,
    /// Every field that is not the record's own.
    pub data: Map<String, Value>,
    /// Who may find it.
    pub visibility: Visibility,
    /// How it came in.
    pub source_type: SourceType,
    /// What the upload called its source.
    pub source_name: Option<String>,
    /// The id that its source knows it by.
    pub source_id: Option<String>,
    /// When it was made.
    pub created_at: Moment,
    /// When it was last changed.
    pub updated_at: Moment,
    /// Counts its changes, from 1.
    pub version: u64,
    /// The upload that made it.
    pub upload: UploadId,
    /// Its row in that upload, from 1.
    pub row: u64,
}

/// What identifies a record within its collection and type.
#[derive(Debug)]
pub enum Identity<'a> {
    /// The id that its source knows it by.
    Source(&'a str),
    /// Its content as first uploaded.
    Content(&'a Draft),
    /// The call that made it, and nothing else made.
    Call(UploadId),
}

impl Identity<'_> {
    /// Writes the identity into a hash.
    pub(crate) fn digest(&self, write: &mut impl FnMut(&[u8])) {
        match self {
            Self::Source(id) => json::part(b"source", id.as_bytes(), write),
            Self::Call(id) => json::part(b"call", id.0.as_bytes(), write),
            Self::Content(draft) => {
                json::part(b"name", draft.name.as_bytes(), write);
                if let Some(description) = &draft.description {
                    json::part(b"description", description.as_bytes(), write);
                }
                write(b"data");
                let mut members: Vec<_> = draft.data.iter().collect();
                members.sort_unstable_by_key(|(key, _)| *key);
                for (key, value) in members {
                    json::part(b"k", key.as_bytes(), write);
                    json::digest(value, write);
                }
            }
        }
    }
}

/// A row that may become a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The name.
    pub name: String,
    /// The description.
    pub description: Option<String>,
    /// The id that its source knows it by.
    pub source_id: Option<String>,
    /// Who may find it; as it was, if the row does not say.
    pub visibility: Option<Visibility>,
    /// Every other field.
    pub data: Map<String, Value>,
}

/// How a record comes to be.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its id.
    pub id: RecordId,
    /// Its collection.
    pub collection: CollectionName,
    /// Its record type.
    pub record_type: RecordType,
    /// How it came in.
    pub source_type: SourceType,
    /// What the upload calls its source.
    pub source_name: Option<String>,
    /// The upload that it came with.
    pub upload: UploadId,
    /// The row in it, counted from 1.
    pub row: u64,
    /// Now.
    pub at: Moment,
}

impl Record {
    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn size_in_memory(&self) -> usize {
        size_of::<Self>() + behind(&self.name, self.description.as_deref(), &self.data)
    }
}

impl Draft {
    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn size_in_memory(&self) -> usize {
        size_of::<Self>() + behind(&self.name, self.description.as_deref(), &self.data)
    }

    /// The first version of the record that the row becomes.
    #[must_use]
    pub fn into_record(self, origin: Origin) -> Record {
        Record {
            id: origin.id,
            collection: origin.collection,
            record_type: origin.record_type,
            name: self.name,
            description: self.description,
            data: self.data,
            visibility: self.visibility.unwrap_or_default(),
            source_type: origin.source_type,
            source_name: origin.source_name,
            source_id: self.source_id,
            created_at: origin.at,
            updated_at: origin.at,
            version: 1,
            upload: origin.upload,
            row: origin.row,
        }
    }

    /// Parses a row: `name`, `description`, `source_id` and `visibility` are the record's own, a
    /// nested `collection_data` or `data` object is merged in, every other key is data. Null and
    /// an absent key mean the same.
    pub fn parse(row: Value) -> Result<Self, Faults> {
        let mut fields = Fields::of(&row)?;
        let name = fields.required("name", name);
        let description = fields.optional("description", |value| {
            fault::string(value).map(str::to_owned)
        });
        let source_id = fields.optional("source_id", source_id);
        let visibility = fields.optional("visibility", |value| fault::one_of(value, &VISIBILITIES));
        let (Some(name), Some(description), Some(source_id), Some(visibility)) =
            (name, description, source_id, visibility)
        else {
            return Err(fields.into_faults());
        };
        let draft = Self {
            name,
            description: description.filter(|text| !text.is_empty()),
            source_id,
            visibility,
            data: data(row),
        };
        draft.check().map_err(|fault| vec![fault])?;
        Ok(draft)
    }

    /// What identifies the record that this row becomes.
    #[must_use]
    pub fn identity(&self) -> Identity<'_> {
        match &self.source_id {
            Some(id) => Identity::Source(id),
            None => Identity::Content(self),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check(&self.name, self.description.as_deref(), &self.data)
    }
}

/// Whether a record may be so deep and so large.
fn check(name: &str, description: Option<&str>, data: &Map<String, Value>) -> Result<(), Fault> {
    if data.values().map(json::depth).max().unwrap_or(0) >= MAX_DEPTH {
        return Err(Fault::new(
            "too_deep",
            format!("Data is nested deeper than {MAX_DEPTH} levels"),
        ));
    }
    let size = size(name, description, data);
    if size > MAX_RECORD_BYTES {
        return Err(Fault::new(
            "too_large",
            format!("A record has at most {MAX_RECORD_BYTES} bytes, this one has {size}"),
        ));
    }
    Ok(())
}

/// What they take in memory.
fn behind(name: &str, description: Option<&str>, data: &Map<String, Value>) -> usize {
    name.len() + description.map_or(0, str::len) + json::size_in_memory(data)
}

fn size(name: &str, description: Option<&str>, data: &Map<String, Value>) -> usize {
    let json = serde_json::to_string(&(name, description, data));
    json.map_or(usize::MAX, |text| text.len())
}

fn name(value: &Value) -> Result<String, Fault> {
    if value.is_null() {
        return Err(Fault::missing());
    }
    let name = fault::string(value)?.trim();
    if name.is_empty() {
        return Err(Fault::missing());
    }
    fault::length(name, 1, MAX_NAME)?;
    Ok(name.to_owned())
}

/// A source may number its things: a whole number is taken as the text of its digits.
fn source_id(value: &Value) -> Result<String, Fault> {
    let id = match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => fault::string(value)?.to_owned(),
    };
    fault::length(&id, 1, MAX_SOURCE_ID)?;
    Ok(id)
}

fn data(row: Value) -> Map<String, Value> {
    let mut data = Map::new();
    let mut nested = Vec::new();
    if let Value::Object(row) = row {
        for (key, value) in row {
            match (key.as_str(), value) {
                (_, Value::Null) | ("name" | "description" | "source_id" | "visibility", _) => {}
                ("collection_data" | "data", Value::Object(object)) => nested.push(object),
                (_, value) => {
                    data.insert(key, value);
                }
            }
        }
    }
    for object in nested {
        data.extend(object.into_iter().filter(|(_, value)| !value.is_null()));
    }
    data.values_mut().for_each(json::normalise);
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn draft(row: Value) -> Draft {
        Draft::parse(row).unwrap()
    }

    fn fault(row: Value) -> (String, &'static str) {
        let fault = Draft::parse(row).unwrap_err().remove(0);
        (format!("{:?}", fault.path), fault.kind)
    }

    #[test]
    fn own_fields_are_taken_out_and_the_rest_is_data() {
        let draft = draft(json!({
            "name": " Bolt ", "description": "steel", "source_id": 17, "visibility": "public",
            "id": "x", "tenant_id": "y", "PK": "z", "__proto__": {"a": 1}, "gone": null,
        }));
        assert_eq!(draft.name, "Bolt");
        assert_eq!(draft.description.as_deref(), Some("steel"));
        assert_eq!(draft.source_id.as_deref(), Some("17"));
        assert_eq!(draft.visibility, Some(Visibility::Public));
        assert_eq!(
            Value::Object(draft.data),
            json!({"id": "x", "tenant_id": "y", "PK": "z", "__proto__": {"a": 1}})
        );
    }

    #[test]
    fn nested_data_is_merged_in() {
        let draft = draft(json!({
            "name": "x", "size": 1, "data": {"a": 1, "b": null}, "collection_data": {"c": 2.0},
        }));
        assert_eq!(
            Value::Object(draft.data),
            json!({"size": 1, "a": 1, "c": 2})
        );
        let plain = super::tests::draft(json!({"name": "x", "data": "text"}));
        assert_eq!(Value::Object(plain.data), json!({"data": "text"}));
    }

    #[test]
    fn a_bad_row_says_which_field() {
        let name = r#"[Name("name")]"#.to_owned();
        assert_eq!(fault(json!({})), (name.clone(), "missing"));
        assert_eq!(fault(json!({"name": null})), (name.clone(), "missing"));
        assert_eq!(fault(json!({"name": "  "})), (name.clone(), "missing"));
        assert_eq!(fault(json!({"name": 7})), (name.clone(), "string_type"));
        assert_eq!(
            fault(json!({"name": "x".repeat(1001)})),
            (name, "string_too_long")
        );
        assert_eq!(
            fault(json!({"name": "x", "visibility": "secret"})),
            (r#"[Name("visibility")]"#.to_owned(), "enum")
        );
        assert_eq!(
            fault(json!({"name": "x", "source_id": ""})),
            (r#"[Name("source_id")]"#.to_owned(), "string_too_short")
        );
        assert_eq!(fault(json!([1])).1, "model_attributes_type");
        assert_eq!(
            fault(json!({"name": "x", "a": "y".repeat(50_000)})).1,
            "too_large"
        );
    }

    #[test]
    fn nesting_ends_at_32_levels() {
        let nested = |levels: usize| {
            let mut value = json!(1);
            for _ in 0..levels {
                value = json!([value]);
            }
            json!({"name": "x", "a": value})
        };
        assert!(Draft::parse(nested(31)).is_ok());
        assert_eq!(fault(nested(32)).1, "too_deep");
    }

    #[test]
    fn content_identifies_what_has_no_source_id() {
        let id = |row: Value| {
            let draft = draft(row);
            RecordId::derive(
                &"t".parse().unwrap(),
                &"c".parse().unwrap(),
                1,
                &"p".parse().unwrap(),
                &draft.identity(),
            )
        };
        let first = id(json!({"name": "x", "a": 1, "b": 2}));
        assert_eq!(first, id(json!({"b": 2.0, "a": 1, "name": "x"})));
        assert_ne!(first, id(json!({"name": "x", "a": 1})));
        assert_ne!(
            first,
            id(json!({"name": "x", "a": 1, "b": 2, "description": "d"}))
        );
        assert_eq!(
            id(json!({"name": "x", "source_id": "s"})),
            id(json!({"name": "y", "source_id": "s", "a": 1}))
        );
    }
}
