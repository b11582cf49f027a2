//! What an upload takes in while it writes is what its fold publishes, unless the index has moved on
//! meanwhile: then the records are read of the table, and nothing is left of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use api::Router;
use indexing::{Ahead, Effort, Folded, Own};
use model::fault::Fields;
use model::id::{CollectionName, RecordId, TenantId};
use model::plan::Plan;
use model::record::Record;
use search::Request;
use serde_json::{Value, json};
use table::cap::Tally;
use table::marker::Generation;
use testkit::{Objects, TestApp, Upload, engine};
use uuid::Uuid;

/// Where rows go.
const PARTS: (&str, &str) = ("parts", "product");

/// More than one pack takes that is made while somebody waits.
const MANY: u128 = 26_000;

fn row(name: &str) -> Value {
    json!({"name": name})
}

fn parts() -> CollectionName {
    PARTS.0.parse().expect("a collection")
}

async fn settle(upload: &Upload<'_>, records: &[Record]) {
    let mut tally = Tally::default();
    for record in records {
        tally.add(record.id, record.visibility);
    }
    upload.settle(&tally).await;
}

/// Folds what an upload wrote; says how many times records were read for it.
async fn fold(app: &TestApp, upload: &Upload<'_>, ahead: Ahead) -> usize {
    let own = Own {
        upload: Some(upload.id),
        ahead: Some(ahead),
    };
    let (name, generation) = (parts(), upload.hold.generation);
    let indexes = app.app.indexes().expect("indexes");
    app.calls.record();
    let folded = indexes.fold(&upload.tenant, &name, generation, own, Effort::Call);
    assert_eq!(folded.await.expect("a fold"), Folded::Yes(2));
    reads_of_records(app)
}

fn reads_of_records(app: &TestApp) -> usize {
    let calls = app.calls.take();
    let reads = calls.iter().filter(|call| {
        let of_records = |key: &str| key.contains("#RECORDS#");
        call.is_read() && call.accesses.iter().any(|it| of_records(&it.key))
    });
    reads.count()
}

/// What is found by a process that has nothing in memory.
async fn found(app: &TestApp, tenant: &TenantId) -> BTreeSet<RecordId> {
    let other = TestApp::at((&app.endpoint, &app.store), Router::new(), &[], None).await;
    let view = other.app.table.view(tenant, &parts()).await;
    let view = view.expect("a view");
    let collection = view.collection.expect("a collection");
    assert!(view.markers.is_empty(), "all is folded");
    let body = json!({"query": "", "limit": search::MAX_LIMIT});
    let mut fields = Fields::of(&body).expect("an object");
    let request = Request::read(&mut fields).expect("a good request");
    let indexes = other.app.indexes().expect("indexes");
    let found = indexes.search(tenant, &collection, &view.markers, &request);
    let found = found.await.expect("a page");
    assert_eq!(found.of, Generation::served(&collection));
    let ids: Vec<RecordId> = found.page.hits.iter().map(|hit| hit.id).collect();
    assert_eq!(found.page.total.min(search::MAX_LIMIT as usize), ids.len());
    ids.into_iter().collect()
}

/// The names of the packs on the store, and of those that the pointer names.
async fn packs(app: &TestApp, tenant: &TenantId) -> [BTreeSet<String>; 2] {
    let listed = app.store.list("").await.expect("a list");
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let collection = app.app.table.find_collection(tenant, &parts()).await;
    let collection = collection.expect("an answer").expect("a collection");
    let pointer = &collection.indexes[&collection.generation];
    [
        listed.iter().map(|object| name(&object.path)).collect(),
        pointer
            .packs
            .iter()
            .map(|pack| format!("{}.pack", pack.name))
            .collect(),
    ]
}

