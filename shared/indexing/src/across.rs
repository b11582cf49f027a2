//! Searching several collections as one, whichever tenants they are of.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use model::id::{CollectionName, TenantId};
use search::{Page, Request, Together};
use table::marker::Generation;

use crate::{Error, Found, Indexes, Result};

/// How many collections are searched at once, and how many hits are asked for meanwhile: deep in the
/// results of many there are fewer at once.
const AT_ONCE: usize = 16;
const HITS_AT_ONCE: usize = 16_000;

/// How long one may take: the others do not wait for an index that is built anew.
const PATIENCE: Duration = Duration::from_secs(10);

/// A page of several collections.
#[derive(Debug, Clone)]
pub struct Across {
    /// The page.
    pub page: Page,
    /// Where the record of each hit lies.
    pub origins: Vec<Arc<Origin>>,
    /// Whether all of the indexes were open already.
    pub warm: bool,
}

/// What a hit was found in.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whose collection it is.
    pub tenant: TenantId,
    /// The collection.
    pub collection: CollectionName,
    /// The generation whose records were found.
    pub of: Generation,
}

impl Indexes {
    /// Finds a page of collections as the table says that they are now. One that there is not any more
    /// has nothing, and so has one that cannot be searched, unless none can.
    pub async fn search_across(
        &self,
        collections: Vec<(TenantId, CollectionName)>,
        request: &Request,
    ) -> Result<Across> {
        let mut together = Together::new(request, collections.len());
        let each = Arc::new(together.each().clone());
        let at_once = (HITS_AT_ONCE / each.limit.max(1) as usize).clamp(1, AT_ONCE);
        let (mut warm, mut is_any, mut failed) = (true, false, None);
        let mut pages = stream::iter(collections)
            .map(|(tenant, name)| {
                let (indexes, request) = (self.clone(), Arc::clone(&each));
                async move {
                    let found = indexes.search_now(&tenant, &name, &request);
                    let found = tokio::time::timeout(PATIENCE, found).await;
                    (tenant, name, found.unwrap_or(Err(Error::Building)))
                }
            })
            .buffer_unordered(at_once);
        while let Some((tenant, collection, found)) = pages.next().await {
            let found = match found {
                Ok(found) => found,
                // The table is everybody's.
                Err(error @ Error::Table(table::Error::Unavailable(_))) => return Err(error),
                Err(error) => {
                    // A filter may fit one collection and not another.
                    if !matches!(error, Error::Search(search::Error::Filter(_))) {
                        tracing::error!(%tenant, %collection, %error, "a collection is not searched");
                    }
                    failed.get_or_insert(error);
                    continue;
                }
            };
            is_any = true;
            let Some(found) = found else { continue };
            // Whether something was searched in which nothing may be found is not told.
            warm &= found.warm || found.page.total == 0;
            let origin = Origin {
                tenant,
                collection,
                of: found.of,
            };
            together.take(found.page, &Arc::new(origin));
        }
        if let Some(error) = failed
            && !is_any
        {
            return Err(error);
        }
        let (page, origins) = together.page();
        warm &= page.total > 0;
        Ok(Across {
            page,
            origins,
            warm,
        })
    }

    /// Finds a page of a collection; `None` if there is no such collection.
    async fn search_now(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        request: &Request,
    ) -> Result<Option<Found>> {
        let Some(mut view) = self.0.table.index_view(tenant, name).await? else {
            return Ok(None);
        };
        let served = Generation::served(&view.collection);
        let markers = view.markers.remove(&served).unwrap_or_default();
        let found = self.search(tenant, &view.collection, &markers, request);
        match found.await {
            Ok(found) => Ok(Some(found)),
            Err(Error::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
