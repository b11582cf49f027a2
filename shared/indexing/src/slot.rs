//! The indexes that this process has open, and how they catch up with the table.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::collection::Collection;
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::index::Pointer;
use search::{Change, Index};
use table::marker::{Batch, Generation, MarkerId, Markers, RecordMarker, Version};
use table::record::Place;
use tokio::sync::OwnedMutexGuard;

use crate::{Error, Indexes, Result, prefix};

/// How many indexes are kept open; the one that was not used for longest goes first.
const MAX_OPEN: usize = 64;

/// How many bytes open indexes may hold, caches apart.
const MAX_HELD: u64 = 256 << 20;

/// How often an open index takes changes in before it is opened anew with all of them at once: each
/// time leaves a small segment. Where many records are marked, it is opened anew less often.
const MAX_CHANGES: usize = 32;

/// See [`MAX_CHANGES`].
const MARKED: usize = 500;

/// How many changed records are read and taken in at once.
const CHUNK: usize = 5_000;

/// Which index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) tenant: TenantId,
    pub(crate) of: Generation,
}

#[derive(Default)]
pub(crate) struct Slot {
    state: Arc<tokio::sync::Mutex<Option<State>>>,
    used: AtomicU64,
    held: AtomicU64,
}

/// An index that is open, and what it has taken in beyond its pointer.
struct State {
    index: Arc<Index>,
    pointer: Pointer,
    applied: HashMap<MarkerId, Version>,
    /// The records that may be in it beyond the pointer's packs.
    touched: HashSet<RecordId>,
    batches: HashMap<UploadId, Arc<HashSet<RecordId>>>,
    changes: usize,
}

/// An index that has taken in what was asked for.
pub(crate) struct Synced {
    pub(crate) index: Arc<Index>,
    /// Whether it was open already.
    pub(crate) warm: bool,
    /// The records of each upload that is not folded.
    pub(crate) batches: HashMap<UploadId, Arc<HashSet<RecordId>>>,
}

impl State {
    fn holds(&self, pointer: &Pointer, markers: &Markers) -> bool {
        self.pointer.version >= pointer.version
            && markers
                .versions()
                .all(|(marker, version)| self.applied.get(&marker) == Some(&version))
    }

    fn is_littered(&self) -> bool {
        self.changes >= MAX_CHANGES + self.touched.len() / MARKED
    }

    fn synced(&self, warm: bool) -> Synced {
        Synced {
            index: Arc::clone(&self.index),
            warm,
            batches: self.batches.clone(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Slots {
    slots: Mutex<HashMap<Name, Arc<Slot>>>,
    uses: AtomicU64,
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes an index.
    pub(crate) fn forget(&self, name: &Name) {
        self.lock().remove(name);
    }

    fn get(&self, name: &Name) -> Arc<Slot> {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut slots = self.lock();
        let slot = Arc::clone(slots.entry(name.clone()).or_default());
        slot.used.store(now, Ordering::Relaxed);
        let held = |slots: &HashMap<Name, Arc<Slot>>| -> u64 {
            slots
                .values()
                .map(|slot| slot.held.load(Ordering::Relaxed))
                .sum()
        };
        while slots.len() > MAX_OPEN || slots.len() > 1 && held(&slots) > MAX_HELD {
            let oldest = slots
                .iter()
                .filter(|(other, _)| *other != name)
                .min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed))
                .map(|(name, _)| name.clone());
            match oldest {
                Some(oldest) => slots.remove(&oldest),
                None => break,
            };
        }
        slot
    }
}

/// A collection's generation as it was read of the table.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) collection: &'a Collection,
    pub(crate) of: Generation,
    pub(crate) pointer: &'a Pointer,
    pub(crate) markers: &'a Markers,
}

impl<'a> Seen<'a> {
    /// The generation that is served; an error if it has no index that this code can read.
    pub(crate) fn served(
        tenant: &'a TenantId,
        collection: &'a Collection,
        markers: &'a Markers,
    ) -> Result<Self> {
        let pointer = collection.index().ok_or(Error::NotBuilt)?;
        crate::readable(pointer)?;
        Ok(Self {
            tenant,
            collection,
            of: Generation::served(collection),
            pointer,
            markers,
        })
    }

    pub(crate) fn key(&self) -> Name {
        Name {
            tenant: self.tenant.clone(),
            of: self.of,
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.tenant, self.of.number, self.of.generation)
    }
}

impl Indexes {
    /// An open index that holds at least what was seen of the table.
    pub(crate) async fn synced(&self, seen: Seen<'_>) -> Result<Synced> {
        let slot = self.0.slots.get(&seen.key());
        let state = Arc::clone(&slot.state).lock_owned().await;
        if let Some(state) = &*state
            && state.holds(seen.pointer, seen.markers)
        {
            return Ok(state.synced(true));
        }
        // By a task of its own: whoever asked may hang up half way.
        let (indexes, tenant) = (self.clone(), seen.tenant.clone());
        let (collection, markers) = (seen.collection.clone(), seen.markers.clone());
        let catch_up = async move {
            let seen = Seen::served(&tenant, &collection, &markers)?;
            indexes.catch_up(&slot, state, seen).await
        };
        tokio::spawn(catch_up).await?
    }