#[tokio::test]
async fn what_was_taken_in_meanwhile_is_not_read_again() {
    let app = TestApp::new(Router::new()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let upload = app.reserve(&tenant, PARTS, 2).await;
    let records = upload.write([row("Bolt"), row("Nut")]).await;
    let ahead = upload.ahead();
    for record in &records {
        ahead.take(vec![record.clone()]).await;
    }
    settle(&upload, &records).await;

    assert_eq!(fold(&app, &upload, ahead).await, 0);

    let ids = records.iter().map(|record| record.id).collect();
    assert_eq!(found(&app, &tenant).await, ids);
}

#[tokio::test]
async fn what_was_left_out_is_read_of_the_table() {
    let app = TestApp::new(Router::new()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let upload = app.reserve(&tenant, PARTS, 2).await;
    let records = upload.write([row("Bolt"), row("Nut")]).await;
    let ahead = upload.ahead();
    ahead.take(vec![records[0].clone()]).await;
    settle(&upload, &records).await;

    assert_eq!(fold(&app, &upload, ahead).await, 1);

    let ids = records.iter().map(|record| record.id).collect();
    assert_eq!(found(&app, &tenant).await, ids);
}

#[tokio::test]
async fn an_index_that_moved_on_meanwhile_takes_everything_from_the_table() {
    let app = TestApp::new(Router::new()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let upload = app.reserve(&tenant, PARTS, 2).await;
    let mut records = upload.write([row("Bolt"), row("Nut")]).await;
    let ahead = upload.ahead();
    ahead.take(records.clone()).await;
    settle(&upload, &records).await;
    let other = app.reserve(&tenant, PARTS, 1).await;
    records.extend(other.write([row("Washer")]).await);
    settle(&other, &records[2..]).await;
    other.fold().await;

    assert_eq!(fold(&app, &upload, ahead).await, 1);

    let ids = records.iter().map(|record| record.id).collect();
    assert_eq!(found(&app, &tenant).await, ids);
}

/// Records that the table does not have, more than one pack takes.
fn strange(record: &Record) -> Vec<Record> {
    let ids = (0..MANY).map(|number| RecordId(Uuid::from_u128(number)));
    ids.map(|id| Record {
        id,
        ..record.clone()
    })
    .collect()
}

/// Waits until so many packs are there that no pointer names.
async fn until_unnamed(app: &TestApp, tenant: &TenantId, count: usize) {
    for _ in 0..600 {
        let [on_the_store, named] = packs(app, tenant).await;
        if on_the_store.difference(&named).count() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("there are not {count} packs that nobody names");
}

#[tokio::test]
async fn packs_of_an_index_that_moved_on_are_deleted() {
    let app = TestApp::new(Router::new()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let upload = app.reserve(&tenant, PARTS, 2).await;
    let records = upload.write([row("Bolt"), row("Nut")]).await;
    let ahead = upload.ahead();
    ahead.take(strange(&records[0])).await;
    settle(&upload, &records).await;
    until_unnamed(&app, &tenant, 1).await;

    assert_eq!(fold(&app, &upload, ahead).await, 1);

    let ids = records.iter().map(|record| record.id).collect();
    assert_eq!(found(&app, &tenant).await, ids);
    until_unnamed(&app, &tenant, 0).await;
}

#[tokio::test]
async fn packs_of_an_upload_that_ends_without_a_fold_are_deleted() {
    let app = TestApp::new(Router::new()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let upload = app.reserve(&tenant, PARTS, 2).await;
    let records = upload.write([row("Bolt"), row("Nut")]).await;
    settle(&upload, &records).await;
    let ahead = upload.ahead();
    ahead.take(strange(&records[0])).await;
    until_unnamed(&app, &tenant, 1).await;

    drop(ahead);

    until_unnamed(&app, &tenant, 0).await;
}

#[tokio::test]
async fn several_packs_are_published_together() {
    const ROWS: u128 = 26_000;
    let app = TestApp::new(Router::new()).await;
    let tenant = app.tenant(Plan::Scale).await.tenant;
    let upload = app.reserve(&tenant, PARTS, 26_000).await;
    let rows = (0..ROWS).map(|number| row(&format!("Bolt {number}")));
    let records = upload.write(rows).await;
    let ahead = upload.ahead();
    for lot in records.chunks(1_000) {
        ahead.take(lot.to_vec()).await;
    }
    settle(&upload, &records).await;
    let own = Own {
        upload: Some(upload.id),
        ahead: Some(ahead),
    };
    let (name, generation) = (parts(), upload.hold.generation);
    let indexes = app.app.indexes().expect("indexes");
    app.calls.record();

    let folded = indexes.fold(&tenant, &name, generation, own, Effort::Call);

    assert_eq!(folded.await.expect("a fold"), Folded::Yes(records.len()));
    assert_eq!(reads_of_records(&app), 0);
    assert_eq!(found(&app, &tenant).await.len(), search::MAX_LIMIT as usize);
    let [on_the_store, named] = packs(&app, &tenant).await;
    assert_eq!((named.len(), on_the_store), (2, named));
}

#[tokio::test]
async fn a_store_that_hangs_holds_up_the_rows_once_and_for_seconds() {
    let (endpoint, objects) = (engine().await, Objects::default());
    let store = objects.store();
    let app = TestApp::at((&endpoint, &store), Router::new(), &[], None).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let upload = app.reserve(&tenant, PARTS, 2).await;
    let records = upload.write([row("Bolt"), row("Nut")]).await;
    let ahead = upload.ahead();
    let gate = objects.close().await;
    ahead.take(strange(&records[0])).await;
    objects.stopped().await;

    let started = Instant::now();
    for _ in 0..10 {
        ahead.take(records.clone()).await;
    }

    let took = started.elapsed();
    let bounds = Duration::from_secs(5)..Duration::from_secs(10);
    assert!(bounds.contains(&took), "{took:?}");
    settle(&upload, &records).await;
    drop(gate);
    assert_eq!(fold(&app, &upload, ahead).await, 1);
}
