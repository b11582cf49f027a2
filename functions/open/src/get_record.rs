//! `GET /open/v1/records/{id}`: a public record.

use api::{App, Error, Path, Result, Visitor};
use axum::Json;
use axum::extract::State;
use model::id::{CollectionName, RecordId, RecordType};
use model::record::Record;
use model::time::{self, Moment};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::public::is_public;

/// A record as everybody sees it: what it says, and nothing of where its tenant has it from.
#[derive(Serialize)]
pub(crate) struct Answer {
    id: RecordId,
    name: String,
    description: Option<String>,
    collection: CollectionName,
    record_type: RecordType,
    /// Twice, as in the main API.
    collection_data: Map<String, Value>,
    data: Map<String, Value>,
    #[serde(serialize_with = "time::shown")]
    created_at: Moment,
    #[serde(serialize_with = "time::shown")]
    updated_at: Moment,
}

impl From<Record> for Answer {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            name: record.name,
            description: record.description,
            collection: record.collection,
            record_type: record.record_type,
            collection_data: record.data.clone(),
            data: record.data,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

pub(crate) async fn get_record(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Json<Answer>> {
    let unknown = Error::NotFound("Record");
    let Ok(id) = id.parse::<RecordId>() else {
        return Err(unknown);
    };
    // What is found costs more than to know whether it may be looked for.
    visitor.admitted().await?;
    let record = app.table.find_listed_record(id).await?;
    let record = record.filter(is_public).ok_or(unknown)?;
    Ok(Json(record.into()))
}
