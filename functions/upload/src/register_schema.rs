//! `POST /schemas`: the portal's `PUT` of a schema, with its names in the body.

use api::{App, Body, Editor, Result};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::fault::{self, Faults, Fields};
use model::id::{CollectionName, RecordType};
use schemas::Validator;
use serde_json::Value;

use crate::put_schema::put;
use crate::show_schema::Shown;

/// The body.
struct Registration {
    collection: CollectionName,
    record_type: RecordType,
    schema: Value,
}

impl Registration {
    /// Parses the body and compiles the schema.
    fn parse(body: &Value) -> std::result::Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        let collection = fields.required("collection", |value| fault::string(value)?.parse());
        let record_type = fields.required("record_type", |value| fault::string(value)?.parse());
        let schema = fields.required("json_schema", |value| Ok(value.clone()));
        let mut faults = fields.into_faults();
        if let Some(Err(wrong)) = schema.as_ref().map(Validator::parse) {
            faults.extend(wrong.into_iter().map(|fault| fault.at("json_schema")));
        }
        match (collection, record_type, schema) {
            (Some(collection), Some(record_type), Some(schema)) if faults.is_empty() => Ok(Self {
                collection,
                record_type,
                schema,
            }),
            _ => Err(faults),
        }
    }
}

pub(crate) async fn register_schema(
    State(app): State<App>,
    Editor(caller): Editor,
    body: Body,
) -> Result<(StatusCode, Json<Shown>)> {
    // Compiling is no work for a runtime thread.
    let parsed = tokio::task::spawn_blocking(move || body.parse(Registration::parse));
    let new = parsed.await??;
    let (collection, record_type) = (&new.collection, &new.record_type);
    let put = put(&app, &caller.tenant, collection, record_type, &new.schema);
    Ok((StatusCode::CREATED, Json(put.await?.try_into()?)))
}
