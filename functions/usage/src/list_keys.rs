//! `GET /portal/usage/keys`: what each API key was used for in a month, newest key first; after
//! them those that were used and are revoked since, whose names are gone.

use api::{App, Caller, Month, Result};
use axum::Json;
use axum::extract::State;
use model::id::{KeyId, TenantId};
use serde::Serialize;
use table::usage::KeyCalls;

#[derive(Serialize)]
pub(crate) struct Answer {
    tenant_id: TenantId,
    period: String,
    keys: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: KeyId,
    /// Null for a key that is revoked.
    name: Option<String>,
    requests: u64,
    searches: u64,
}

impl Row {
    fn new(id: KeyId, name: Option<String>, calls: KeyCalls) -> Self {
        Self {
            id,
            name,
            requests: calls.requests,
            searches: calls.searches,
        }
    }
}

pub(crate) async fn list_keys(
    State(app): State<App>,
    caller: Caller,
    Month(period): Month,
) -> Result<Json<Answer>> {
    let (keys, calls) = tokio::join!(
        app.table.list_keys(&caller.tenant),
        app.table.key_calls(&caller.tenant, period)
    );
    let (keys, mut calls) = (keys?, calls?);
    let mut rows: Vec<Row> = keys
        .into_iter()
        .map(|key| {
            let calls = calls.remove(&key.id).unwrap_or_default();
            Row::new(key.id, Some(key.name), calls)
        })
        .collect();
    let revoked = calls.into_iter();
    rows.extend(revoked.map(|(id, calls)| Row::new(id, None, calls)));
    Ok(Json(Answer {
        period: period.to_string(),
        keys: rows,
        tenant_id: caller.tenant,
    }))
}
