//! Collections and what is counted in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{CollectionName, RecordType, UploadId};
use crate::index::Pointer;
use crate::time::{self, Moment};

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
