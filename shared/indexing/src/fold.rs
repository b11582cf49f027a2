//! Folding what is marked into the index.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use model::collection::{Collection, Lease};
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::index::Pointer;
use model::time::Moment;
use search::{Change, Effort, Fold};
use table::marker::{BatchMarker, Generation, MarkerId, Markers, Version};
use table::record::Place;

use crate::ahead::Ahead;
use crate::slot::note;
use crate::{Error, Indexes, Result, prefix};

/// How long a lease lasts. A fold that takes longer keeps it; one that was cut short blocks others
/// for no longer.
const LEASE: TimeDelta = TimeDelta::minutes(1);

/// How often a lease is kept.
const KEEP: Duration = Duration::from_secs(20);

/// How many changed records are read and taken in at once.
const CHUNK: usize = 5_000;

/// How many records one pack takes in at most; a fold of more writes several. What is made of so many is
/// mostly in memory, so a call, which has a file to read besides, makes smaller packs; they are merged in
/// the background.
const PACK: usize = 250_000;
pub(crate) const CALL_PACK: usize = 15_000;

/// The most markers of records that one fold takes, the oldest first.
const MAX_RECORDS: usize = 2_000;

/// The most records that a call folds for others beside its own.
const MAX_OTHERS: u64 = 20_000;

/// How many records that cannot be read a pointer names. Their number is a number of faults of the
/// table, so it is small or everything is lost anyway.
const MAX_FAILED: usize = 1_000;

/// How often a fold looks again for the ids of an upload that seem to be gone.
const LOOKS: u32 = 3;

/// What came of a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// The index holds so many changes more.
    Yes(usize),
    /// There was nothing to do.
    Nothing,
    /// Somebody else is at it.
    Busy,
}

/// An upload that folds what it wrote itself.
#[derive(Debug, Default)]
pub struct Own {
    /// The upload.
    pub upload: Option<UploadId>,
    /// What it added, taken in while it wrote.
    pub ahead: Option<Ahead>,
}

/// What one fold takes.
pub(crate) type Takes = Vec<(MarkerId, Version)>;

/// A fold under its lease.
pub(crate) struct Leased {
    pub(crate) indexes: Indexes,
    pub(crate) tenant: TenantId,
    pub(crate) collection: Collection,
    pub(crate) of: Generation,
    pub(crate) lease: Lease,
}

impl Indexes {
    /// Folds what is marked in a generation of a collection, unless that went out of use. Markers of
    /// uploads are left to them as long as they may be at it, but for `own`.
    ///
    /// By a task of its own: a caller that gives up does not leave a lease behind.
    pub async fn fold(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        generation: u32,
        own: Own,
        effort: Effort,
    ) -> Result<Folded> {
        let (indexes, tenant, name) = (self.clone(), tenant.clone(), name.clone());
        let fold = async move {
            indexes
                .fold_here(&tenant, &name, generation, own, effort)
                .await
        };
        tokio::spawn(fold).await?
    }

    /// The same, cut short where the future is dropped.
    pub async fn fold_here(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        generation: u32,
        own: Own,
        effort: Effort,
    ) -> Result<Folded> {
        let Some(mut leased) = self.lease(tenant, name, Some(generation)).await? else {
            return Ok(Folded::Busy);
        };
        if !leased.collection.uses(generation) {
            // It was replaced, or its replace was cancelled: its index is not to come back.
            leased.end().await;
            return Ok(Folded::Nothing);
        }
        let folded = match leased.fold(own, effort).await {
            Err(error) if error.is_lost() => {
                tracing::warn!(%tenant, collection = %name, %error, "an index is lost");
                leased.rebuild().await
            }
            folded => folded,
        };
        leased.end().await;
        match folded {
            Err(Error::LeaseLost) => Ok(Folded::Busy),
            folded => folded,
        }
    }

