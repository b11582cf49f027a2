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
use model::time::{Moment, stored};
use model::upload::Job;
use serde::{Deserialize, Serialize};

use crate::item::{self, Key, moment};
use crate::marker::{Batch, BatchMarker, Generation};
use crate::record::Place;
use crate::retry::{ABSENT, Change, Outcome, random};
use crate::summary::Summary;
use crate::tenant::summary_pk;
use crate::upload::UploadLease;
use crate::{Result, Table, collection};

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

    /// Whether an upload that has reserved may still write to a generation.
    #[must_use]
    pub fn holds(&self, of: Generation) -> bool {
        let mut held = self.held.values().filter(|hold| !hold.done);
        held.any(|hold| (hold.number, hold.generation) == (of.number, of.generation))
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

/// An upload as it is written down in the transaction that reserves or settles for it, by whoever
/// has its lease, if it has one.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// The upload.
    pub job: &'a Job,
    /// The lease of the one that works on it in the background.
    pub lease: Option<&'a UploadLease>,
}

/// How a part of an upload ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ending<'a> {
    /// The upload from then on.
    pub note: Option<Note<'a>>,
    /// What is reserved for its next part, by the id under which that is written.
    pub next: Option<(UploadId, &'a Hold)>,
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
    /// Somebody else works on the upload, or the replace that it fills is cancelled.
    Lost,
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

    /// How many records were added.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.shards.values().map(|shard| shard.added).sum()
    }

    /// Whether it did nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }
}

/// Why a plan's caps do not let `request` be reserved now, if they do not.
fn refusal(
    summary: &Summary,
    limits: &Limits,
    request: &Request<'_>,
    staging: Option<u32>,
) -> Option<Reserved> {
    if let Some(most) = limits.records.filter(|_| request.rows > 0) {
        let (counted, reserved) = claims(summary, request, staging);
        if counted > most {
            return Some(Reserved::RecordCap);
        }
        if reserved > most {
            return Some(Reserved::Again);
        }
    }
    match room(summary, limits, request.collection) {
        Room::Yes => None,
        Room::Full => Some(Reserved::CollectionCap),
        Room::Held => Some(Reserved::Again),
    }
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

/// Whether a plan has room for a collection that may not be live yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It has.
    Yes,
    /// Others have taken it.
    Full,
    /// Uploads in flight hold it.
    Held,
}

pub(crate) fn room(summary: &Summary, limits: &Limits, name: &CollectionName) -> Room {
    let Some(most) = limits.collections else {
        return Room::Yes;
    };
    let live = summary.collections.iter();
    let mut names: BTreeSet<_> = live.map(|(collection, _)| &collection.name).collect();
    let is_full = |names: &BTreeSet<_>| !names.contains(name) && names.len() >= most as usize;
    if is_full(&names) {
        return Room::Full;
    }
    names.extend(summary.caps.held.values().map(|hold| &hold.collection));
    if is_full(&names) {
        Room::Held
    } else {
        Room::Yes
    }
}

