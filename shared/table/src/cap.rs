//! Caps on records and collections, and the reservations that keep them exact.
//!
//! `TENANT#<tenant>#SUMMARY` / `CAPS`
//!
//! An upload reserves what it may write by one conditional write, writes its rows, and settles:
//! its counters and the mark that ends its reservation are one transaction. So what is counted plus what
//! is reserved never passes a cap, and a reservation whose time is over names an upload that a
//! crash cut short; whoever meets it counts the records that name the upload and settles for it.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, stream};
use model::collection::Collection;
use model::id::{CollectionName, RecordId, RecordType, SHARDS, TenantId, UploadId};
use model::plan::Limits;
use model::quickstart::Step;
use model::record::Visibility;
use model::time::Moment;
use serde::{Deserialize, Serialize};

use crate::item::{self, Key, moment};
use crate::marker::{Batch, BatchMarker, Generation};
use crate::record::Place;
use crate::retry::{ABSENT, Change, Outcome, random};
use crate::summary::Summary;
use crate::tenant::summary_pk;
use crate::{Result, Table, collection};

pub(crate) const SK: &str = "CAPS";

pub(crate) fn key(tenant: &TenantId) -> Key {
    Key::new(summary_pk(tenant), SK)
}

/// What uploads in flight have reserved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    version: u64,
    /// The number that the last new collection got.
    last_number: u32,
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
    /// Whether it is counted already; then it is only waiting to be removed.
    #[serde(default)]
    done: bool,
}

impl Caps {
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
}

/// What an upload asks for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The upload.
    pub upload: UploadId,
    /// The collection, which need not exist.
    pub collection: &'a CollectionName,
    /// The record type.
    pub record_type: &'a RecordType,
    /// How many records it adds at most.
    pub rows: u64,
    /// Now.
    pub since: Moment,
    /// When it has stopped writing, whatever happens.
    pub until: Moment,
    /// The format of search indexes that this code writes.
    pub format: u32,
}

/// What reserving came to.
#[expect(clippy::large_enum_variant, reason = "an upload has one of them")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// Write to this collection.
    Yes(Collection, Hold),
    /// The records would pass the plan's cap.
    RecordCap,
    /// The collection would pass the plan's cap.
    CollectionCap,
    /// It depends on uploads in flight, or another one was faster: ask again with a new summary.
    Again,
}

/// What an upload did to one shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardTally {
    /// Records it added.
    pub added: u64,
    /// Those of them that were public when they were added.
    pub public: u64,
}

/// What an upload did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// By shard. A shard is in it if a record in it was added or changed.
    shards: BTreeMap<u8, ShardTally>,
    /// The records.
    batch: Batch,
}

impl Tally {
    /// A record was added.
    pub fn add(&mut self, id: RecordId, visibility: Visibility) {
        let shard = self.shards.entry(id.shard()).or_default();
        shard.added += 1;
        shard.public += u64::from(visibility == Visibility::Public);
        self.batch.added.push(id);
    }

    /// A record was changed.
    pub fn change(&mut self, id: RecordId) {
        self.shards.entry(id.shard()).or_default();
        self.batch.changed.push(id);
    }

    /// Whether it did nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }
}

impl Table {
    /// Reserves what `request` asks for, given what is known of the tenant.
    pub async fn reserve(
        &self,
        tenant: &TenantId,
        summary: &Summary,
        limits: &Limits,
        request: &Request<'_>,
    ) -> Result<Reserved> {
        let caps = &summary.caps;
        if let Some(most) = limits.records {
            let used = summary.records() + request.rows;
            let reserved: u64 = caps.held.values().map(|hold| hold.rows).sum();
            if request.rows > 0 && used > most {
                return Ok(Reserved::RecordCap);
            }
            if request.rows > 0 && used + reserved > most {
                return Ok(Reserved::Again);
            }
        }
        if let Some(most) = limits.collections {
            let most = most as usize;
            let mut names: BTreeSet<_> = summary
                .collections
                .iter()
                .map(|(collection, _)| &collection.name)
                .collect();
            if !names.contains(request.collection) && names.len() >= most {
                return Ok(Reserved::CollectionCap);
            }
            names.extend(caps.held.values().map(|hold| &hold.collection));
            if !names.contains(request.collection) && names.len() >= most {
                return Ok(Reserved::Again);
            }
        }
        let known = summary.collection(request.collection);
        let collection = known.cloned().unwrap_or_else(|| {
            collection::new(request.collection, caps.last_number + 1, request.format)
        });
        let hold = Hold {
            collection: collection.name.clone(),
            number: collection.number,
            generation: collection.generation,
            record_type: request.record_type.clone(),
            rows: request.rows,
            since: request.since,
            until: request.until,
            base: collection.index().map_or(0, |pointer| pointer.version),
            done: false,
        };
        let mut next = caps.clone();
        next.version += 1;
        next.last_number = next.last_number.max(collection.number);
        next.held.insert(request.upload.to_string(), hold.clone());
        let unchanged = if caps.version == 0 {
            Change::condition(ABSENT)
        } else {
            Change::condition("version = :version").value(":version", item::number(caps.version))
        };
        let mut writes = vec![self.put_write(item::build(&key(tenant), &next)?, &unchanged)?];
        if known.is_none() {
            let item = collection::reserved(tenant, &collection)?;
            writes.push(self.put_write(item, &Change::condition(ABSENT))?);
        }
        match self.transact(writes).await? {
            Outcome::Done => Ok(Reserved::Yes(collection, hold)),
            Outcome::Refused(_) => Ok(Reserved::Again),
        }
    }

