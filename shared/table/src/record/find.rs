//! Records by their ids alone: an id has the number of its collection, and a collection leads to its
//! records.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use model::collection::Collection;
use model::id::{RecordId, TenantId};
use model::index::IndexingStatus;
use model::record::Record;
use model::time::Moment;

use super::{CONCURRENCY, Place, from_item};
use crate::cap::{self, Caps};
use crate::item::{self, Item, Key};
use crate::marker::{Generation, MarkerId, Markers};
use crate::retry::BATCH_GET;
use crate::tenant::summary_pk;
use crate::{Result, Table, collection};

/// Records of one collection that were asked for by their ids.
#[derive(Debug, Clone)]
pub struct Located {
    /// The collection.
    pub collection: Collection,
    /// Those of the records that there are.
    pub records: HashMap<RecordId, Record>,
    /// Their own markers.
    markers: Markers,
}

impl Located {
    /// Where the records lie.
    #[must_use]
    pub fn place(&self, tenant: &TenantId) -> Place {
        Place::new(tenant, self.collection.number, self.collection.generation)
    }

    /// Where a record stands on its way into the index, by its own marker. What the marker of an upload
    /// says of it is not read here.
    #[must_use]
    pub fn status(&self, id: RecordId, now: Moment) -> IndexingStatus {
        let lease = self.collection.lease.as_ref();
        if self.markers.records.contains_key(&id) {
            if self.markers.is_folding(MarkerId::Record(id), lease, now) {
                return IndexingStatus::Processing;
            }
            return IndexingStatus::Pending;
        }
        let index = self.collection.index();
        if index.is_some_and(|index| index.failed.contains(&id)) {
            IndexingStatus::Failed
        } else {
            IndexingStatus::Indexed
        }
    }
}

impl Table {
    /// Finds records of whatever collections by their ids, each of which is named once. Those that lead
    /// to no collection are in none; a collection may have none of its records left.
    pub async fn find_records(&self, tenant: &TenantId, ids: &[RecordId]) -> Result<Vec<Located>> {
        let collections = self.collections_by_number(tenant).await?;
        self.find_records_in(tenant, &collections, ids).await
    }

    /// The same in collections that were read before, for who finds many records part by part.
    pub async fn find_records_in(
        &self,
        tenant: &TenantId,
        collections: &BTreeMap<u32, Collection>,
        ids: &[RecordId],
    ) -> Result<Vec<Located>> {
        let mut by_number: BTreeMap<u32, Vec<RecordId>> = BTreeMap::new();
        for id in ids {
            by_number
                .entry(id.collection_number())
                .or_default()
                .push(*id);
        }
        let known: Vec<(Collection, Vec<RecordId>)> = by_number
            .into_iter()
            .filter_map(|(number, ids)| Some((collections.get(&number)?.clone(), ids)))
            .collect();
        stream::iter(known)
            .map(|(collection, ids)| async move { self.locate(tenant, collection, &ids).await })
            .buffered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Finds one record, and what uploads in flight have reserved at the very moment at which it was
    /// read: so it is known whether the one that made it is counted.
    pub async fn find_record_with_caps(
        &self,
        tenant: &TenantId,
        id: RecordId,
    ) -> Result<Option<(Located, Caps)>> {
        let mut collections = self.collections_by_number(tenant).await?;
        let Some(collection) = collections.remove(&id.collection_number()) else {
            return Ok(None);
        };
        let place = Place::new(tenant, collection.number, collection.generation);
        let keys = [place.key(id), cap::key(tenant)];
        let mut items = self.get_together(&keys).await?.into_iter();
        let (record, caps) = (items.next().flatten(), items.next().flatten());
        let Some(record) = record else {
            return Ok(None);
        };
        let record = from_item(&collection.name, record)?;
        let caps = caps.map(item::read).transpose()?.unwrap_or_default();
        let located = Located {
            collection,
            records: HashMap::from([(id, record)]),
            markers: Markers::default(),
        };
        Ok(Some((located, caps)))
    }

    /// What uploads in flight have reserved.
    pub async fn caps(&self, tenant: &TenantId) -> Result<Caps> {
        let caps = self.get(&cap::key(tenant)).await?;
        Ok(caps.map(item::read).transpose()?.unwrap_or_default())
    }

    /// The live collections of a tenant by number.
    pub async fn collections_by_number(
        &self,
        tenant: &TenantId,
    ) -> Result<BTreeMap<u32, Collection>> {
        let mut collections = BTreeMap::new();
        self.query(&summary_pk(tenant), collection::PREFIX, None, |item| {
            if let (collection, true) = collection::read(item)? {
                collections.insert(collection.number, collection);
            }
            Ok(())
        })
        .await?;
        Ok(collections)
    }

    /// Reads records of a collection together with their markers.
    async fn locate(
        &self,
        tenant: &TenantId,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Located> {
        let (of, name) = (Generation::served(&collection), &collection.name);
        let place = Place::new(tenant, of.number, of.generation);
        let mut keys = vec![Self::folding_key(tenant, name, of)];
        for id in ids {
            keys.push(place.key(*id));
            keys.push(Self::record_marker_key(tenant, name, of, *id));
        }
        let chunks: Vec<Vec<Key>> = keys.chunks(BATCH_GET).map(<[Key]>::to_vec).collect();
        let items: Vec<Item> = stream::iter(chunks)
            .map(|keys| async move { self.batch_get(&keys, None).await })
            .buffer_unordered(CONCURRENCY)
            .try_concat()
            .await?;
        let (mut records, mut markers) = (HashMap::new(), Markers::default());
        for item in items {
            if Key::of(&item).pk.starts_with(&place.prefix) {
                let record = from_item(name, item)?;
                records.insert(record.id, record);
            } else {
                markers.take(item)?;
            }
        }
        Ok(Located {
            collection,
            records,
            markers,
        })
    }
}
