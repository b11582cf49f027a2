//! Caps on records and collections, and the reservations that keep them exact.
//!
//! `TENANT#<tenant>#SUMMARY` / `CAPS`
//!
//! An upload reserves what it may write by one conditional write, writes its rows, and settles:
//! its counters and the mark that ends its reservation are one transaction. So what is counted plus what
//! is reserved never passes a cap, and a reservation whose time is over names an upload that a
//! crash cut short; whoever meets it counts the records that name the upload and settles for it.

mod limits;
mod reserve;
mod settle;

use std::collections::BTreeMap;

use model::collection::Collection;
use model::id::{CollectionName, RecordType, TenantId, UploadId};
use model::time::Moment;
use model::upload::Job;
use serde::{Deserialize, Serialize};

use crate::item::{self, Key, moment};
use crate::marker::Generation;
use crate::retry::{ABSENT, Change};
use crate::tenant::summary_pk;
use crate::upload::UploadLease;

pub(crate) use limits::{Room, refusal, room};
pub use reserve::{Request, Reserved};
pub use settle::{Ending, ShardTally, Tally};

pub(crate) const SK: &str = "CAPS";

pub(crate) fn key(tenant: &TenantId) -> Key {
    Key::new(summary_pk(tenant), SK)
}

/// What uploads in flight have reserved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    pub(crate) version: u64,
    /// The number that the last new collection got.
    pub(crate) last_number: u32,
    #[serde(default)]
    held: BTreeMap<String, Hold>,
}

/// One upload's reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The collection it writes to.
    pub collection: CollectionName,
    /// That collection's number.
    pub number: u32,
    /// The generation it writes to.
    pub generation: u32,
    /// The record type it writes.
    pub record_type: RecordType,
    /// The most records it may add.
    pub rows: u64,
    /// When it was taken.
    #[serde(with = "moment")]
    pub since: Moment,
    /// When its upload has stopped writing, whatever happened.
    #[serde(with = "moment")]
    pub until: Moment,
    /// The version of the index's pointer when it was taken.
    #[serde(default)]
    pub base: u64,
    /// Whether the generation is one that a replace fills.
    #[serde(default)]
    pub staging: bool,
    /// Whether it is counted already; then it is only waiting to be removed.
    #[serde(default)]
    done: bool,
}

impl Hold {
    /// The generation that it writes to.
    #[must_use]
    pub fn of(&self) -> Generation {
        Generation {
            number: self.number,
            generation: self.generation,
        }
    }
}

impl Caps {
    /// The number that the next new collection gets.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        self.last_number + 1
    }

    /// What an upload has reserved, if it is not counted yet.
    #[must_use]
    pub fn hold(&self, upload: UploadId) -> Option<&Hold> {
        let hold = self.held.get(&upload.to_string());
        hold.filter(|hold| !hold.done)
    }

    /// The reservations whose uploads write no more: their time is over, or they were taken
    /// before `alone_since`, when this process became the only one that may write.
    #[must_use]
    pub fn abandoned(&self, now: Moment, alone_since: Option<Moment>) -> Vec<(UploadId, Hold)> {
        self.held
            .iter()
            .filter(|(_, hold)| {
                hold.until <= now || alone_since.is_some_and(|since| hold.since < since)
            })
            .filter_map(|(id, hold)| Some((id.parse().ok()?, hold.clone())))
            .collect()
    }

    /// The condition that they are still what was read.
    pub(crate) fn unchanged(&self) -> Change {
        if self.version == 0 {
            return Change::condition(ABSENT);
        }
        Change::condition("version = :version").value(":version", item::number(self.version))
    }

    /// The same after a transaction that makes a record and counts it. What is reserved for it is only
    /// waiting to be removed: a query may read the transaction's items some before and some after it,
    /// and then the record is counted or reserved, never neither.
    pub(crate) fn with_counted(&self, collection: &Collection, request: &Request<'_>) -> Self {
        let mut next = self.with_number(collection.number);
        let hold = Hold {
            collection: collection.name.clone(),
            number: collection.number,
            generation: collection.generation,
            record_type: request.record_type.clone(),
            rows: request.rows,
            since: request.since,
            until: request.until,
            base: 0,
            staging: false,
            done: true,
        };
        next.held.insert(request.upload.to_string(), hold);
        next
    }

    /// The same after a transaction that gives a collection its number.
    pub(crate) fn with_number(&self, number: u32) -> Self {
        let mut next = self.clone();
        next.version += 1;
        next.last_number = next.last_number.max(number);
        next
    }

    /// The same without what is reserved in a collection, and until when who reserved it may write.
    pub(crate) fn without(&self, number: u32) -> (Self, Option<Moment>) {
        let mut next = self.with_number(number);
        next.held.retain(|_, hold| hold.number != number);
        let held = self.held.values().filter(|hold| hold.number == number);
        let writing = held.filter(|hold| !hold.done);
        (next, writing.map(|hold| hold.until).max())
    }

    /// Whether an upload that has reserved may still write to a generation.
    #[must_use]
    pub fn holds(&self, of: Generation) -> bool {
        let mut held = self.held.values().filter(|hold| !hold.done);
        held.any(|hold| (hold.number, hold.generation) == (of.number, of.generation))
    }
}

/// An upload as it is written down in the transaction that reserves or settles for it, by whoever
/// has its lease, if it has one.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// The upload.
    pub job: &'a Job,
    /// The lease of the one that works on it in the background.
    pub lease: Option<&'a UploadLease>,
}

/// The condition that a generation is served, or being filled by a replace.
fn in_use(staging: Option<u32>) -> &'static str {
    if staging.is_some() {
        "#replace.#generation = :generation"
    } else {
        "#generation = :generation"
    }
}

fn of_generation(change: Change, staging: Option<u32>, generation: u32) -> Change {
    let change = change
        .name("#generation", "generation")
        .value(":generation", item::number(generation));
    if staging.is_some() {
        change.name("#replace", "replace")
    } else {
        change
    }
}