/// The most records that there may be with what `request` adds: by what is counted alone, and by
/// what is reserved too. A collection that is being replaced has room for the larger of its two
/// generations: after the swap, or after its cancellation, only one is left.
fn claims(summary: &Summary, request: &Request<'_>, staging: Option<u32>) -> (u64, u64) {
    let held = || summary.caps.held.values();
    let mut claimed = (0, 0);
    let mut known: BTreeSet<Generation> = BTreeSet::new();
    for (collection, counts) in &summary.collections {
        let served = Generation::served(collection);
        let replacing = Generation::staging(collection);
        let staged = summary.staged(&collection.name).unwrap_or(0);
        let mut largest = (0, 0);
        let is_asked = collection.name == *request.collection;
        for (of, count) in [(Some(served), counts.total), (replacing, staged)] {
            let Some(of) = of else { continue };
            known.insert(of);
            // What a replace is to replace needs no room beside it.
            if is_asked && staging.is_some_and(|staging| staging != of.generation) {
                continue;
            }
            let asked = is_asked && of.generation == staging.unwrap_or(collection.generation);
            let counted = count + if asked { request.rows } else { 0 };
            let mine = held().filter(|hold| hold.of() == of);
            let reserved = counted + mine.map(|hold| hold.rows).sum::<u64>();
            largest = (counted.max(largest.0), reserved.max(largest.1));
        }
        claimed = (claimed.0 + largest.0, claimed.1 + largest.1);
    }
    let live = |name: &CollectionName| summary.collections.iter().any(|(it, _)| it.name == *name);
    if !live(request.collection) {
        claimed = (claimed.0 + request.rows, claimed.1 + request.rows);
    }
    let others = held().filter(|hold| !known.contains(&hold.of()));
    (
        claimed.0,
        claimed.1 + others.map(|hold| hold.rows).sum::<u64>(),
    )
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
        self.reserve_for(tenant, summary, limits, request, (None, None))
            .await
    }

    /// The same for a generation that a replace fills, if one is named, together with the note of
    /// the upload, if there is one.
    pub async fn reserve_for(
        &self,
        tenant: &TenantId,
        summary: &Summary,
        limits: &Limits,
        request: &Request<'_>,
        (staging, note): (Option<u32>, Option<Note<'_>>),
    ) -> Result<Reserved> {
        if let Some(refused) = refusal(summary, limits, request, staging) {
            return Ok(refused);
        }
        let caps = &summary.caps;
        let known = summary.collection(request.collection);
        if staging.is_some() && staging != known.and_then(Collection::staging) {
            return Ok(Reserved::Lost);
        }
        let collection = known.cloned().unwrap_or_else(|| {
            collection::new(request.collection, caps.last_number + 1, request.format)
        });
        let generation = staging.unwrap_or(collection.generation);
        let pointer = collection.indexes.get(&generation);
        let hold = Hold {
            collection: collection.name.clone(),
            number: collection.number,
            generation,
            record_type: request.record_type.clone(),
            rows: request.rows,
            since: request.since,
            until: request.until,
            base: pointer.map_or(0, |pointer| pointer.version),
            staging: staging.is_some(),
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
        let mut writes = Vec::new();
        if let Some(lease) = note.and_then(|note| note.lease.map(|lease| (note.job.id, lease))) {
            writes.push(self.lease_write(tenant, lease.0, lease.1)?);
        }
        let leased = !writes.is_empty();
        writes.push(self.put_write(item::build(&key(tenant), &next)?, &unchanged)?);
        if known.is_none() {
            let item = collection::reserved(tenant, &collection)?;
            writes.push(self.put_write(item, &Change::condition(ABSENT))?);
        } else {
            // A swap moves no reservation, so one that came in between is found here.
            let key = collection::key(tenant, request.collection);
            let same = Change::condition(format!("#number = :number AND {}", in_use(staging)))
                .name("#number", "number")
                .value(":number", item::number(collection.number));
            writes.push(self.check_write(&key, &of_generation(same, staging, generation))?);
        }
        if let Some(note) = note {
            writes.push(self.upload_write(tenant, note.job, request.since)?);
        }
        match self.transact(writes).await? {
            Outcome::Done => Ok(Reserved::Yes(collection, hold)),
            outcome if leased && outcome.refused(0) => Ok(Reserved::Lost),
            Outcome::Refused(_) => Ok(Reserved::Again),
        }
    }

    /// Moves a reservation under which nothing is written yet: to the generation and the pointer's
    /// version that the collection has by now, and to another end. False if it is not there any more.
    pub async fn move_hold(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        hold: &Hold,
    ) -> Result<bool> {
        let change = Change::update(
            "SET held.#upload.#base = :base, held.#upload.generation = :generation, \
             held.#upload.#until = :until, version = version + :one",
        )
        .when("held.#upload.done = :no")
        .name("#upload", upload.to_string())
        .name("#base", "base")
        .name("#until", "until")
        .value(":base", item::number(hold.base))
        .value(":generation", item::number(hold.generation))
        .value(":until", item::text(stored(hold.until)))
        .value(":one", item::number(1))
        .value(":no", AttributeValue::Bool(false));
        Ok(self.update(&key(tenant), &change).await?.is_some())
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
        self.settle_part(tenant, (upload, hold), tally, now, Ending::default())
            .await
    }

    /// The same for a part of an upload, together with what `ending` says. False also if somebody
    /// else works on the upload by now.
    pub async fn settle_part(
        &self,
        tenant: &TenantId,
        (upload, hold): (UploadId, &Hold),
        tally: &Tally,
        now: Moment,
        ending: Ending<'_>,
    ) -> Result<bool> {
        // The version moves, so that no reservation puts back what it read before.
        let mut done = "SET held.#upload.done = :yes, version = version + :one".to_owned();
        if ending.next.is_some() {
            done += ", held.#next = :next";
        }
        let mut done = Change::update(done)
            .when("held.#upload.done = :no")
            .name("#upload", upload.to_string())
            .value(":one", item::number(1))
            .value(":yes", AttributeValue::Bool(true))
            .value(":no", AttributeValue::Bool(false));
        if let Some((next, hold)) = ending.next {
            let hold = item::value(hold)?;
            done = done.name("#next", next.to_string()).value(":next", hold);
        }
        let (mut others, mut lives) = (Vec::new(), None);
        if let Some(note) = ending.note {
            others.push(self.upload_write(tenant, note.job, now)?);
            if let Some(lease) = note.lease {
                others.push(self.lease_write(tenant, note.job.id, lease)?);
            }
        }
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
            let of = hold.of();
            let marker = Self::batch_marker(tenant, &hold.collection, of, upload, &marker)?;
            others.push(self.put_write(marker, &Change::default())?);
            if !hold.staging {
                let types = vec![hold.record_type.to_string()];
                let live = Change::update("SET live = :live ADD record_types :types")
                    .when(in_use(None))
                    .value(":live", AttributeValue::Bool(true))
                    .value(":types", AttributeValue::Ss(types));
                let live = of_generation(live, None, hold.generation);
                let key = collection::key(tenant, &hold.collection);
                lives = Some(self.update_write(&key, &live)?);
            }
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
                let key = collection::count_key(tenant, hold.of(), *shard);
                writes.push(self.update_write(&key, &change)?);
            }
            writes.extend(others.iter().cloned());
            writes.extend(lives.clone());
            let last = writes.len() - 1;
            let outcome = self.transact(writes).await?;
            if outcome == Outcome::Done {
                // What is left of the reservation goes with the next look after its time, if not now.
                let _ = self.release(tenant, upload).await;
                return Ok(true);
            }
            if !outcome.refused(0) && outcome.refused(last) && lives.take().is_some() {
                // The generation was swapped out meanwhile: what is written to it changes nothing.
                continue;
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
