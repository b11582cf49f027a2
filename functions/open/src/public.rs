//! Public records, of whichever tenants.

use std::collections::HashMap;
use std::sync::Arc;

use api::{App, Result};
use futures_util::{StreamExt, stream};
use indexing::{Across, Origin};
use model::id::{CollectionName, RecordId, TenantId};
use model::record::{Record, Visibility};
use search::Request;
use table::record::Place;

/// How many collections are read of at once.
pub(crate) const AT_ONCE: usize = 16;

/// The collections of a name, or all, that may have public records: what a call reads first, while
/// the limiter decides on it.
pub(crate) async fn listed(
    app: &App,
    name: Option<&CollectionName>,
) -> Result<Vec<(TenantId, CollectionName)>> {
    let listed = app.table.listed_openly(name).await?;
    let collections = listed
        .into_iter()
        .map(|listed| (listed.tenant, listed.collection));
    Ok(collections.collect())
}

/// Finds a page of some collections.
pub(crate) async fn find(
    app: &App,
    listed: Vec<(TenantId, CollectionName)>,
    request: &Request,
) -> Result<Across> {
    Ok(app.indexes()?.search_across(listed, request).await?)
}

/// The records of a page as they are now. One that is private by now is not among them, whatever
/// index it was found in.
pub(crate) async fn hydrate(app: &App, found: &Across) -> Result<HashMap<RecordId, Record>> {
    let mut wanted: Vec<(Arc<Origin>, Vec<RecordId>)> = Vec::new();
    for (hit, origin) in found.page.hits.iter().zip(&found.origins) {
        let mut known = wanted.iter_mut();
        match known.find(|(known, _)| Arc::ptr_eq(known, origin)) {
            Some((_, ids)) => ids.push(hit.id),
            None => wanted.push((Arc::clone(origin), vec![hit.id])),
        }
    }
    let mut reading = stream::iter(wanted)
        .map(|(origin, ids)| {
            let table = app.table.clone();
            async move {
                let place = Place::new(&origin.tenant, origin.of.number, origin.of.generation);
                let records = table.records(&place, &origin.collection, &ids).await;
                (origin, records)
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut records = HashMap::new();
    while let Some((origin, read)) = reading.next().await {
        match read {
            Ok(read) => records.extend(read.into_iter().filter(|(_, record)| is_public(record))),
            Err(error @ table::Error::Unavailable(_)) => return Err(error.into()),
            // What is wrong with one tenant's records does not hide those of others.
            Err(error) => {
                let (tenant, collection) = (&origin.tenant, &origin.collection);
                tracing::error!(%tenant, %collection, %error, "records cannot be read");
            }
        }
    }
    Ok(records)
}

/// Whether everybody may see a record.
pub(crate) fn is_public(record: &Record) -> bool {
    record.visibility == Visibility::Public
}
