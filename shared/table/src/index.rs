//! Search indexes: their pointers, and the lease that lets one fold at a time change them. Both are
//! attributes of the collection's item, so that one read answers and one conditional write swaps.

use std::collections::{BTreeMap, HashMap};

use model::collection::{Collection, Lease};
use model::id::{CollectionName, TenantId};
use model::index::Pointer;
use model::time::{Moment, stored};

use crate::item::{self, Key};
use crate::marker::{Generation, Markers};
use crate::retry::{Change, random};
use crate::{Result, Table, collection};

/// A collection and what its indexes have not taken in yet, read in the order that misses nothing.
#[derive(Debug, Clone)]
pub struct IndexView {
    /// The collection.
    pub collection: Collection,
    /// The markers of each generation.
    pub markers: HashMap<Generation, Markers>,
}

impl Table {
    /// The collection and its markers; `None` if there is no such collection, live or reserved.
    pub async fn index_view(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
    ) -> Result<Option<IndexView>> {
        let markers = self.markers(tenant, name).await?;
        let item = self.get(&collection::key(tenant, name)).await?;
        let Some((collection, _)) = item.map(collection::read).transpose()? else {
            return Ok(None);
        };
        Ok(Some(IndexView {
            collection,
            markers,
        }))
    }

    /// Takes the lease of a collection until then, if nobody has it; what was taken before
    /// `alone_since` is nobody's any more. Returns the collection as it is under the lease.
    pub async fn take_lease(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        (now, until): (Moment, Moment),
        alone_since: Option<Moment>,
    ) -> Result<Option<(Collection, Lease)>> {
        let lease = Lease {
            token: format!("{:016x}{:016x}", random(), random()),
            since: now,
            until,
        };
        let mut free = "attribute_not_exists(lease) OR lease.#until <= :now".to_owned();
        let mut change = Change::update("SET lease = :lease")
            .name("#until", "until")
            .value(":lease", item::value(&lease)?)
            .value(":now", item::text(stored(now)));
        if let Some(alone_since) = alone_since {
            free += " OR lease.since < :alone_since";
            change = change.value(":alone_since", item::text(stored(alone_since)));
        }
        let change = change.when(format!("attribute_exists(pk) AND ({free})"));
        let key = collection::key(tenant, name);
        let item = match self.update(&key, &change).await? {
            Some(item) => Some(item),
            // A call whose answer was lost is repeated, and the repetition meets its own work.
            None => self.get(&key).await?,
        };
        let Some((collection, _)) = item.map(collection::read).transpose()? else {
            return Ok(None);
        };
        let ours = collection
            .lease
            .as_ref()
            .is_some_and(|held| held.token == lease.token);
        Ok(ours.then_some((collection, lease)))
    }

    /// Keeps a lease until then; false if somebody else has taken it.
    pub async fn extend_lease(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        lease: &Lease,
        until: Moment,
    ) -> Result<bool> {
        let change = Change::update("SET lease.#until = :until")
            .when("lease.#token = :token")
            .name("#until", "until")
            .name("#token", "token")
            .value(":token", item::text(&lease.token))
            .value(":until", item::text(stored(until)));
        let key = collection::key(tenant, name);
        Ok(self.update(&key, &change).await?.is_some())
    }

    /// Gives a lease back, if it is still held.
    pub async fn give_back_lease(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        lease: &Lease,
    ) -> Result<()> {
        let change = Change::update("REMOVE lease")
            .when("lease.#token = :token")
            .name("#token", "token")
            .value(":token", item::text(&lease.token));
        let key = collection::key(tenant, name);
        self.update(&key, &change).await?;
        Ok(())
    }

    /// Publishes the next pointer of a generation, if the lease is still held, the generation is
    /// still in use and its pointer is still the one that was read; says whether it was.
    pub async fn publish(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        generation: u32,
        lease: &Lease,
        next: &Pointer,
    ) -> Result<bool> {
        let key = collection::key(tenant, &collection.name);
        let in_use = "lease.#token = :token AND (#served = :of OR #replace.#served = :of)";
        let mut change = Change::update("SET #index.#generation = :next")
            .name("#index", "index")
            .name("#generation", generation.to_string())
            .name("#token", "token")
            .name("#served", "generation")
            .name("#replace", "replace")
            .value(":next", item::value(next)?)
            .value(":of", item::number(generation))
            .value(":token", item::text(&lease.token));
        change = match collection.indexes.get(&generation) {
            Some(before) => change
                .name("#version", "version")
                .value(":version", item::number(before.version))
                .when(format!(
                    "{in_use} AND #index.#generation.#version = :version"
                )),
            None => change.when(format!(
                "{in_use} AND attribute_not_exists(#index.#generation)"
            )),
        };
        if self.update(&key, &change).await?.is_some() {
            return Ok(true);
        }
        // As with the lease, the answer may have been lost.
        let item = self.get(&key).await?;
        let current = item.map(collection::read).transpose()?;
        Ok(current.is_some_and(|(current, _)| current.indexes.get(&generation) == Some(next)))
    }

    /// Makes room for pointers in a collection's item that was written before there were any.
    pub async fn prepare_pointers(&self, tenant: &TenantId, name: &CollectionName) -> Result<()> {
        let empty: BTreeMap<String, Pointer> = BTreeMap::new();
        let change = Change::update("SET #index = :empty")
            .when("attribute_exists(pk) AND attribute_not_exists(#index)")
            .name("#index", "index")
            .value(":empty", item::value(&empty)?);
        let key: Key = collection::key(tenant, name);
        self.update(&key, &change).await?;
        Ok(())
    }
}
