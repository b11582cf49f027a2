//! `PATCH /portal/records/{id}` and `PATCH /records/{id}`: changes what the body names of a record.

use api::{App, Body, Editor, Path, Result};
use axum::Json;
use axum::extract::State;
use model::record::RecordPatch;

use crate::change;
use crate::record::{self, Shown};

pub(crate) async fn update_record(
    State(app): State<App>,
    Editor(caller): Editor,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Shown>> {
    let id = record::id(&id)?;
    let patch = body.parse_exactly(RecordPatch::parse)?;
    let shown = change::update(&app, &caller.tenant, id, &patch).await?;
    Ok(Json(shown))
}
