//! `POST /records/bulk-delete`: deletes many records, and says how many there were.

use api::{App, Body, Editor, Result};
use axum::Json;
use axum::extract::State;
use model::record::bulk;
use serde::Serialize;

use crate::change;

#[derive(Serialize)]
pub(crate) struct Answer {
    archived: usize,
}

pub(crate) async fn delete_records(
    State(app): State<App>,
    Editor(caller): Editor,
    body: Body,
) -> Result<Json<Answer>> {
    let (ids, ()) = body.parse(|body| bulk(body, |_| Ok(())))?;
    let archived = change::delete_all(&app, &caller.tenant, &ids).await?;
    Ok(Json(Answer { archived }))
}
