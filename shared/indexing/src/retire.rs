//! Deleting the generations that a replace left behind: what was served before a swap, and what was
//! filled before a cancellation.

use chrono::TimeDelta;
use model::collection::{Collection, Retired};
use model::id::{CollectionName, TenantId};
use model::time::Moment;
use table::marker::Generation;

use crate::slot::Name;
use crate::{Indexes, Result, prefix};

/// How long a generation stays for whoever read the collection before it went out of use: longer
/// than any call takes.
pub const RETIRED_FOR: TimeDelta = TimeDelta::minutes(2);

impl Indexes {
    /// Deletes the generations of a collection that nobody can be at any more, from the store and the
    /// table. False if some have to stay for a while yet.
    pub async fn retire(&self, tenant: &TenantId, name: &CollectionName) -> Result<bool> {
        let Some(collection) = self.0.table.find_collection(tenant, name).await? else {
            return Ok(true);
        };
        let mut done = true;
        for retired in &collection.retired {
            let of = Generation {
                number: collection.number,
                generation: retired.generation,
            };
            if self.is_read(retired, &collection) || self.0.table.is_held(tenant, of).await? {
                done = false;
                continue;
            }
            self.delete(tenant, name, of).await?;
            let generation = of.generation;
            tracing::info!(%tenant, collection = %name, generation, "deleted a generation");
        }
        Ok(done)
    }

    /// Whether a call, or a fold that began before, may still be at a retired generation.
    fn is_read(&self, retired: &Retired, collection: &Collection) -> bool {
        let now = self.now();
        let dead = |since: Moment| self.0.alone_since.is_some_and(|alone| since < alone);
        let fold = collection.lease.as_ref().is_some_and(|lease| {
            lease.since <= retired.at && lease.until > now && !dead(lease.since)
        });
        fold || retired.at > now - RETIRED_FOR && !dead(retired.at)
    }

    /// Deletes all that there is of a generation. The packs go first: as long as the table knows the
    /// generation, what is cut short is done by the next call.
    async fn delete(&self, tenant: &TenantId, name: &CollectionName, of: Generation) -> Result<()> {
        self.delete_packs(tenant, name, of).await?;
        self.0.table.delete_generation(tenant, name, of).await?;
        Ok(())
    }

    /// Closes the index of a generation, and deletes its packs.
    pub(crate) async fn delete_packs(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
    ) -> Result<()> {
        let store = &self.0.store;
        for object in store.list(&prefix(tenant, name, of)).await? {
            store.delete(&object.path).await?;
        }
        self.0.slots.forget(&Name {
            tenant: tenant.clone(),
            of,
        });
        Ok(())
    }
}
