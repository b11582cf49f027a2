//! How far a collection's index is.

use std::collections::HashMap;

use model::collection::Collection;
use model::id::{RecordId, TenantId};
use table::marker::{MarkerId, Markers};

use crate::{Indexes, Result};

/// Live records of a collection that its index does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Written and found by search, not yet folded.
    pub pending: u64,
    /// Being folded.
    pub processing: u64,
    /// Could not be indexed.
    pub failed: u64,
}

impl Indexes {
    /// How far the index of the generation that is served is, by its markers.
    pub async fn progress(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        markers: &Markers,
    ) -> Result<Progress> {
        let generation = collection.generation;
        self.progress_of(tenant, (collection, generation), markers)
            .await
    }

    /// The same of a generation that need not be served.
    pub async fn progress_of(
        &self,
        tenant: &TenantId,
        (collection, generation): (&Collection, u32),
        markers: &Markers,
    ) -> Result<Progress> {
        // What is marked again has another try before it.
        let index = collection.indexes.get(&generation);
        let failed = index.map(|index| &index.failed);
        let failed = failed.into_iter().flatten();
        let failed = failed.filter(|id| !markers.records.contains_key(id));
        let mut progress = Progress {
            failed: failed.count() as u64,
            ..Progress::default()
        };
        if markers.is_empty() {
            return Ok(progress);
        }
        self.touched(tenant, &collection.name);
        let now = self.now();
        let mut count = |marker: MarkerId, records: u64| {
            if markers.is_folding(marker, collection.lease.as_ref(), now) {
                progress.processing += records;
            } else {
                progress.pending += records;
            }
        };
        // One upload alone tells its number; where several changes may name the same record, the
        // records have to be told apart.
        if markers.records.is_empty() && markers.batches.len() == 1 {
            for (upload, batch) in &markers.batches {
                count(MarkerId::Batch(*upload), batch.count);
            }
            return Ok(progress);
        }
        let mut marked: HashMap<RecordId, Option<MarkerId>> = HashMap::new();
        for (upload, batch) in &markers.batches {
            // What is not there any more is folded by now.
            let ids = self.0.table.batch(tenant, *upload, batch).await?;
            let ids = ids.unwrap_or_default();
            for id in ids.added.into_iter().chain(ids.changed) {
                marked.insert(id, Some(MarkerId::Batch(*upload)));
            }
        }
        for (id, marker) in &markers.records {
            marked.insert(*id, (!marker.gone).then_some(MarkerId::Record(*id)));
        }
        for marker in marked.into_values().flatten() {
            count(marker, 1);
        }
        Ok(progress)
    }
}
