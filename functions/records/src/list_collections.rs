//! `GET /portal/collections`: the tenant's collections and how full they are.

use std::collections::BTreeSet;

use api::{App, Caller, Result};
use axum::Json;
use axum::extract::State;
use model::id::{CollectionName, RecordType};
use model::plan::Plan;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Answer {
    collections: Vec<Row>,
    plan: Plan,
    record_limit: Option<u64>,
    total_records: u64,
}

#[derive(Serialize)]
struct Row {
    name: CollectionName,
    record_types: BTreeSet<RecordType>,
    total_records: u64,
    indexed: u64,
    pending: u64,
    processing: u64,
    failed: u64,
    has_pending_replace: bool,
}

pub(crate) async fn list_collections(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Answer>> {
    let summary = app.summary_with_progress(&caller.tenant).await?;
    let plan = summary.plan(&caller.tenant)?;
    let total_records = summary.records();
    let rows = summary
        .collections
        .into_iter()
        .map(|(collection, counts)| Row {
            name: collection.name,
            record_types: collection.record_types,
            total_records: counts.total,
            indexed: counts.indexed(),
            pending: counts.pending,
            processing: counts.processing,
            failed: counts.failed,
            has_pending_replace: collection.replace.is_some(),
        });
    Ok(Json(Answer {
        collections: rows.collect(),
        plan,
        record_limit: plan.limits().records,
        total_records,
    }))
}
