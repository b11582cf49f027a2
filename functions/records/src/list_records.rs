//! `GET /portal/records`: the records of a collection, newest first.

use api::{App, Caller, Error, Params, Result};
use axum::Json;
use axum::extract::State;
use indexing::Found;
use model::fault::integer_text;
use model::id::{CollectionName, RecordId, RecordType};
use model::index::IndexingStatus;
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

impl Item {
    fn new(record: Record, indexing_status: IndexingStatus) -> Self {
        Self {
            id: record.id,
            name: record.name,
            description: record.description,
            collection: record.collection,
            record_type: record.record_type,
            indexing_status,
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
    let (tenant, markers) = (&caller.tenant, &view.markers);
    let found = app
        .indexes()?
        .search(tenant, &collection, markers, &request);
    let Found {
        page, of, statuses, ..
    } = found.await?;
    let ids: Vec<RecordId> = page.hits.iter().map(|hit| hit.id).collect();
    let place = Place::new(&caller.tenant, of.number, of.generation);
    let mut records = app.table.records(&place, &name, &ids).await?;
    Ok(Json(Answer {
        items: ids
            .iter()
            .filter_map(|id| {
                let status = statuses.get(id).copied();
                let status = status.unwrap_or(IndexingStatus::Indexed);
                Some(Item::new(records.remove(id)?, status))
            })
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
