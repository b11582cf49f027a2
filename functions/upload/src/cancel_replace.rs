//! `POST /portal/collections/{name}/cancel-replace`: gives up what a replace has filled.

use api::{App, Editor, Error, Path, Result};
use axum::Json;
use axum::extract::State;
use model::id::CollectionName;
use serde::Serialize;

use crate::standing::named;

#[derive(Serialize)]
pub(crate) struct Answer {
    collection: CollectionName,
    status: &'static str,
}

pub(crate) async fn cancel_replace(
    State(app): State<App>,
    Editor(caller): Editor,
    Path(name): Path<String>,
) -> Result<Json<Answer>> {
    let name = named(&name)?;
    let (tenant, now) = (&caller.tenant, app.clock.now());
    if app.table.find_collection(tenant, &name).await?.is_none() {
        return Err(Error::NotFound("Collection"));
    }
    if !app.table.cancel_replace(tenant, &name, None, now).await? {
        let why = "No replace of the collection is under way";
        return Err(Error::Conflict(why.to_owned()));
    }
    app.indexes()?.touched(tenant, &name);
    Ok(Json(Answer {
        collection: name,
        status: "cancelled",
    }))
}
