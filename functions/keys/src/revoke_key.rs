//! `DELETE /portal/keys/{key_id}`, `DELETE /auth/keys/{key_id}`: revokes a key for good; it is dead when
//! this answers.

use api::{App, Editor, Result};
use axum::extract::State;
use axum::http::StatusCode;

use crate::answer::{KeyPath, not_found};

pub(crate) async fn revoke_key(
    State(app): State<App>,
    Editor(caller): Editor,
    KeyPath(id): KeyPath,
) -> Result<StatusCode> {
    if app.table.revoke_key(&caller.tenant, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(not_found())
    }
}
