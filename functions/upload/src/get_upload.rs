//! `GET /portal/uploads/{id}`, by key `GET /uploads/{id}`: how far an upload is and what became of its
//! rows.

use api::{App, Caller, Error, Path, Result};
use axum::Json;
use axum::extract::State;
use model::id::TenantId;
use model::upload::Job;

use crate::job::ShownJob;

pub(crate) async fn get_upload(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ShownJob>> {
    let job = find(&app, &caller.tenant, &id).await?;
    Ok(Json(ShownJob::of(job, &app)))
}

/// The upload of that id.
pub(crate) async fn find(app: &App, tenant: &TenantId, id: &str) -> Result<Job> {
    let missing = || Error::NotFound("Upload");
    let id = id.parse().map_err(|()| missing())?;
    app.table.find_upload(tenant, id).await?.ok_or_else(missing)
}
