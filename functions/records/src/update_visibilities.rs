//! `POST /records/bulk-visibility`: says of many records who may find them.

use api::{App, Body, Editor, Result};
use axum::Json;
use axum::extract::State;
use model::record::{RecordPatch, bulk};

use crate::change;
use crate::update_records::Answer;

pub(crate) async fn update_visibilities(
    State(app): State<App>,
    Editor(caller): Editor,
    body: Body,
) -> Result<Json<Answer>> {
    let (ids, patch) = body.parse(|body| bulk(body, RecordPatch::parse_visibility))?;
    let records = change::update_all(&app, &caller.tenant, &ids, patch).await?;
    Ok(Json(Answer::new(records)))
}
