//! `GET /open/v1/collections`: the collections that have public records, those of one name as one.

use std::collections::{BTreeMap, BTreeSet};

use api::{App, Error, Result, Visitor};
use axum::Json;
use axum::extract::State;
use futures_util::{StreamExt, stream};
use model::collection::Collection;
use model::id::{CollectionName, RecordType, TenantId};
use model::period::Period;
use search::{Audience, Request};
use serde::Serialize;

use crate::public::{self, AT_ONCE};

#[derive(Serialize)]
pub(crate) struct Row {
    collection: CollectionName,
    description: Option<String>,
    category: Option<String>,
    record_types: BTreeSet<RecordType>,
    record_count: u64,
    has_schema: bool,
}

/// A collection of a tenant, by what is public of it.
struct Part {
    collection: Collection,
    record_types: BTreeSet<RecordType>,
    record_count: u64,
    has_schema: bool,
}

pub(crate) async fn list_collections(
    State(app): State<App>,
    visitor: Visitor,
) -> Result<Json<Vec<Row>>> {
    let listed = public::listed(&app, None).await?;
    visitor.admitted().await?;
    let mut tenants: BTreeMap<TenantId, BTreeSet<CollectionName>> = BTreeMap::new();
    for (tenant, collection) in listed {
        tenants.entry(tenant).or_default().insert(collection);
    }
    let mut reading = stream::iter(tenants)
        .map(|(tenant, names)| {
            let app = app.clone();
            async move {
                let parts = parts(&app, &tenant, &names).await;
                (tenant, parts)
            }
        })
        .buffered(AT_ONCE);
    let mut all = Vec::new();
    while let Some((tenant, parts)) = reading.next().await {
        match parts {
            Ok(parts) => all.extend(parts),
            Err(error @ Error::Unavailable(_)) => return Err(error),
            // What is wrong with one tenant's collections does not hide those of others.
            Err(error) => tracing::error!(%tenant, cause = ?error, "collections are not listed"),
        }
    }
    Ok(Json(merged(all)))
}

/// What is public of a tenant's collections.
async fn parts(
    app: &App,
    tenant: &TenantId,
    names: &BTreeSet<CollectionName>,
) -> Result<Vec<Part>> {
    let period = Period::of(app.clock.now());
    let (summary, with_schema) = tokio::join!(
        app.table.summary(tenant, period),
        app.table.types_with_schema(tenant)
    );
    let (summary, with_schema) = (summary?, with_schema?);
    let mut parts = Vec::new();
    for (collection, counts) in summary.collections {
        if counts.public == 0 || !names.contains(&collection.name) {
            continue;
        }
        let record_types = public_types(app, tenant, &collection).await?;
        // That of a type without public records is nobody's business.
        let with_schema = with_schema.get(&collection.name);
        parts.push(Part {
            has_schema: with_schema.is_some_and(|types| !types.is_disjoint(&record_types)),
            record_count: counts.public,
            record_types,
            collection,
        });
    }
    Ok(parts)
}

/// The types of a collection's public records. Where there is one type alone, it is that one.
async fn public_types(
    app: &App,
    tenant: &TenantId,
    collection: &Collection,
) -> Result<BTreeSet<RecordType>> {
    let all = &collection.record_types;
    if all.len() <= 1 {
        return Ok(all.clone());
    }
    let mut request = Request::list(None, 1, 0);
    request.audience = Audience::Everybody;
    request.kinds = true;
    let place = vec![(tenant.clone(), collection.name.clone())];
    let found = public::find(app, place, &request).await?;
    Ok(found.page.kinds)
}

/// Collections of one name as one, in the order of names. Whoever has the most public records of them
/// says what they are.
fn merged(mut parts: Vec<Part>) -> Vec<Row> {
    parts.sort_by_key(|part| std::cmp::Reverse(part.record_count));
    let mut rows: BTreeMap<CollectionName, Row> = BTreeMap::new();
    for part in parts {
        let collection = part.collection;
        let name = collection.name.clone();
        let row = rows.entry(name).or_insert_with_key(|name| Row {
            collection: name.clone(),
            description: None,
            category: None,
            record_types: BTreeSet::new(),
            record_count: 0,
            has_schema: false,
        });
        row.description = row.description.take().or(collection.description);
        row.category = row.category.take().or(collection.category);
        row.record_types.extend(part.record_types);
        row.record_count += part.record_count;
        row.has_schema |= part.has_schema;
    }
    rows.into_values().collect()
}
