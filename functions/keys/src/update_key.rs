//! `PATCH /portal/keys/{key_id}`: changes a key's name and scopes.

use api::{App, Body, Editor, Path, Result};
use axum::Json;
use axum::extract::State;
use model::key::KeyPatch;

use crate::answer::{ListedKey, key_id, not_found};

pub(crate) async fn update_key(
    State(app): State<App>,
    Editor(caller): Editor,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<ListedKey>> {
    let id = key_id(&id)?;
    let patch = body.parse(KeyPatch::parse)?;
    let key = app.table.update_key(&caller.tenant, id, &patch).await?;
    Ok(Json(key.ok_or_else(not_found)?.into()))
}
