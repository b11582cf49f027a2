//! `DELETE /portal/schemas/{collection}/{record_type}`: later uploads are not checked. The versions
//! stay, and a later schema has the next number.

use api::{App, Editor, Path, Result};
use axum::extract::State;
use axum::http::StatusCode;

use crate::get_schema::not_found;
use crate::upload_file::names;

pub(crate) async fn delete_schema(
    State(app): State<App>,
    Editor(caller): Editor,
    Path((collection, record_type)): Path<(String, String)>,
) -> Result<StatusCode> {
    let (collection, record_type) = names(&collection, &record_type)?;
    let (tenant, now) = (&caller.tenant, app.clock.now());
    let deleted = app
        .table
        .delete_schema(tenant, &collection, &record_type, now);
    if deleted.await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(not_found())
    }
}
