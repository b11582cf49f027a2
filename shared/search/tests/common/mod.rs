//! Records and searches, written the short way.

use chrono::TimeDelta;
use model::fault::Fields;
use model::id::{RecordId, UploadId};
use model::record::{Draft, Record, SourceType};
use model::time::Moment;
use search::{Index, Page, Request};
use serde_json::Value;
use uuid::Uuid;

/// The record number `number`, made and changed a minute after the one before.
pub(crate) fn record(number: u32, row: Value) -> Record {
    let draft = Draft::parse(row).expect("a good row");
    let start: Moment = "2026-03-08T12:00:00Z".parse().expect("a moment");
    let made = start + TimeDelta::minutes(i64::from(number));
    Record {
        id: RecordId(Uuid::from_u128(u128::from(number))),
        collection: "things".parse().expect("a collection"),
        record_type: "product".parse().expect("a record type"),
        name: draft.name,
        description: draft.description,
        data: draft.data,
        visibility: draft.visibility.unwrap_or_default(),
        source_type: SourceType::FileUpload,
        source_name: None,
        source_id: draft.source_id,
        created_at: made,
        updated_at: made,
        version: 1,
        upload: UploadId(Uuid::nil()),
        row: 1,
    }
}

/// An index of the records, in two segments, so that every search has to cross them.
pub(crate) fn index(records: &[Record]) -> Index {
    let index = Index::new().expect("an index");
    for half in records.chunks(records.len().div_ceil(2).max(1)) {
        index.apply(half).expect("an index with records");
    }
    index
}

/// The page that a body asks for.
pub(crate) fn find(index: &Index, body: &Value) -> Page {
    let mut fields = Fields::of(body).expect("an object");
    let request = Request::read(&mut fields).expect("a good request");
    index.search(&request).expect("a page")
}

/// The numbers of the records on a page, in its order.
pub(crate) fn numbers(page: &Page) -> Vec<u32> {
    let number = |id: RecordId| u32::try_from(id.0.as_u128()).expect("a number");
    page.hits.iter().map(|hit| number(hit.id)).collect()
}
