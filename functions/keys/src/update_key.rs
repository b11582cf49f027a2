//! `PATCH /portal/keys/{key_id}`: changes a key's name and scopes.

use api::{App, Body, Editor, Result};
use axum::Json;
use axum::extract::State;
use model::key::KeyPatch;

use crate::answer::{KeyPath, ListedKey, not_found};

pub(crate) async fn update_key(
    State(app): State<App>,
    Editor(caller): Editor,
    KeyPath(id): KeyPath,
    body: Body,
) -> Result<Json<ListedKey>> {
    let patch = body.parse(KeyPatch::parse)?;
    let key = app.table.update_key(&caller.tenant, id, &patch).await?;
    Ok(Json(key.ok_or_else(not_found)?.into()))
}
