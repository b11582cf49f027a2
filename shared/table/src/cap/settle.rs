//! Settling: what an upload did is counted and its reservation ends, also for one that a crash cut
//! short.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, stream};
use model::id::{RecordId, SHARDS, TenantId, UploadId};
use model::quickstart::Step;
use model::record::Visibility;
use model::time::Moment;

use super::{Hold, Note, in_use, key, of_generation};
use crate::item;
use crate::marker::{Batch, BatchMarker};
use crate::record::Place;
use crate::retry::{Change, Outcome, random};
use crate::{Result, Table, collection};

/// How a part of an upload ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ending<'a> {
    /// The upload from then on.
    pub note: Option<Note<'a>>,
    /// What is reserved for its next part, by the id under which that is written.
    pub next: Option<(UploadId, &'a Hold)>,
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

    /// Adds what another one counted: of other records, each in one of them.
    pub fn merge(&mut self, other: Self) {
        for (shard, tally) in other.shards {
            let shard = self.shards.entry(shard).or_default();
            shard.added += tally.added;
            shard.public += tally.public;
        }
        self.batch.added.extend(other.batch.added);
        self.batch.changed.extend(other.batch.changed);
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

impl Table {
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

    pub(crate) async fn release(&self, tenant: &TenantId, upload: UploadId) -> Result<()> {
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
