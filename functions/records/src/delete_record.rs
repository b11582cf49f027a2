//! `DELETE /portal/records/{id}` and `DELETE /records/{id}`: deletes a record.

use api::{App, Editor, Path, Result};
use axum::extract::State;
use axum::http::StatusCode;

use crate::{change, record};

pub(crate) async fn delete_record(
    State(app): State<App>,
    Editor(caller): Editor,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let id = record::id(&id)?;
    if change::delete(&app, &caller.tenant, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(record::missing())
    }
}