    /// Ends an upload whose last record was written at `now`: its counters, its collection's and the
    /// quickstart's state, the marker that tells the search index and the mark on its reservation
    /// change together; then the reservation goes. False if it was settled already.
    ///
    /// The reservation goes only afterwards because a query may read a transaction's items some
    /// before and some after it: for a moment its records are counted and reserved, never neither.
    pub async fn settle(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        hold: &Hold,
        tally: &Tally,
        now: Moment,
    ) -> Result<bool> {
        // The version moves, so that no reservation puts back what it read before.
        let done = Change::update("SET held.#upload.done = :yes, version = version + :one")
            .when("held.#upload.done = :no")
            .name("#upload", upload.to_string())
            .value(":one", item::number(1))
            .value(":yes", AttributeValue::Bool(true))
            .value(":no", AttributeValue::Bool(false));
        let mut others = Vec::new();
        let mut written = (0, 0);
        if !tally.is_empty() {
            let batch = &tally.batch;
            let token = random();
            let parts = self.write_batch(tenant, upload, token, batch, now).await?;
            written = (parts, token);
            let marker = BatchMarker {
                count: batch.ids().len() as u64,
                parts,
                token,
                base: hold.base,
                since: hold.since,
                until: hold.until,
            };
            let of = Generation {
                number: hold.number,
                generation: hold.generation,
            };
            let marker = Self::batch_marker(tenant, &hold.collection, of, upload, &marker)?;
            others.push(self.put_write(marker, &Change::default())?);
            let types = vec![hold.record_type.to_string()];
            let live = Change::update("SET live = :live ADD record_types :types")
                .value(":live", AttributeValue::Bool(true))
                .value(":types", AttributeValue::Ss(types));
            others.push(self.update_write(&collection::key(tenant, &hold.collection), &live)?);
            let checklist = self.checklist(tenant).await?;
            if checklist.completed_at(Step::UploadData).is_none() {
                others.push(self.stamp_write(tenant, Step::UploadData, now)?);
            }
        }
        // Shards that another upload, which began later and ended sooner, has dated already.
        let mut newer = BTreeSet::new();
        loop {
            let mut writes = vec![self.update_write(&key(tenant), &done)?];
            for (shard, counted) in &tally.shards {
                let (added, public) = (counted.added.cast_signed(), counted.public.cast_signed());
                let change = collection::count(added, public, now, newer.contains(shard));
                let key = collection::count_key(tenant, hold.number, *shard);
                writes.push(self.update_write(&key, &change)?);
            }
            writes.extend(others.iter().cloned());
            let outcome = self.transact(writes).await?;
            if outcome == Outcome::Done {
                // What is left of the reservation goes with the next look after its time, if not now.
                let _ = self.release(tenant, upload).await;
                return Ok(true);
            }
            let known = newer.len();
            let refused = tally
                .shards
                .keys()
                .zip(1..)
                .filter(|(_, index)| outcome.refused(*index));
            newer.extend(refused.map(|(shard, _)| *shard));
            if outcome.refused(0) || newer.len() == known {
                // Whoever settled has written the ids too.
                self.remove_batch(tenant, upload, written).await?;
                return Ok(false);
            }
        }
    }

    async fn release(&self, tenant: &TenantId, upload: UploadId) -> Result<()> {
        let release = Change::update("SET version = version + :one REMOVE held.#upload")
            .when("attribute_exists(held.#upload)")
            .name("#upload", upload.to_string())
            .value(":one", item::number(1));
        self.update(&key(tenant), &release).await?;
        Ok(())
    }

    /// Settles for an upload that a crash cut short, by the records that name it.
    pub async fn settle_abandoned(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        hold: &Hold,
    ) -> Result<()> {
        if hold.done {
            return self.release(tenant, upload).await;
        }
        let place = Place::new(tenant, hold.number, hold.generation);
        let mut shards = stream::iter(place.shards())
            .map(|shard| async move { (shard.number, self.count_made_by(&shard, upload).await) })
            .buffer_unordered(usize::from(SHARDS));
        let mut tally = Tally::default();
        let mut last = hold.since;
        while let Some((shard, made)) = shards.next().await {
            let made = made?;
            if let Some(at) = made.last_written {
                last = last.max(at);
                tally.shards.insert(shard, made.tally);
                tally.batch.added.extend(made.batch.added);
                tally.batch.changed.extend(made.batch.changed);
            }
        }
        self.settle(tenant, upload, hold, &tally, last).await?;
        Ok(())
    }
}
