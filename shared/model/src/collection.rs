//! Collections and what is counted in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::{self, Fault, Faults, Fields};
use crate::id::{CollectionName, RecordType, UploadId};
use crate::index::Pointer;
use crate::record::{VISIBILITIES, Visibility};
use crate::time::{self, Moment};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 1_000;

/// The longest category, in characters.
const MAX_CATEGORY: usize = 100;

/// A collection of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The name, unique within the tenant.
    pub name: CollectionName,
    /// The number, unique within the tenant for all time: a collection that is deleted and made
    /// anew has another.
    pub number: u32,
    /// The generation of records that is served.
    pub generation: u32,
    /// The highest generation that there ever was: none is used twice.
    pub last_generation: u32,
    /// The replace that is under way.
    pub replace: Option<Replace>,
    /// Generations that are not in use any more, until they are deleted.
    pub retired: Vec<Retired>,
    /// The record types that were ever uploaded to the generation that is served.
    pub record_types: BTreeSet<RecordType>,
    /// What its owner says that it holds.
    pub description: Option<String>,
    /// What its owner files it under.
    pub category: Option<String>,
    /// Who may find a new record that does not say it itself.
    pub default_visibility: Visibility,
    /// Whether it is listed among those that have, or had, public records.
    pub listed: bool,
    /// The search index of each generation. One that has none has to be built.
    pub indexes: BTreeMap<u32, Pointer>,
    /// Who may change the indexes, if anybody.
    pub lease: Option<Lease>,
}

impl Collection {
    /// The index of the generation that is served.
    #[must_use]
    pub fn index(&self) -> Option<&Pointer> {
        self.indexes.get(&self.generation)
    }

    /// The generation that a replace fills.
    #[must_use]
    pub fn staging(&self) -> Option<u32> {
        self.replace.as_ref().map(|replace| replace.generation)
    }

    /// Whether a generation is served or being filled.
    #[must_use]
    pub fn uses(&self, generation: u32) -> bool {
        generation == self.generation || self.staging() == Some(generation)
    }
}

/// What `PATCH /collections/{collection}` changes: `None` leaves a field. Null makes it what a new
/// collection has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectionPatch {
    /// The description.
    pub description: Option<Option<String>>,
    /// The category.
    pub category: Option<Option<String>>,
    /// Who may find a new record that does not say it itself.
    pub default_visibility: Option<Visibility>,
}

impl CollectionPatch {
    /// Parses the body.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        let description = fields.present("description", |value| text(value, MAX_DESCRIPTION));
        let category = fields.present("category", |value| text(value, MAX_CATEGORY));
        let default_visibility = fields.present("default_visibility", |value| {
            if value.is_null() {
                return Ok(Visibility::default());
            }
            fault::one_of(value, &VISIBILITIES)
        });
        match (description, category, default_visibility) {
            (Some(description), Some(category), Some(default_visibility)) => Ok(Self {
                description,
                category,
                default_visibility,
            }),
            _ => Err(fields.into_faults()),
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn text(value: &Value, max: usize) -> Result<Option<String>, Fault> {
    if value.is_null() {
        return Ok(None);
    }
    let text = fault::string(value)?;
    fault::length(text, 0, max)?;
    Ok(Some(text.to_owned()))
}

/// That an upload fills another generation, which is to be served in place of the present one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replace {
    /// The generation.
    pub generation: u32,
    /// The upload.
    pub upload: UploadId,
    /// The type of its records.
    pub record_type: RecordType,
    /// When it began.
    #[serde(serialize_with = "time::in_table")]
    pub started_at: Moment,
}

/// A generation that is not in use any more. Whoever began before may still read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// The generation.
    pub generation: u32,
    /// When it went out of use.
    pub at: Moment,
}

/// That somebody, and nobody else, may change a collection's indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who it is: another with each lease.
    pub token: String,
    /// When it was taken.
    #[serde(serialize_with = "time::in_table")]
    pub since: Moment,
    /// When it is over if it was not given back.
    #[serde(serialize_with = "time::in_table")]
    pub until: Moment,
}

/// What is counted of a collection's records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Live records.
    pub total: u64,
    /// Those of them with `visibility` public.
    pub public: u64,
    /// Written and found by search, not yet folded into the index.
    pub pending: u64,
    /// Being folded.
    pub processing: u64,
    /// Could not be indexed.
    pub failed: u64,
    /// When a record last changed.
    pub last_updated: Option<Moment>,
}

impl Counts {
    /// Records that the index holds.
    #[must_use]
    pub fn indexed(&self) -> u64 {
        self.total
            .saturating_sub(self.pending + self.processing + self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_patch_does_not_name_stays() {
        let patch = CollectionPatch::parse(&json!({})).unwrap();
        assert!(patch.is_empty());
        let patch = CollectionPatch::parse(&json!({"category": "tools", "other": 1})).unwrap();
        let expected = CollectionPatch {
            category: Some(Some("tools".to_owned())),
            ..CollectionPatch::default()
        };
        assert_eq!(patch, expected);
    }

    #[test]
    fn null_is_what_a_new_collection_has() {
        let body = json!({"description": null, "category": null, "default_visibility": null});
        let expected = CollectionPatch {
            description: Some(None),
            category: Some(None),
            default_visibility: Some(Visibility::Private),
        };
        assert_eq!(CollectionPatch::parse(&body).unwrap(), expected);
    }

    #[test]
    fn every_fault_of_a_patch_is_told() {
        let body = json!({
            "description": "x".repeat(1_001),
            "category": 7,
            "default_visibility": "everybody",
        });
        let faults = CollectionPatch::parse(&body).unwrap_err();
        let kinds: Vec<_> = faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds, ["string_too_long", "string_type", "enum"]);
    }
}
