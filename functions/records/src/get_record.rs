//! `GET /portal/records/{id}` and `GET /records/{id}`: one record with all of its fields.

use api::{App, Caller, Path, Result};
use axum::Json;
use axum::extract::State;

use crate::record::{self, Shown};

pub(crate) async fn get_record(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Shown>> {
    let id = record::id(&id)?;
    let (located, record) = record::find(&app, &caller.tenant, id).await?;
    let status = located.status(id, app.clock.now());
    let generation = located.collection.generation;
    Ok(Json(Shown::new(record, generation, status)))
}
