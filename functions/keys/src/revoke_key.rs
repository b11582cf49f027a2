//! `DELETE /portal/keys/{key_id}`: revokes a key for good; it is dead when this answers.

use api::{App, Editor, Path, Result};
use axum::extract::State;
use axum::http::StatusCode;

use crate::answer::{key_id, not_found};

pub(crate) async fn revoke_key(
    State(app): State<App>,
    Editor(caller): Editor,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    if app.table.revoke_key(&caller.tenant, key_id(&id)?).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(not_found())
    }
}