    /// Takes the lease of a collection, for a generation or the one that is served.
    pub(crate) async fn lease(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        generation: Option<u32>,
    ) -> Result<Option<Leased>> {
        let now = self.now();
        let taken = self
            .0
            .table
            .take_lease(tenant, name, (now, now + LEASE), self.0.alone_since)
            .await?;
        Ok(taken.map(|(collection, lease)| Leased {
            indexes: self.clone(),
            tenant: tenant.clone(),
            of: Generation {
                number: collection.number,
                generation: generation.unwrap_or(collection.generation),
            },
            collection,
            lease,
        }))
    }

    /// Whether an upload's marker may be folded by others: its call has left it, is over or dead.
    fn is_free(&self, batch: &BatchMarker, now: Moment) -> bool {
        let dead = |since: Moment| batch.since < since;
        batch.until <= now || self.0.alone_since.is_some_and(dead)
    }

    /// The markers that a fold would take now.
    pub(crate) fn takes(&self, markers: &Markers, own: Option<UploadId>, effort: Effort) -> Takes {
        let now = self.now();
        let mut records: Vec<_> = markers.records.iter().collect();
        records.sort_by_key(|(_, marker)| marker.at);
        let records = records.into_iter().take(MAX_RECORDS);
        let mut takes: Takes = records
            .map(|(id, marker)| (MarkerId::Record(*id), Version::Record(marker.ver)))
            .collect();
        let mut others = 0;
        for (upload, batch) in &markers.batches {
            let mine = own == Some(*upload);
            if !mine && self.is_free(batch, now) {
                others += batch.count;
            }
            let room = effort != Effort::Call || others <= MAX_OTHERS;
            if mine || self.is_free(batch, now) && room {
                takes.push((MarkerId::Batch(*upload), Version::Batch(*upload)));
            }
        }
        takes
    }
}

impl Leased {
    fn name(&self) -> &CollectionName {
        &self.collection.name
    }

    pub(crate) fn prefix(&self) -> String {
        prefix(&self.tenant, self.name(), self.of)
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(&self.tenant, self.of.number, self.of.generation)
    }

    pub(crate) fn pointer(&self) -> Option<&Pointer> {
        self.collection.indexes.get(&self.of.generation)
    }

    pub(crate) async fn markers(&self) -> Result<Markers> {
        let table = &self.indexes.0.table;
        let mut markers = table.markers(&self.tenant, self.name()).await?;
        Ok(markers.remove(&self.of).unwrap_or_default())
    }

    /// Gives the lease back. What fails here ends by itself after the lease's time.
    pub(crate) async fn end(self) {
        let table = &self.indexes.0.table;
        let (tenant, name) = (&self.tenant, self.name());
        let forgotten = table
            .forget_folding(tenant, name, self.of, &self.lease)
            .await;
        let given_back = table.give_back_lease(tenant, name, &self.lease).await;
        if let Err(error) = forgotten.and(given_back) {
            tracing::warn!(%tenant, collection = %name, %error, "a lease was not given back");
        }
    }

