//! `DELETE /portal/collections/{name}`: deletes a collection with all that is of it. Its name is free
//! at once; what is left of it is erased in the background.

use api::{App, Editor, Path, Result};
use axum::extract::State;
use axum::http::StatusCode;

use crate::collection::{named, not_found};

pub(crate) async fn delete_collection(
    State(app): State<App>,
    Editor(caller): Editor,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let name = named("name", &name)?;
    let (table, tenant) = (&app.table, &caller.tenant);
    // It may be an upload that a crash cut short that makes it live.
    app.view(tenant, &name).await?;
    let gone = table.delete_collection(tenant, &name, app.clock.now());
    let gone = gone.await?.ok_or_else(not_found)?;
    // Another collection of the name is not to meet them; what fails here is erased with the rest.
    if let Err(error) = table.erase_schemas(&gone).await {
        tracing::warn!(%tenant, collection = %name, %error, "schemas of a deleted collection stay");
    }
    app.indexes()?.touched(tenant, &name);
    Ok(StatusCode::NO_CONTENT)
}
