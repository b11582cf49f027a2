//! `GET /portal/collections/{name}/replace-status`: how far the replace of a collection is.

use api::{App, Caller, Path, Result};
use axum::Json;
use axum::extract::State;
use model::id::{CollectionName, RecordType, UploadId};
use model::time::{self, Moment};
use serde::Serialize;

use crate::standing::{Stage, Standing, named};

#[derive(Serialize)]
pub(crate) struct Answer {
    collection: CollectionName,
    status: Stage,
    upload_id: Option<UploadId>,
    record_type: Option<RecordType>,
    #[serde(serialize_with = "time::shown_option")]
    started_at: Option<Moment>,
    total_records: u64,
    indexed: u64,
    pending: u64,
    processing: u64,
    failed: u64,
}

pub(crate) async fn replace_status(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Answer>> {
    let name = named(&name)?;
    let Standing {
        collection,
        stage,
        staged,
    } = Standing::read(&app, &caller.tenant, &name).await?;
    let replace = collection.replace;
    Ok(Json(Answer {
        collection: name,
        status: stage,
        upload_id: replace.as_ref().map(|replace| replace.upload),
        started_at: replace.as_ref().map(|replace| replace.started_at),
        record_type: replace.map(|replace| replace.record_type),
        total_records: staged.total,
        indexed: staged.indexed(),
        pending: staged.pending,
        processing: staged.processing,
        failed: staged.failed,
    }))
}
