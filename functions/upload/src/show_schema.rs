//! `GET /schemas/{collection}/{record_type}`: the current schema of a record type, or a version of it,
//! as the portal finds it and under the names that the main API's clients know.

use api::{App, Caller, Error, Params, Path, Result};
use axum::Json;
use axum::extract::State;
use model::id::{CollectionName, RecordType};
use model::time::{self, Moment};
use serde::Serialize;
use serde_json::value::RawValue;
use table::schema::Schema;

use crate::get_schema::{find, text};

/// A schema as the main API shows it.
#[derive(Serialize)]
pub(crate) struct Shown {
    collection: CollectionName,
    record_type: RecordType,
    version: u64,
    /// Null where a list leaves it out.
    json_schema: Option<Box<RawValue>>,
    #[serde(serialize_with = "time::shown")]
    created_at: Moment,
    #[serde(serialize_with = "time::shown")]
    updated_at: Moment,
}

impl TryFrom<Schema> for Shown {
    type Error = Error;

    fn try_from(schema: Schema) -> Result<Self> {
        Ok(Self {
            collection: schema.collection,
            record_type: schema.record_type,
            version: schema.version,
            json_schema: text(schema.schema)?,
            created_at: schema.created_at,
            updated_at: schema.updated_at,
        })
    }
}

pub(crate) async fn show_schema(
    State(app): State<App>,
    caller: Caller,
    Path((collection, record_type)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Shown>> {
    let schema = find(&app, &caller.tenant, (&collection, &record_type), params);
    Ok(Json(schema.await?.try_into()?))
}
