//! `GET /portal/records`: the records of a collection, newest first.

use api::{App, Caller, Error, Params, Result};
use axum::Json;
use axum::extract::State;
use model::fault::integer_text;
use model::id::{CollectionName, RecordId, RecordType};
use model::record::Record;
use model::time::{self, Moment};
use search::{DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET, Request};
use serde::Serialize;
use serde_json::{Map, Value};
use table::record::Place;

#[derive(Serialize)]
pub(crate) struct Answer {
    items: Vec<Item>,
    total: usize,
}

#[derive(Serialize)]
struct Item {
    id: RecordId,
    name: String,
    description: Option<String>,
    collection: CollectionName,
    record_type: RecordType,
    indexing_status: IndexingStatus,
    collection_data: Map<String, Value>,
    #[serde(serialize_with = "time::shown")]
    created_at: Moment,
    #[serde(serialize_with = "time::shown")]
    updated_at: Moment,
}

/// Where a record stands on its way into the index.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum IndexingStatus {
    /// The index holds it: this list was read from the index.
    Indexed,
}

impl From<Record> for Item {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            name: record.name,
            description: record.description,
            collection: record.collection,
            record_type: record.record_type,
            indexing_status: IndexingStatus::Indexed,
            collection_data: record.data,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

pub(crate) async fn list_records(
    State(app): State<App>,
    caller: Caller,
    params: Params,
) -> Result<Json<Answer>> {
    let (name, request) = parse(params)?;
    let view = app.view(&caller.tenant, &name).await?;
    let collection = view.collection.ok_or(Error::NotFound("Collection"))?;
    let (page, _) = app.search(&caller.tenant, &collection, request).await?;
    let ids: Vec<RecordId> = page.hits.iter().map(|hit| hit.id).collect();
    let place = Place::new(&caller.tenant, collection.number, collection.generation);
    let mut records = app.table.records(&place, &name, &ids).await?;
    Ok(Json(Answer {
        items: ids
            .iter()
            .filter_map(|id| records.remove(id))
            .map(Item::from)
            .collect(),
        total: page.total,
    }))
}

fn parse(mut params: Params) -> Result<(CollectionName, Request)> {
    let collection = params.required("collection", str::parse::<CollectionName>);
    let record_type = params.optional("record_type", str::parse::<RecordType>);
    let limit = params.optional("limit", |text| integer_text(text, 1, MAX_LIMIT));
    let offset = params.optional("offset", |text| integer_text(text, 0, MAX_OFFSET));
    match (collection, record_type, limit, offset) {
        (Some(collection), Some(record_type), Some(limit), Some(offset)) => {
            let limit = limit.unwrap_or(DEFAULT_LIMIT);
            let request = Request::list(record_type, limit, offset.unwrap_or(0));
            Ok((collection, request))
        }
        _ => Err(params.faults()),
    }
}
