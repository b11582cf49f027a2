//! Collections and their counters.
//!
//! - `TENANT#<tenant>#SUMMARY` / `COLL#<name>`: the collection
//! - `TENANT#<tenant>#SUMMARY` / `COUNT#<number>#<shard>`: what is counted of the records in one
//!   shard; 16 items, summed on read
//!
//! A collection is live from its first record: until the upload that made it has settled with
//! one, its item is only a reserved number and is not shown.

use std::collections::{BTreeMap, BTreeSet};

use model::collection::{Collection, Counts, Lease};
use model::id::{CollectionName, RecordType, TenantId};
use model::index::Pointer;
use model::time::{Moment, stored};
use serde::{Deserialize, Serialize};

use crate::item::{self, Item, Key, moment_option};
use crate::retry::Change;
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
    /// The pointer of each generation's index.
    #[serde(default)]
    index: BTreeMap<String, Pointer>,
    lease: Option<Lease>,
}

pub(crate) fn key(tenant: &TenantId, name: &CollectionName) -> Key {
    Key::new(summary_pk(tenant), format!("{PREFIX}{name}"))
}

/// The collection whose item has this key; `None` if it is another kind of item.
#[must_use]
pub fn of_key(pk: &str, sk: &str) -> Option<(TenantId, CollectionName)> {
    let tenant = pk.strip_prefix("TENANT#")?.strip_suffix("#SUMMARY")?;
    let name = sk.strip_prefix(PREFIX)?;
    Some((tenant.parse().ok()?, name.parse().ok()?))
}

pub(crate) fn count_key(tenant: &TenantId, number: u32, shard: u8) -> Key {
    Key::new(
        summary_pk(tenant),
        format!("{COUNT_PREFIX}{number:010}#{shard:02}"),
    )
}

/// A collection that is not live yet. Its index holds nothing, as its generation does.
pub(crate) fn new(name: &CollectionName, number: u32, format: u32) -> Collection {
    Collection {
        name: name.clone(),
        number,
        generation: 1,
        staging: None,
        record_types: BTreeSet::new(),
        indexes: BTreeMap::from([(1, Pointer::empty(format, 1, 0))]),
        lease: None,
    }
}

/// The item of a collection that is not live yet.
pub(crate) fn reserved(tenant: &TenantId, collection: &Collection) -> Result<Item> {
    let indexes = collection.indexes.iter();
    let body = Body {
        name: collection.name.clone(),
        number: collection.number,
        generation: collection.generation,
        staging: collection.staging,
        record_types: collection.record_types.clone(),
        live: false,
        index: indexes
            .map(|(generation, pointer)| (generation.to_string(), pointer.clone()))
            .collect(),
        lease: None,
    };
    item::build(&key(tenant, &collection.name), &body)
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
        indexes: body
            .index
            .into_iter()
            .filter_map(|(generation, pointer)| Some((generation.parse().ok()?, pointer)))
            .collect(),
        lease: body.lease,
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
    #[serde(with = "moment_option")]
    last_updated: Option<Moment>,
}

impl Sums {
    pub(crate) fn add(&mut self, shard: &Self) {
        self.total += shard.total;
        self.public += shard.public;
        self.last_updated = self.last_updated.max(shard.last_updated);
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |sum: i64| u64::try_from(sum).unwrap_or(0);
        Counts {
            total: count(self.total),
            public: count(self.public),
            pending: 0,
            processing: 0,
            failed: 0,
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

/// Adds to a shard's counter, and dates it unless it has a later date.
pub(crate) fn count(total: i64, public: i64, at: Moment, newer: bool) -> Change {
    let add = "ADD #total :total, #public :public";
    let change = if newer {
        Change::update(add)
    } else {
        Change::update(format!("SET last_updated = :at {add}"))
            .when("attribute_not_exists(last_updated) OR last_updated <= :at")
            .value(":at", item::text(stored(at)))
    };
    change
        .name("#total", "total")
        .name("#public", "public")
        .value(":total", item::number(total))
        .value(":public", item::number(public))
}
