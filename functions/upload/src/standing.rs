//! How far the replace of a collection is.

use std::time::Duration;

use api::{App, Error, Place, Result};
use model::collection::{Collection, Counts, Replace};
use model::id::{CollectionName, TenantId};
use model::upload::Status;
use serde::Serialize;
use table::marker::Generation;

/// How much longer than it may be written a file takes at most that is not written down yet.
const LOOKED_THROUGH: Duration = Duration::from_mins(1);

/// How far a replace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// None is under way.
    None,
    /// Its upload is at it.
    Filling,
    /// Its records are there, and not all of them are indexed.
    Indexing,
    /// It can be swapped.
    Ready,
    /// Its upload failed.
    Failed,
}

/// A collection, and how far its replace is.
pub(crate) struct Standing {
    pub(crate) collection: Collection,
    pub(crate) stage: Stage,
    /// What is counted of the staged records.
    pub(crate) staged: Counts,
}

impl Standing {
    pub(crate) async fn read(app: &App, tenant: &TenantId, name: &CollectionName) -> Result<Self> {
        let missing = || Error::NotFound("Collection");
        let found = app.table.find_collection(tenant, name).await?;
        let mut collection = found.ok_or_else(missing)?;
        loop {
            let Some(replace) = collection.replace.clone() else {
                return Ok(Self {
                    collection,
                    stage: Stage::None,
                    staged: Counts::default(),
                });
            };
            // In this order: what is settled once the upload has ended is counted, and what is
            // counted is marked until it is indexed.
            let status = status(app, tenant, &replace).await?;
            let summary = app.summary(tenant).await?;
            let view = app.table.index_view(tenant, name).await?;
            let mut view = view.ok_or_else(missing)?;
            collection = view.collection;
            if collection.replace.as_ref() != Some(&replace) {
                continue;
            }
            let staging = Generation::staging(&collection);
            let markers = staging.and_then(|staging| view.markers.remove(&staging));
            let markers = markers.unwrap_or_default();
            let of = (&collection, replace.generation);
            let progress = app.indexes()?.progress_of(tenant, of, &markers).await?;
            let total = summary.staged(name).unwrap_or_default();
            let failed = progress.failed.min(total);
            let processing = progress.processing.min(total - failed);
            let staged = Counts {
                total,
                failed,
                processing,
                pending: progress.pending.min(total - failed - processing),
                ..Counts::default()
            };
            let stage = match status {
                Status::Pending | Status::Processing => Stage::Filling,
                Status::Complete if markers.is_empty() => Stage::Ready,
                Status::Complete => Stage::Indexing,
                Status::Failed => Stage::Failed,
            };
            return Ok(Self {
                collection,
                stage,
                staged,
            });
        }
    }
}

/// How far the upload of a replace is. It is not written down before its file was looked through,
/// and forgotten in the end.
async fn status(app: &App, tenant: &TenantId, replace: &Replace) -> Result<Status> {
    let (now, alone_since) = (app.clock.now(), app.alone_since());
    if let Some(job) = app.table.find_upload(tenant, replace.upload).await? {
        return Ok(job.seen(now, alone_since).status);
    }
    let began = replace.started_at;
    let is_over = began + app.config.upload_time + LOOKED_THROUGH <= now;
    if is_over || alone_since.is_some_and(|since| began < since) {
        Ok(Status::Failed)
    } else {
        Ok(Status::Processing)
    }
}

/// The name of a collection in the path.
pub(crate) fn named(text: &str) -> Result<CollectionName> {
    let parsed = text.parse::<CollectionName>();
    parsed.map_err(|fault| Error::invalid(Place::Path, "name", fault))
}