    async fn catch_up(
        &self,
        slot: &Slot,
        mut guard: OwnedMutexGuard<Option<State>>,
        seen: Seen<'_>,
    ) -> Result<Synced> {
        // Taken out: a state that fails half way is not put back.
        let (mut state, warm) = match guard.take() {
            Some(state)
                if state.pointer.version >= seen.pointer.version && !state.is_littered() =>
            {
                (state, true)
            }
            before => {
                let warm = before.is_some();
                (self.open(before, seen).await?, warm)
            }
        };
        self.take_in(&mut state, seen).await?;
        slot.held.store(state.index.held_bytes(), Ordering::Relaxed);
        let synced = state.synced(warm);
        *guard = Some(state);
        Ok(synced)
    }

    /// Opens the index at the newer of two pointers.
    async fn open(&self, before: Option<State>, seen: Seen<'_>) -> Result<State> {
        let pointer = match &before {
            Some(state) if state.pointer.version > seen.pointer.version => &state.pointer,
            _ => seen.pointer,
        };
        let prefix = prefix(seen.tenant, &seen.collection.name, seen.of);
        let old = before.as_ref().map(|state| &*state.index);
        Ok(State {
            index: Arc::new(Index::open(&self.0.store, &prefix, pointer, old).await?),
            pointer: pointer.clone(),
            applied: HashMap::new(),
            touched: HashSet::new(),
            batches: HashMap::new(),
            changes: 0,
        })
    }

    /// Takes in what is marked and not taken in yet, as it is in the table now.
    async fn take_in(&self, state: &mut State, seen: Seen<'_>) -> Result<()> {
        let markers: Vec<(MarkerId, Version)> = seen
            .markers
            .versions()
            .filter(|(marker, version)| state.applied.get(marker) != Some(version))
            .collect();
        let mut wanted: HashMap<RecordId, bool> = HashMap::new();
        for (marker, _) in &markers {
            match marker {
                MarkerId::Record(id) => drop(wanted.insert(*id, false)),
                MarkerId::Batch(upload) => {
                    let batch = &seen.markers.batches[upload];
                    let ids = self.0.table.batch(seen.tenant, *upload, batch).await?;
                    let ids = ids.ok_or(Error::Outdated)?;
                    note(&mut wanted, &ids, batch.base == state.pointer.version);
                    let ids = ids.added.iter().chain(&ids.changed).copied();
                    state.batches.insert(*upload, Arc::new(ids.collect()));
                }
            }
        }
        for (id, is_new) in &mut wanted {
            *is_new &= !state.touched.contains(id) && !seen.markers.records.contains_key(id);
        }
        let wanted: Vec<(RecordId, bool)> = wanted.into_iter().collect();
        for chunk in wanted.chunks(CHUNK) {
            state.touched.extend(chunk.iter().map(|(id, _)| *id));
            let marked = &seen.markers.records;
            let place = seen.place();
            let changes = self.changes(&place, &seen.collection.name, chunk, marked);
            state.index.take_in(changes.await?.0).await?;
        }
        state.changes += 1;
        state.applied.extend(markers);
        Ok(())
    }

    /// The records as they are in the table now; and those that cannot be read.
    pub(crate) async fn changes(
        &self,
        place: &Place,
        name: &CollectionName,
        wanted: &[(RecordId, bool)],
        marked: &BTreeMap<RecordId, RecordMarker>,
    ) -> Result<(Vec<Change>, HashSet<RecordId>)> {
        let ids: Vec<RecordId> = wanted.iter().map(|(id, _)| *id).collect();
        let table = &self.0.table;
        let mut readable = table.marked_records(place, name, &ids, marked).await?;
        let changes = wanted.iter().map(|(id, is_new)| Change {
            id: *id,
            record: readable.records.remove(id),
            is_new: *is_new,
        });
        Ok((changes.collect(), readable.corrupt))
    }
}

/// Notes the records of an upload, and whether the index is known not to hold them: those that the
/// upload added, if nothing was folded since and nobody else names them.
pub(crate) fn note(wanted: &mut HashMap<RecordId, bool>, batch: &Batch, is_new: bool) {
    for id in &batch.added {
        wanted
            .entry(*id)
            .and_modify(|is_new| *is_new = false)
            .or_insert(is_new);
    }
    for id in &batch.changed {
        wanted.insert(*id, false);
    }
}
