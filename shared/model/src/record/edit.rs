//! One record made or changed by a call of its own, or many changed alike.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    Draft, MAX_RECORD_BYTES, Record, VISIBILITIES, Visibility, check, name, size, source_id,
};
use crate::fault::{self, Fault, Faults, Fields};
use crate::id::{CollectionName, RecordId, RecordType};
use crate::json;
use crate::time::Moment;

/// The most records that one call changes.
pub const MAX_BULK: usize = 1_000;

/// The largest description and the largest data of a change, in bytes: the nulls that remove all
/// that a record has may take more room than the record.
const MAX_PATCH_BYTES: usize = 2 * MAX_RECORD_BYTES;

/// The longest name of a source, in characters.
const MAX_SOURCE_NAME: usize = 200;

/// A record that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// The collection, which need not exist.
    pub collection: CollectionName,
    /// The record type.
    pub record_type: RecordType,
    /// What its client calls the source.
    pub source_name: Option<String>,
    /// What it is to be.
    pub draft: Draft,
}

impl NewRecord {
    /// Parses the body of `POST /records`. Null and an absent field mean the same.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        let collection = fields.required("collection", |value| {
            fault::string(value)?.parse::<CollectionName>()
        });
        let record_type = fields.required("record_type", |value| {
            fault::string(value)?.parse::<RecordType>()
        });
        let name = fields.required("name", name);
        let description = fields.optional("description", |value| {
            fault::string(value).map(str::to_owned)
        });
        let source_id = fields.optional("source_id", source_id);
        let source_name = fields.optional("source_name", source_name);
        let visibility = fields.optional("visibility", visibility);
        let data = data(&mut fields);
        let (Some(collection), Some(record_type), Some(name), Some(description)) =
            (collection, record_type, name, description)
        else {
            return Err(fields.into_faults());
        };
        let (Some(source_id), Some(source_name), Some(visibility), Some((data, mut all))) =
            (source_id, source_name, visibility, data)
        else {
            return Err(fields.into_faults());
        };
        // As in a row: what both have is what `data` has.
        all.extend(data);
        all.retain(|_, value| !value.is_null());
        let draft = Draft {
            name,
            description: description.filter(|text| !text.is_empty()),
            source_id,
            visibility,
            data: all,
        };
        draft.check().map_err(|fault| vec![fault])?;
        Ok(Self {
            collection,
            record_type,
            source_name,
            draft,
        })
    }
}

/// What a `PATCH` changes of a record: `None` leaves a field, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordPatch {
    /// The name.
    pub name: Option<String>,
    /// The description.
    pub description: Option<Option<String>>,
    /// What its source is called.
    pub source_name: Option<Option<String>>,
    /// Who may find it.
    pub visibility: Option<Visibility>,
    /// Fields of its data, each replaced as a whole; null removes it.
    pub data: Map<String, Value>,
    /// The same under its other name. Where both have a field, the one counts that changes it:
    /// whoever sends back a changed answer has left the other as it was. If both do, `data` does.
    pub collection_data: Map<String, Value>,
}

