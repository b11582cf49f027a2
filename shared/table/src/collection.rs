//! Collections and their counters.
//!
//! - `TENANT#<tenant>#SUMMARY` / `COLL#<name>`: the collection
//! - `TENANT#<tenant>#SUMMARY` / `COUNT#<number>#<shard>`: what is counted of the records in one
//!   shard; 16 items, summed on read
//!
//! A collection is live from its first record: until the upload that made it has settled with
//! one, its item is only a reserved number and is not shown.

use std::collections::BTreeSet;

use model::collection::{Collection, Counts};
use model::id::{CollectionName, RecordType, TenantId};
use model::time::Moment;
use serde::{Deserialize, Serialize};

use crate::item::{self, Item, Key, moment_option};
use crate::tenant::summary_pk;
use crate::{Error, Result};

pub(crate) const PREFIX: &str = "COLL#";
pub(crate) const COUNT_PREFIX: &str = "COUNT#";

#[derive(Serialize, Deserialize)]
struct Body {
    name: CollectionName,
    number: u32,
    generation: u32,
    staging: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    record_types: BTreeSet<RecordType>,
    live: bool,
}

pub(crate) fn key(tenant: &TenantId, name: &CollectionName) -> Key {
    Key::new(summary_pk(tenant), format!("{PREFIX}{name}"))
}

pub(crate) fn count_key(tenant: &TenantId, number: u32, shard: u8) -> Key {
    Key::new(
        summary_pk(tenant),
        format!("{COUNT_PREFIX}{number:010}#{shard:02}"),
    )
}

/// The item of a collection that is not live yet.
pub(crate) fn reserved(tenant: &TenantId, name: &CollectionName, number: u32) -> Result<Item> {
    let body = Body {
        name: name.clone(),
        number,
        generation: 1,
        staging: None,
        record_types: BTreeSet::new(),
        live: false,
    };
    item::build(&key(tenant, name), &body)
}

/// A collection, and whether it is live.
pub(crate) fn read(item: Item) -> Result<(Collection, bool)> {
    let body: Body = item::read(item)?;
    let collection = Collection {
        name: body.name,
        number: body.number,
        generation: body.generation,
        staging: body.staging,
        record_types: body.record_types,
    };
    Ok((collection, body.live))
}

/// What is counted in shards. One shard may be below zero for a while: a record whose upload has not
/// settled yet is not in the sum, and may already be taken out of it again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sums {
    total: i64,
    public: i64,
    pending: i64,
    processing: i64,
    failed: i64,
    #[serde(with = "moment_option")]
    last_updated: Option<Moment>,
}

impl Sums {
    pub(crate) fn add(&mut self, shard: &Self) {
        self.total += shard.total;
        self.public += shard.public;
        self.pending += shard.pending;
        self.processing += shard.processing;
        self.failed += shard.failed;
        self.last_updated = self.last_updated.max(shard.last_updated);
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |sum: i64| u64::try_from(sum).unwrap_or(0);
        Counts {
            total: count(self.total),
            public: count(self.public),
            pending: count(self.pending),
            processing: count(self.processing),
            failed: count(self.failed),
            last_updated: self.last_updated,
        }
    }
}

/// A counter item: the collection's number and what one shard counts.
pub(crate) fn read_sums(item: Item) -> Result<(u32, Sums)> {
    let Key { pk, sk } = Key::of(&item);
    let number = sk
        .strip_prefix(COUNT_PREFIX)
        .and_then(|rest| rest.split_once('#'))
        .and_then(|(number, _)| number.parse().ok())
        .ok_or_else(|| Error::Corrupt {
            pk,
            sk,
            reason: "no collection number in its key".to_owned(),
        })?;
    Ok((number, item::read(item)?))
}
