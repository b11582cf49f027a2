//! The indexes of this process: built from the table on first use, kept in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::collection::Collection;
use model::id::{SHARDS, TenantId};
use model::record::Record;
use search::Index;
use table::Table;
use table::record::Place;
use tokio::sync::OnceCell;
use tracing::Instrument;

use crate::error::Result;

/// How many indexes are kept; the one that was not used for longest goes first.
const MAX_INDEXES: usize = 64;

/// Which index: one a generation, so that a replaced or re-made collection never meets the old.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    tenant: TenantId,
    number: u32,
    generation: u32,
}

#[derive(Default)]
struct Slot {
    index: OnceCell<Arc<Index>>,
    used: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Indexes {
    slots: Mutex<HashMap<Name, Arc<Slot>>>,
    uses: AtomicU64,
}

impl Indexes {
    /// The index of a collection, and whether it was there already.
    pub(crate) async fn open(
        &self,
        table: &Table,
        tenant: &TenantId,
        collection: &Collection,
    ) -> Result<(Arc<Index>, bool)> {
        let slot = self.slot(name(tenant, collection));
        let warm = slot.index.initialized();
        Ok((get(slot, table, tenant, collection).await?, warm))
    }

    /// Applies what was written. An index that is being built may have read past it, so that is
    /// waited for; one that is not there will read it from the table. One that fails is dropped.
    pub(crate) async fn written(
        &self,
        table: &Table,
        tenant: &TenantId,
        collection: &Collection,
        records: Vec<Record>,
    ) -> Result<()> {
        let name = name(tenant, collection);
        let slot = self.lock().get(&name).cloned();
        let Some(slot) = slot else { return Ok(()) };
        let index = get(slot, table, tenant, collection).await?;
        let applied = tokio::task::spawn_blocking(move || index.apply(&records)).await;
        if !matches!(applied, Ok(Ok(()))) {
            self.lock().remove(&name);
        }
        Ok(applied??)
    }

    /// Drops the index of a collection in which something was written past it.
    pub(crate) fn forget(&self, tenant: &TenantId, number: u32, generation: u32) {
        self.lock().remove(&Name {
            tenant: tenant.clone(),
            number,
            generation,
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, name: Name) -> Arc<Slot> {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut slots = self.lock();
        let slot = Arc::clone(slots.entry(name.clone()).or_default());
        slot.used.store(now, Ordering::Relaxed);
        if slots.len() > MAX_INDEXES {
            let oldest = slots
                .iter()
                .filter(|(other, _)| **other != name)
                .min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed))
                .map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                slots.remove(&oldest);
            }
        }
        slot
    }
}

fn name(tenant: &TenantId, collection: &Collection) -> Name {
    Name {
        tenant: tenant.clone(),
        number: collection.number,
        generation: collection.generation,
    }
}

/// The index of a slot. It is built by a task of its own: whoever asked first may hang up, and the
/// others still wait for the same one.
async fn get(
    slot: Arc<Slot>,
    table: &Table,
    tenant: &TenantId,
    collection: &Collection,
) -> Result<Arc<Index>> {
    if let Some(index) = slot.index.get() {
        return Ok(Arc::clone(index));
    }
    let (table, tenant, collection) = (table.clone(), tenant.clone(), collection.clone());
    let building = async move {
        let build = || build(&table, &tenant, &collection);
        slot.index.get_or_try_init(build).await.map(Arc::clone)
    };
    tokio::spawn(building.in_current_span()).await?
}

async fn build(table: &Table, tenant: &TenantId, collection: &Collection) -> Result<Arc<Index>> {
    let index = Arc::new(Index::new()?);
    let place = Place::new(tenant, collection.number, collection.generation);
    for shard in 0..SHARDS {
        let records = table.shard_records(&place, &collection.name, shard).await?;
        let index = Arc::clone(&index);
        tokio::task::spawn_blocking(move || index.apply(&records)).await??;
    }
    Ok(index)
}
