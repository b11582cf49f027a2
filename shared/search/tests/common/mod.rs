//! Records and searches, written the short way.

use chrono::TimeDelta;
use model::fault::Fields;
use model::id::{RecordId, UploadId};
use model::index::Pointer;
use model::record::{Draft, Origin, Record, SourceType};
use model::time::Moment;
use search::{Caches, Change, FORMAT, Index, Page, Request, Store};
use serde_json::Value;
use uuid::Uuid;

/// The record number `number`, made and changed a minute after the one before.
pub(crate) fn record(number: u32, row: Value) -> Record {
    let draft = Draft::parse(row).expect("a good row");
    let start: Moment = "2026-03-08T12:00:00Z".parse().expect("a moment");
    draft.into_record(Origin {
        id: RecordId(Uuid::from_u128(u128::from(number))),
        collection: "things".parse().expect("a collection"),
        record_type: "product".parse().expect("a record type"),
        source_type: SourceType::FileUpload,
        source_name: None,
        upload: UploadId(Uuid::nil()),
        row: 1,
        at: start + TimeDelta::minutes(i64::from(number)),
    })
}

/// Waits for something without a runtime of its own.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

/// An index that holds nothing.
pub(crate) fn empty() -> Index {
    let store = Store::open("memory:///", Caches::default(), None).expect("a store");
    let pointer = Pointer::empty(FORMAT, 1, 0);
    wait(Index::open(&store, "t", &pointer, None)).expect("an index")
}

/// Records as they are now.
pub(crate) fn changes(records: &[Record]) -> Vec<Change> {
    let change = |record: &Record| Change {
        id: record.id,
        record: Some(record.clone()),
        is_new: false,
    };
    records.iter().map(change).collect()
}

/// An index of the records, in two segments, so that every search has to cross them.
pub(crate) fn index(records: &[Record]) -> Index {
    let index = empty();
    for half in records.chunks(records.len().div_ceil(2).max(1)) {
        index.apply(&changes(half)).expect("an index with records");
    }
    index
}

/// The page that a request asks for.
pub(crate) fn page(index: &Index, request: &Request) -> Page {
    wait(index.search(request)).expect("a page")
}

/// The page that a body asks for.
pub(crate) fn find(index: &Index, body: &Value) -> Page {
    let mut fields = Fields::of(body).expect("an object");
    let request = Request::read(&mut fields).expect("a good request");
    page(index, &request)
}

/// The numbers of the records on a page, in its order.
pub(crate) fn numbers(page: &Page) -> Vec<u32> {
    let number = |id: RecordId| u32::try_from(id.0.as_u128()).expect("a number");
    page.hits.iter().map(|hit| number(hit.id)).collect()
}
