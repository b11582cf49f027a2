//! Collections and what is counted in them.

use std::collections::BTreeSet;

use crate::id::{CollectionName, RecordType};
use crate::time::Moment;

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
    /// The generation that a replace is filling.
    pub staging: Option<u32>,
    /// The record types that were ever uploaded.
    pub record_types: BTreeSet<RecordType>,
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
