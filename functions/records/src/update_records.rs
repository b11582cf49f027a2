//! `PATCH /records/bulk`: changes the same of many records. Those that there are not are left out.

use api::{App, Body, Editor, Result};
use axum::Json;
use axum::extract::State;
use model::record::{RecordPatch, bulk};
use serde::Serialize;

use crate::change;
use crate::record::Shown;

#[derive(Serialize)]
pub(crate) struct Answer {
    records: Vec<Shown>,
}

impl Answer {
    /// The records as they are now.
    pub(crate) fn new(records: Vec<Shown>) -> Self {
        Self { records }
    }
}

pub(crate) async fn update_records(
    State(app): State<App>,
    Editor(caller): Editor,
    body: Body,
) -> Result<Json<Answer>> {
    let (ids, patch) = body.parse_exactly(|body| bulk(body, RecordPatch::parse))?;
    let records = change::update_all(&app, &caller.tenant, &ids, patch).await?;
    Ok(Json(Answer::new(records)))
}
