//! The table's stream: what is marked is folded, what cannot be now is sent again.

use indexer::{Event, Indexer};
use indexing::Indexes;
use model::collection::Collection;
use model::id::{CollectionName, TenantId};
use serde_json::{Value, json};
use table::marker::{Generation, Markers};
use testkit::{TestApp, Upload};

const STREAM: &str = include_str!("../../../events/indexer/stream.json");
const SCHEDULE: &str = include_str!("../../../events/indexer/schedule.json");

/// The tenant and the collection of the recorded events.
fn place() -> (TenantId, CollectionName) {
    let (tenant, name) = ("t_event", "manufacturing");
    (
        tenant.parse().expect("a tenant"),
        name.parse().expect("a collection"),
    )
}

fn event(text: &str) -> Event {
    serde_json::from_str(text).expect("an event")
}

fn indexer(app: &TestApp) -> (Indexer, Indexes) {
    let indexes = app.app.indexes().expect("indexes").clone();
    (Indexer::new(indexes.clone()), indexes)
}

async fn handle(indexer: &Indexer, text: &str) -> Value {
    let answer = indexer.handle(event(text)).await.expect("an answer");
    serde_json::to_value(answer).expect("JSON")
}

/// An upload of two records that is settled and not folded.
async fn uploaded(app: &TestApp) -> Upload<'_> {
    let (tenant, name) = place();
    let now = app.app.clock.now();
    let plan = model::plan::Plan::Pro;
    let set = app.app.table.set_plan(&tenant, plan, now).await;
    set.expect("a plan");
    let upload = app.reserve(&tenant, (name.as_str(), "product"), 2).await;
    let records = upload
        .write([json!({"name": "Bolt"}), json!({"name": "Nut"})])
        .await;
    let mut tally = table::cap::Tally::default();
    for record in records {
        tally.add(record.id, record.visibility);
    }
    upload.settle(&tally).await;
    upload
}

async fn view(app: &TestApp) -> (Collection, Markers) {
    let (tenant, name) = place();
    let view = app.app.table.index_view(&tenant, &name).await;
    let mut view = view.expect("an answer").expect("a collection");
    let of = Generation {
        number: view.collection.number,
        generation: view.collection.generation,
    };
    let markers = view.markers.remove(&of).unwrap_or_default();
    (view.collection, markers)
}

#[tokio::test]
async fn what_an_upload_left_is_folded_and_a_second_delivery_changes_nothing() {
    let app = TestApp::new(api::Router::new()).await;
    let upload = uploaded(&app).await;
    let (tenant, name) = place();
    let of = Generation {
        number: upload.hold.number,
        generation: upload.hold.generation,
    };
    let now = app.app.clock.now();
    let left = app
        .app
        .table
        .leave_batch(&tenant, &name, of, upload.id, now)
        .await;
    left.expect("an answer");
    let (indexer, _) = indexer(&app);

    for _ in 0..2 {
        let answer = handle(&indexer, STREAM).await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
        let (collection, markers) = view(&app).await;
        assert!(markers.is_empty());
        let index = collection.index().expect("an index");
        let documents: u32 = index.segments.iter().map(|segment| segment.docs).sum();
        assert_eq!((documents, index.version), (2, 1));
    }
}

#[tokio::test]
async fn an_upload_in_flight_is_left_to_its_call() {
    let app = TestApp::new(api::Router::new()).await;
    uploaded(&app).await;
    let (indexer, _) = indexer(&app);

    let answer = handle(&indexer, STREAM).await;

    assert_eq!(answer, json!({"batchItemFailures": []}));
    let (collection, markers) = view(&app).await;
    assert_eq!(markers.batches.len(), 1);
    assert_eq!(collection.index().expect("an index").version, 0);
}

#[tokio::test]
async fn what_somebody_else_is_folding_is_sent_again() {
    let app = TestApp::new(api::Router::new()).await;
    uploaded(&app).await;
    let (tenant, name) = place();
    let table = &app.app.table;
    let now = app.app.clock.now();
    let soon = now + chrono::TimeDelta::minutes(30);
    let lease = table.take_lease(&tenant, &name, (now, soon), None).await;
    assert!(lease.expect("an answer").is_some());
    // The upload's own time is over, and the lease is not.
    app.advance(chrono::TimeDelta::minutes(20));
    let (indexer, _) = indexer(&app);

    let answer = handle(&indexer, STREAM).await;

    let first = "100000000000000000000003";
    let again = json!({"batchItemFailures": [{"itemIdentifier": first}]});
    assert_eq!(answer, again);
}

#[tokio::test]
async fn a_schedule_sweeps_and_leaves_what_an_index_names() {
    let app = TestApp::new(api::Router::new()).await;
    let upload = uploaded(&app).await;
    upload.fold().await;
    let (indexer, _) = indexer(&app);
    let before = app.store.list("").await.expect("a list").len();

    let answer = handle(&indexer, SCHEDULE).await;

    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(before, 1);
    assert_eq!(app.store.list("").await.expect("a list").len(), before);
}
