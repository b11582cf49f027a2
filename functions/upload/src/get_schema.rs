//! `GET /portal/schemas/{collection}/{record_type}`: the current schema of a record type, or with
//! `?version=N` that version of it, also after it was deleted.

use api::{App, Caller, Error, Params, Path, Result};
use axum::Json;
use axum::extract::State;
use model::fault::integer_text;
use model::id::{CollectionName, RecordType, TenantId};
use model::time::{self, Moment};
use serde::Serialize;
use serde_json::value::RawValue;
use table::schema::Schema;

use crate::upload_file::names;

/// A schema as answers have it.
#[derive(Serialize)]
pub(crate) struct Answer {
    collection: CollectionName,
    record_type: RecordType,
    version: u64,
    /// Null where a list leaves it out.
    schema: Option<Box<RawValue>>,
    #[serde(serialize_with = "time::shown")]
    created_at: Moment,
    #[serde(serialize_with = "time::shown")]
    updated_at: Moment,
}

impl TryFrom<Schema> for Answer {
    type Error = Error;

    fn try_from(schema: Schema) -> Result<Self> {
        Ok(Self {
            collection: schema.collection,
            record_type: schema.record_type,
            version: schema.version,
            schema: text(schema.schema)?,
            created_at: schema.created_at,
            updated_at: schema.updated_at,
        })
    }
}

pub(crate) async fn get_schema(
    State(app): State<App>,
    caller: Caller,
    Path((collection, record_type)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Answer>> {
    let schema = find(&app, &caller.tenant, (&collection, &record_type), params);
    Ok(Json(schema.await?.try_into()?))
}

/// Finds the schema that a path and its parameters name.
pub(crate) async fn find(
    app: &App,
    tenant: &TenantId,
    (collection, record_type): (&str, &str),
    mut params: Params,
) -> Result<Schema> {
    let (collection, record_type) = names(collection, record_type)?;
    let version = params.optional("version", |text| integer_text(text, 1, u32::MAX));
    let Some(version) = version else {
        return Err(params.faults());
    };
    let table = &app.table;
    let schema = match version.map(u64::from) {
        Some(version) => {
            let found = table.find_schema_version(tenant, &collection, &record_type, version);
            found.await?
        }
        None => table.find_schema(tenant, &collection, &record_type).await?,
    };
    schema.ok_or_else(not_found)
}

/// A schema's text as an answer has it, unless a list leaves it out.
pub(crate) fn text(schema: String) -> Result<Option<Box<RawValue>>> {
    let text = Some(schema).filter(|text| !text.is_empty());
    text.map(RawValue::from_string)
        .transpose()
        .map_err(Error::internal)
}

pub(crate) fn not_found() -> Error {
    Error::NotFound("Schema")
}