    /// Works, and keeps the lease for as long as it takes.
    pub(crate) async fn keeping<T>(&mut self, mut work: BoxFuture<'_, Result<T>>) -> Result<T> {
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(KEEP) => {}
            }
            let (table, until) = (&self.indexes.0.table, self.indexes.now() + LEASE);
            let kept = table
                .extend_lease(&self.tenant, &self.collection.name, &self.lease, until)
                .await?;
            if !kept {
                return Err(Error::LeaseLost);
            }
            self.lease.until = until;
        }
    }

    /// Tells who asks what is being folded.
    pub(crate) async fn note(&self, takes: &Takes) -> Result<()> {
        let (table, takes) = (
            &self.indexes.0.table,
            takes.iter().map(|(_, version)| *version),
        );
        table
            .note_folding(&self.tenant, self.name(), self.of, takes, &self.lease)
            .await?;
        Ok(())
    }

    async fn fold(&mut self, own: Own, effort: Effort) -> Result<Folded> {
        let pointer = self.pointer().ok_or(Error::NotBuilt)?.clone();
        crate::readable(&pointer)?;
        let (markers, takes, mut wanted) = self.wanted(&pointer, own.upload, effort).await?;
        let merge = effort != Effort::Call && search::merge_is_due(&pointer.segments, effort);
        if takes.is_empty() && !merge {
            return Ok(Folded::Nothing);
        }
        self.note(&takes).await?;
        let changes = wanted.len();
        let mut failed = pointer.failed.clone();
        failed.retain(|id| !wanted.contains_key(id));
        let (indexes, place, prefix) = (self.indexes.clone(), self.place(), self.prefix());
        let name = self.name().clone();
        let work = async {
            let made = match own.ahead {
                Some(ahead) => ahead.made().await,
                None => None,
            };
            let adopted = made.and_then(|made| made.adopt(&pointer, &mut wanted));
            let writing = if let Some(writing) = adopted {
                writing
            } else {
                let most = match effort {
                    Effort::Call => CALL_PACK,
                    Effort::Beside | Effort::Background => PACK,
                };
                Writing::open(&indexes, &prefix, &pointer, most).await?
            };
            let read = Read {
                place,
                name,
                markers: &markers,
            };
            indexes.write(writing, read, wanted).await
        };
        let (writing, corrupt) = self.keeping(work.boxed()).await?;
        let room = MAX_FAILED.saturating_sub(failed.len());
        failed.extend(corrupt.into_iter().take(room));
        self.publish(writing, failed, effort, &takes, &markers)
            .await?;
        Ok(Folded::Yes(changes))
    }

    /// The markers, those that this fold takes, and the records that they name: each with whether
    /// the index is known not to hold it.
    async fn wanted(
        &self,
        pointer: &Pointer,
        own: Option<UploadId>,
        effort: Effort,
    ) -> Result<(Markers, Takes, HashMap<RecordId, bool>)> {
        for look in 1.. {
            let markers = self.markers().await?;
            let takes = self.indexes.takes(&markers, own, effort);
            match self.ids(pointer, &markers, &takes).await {
                // A fold that lost its lease may still be removing what it has published.
                Err(Error::Outdated) if look < LOOKS => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                // The marker is there and its ids are not: nobody knows what to fold.
                Err(Error::Outdated) => return Err(Error::NotBuilt),
                ids => return Ok((markers, takes, ids?)),
            }
        }
        Err(Error::Outdated)
    }

    async fn ids(
        &self,
        pointer: &Pointer,
        markers: &Markers,
        takes: &Takes,
    ) -> Result<HashMap<RecordId, bool>> {
        let mut wanted: HashMap<RecordId, bool> = HashMap::new();
        for (marker, _) in takes {
            match marker {
                MarkerId::Record(id) => drop(wanted.insert(*id, false)),
                MarkerId::Batch(upload) => {
                    let (table, batch) = (&self.indexes.0.table, &markers.batches[upload]);
                    let ids = table.batch(&self.tenant, *upload, batch).await?;
                    let ids = ids.ok_or(Error::Outdated)?;
                    note(&mut wanted, &ids, batch.base == pointer.version);
                }
            }
        }
        for (id, is_new) in &mut wanted {
            *is_new &= !markers.records.contains_key(id);
        }
        Ok(wanted)
    }

    /// Publishes a fold, and removes the markers of what it holds: never without a new version of
    /// the pointer, by which everybody knows that what was marked is not any more.
    pub(crate) async fn publish(
        &mut self,
        writing: Writing,
        failed: BTreeSet<RecordId>,
        effort: Effort,
        takes: &Takes,
        markers: &Markers,
    ) -> Result<()> {
        let now = self.indexes.now();
        let (mut next, outdated) = self.keeping(writing.finish(effort, now).boxed()).await?;
        next.failed = failed;
        let Indexes(parts) = &self.indexes;
        let published = parts
            .table
            .publish(
                &self.tenant,
                &self.collection,
                self.of.generation,
                &self.lease,
                &next,
            )
            .await?;
        if !published {
            return Err(Error::LeaseLost);
        }
        let (name, taken) = (self.name(), takes.iter().copied());
        parts
            .table
            .remove_markers(&self.tenant, name, self.of, taken, &markers.batches)
            .await?;
        for path in outdated {
            if let Err(error) = parts.store.delete(&path).await {
                tracing::warn!(path, %error, "a pack that is out of use stays for the sweep");
            }
        }
        let left = markers.records.len() + markers.batches.len() > takes.len();
        if left || search::merge_is_due(&next.segments, Effort::Background) {
            self.indexes.touched(&self.tenant, self.name());
        }
        Ok(())
    }
}

