//! `PATCH /collections/{collection}`: changes what a collection says of itself, and who may find its
//! new records.

use api::{App, Body, Editor, Path, Result};
use axum::Json;
use axum::extract::State;
use model::collection::CollectionPatch;
use model::record::Visibility;
use serde::Serialize;

use crate::collection::{Shown, named, not_found};

#[derive(Serialize)]
pub(crate) struct Answer {
    #[serde(flatten)]
    collection: Shown,
    default_visibility: Visibility,
}

pub(crate) async fn update_collection(
    State(app): State<App>,
    Editor(caller): Editor,
    Path(collection): Path<String>,
    body: Body,
) -> Result<Json<Answer>> {
    let name = named("collection", &collection)?;
    let patch = body.parse(CollectionPatch::parse)?;
    let tenant = &caller.tenant;
    let mut updated = app.table.update_collection(tenant, &name, &patch).await?;
    if updated.is_none() {
        // It may be an upload that a crash cut short that makes it live.
        app.view(tenant, &name).await?;
        updated = app.table.update_collection(tenant, &name, &patch).await?;
    }
    let updated = updated.ok_or_else(not_found)?;
    let shown = Shown::all(&app, tenant).await?;
    let collection = shown.into_iter().find(|shown| shown.collection == name);
    Ok(Json(Answer {
        collection: collection.ok_or_else(not_found)?,
        default_visibility: updated.default_visibility,
    }))
}