impl RecordPatch {
    /// Parses the body.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        let name = fields.present("name", name);
        let description = fields.present("description", description);
        let source_name = fields.present("source_name", |value| {
            if value.is_null() {
                return Ok(None);
            }
            source_name(value).map(Some)
        });
        let visibility = fields.present("visibility", visibility);
        let data = data(&mut fields);
        match (name, description, source_name, visibility, data) {
            (
                Some(name),
                Some(description),
                Some(source_name),
                Some(visibility),
                Some((data, collection_data)),
            ) => {
                let patch = Self {
                    name,
                    description,
                    source_name,
                    visibility,
                    data,
                    collection_data,
                };
                patch.check_size().map_err(|fault| vec![fault])?;
                Ok(patch)
            }
            _ => Err(fields.into_faults()),
        }
    }

    /// Whether the change is not far larger than any record: that is found out once, not anew for
    /// each of many records.
    fn check_size(&self) -> Result<(), Fault> {
        let description = self.description.as_ref().and_then(Option::as_deref);
        for (field, bytes) in [
            ("description", size("", description, &Map::new())),
            ("data", size("", None, &self.data)),
            ("collection_data", size("", None, &self.collection_data)),
        ] {
            if bytes > MAX_PATCH_BYTES {
                let message =
                    format!("A change has at most {MAX_PATCH_BYTES} bytes, this one has {bytes}");
                return Err(Fault::new("too_large", message).at(field));
            }
        }
        Ok(())
    }

    /// Parses a body that says who may find a record, and nothing else.
    pub fn parse_visibility(body: &Value) -> Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        match fields.required("visibility", visibility) {
            Some(visibility) => Ok(Self {
                visibility: Some(visibility),
                ..Self::default()
            }),
            None => Err(fields.into_faults()),
        }
    }

    /// The next version of a record; `None` if nothing of it changes.
    pub fn apply(&self, record: &Record, at: Moment) -> Result<Option<Record>, Fault> {
        let mut next = record.clone();
        if let Some(name) = &self.name {
            next.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            next.description.clone_from(description);
        }
        if let Some(source_name) = &self.source_name {
            next.source_name.clone_from(source_name);
        }
        if let Some(visibility) = self.visibility {
            next.visibility = visibility;
        }
        for (key, value) in self.collection_data.iter().chain(&self.data) {
            let is_as_before = record.data.get(key).unwrap_or(&Value::Null) == value;
            if is_as_before {
                continue;
            }
            if value.is_null() {
                next.data.remove(key);
            } else {
                next.data.insert(key.clone(), value.clone());
            }
        }
        if next == *record {
            return Ok(None);
        }
        check(&next.name, next.description.as_deref(), &next.data)?;
        next.updated_at = at;
        next.version += 1;
        Ok(Some(next))
    }
}

/// Parses a body with `record_ids` and what is to become of those records. Each record is named
/// once, with its first place in the list; a text that is no id names none.
pub fn bulk<T>(
    body: &Value,
    parse: impl FnOnce(&Value) -> Result<T, Faults>,
) -> Result<(Vec<(usize, RecordId)>, T), Faults> {
    let mut fields = Fields::of(body)?;
    let ids = fields.required("record_ids", record_ids);
    match (ids, parse(body)) {
        (Some(ids), Ok(change)) => Ok((ids, change)),
        (_, change) => {
            let mut faults = fields.into_faults();
            faults.extend(change.err().unwrap_or_default());
            Err(faults)
        }
    }
}

fn record_ids(value: &Value) -> Result<Vec<(usize, RecordId)>, Fault> {
    let Value::Array(list) = value else {
        return Err(Fault::new("list_type", "Input should be a valid list"));
    };
    if list.len() > MAX_BULK {
        return Err(Fault::new(
            "too_long",
            format!(
                "List should have at most {MAX_BULK} items after validation, not {}",
                list.len()
            ),
        ));
    }
    let (mut known, mut ids) = (HashSet::new(), Vec::with_capacity(list.len()));
    for (index, value) in list.iter().enumerate() {
        let text = fault::string(value).map_err(|fault| fault.at_index(index))?;
        if let Ok(id) = text.parse::<RecordId>()
            && known.insert(id)
        {
            ids.push((index, id));
        }
    }
    Ok(ids)
}

fn description(value: &Value) -> Result<Option<String>, Fault> {
    if value.is_null() {
        return Ok(None);
    }
    let text = fault::string(value)?;
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

fn source_name(value: &Value) -> Result<String, Fault> {
    let text = fault::string(value)?.trim();
    fault::length(text, 1, MAX_SOURCE_NAME)?;
    Ok(text.to_owned())
}

fn visibility(value: &Value) -> Result<Visibility, Fault> {
    fault::one_of(value, &VISIBILITIES)
}

/// The fields of `data` and of `collection_data`, nulls included; `None` if one of them is faulty.
fn data(fields: &mut Fields) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let data = fields.optional("data", object);
    let collection_data = fields.optional("collection_data", object);
    let normal = |fields: Option<Map<String, Value>>| {
        let mut fields = fields.unwrap_or_default();
        fields.values_mut().for_each(json::normalise);
        fields
    };
    Some((normal(data?), normal(collection_data?)))
}