/// Where changed records are read.
struct Read<'a> {
    place: Place,
    name: CollectionName,
    markers: &'a Markers,
}

impl Indexes {
    /// Writes what is wanted; and tells which records cannot be read.
    async fn write(
        &self,
        mut writing: Writing,
        read: Read<'_>,
        wanted: HashMap<RecordId, bool>,
    ) -> Result<(Writing, HashSet<RecordId>)> {
        let mut corrupt = HashSet::new();
        let wanted: Vec<(RecordId, bool)> = wanted.into_iter().collect();
        for chunk in wanted.chunks(CHUNK) {
            let (place, name) = (&read.place, &read.name);
            let changes = self.changes(place, name, chunk, &read.markers.records);
            let (changes, unreadable) = changes.await?;
            corrupt.extend(unreadable);
            writing = writing.write(changes).await?;
        }
        Ok((writing, corrupt))
    }
}

/// A fold that writes a pack whenever it has taken in many records, so that what it holds in memory
/// is bounded.
pub(crate) struct Writing {
    indexes: Indexes,
    prefix: String,
    fold: Fold,
    taken: usize,
    /// How many records a pack takes.
    most: usize,
    outdated: Vec<String>,
}

impl Writing {
    pub(crate) async fn open(
        indexes: &Indexes,
        prefix: &str,
        pointer: &Pointer,
        most: usize,
    ) -> Result<Self> {
        let fold = Fold::open(&indexes.0.store, prefix, pointer).await?;
        let writing = Self::of(indexes, prefix, fold);
        Ok(Self { most, ..writing })
    }

    pub(crate) fn of(indexes: &Indexes, prefix: &str, fold: Fold) -> Self {
        Self {
            indexes: indexes.clone(),
            prefix: prefix.to_owned(),
            fold,
            taken: 0,
            most: PACK,
            outdated: Vec::new(),
        }
    }

    /// Takes changes in.
    pub(crate) async fn write(mut self, changes: Vec<Change>) -> Result<Self> {
        if changes.is_empty() {
            return Ok(self);
        }
        self.taken += changes.len();
        self.fold.warm(&changes).await?;
        let mut fold = self.fold;
        let write = move || {
            fold.write(&changes)?;
            Ok::<_, search::Error>(fold)
        };
        self.fold = tokio::task::spawn_blocking(write).await??;
        if self.taken < self.most {
            return Ok(self);
        }
        let (indexes, prefix, now) = (
            self.indexes.clone(),
            self.prefix.clone(),
            self.indexes.now(),
        );
        let most = self.most;
        let (pointer, outdated) = self.finish(Effort::Call, now).await?;
        let mut next = Self::open(&indexes, &prefix, &pointer, most).await?;
        next.outdated = outdated;
        Ok(next)
    }

    /// The paths of the packs that were written since `base`.
    pub(crate) fn packs_since(&self, base: &Pointer) -> Vec<String> {
        let pointer = self.fold.pointer();
        let new = pointer
            .packs
            .iter()
            .filter(|pack| !base.packs.contains(pack));
        new.map(|pack| search::pack_path(&self.prefix, pointer.build, &pack.name))
            .collect()
    }

    /// Ends it: the next pointer, and the paths of packs that nobody reads once it is published.
    async fn finish(self, effort: Effort, now: Moment) -> Result<(Pointer, Vec<String>)> {
        let before = self.fold.pointer().clone();
        let mut outdated = self.outdated;
        let Some(folded) = self.fold.finish(pack_name(), effort, now).await? else {
            let version = before.version + 1;
            return Ok((Pointer { version, ..before }, outdated));
        };
        outdated.extend(folded.outdated);
        Ok((folded.pointer, outdated))
    }
}

/// A name that no other pack has: 128 bits of the randomness that the standard library keys its
/// hashes with.
fn pack_name() -> u128 {
    let random = || u128::from(RandomState::new().hash_one(0_u8));
    random() << 64 | random()
}
