//! `GET /schemas`: the tenant's schemas, or with `?collection=` those of one collection, as the portal
//! lists them.

use api::{App, Caller, Params, Result};
use axum::Json;
use axum::extract::State;
use model::id::CollectionName;
use serde::Serialize;

use crate::list_schemas::MOST;
use crate::show_schema::Shown;

#[derive(Serialize)]
pub(crate) struct Answer {
    schemas: Vec<Shown>,
}

pub(crate) async fn show_schemas(
    State(app): State<App>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Answer>> {
    let collection = params.optional("collection", str::parse::<CollectionName>);
    let Some(collection) = collection else {
        return Err(params.faults());
    };
    let schemas = app
        .table
        .list_schemas(&caller.tenant, collection.as_ref(), MOST)
        .await?;
    let schemas = schemas.into_iter().map(Shown::try_from);
    Ok(Json(Answer {
        schemas: schemas.collect::<Result<_>>()?,
    }))
}