fn object(value: &Value) -> Result<Map<String, Value>, Fault> {
    let object = value.as_object().cloned();
    object.ok_or_else(|| Fault::new("dict_type", "Input should be a valid dictionary"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Step;
    use crate::id::UploadId;
    use crate::record::{Origin, SourceType};
    use serde_json::json;
    use uuid::Uuid;

    fn at(text: &str) -> Moment {
        text.parse().unwrap()
    }

    fn record(body: Value) -> Record {
        let new = NewRecord::parse(&body).unwrap();
        new.draft.into_record(Origin {
            id: RecordId(Uuid::from_u128(1)),
            collection: new.collection,
            record_type: new.record_type,
            source_type: SourceType::Api,
            source_name: new.source_name,
            upload: UploadId(Uuid::from_u128(2)),
            row: 1,
            at: at("2026-03-08T12:00:00Z"),
        })
    }

    fn bolt() -> Record {
        record(json!({
            "collection": "parts", "record_type": "bolt", "name": "Bolt",
            "description": "steel", "source_name": "catalog",
            "collection_data": {"size": {"inner": 8, "outer": 10}, "price": 1.5, "sku": "B-1"},
        }))
    }

    fn patched(body: Value) -> Option<Record> {
        let patch = RecordPatch::parse(&body).unwrap();
        patch.apply(&bolt(), at("2026-03-08T13:00:00Z")).unwrap()
    }

    fn kinds(faults: Faults) -> Vec<(String, &'static str)> {
        let name = |step: &Step| match step {
            Step::Name(name) => name.clone(),
            Step::Index(index) => index.to_string(),
        };
        let kind = |fault: Fault| {
            let path: Vec<String> = fault.path.iter().map(name).collect();
            (path.join("."), fault.kind)
        };
        faults.into_iter().map(kind).collect()
    }

    fn told(faults: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
        let fault = |(path, kind): &(&str, &'static str)| ((*path).to_owned(), *kind);
        faults.iter().map(fault).collect()
    }

    #[test]
    fn a_new_record_takes_its_data_under_both_names_and_nothing_else() {
        let new = NewRecord::parse(&json!({
            "collection": "parts", "record_type": "bolt", "name": " Bolt ", "source_id": 7,
            "source_type": "api", "size": 8, "visibility": "public", "description": "",
            "collection_data": {"b": 1}, "data": {"a": 1, "b": 2.0, "gone": null},
        }))
        .unwrap();
        assert_eq!(new.draft.name, "Bolt");
        assert_eq!(new.draft.source_id.as_deref(), Some("7"));
        assert_eq!(new.draft.visibility, Some(Visibility::Public));
        assert_eq!(new.draft.description, None);
        assert_eq!(Value::Object(new.draft.data), json!({"a": 1, "b": 2}));
    }

    #[test]
    fn every_fault_of_a_new_record_is_told() {
        let faults = NewRecord::parse(&json!({
            "collection": "-", "record_type": 1, "description": 1, "source_id": "",
            "source_name": " ", "visibility": "secret", "data": [], "collection_data": "x",
        }));
        assert_eq!(
            kinds(faults.unwrap_err()),
            told(&[
                ("collection", "string_pattern_mismatch"),
                ("record_type", "string_type"),
                ("name", "missing"),
                ("description", "string_type"),
                ("source_id", "string_too_short"),
                ("source_name", "string_too_short"),
                ("visibility", "enum"),
                ("data", "dict_type"),
                ("collection_data", "dict_type"),
            ])
        );
    }

    #[test]
    fn data_is_merged_one_level_deep_and_null_removes_a_field() {
        let next = patched(json!({
            "data": {"size": {"inner": 9}, "price": null, "sku": "B-2"},
            "collection_data": {"sku": "old", "new": {"deep": null}},
        }))
        .unwrap();
        assert_eq!(
            Value::Object(next.data),
            json!({"size": {"inner": 9}, "sku": "B-2", "new": {"deep": null}})
        );
    }

    #[test]
    fn a_patch_makes_the_next_version_and_leaves_what_it_does_not_name() {
        let next = patched(json!({"name": " Nut ", "id": "x", "created_at": "y"})).unwrap();
        let expected = Record {
            name: "Nut".to_owned(),
            updated_at: at("2026-03-08T13:00:00Z"),
            version: 2,
            ..bolt()
        };
        assert_eq!(next, expected);
    }

    #[test]
    fn null_clears_what_a_record_can_lack() {
        let next = patched(json!({"description": null, "source_name": null})).unwrap();
        assert_eq!((next.description, next.source_name), (None, None));
        let faults = RecordPatch::parse(&json!({"name": null, "visibility": null}));
        assert_eq!(
            kinds(faults.unwrap_err()),
            told(&[("name", "missing"), ("visibility", "string_type")])
        );
    }

    #[test]
    fn an_answer_that_is_sent_back_changes_what_was_changed_under_either_name() {
        let was = bolt().data;
        let mut is = was.clone();
        is.insert("price".to_owned(), json!(2));
        let mut other = was.clone();
        other.insert("price".to_owned(), json!(3));
        for (data, collection_data, price) in [
            (&is, &was, json!(2)),
            (&was, &is, json!(2)),
            (&is, &is, json!(2)),
            (&is, &other, json!(2)),
        ] {
            let body = json!({"data": data, "collection_data": collection_data});
            assert_eq!(patched(body).unwrap().data["price"], price);
        }
    }

    #[test]
    fn a_patch_that_changes_nothing_makes_no_version() {
        for body in [
            json!({}),
            json!({"name": "Bolt", "visibility": "private"}),
            json!({"collection_data": {"price": 1.50, "unknown": null}}),
            json!({"data": null, "collection_data": null}),
        ] {
            assert_eq!(patched(body.clone()), None, "{body}");
        }
    }

    #[test]
    fn a_record_that_a_patch_makes_too_large_or_too_deep_is_refused() {
        let mut deep = json!(1);
        for _ in 0..32 {
            deep = json!([deep]);
        }
        for (value, kind) in [(json!("x".repeat(50_000)), "too_large"), (deep, "too_deep")] {
            let patch = RecordPatch::parse(&json!({"data": {"a": value}})).unwrap();
            let fault = patch.apply(&bolt(), at("2026-03-08T13:00:00Z"));
            assert_eq!(fault.unwrap_err().kind, kind);
        }
    }

    #[test]
    fn a_change_that_is_far_larger_than_any_record_is_refused_at_once() {
        let nulls = |count: u32| -> Value {
            (0..count)
                .map(|key| (key.to_string(), Value::Null))
                .collect()
        };
        assert!(RecordPatch::parse(&json!({"data": nulls(7_000)})).is_ok());
        for (body, path) in [
            (json!({"data": nulls(60_000)}), "data"),
            (
                json!({"collection_data": {"a": "x".repeat(100_000)}}),
                "collection_data",
            ),
            (json!({"description": "x".repeat(100_000)}), "description"),
        ] {
            let faults = RecordPatch::parse(&body).unwrap_err();
            assert_eq!(kinds(faults), told(&[(path, "too_large")]));
        }
    }

    #[test]
    fn a_bulk_names_each_record_once() {
        let id = |number| RecordId(Uuid::from_u128(number));
        let texts = [
            id(1).to_string(),
            "x".to_owned(),
            id(2).to_string(),
            id(1).to_string().to_uppercase(),
        ];
        let body = json!({"record_ids": texts, "visibility": "public"});
        let (ids, patch) = bulk(&body, RecordPatch::parse_visibility).unwrap();
        assert_eq!(ids, [(0, id(1)), (2, id(2))]);
        assert_eq!(patch.visibility, Some(Visibility::Public));
    }

    #[test]
    fn every_fault_of_a_bulk_is_told() {
        let faults = |ids: Value| {
            let body = json!({"record_ids": ids, "name": 1});
            kinds(bulk(&body, RecordPatch::parse).unwrap_err())
        };
        assert_eq!(
            faults(json!("x")),
            told(&[("record_ids", "list_type"), ("name", "string_type")])
        );
        assert_eq!(
            faults(json!(["x", 1])),
            told(&[("record_ids.1", "string_type"), ("name", "string_type")])
        );
        assert_eq!(
            faults(json!(vec!["x"; 1_001])),
            told(&[("record_ids", "too_long"), ("name", "string_type")])
        );
    }
}
