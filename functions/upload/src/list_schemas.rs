//! `GET /portal/schemas`: the tenant's schemas in the order of collections and record types. From
//! the one on with which the answer would pass 4 MB, `schema` is null.

use api::{App, Caller, Result};
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::get_schema::Answer;

/// What an answer may weigh behind every gateway, in bytes.
pub(crate) const MOST: usize = 4 * 1024 * 1024;

#[derive(Serialize)]
pub(crate) struct Schemas {
    schemas: Vec<Answer>,
}

pub(crate) async fn list_schemas(State(app): State<App>, caller: Caller) -> Result<Json<Schemas>> {
    let schemas = app.table.list_schemas(&caller.tenant, None, MOST).await?;
    let schemas = schemas.into_iter().map(Answer::try_from);
    Ok(Json(Schemas {
        schemas: schemas.collect::<Result<_>>()?,
    }))
}
