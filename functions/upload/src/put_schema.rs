//! `PUT /portal/schemas/{collection}/{record_type}`: the JSON Schema that the rows of later uploads
//! are checked against. The same schema again keeps its version.

use api::{App, Body, Editor, Error, Path, Patience, Result};
use axum::Json;
use axum::extract::State;
use model::id::{CollectionName, RecordType, TenantId};
use schemas::Validator;
use serde_json::Value;
use table::schema::{NewSchema, Put, Schema};

use crate::get_schema::Answer;
use crate::upload_file::names;

pub(crate) async fn put_schema(
    State(app): State<App>,
    Editor(caller): Editor,
    Path((collection, record_type)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Answer>> {
    let (collection, record_type) = names(&collection, &record_type)?;
    // Compiling is no work for a runtime thread.
    let compiled = tokio::task::spawn_blocking(move || {
        let compiled = body.parse(Validator::parse);
        compiled.map(|_| body.into_value())
    });
    let schema = compiled.await??;

    let put = put(&app, &caller.tenant, &collection, &record_type, &schema);
    Ok(Json(put.await?.try_into()?))
}

/// Makes a schema that was compiled the current one of its record type.
pub(crate) async fn put(
    app: &App,
    tenant: &TenantId,
    collection: &CollectionName,
    record_type: &RecordType,
    schema: &Value,
) -> Result<Schema> {
    let mut patience = Patience::default();
    loop {
        let summary = app.summary(tenant).await?;
        let plan = summary.plan(tenant)?;
        let new = NewSchema {
            collection,
            record_type,
            schema,
            at: app.clock.now(),
            format: search::FORMAT,
        };
        let put = app
            .table
            .put_schema(tenant, &summary, plan.limits(), &new)
            .await?;
        match put {
            Put::Yes(schema) => return Ok(schema),
            Put::CollectionCap => return Err(Error::over_collections("schema", plan)),
            Put::Again => patience.pause().await?,
        }
    }
}
