//! `GET /portal/analytics`: a month's open searches, and each collection's share of them. What is
//! said of records is true now, whichever month it is, and a collection that was deleted since is not
//! told of.

use api::{App, Caller, Month, Result};
use axum::Json;
use axum::extract::State;
use model::id::{CollectionName, TenantId};
use model::time::{self, Moment};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Answer {
    tenant_id: TenantId,
    period: String,
    total_open_searches: u64,
    collections: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    collection: CollectionName,
    record_count: u64,
    public_count: u64,
    open_searches: u64,
    #[serde(serialize_with = "time::shown_option")]
    last_updated: Option<Moment>,
}

pub(crate) async fn get_analytics(
    State(app): State<App>,
    caller: Caller,
    Month(period): Month,
) -> Result<Json<Answer>> {
    let (summary, searches) = tokio::join!(
        app.summary(&caller.tenant),
        app.table.open_searches(&caller.tenant, period)
    );
    let (summary, searches) = (summary?, searches?);
    let rows: Vec<Row> = summary
        .collections
        .into_iter()
        .map(|(collection, counts)| Row {
            record_count: counts.total,
            public_count: counts.public,
            open_searches: searches.get(&collection.number).map_or(0, |of| of.total),
            last_updated: counts.last_updated.filter(|_| counts.total > 0),
            collection: collection.name,
        })
        .collect();
    Ok(Json(Answer {
        period: period.to_string(),
        total_open_searches: rows.iter().map(|row| row.open_searches).sum(),
        collections: rows,
        tenant_id: caller.tenant,
    }))
}
