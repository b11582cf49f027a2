//! Searching what the table holds now.

use std::collections::HashMap;
use std::time::Duration;

use model::collection::Collection;
use model::id::{CollectionName, RecordId, TenantId};
use model::index::IndexingStatus;
use search::{Page, Request};
use table::marker::{Generation, MarkerId, Markers};
use tokio::time::Instant;

use crate::slot::Seen;
use crate::{Error, Indexes, Result};

/// How often a search reads the table again when the index moves on under it.
const LOOKS: u32 = 6;

/// How long a search waits for an index that somebody else is building.
const WAITING: Duration = Duration::from_secs(20);

/// A page, and how it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The page.
    pub page: Page,
    /// The generation whose records the hits are. It is another one than the collection had that was
    /// asked for, if that was replaced meanwhile.
    pub of: Generation,
    /// Whether the index was open already.
    pub warm: bool,
    /// Where the hits stand on their way into the index; those that are not here are in it.
    pub statuses: HashMap<RecordId, IndexingStatus>,
}

impl Indexes {
    /// Finds a page of a collection, as its item and its markers were read of the table. What is
    /// missing or outdated is read again, once; and an index that is lost is built anew.
    pub async fn search(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        markers: &Markers,
        request: &Request,
    ) -> Result<Found> {
        if !markers.is_empty() {
            self.touched(tenant, &collection.name);
        }
        let name = &collection.name;
        let mut found = self.find(tenant, collection, markers, request).await;
        let mut version = collection.index().map(|index| index.version);
        for look in 1..=LOOKS {
            match &found {
                Err(Error::Outdated) => {
                    tokio::time::sleep(look * Duration::from_millis(10)).await;
                }
                Err(error) if error.is_lost() && look == 1 => {}
                _ => break,
            }
            (found, version) = self.find_again(tenant, name, request).await;
        }
        match found {
            // An upload whose ids are gone while its marker stays is lost too.
            Err(error) if error.is_lost() || matches!(error, Error::Outdated) => {
                tracing::warn!(%tenant, collection = %name, %error, "an index is lost");
                self.rebuild_once(tenant, name, version).await?;
                self.find_again(tenant, name, request).await.0
            }
            found => found,
        }
    }

    /// The same by what the table says now, with the version of the pointer that it says.
    async fn find_again(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        request: &Request,
    ) -> (Result<Found>, Option<u64>) {
        let mut view = match self.0.table.index_view(tenant, name).await {
            Ok(Some(view)) => view,
            Ok(None) => return (Err(Error::Gone), None),
            Err(error) => return (Err(error.into()), None),
        };
        let served = Generation::served(&view.collection);
        let markers = view.markers.remove(&served).unwrap_or_default();
        let version = view.collection.index().map(|index| index.version);
        let found = self.find(tenant, &view.collection, &markers, request).await;
        (found, version)
    }

    async fn find(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        markers: &Markers,
        request: &Request,
    ) -> Result<Found> {
        let seen = Seen::served(tenant, collection, markers)?;
        let found = async {
            let synced = self.synced(seen).await?;
            let page = synced.index.search(request).await?;
            Ok((synced, page))
        };
        let (synced, page) = match found.await {
            Ok(found) => found,
            Err(error) => {
                let error: Error = error;
                if error.is_lost() {
                    self.0.slots.forget(&seen.key());
                }
                return Err(error);
            }
        };
        let now = self.now();
        let status = |id: RecordId| {
            let marker = if markers.records.contains_key(&id) {
                MarkerId::Record(id)
            } else {
                let mut batches = markers.batches.keys();
                let named = batches.find(|upload| {
                    let ids = synced.batches.get(upload);
                    ids.is_some_and(|ids| ids.contains(&id))
                });
                match named {
                    Some(upload) => MarkerId::Batch(*upload),
                    None if seen.pointer.failed.contains(&id) => {
                        return Some(IndexingStatus::Failed);
                    }
                    None => return None,
                }
            };
            Some(
                if markers.is_folding(marker, collection.lease.as_ref(), now) {
                    IndexingStatus::Processing
                } else {
                    IndexingStatus::Pending
                },
            )
        };
        let hits = page.hits.iter();
        let statuses = hits.filter_map(|hit| Some((hit.id, status(hit.id)?)));
        Ok(Found {
            statuses: statuses.collect(),
            page,
            of: seen.of,
            warm: synced.warm,
        })
    }

    /// Builds an index anew whose pointer of version `lost` led to nothing, or waits for whoever
    /// does.
    async fn rebuild_once(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        lost: Option<u64>,
    ) -> Result<()> {
        let give_up = Instant::now() + WAITING;
        loop {
            let view = self.0.table.index_view(tenant, name).await?;
            let Some(view) = view else { return Ok(()) };
            let version = view.collection.index().map(|index| index.version);
            if version != lost || self.rebuild(tenant, name, lost).await? {
                return Ok(());
            }
            if Instant::now() >= give_up {
                return Err(Error::Building);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
