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

#[derive(Deserialize)]
struct CountBody {
    #[serde(default)]
    total: u64,
    #[serde(default)]
    public: u64,
    #[serde(default)]
    pending: u64,
    #[serde(default)]
    processing: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default, with = "moment_option")]
    last_updated: Option<Moment>,
}

/// A counter item: the collection's number and what one shard counts.
pub(crate) fn read_counts(item: Item) -> Result<(u32, Counts)> {
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
    let body: CountBody = item::read(item)?;
    let counts = Counts {
        total: body.total,
        public: body.public,
        pending: body.pending,
        processing: body.processing,
        failed: body.failed,
        last_updated: body.last_updated,
    };
    Ok((number, counts))
}
