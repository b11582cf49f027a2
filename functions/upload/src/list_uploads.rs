//! `GET /portal/uploads`: the tenant's uploads of the last month, newest first.

use api::{App, Caller, Cursor, Params, Result};
use axum::Json;
use axum::extract::State;
use model::Fault;
use model::fault::integer_text;
use model::id::UploadId;
use search::{DEFAULT_LIMIT, MAX_LIMIT};
use serde::Serialize;

use crate::job::ShownJob;

#[derive(Serialize)]
pub(crate) struct Answer {
    uploads: Vec<ShownJob>,
    /// Where the next page begins, if there is one.
    cursor: Option<String>,
    has_more: bool,
}

pub(crate) async fn list_uploads(
    State(app): State<App>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Answer>> {
    let place = Cursor::new(&caller.tenant, "uploads");
    let limit = params.optional("limit", limit);
    let before = params.optional("cursor", |text| place.read::<UploadId>(text));
    let (Some(limit), Some(before)) = (limit, before) else {
        return Err(params.faults());
    };
    let limit = limit.unwrap_or(DEFAULT_LIMIT) as usize;
    let (jobs, has_more) = app
        .table
        .list_uploads(&caller.tenant, before, limit)
        .await?;
    let last = jobs.last().map(|job| job.id);
    Ok(Json(Answer {
        cursor: last.filter(|_| has_more).map(|last| place.write(&last)),
        uploads: jobs
            .into_iter()
            .map(|job| ShownJob::of(job, &app))
            .collect(),
        has_more,
    }))
}

/// How many entries a page has at most.
fn limit(text: &str) -> std::result::Result<u32, Fault> {
    integer_text(text, 1, MAX_LIMIT)
}
