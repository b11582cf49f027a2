//! An upload and the search index: what it wrote is indexed when it answers, or else found all the
//! same and left to others.

mod common;

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use chrono::TimeDelta;
use common::{assert_untouched, post_file, recounted, taken};
use futures_util::future::join_all;
use indexing::{Effort, Folded, Found, Own};
use model::collection::{Collection, Lease};
use model::fault::Fields;
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::index::{IndexingStatus, Pointer};
use model::plan::Plan;
use model::record::Record;
use search::Request;
use serde_json::{Value, json};
use table::cap::Tally;
use table::marker::Markers;
use table::record::Place;
use testkit::{Answer, Objects, TABLE, TestApp, dynamodb, engine, insist, items};

/// The collection and record type that files go to.
const PARTS: (&str, &str) = ("parts", "product");

const SETTINGS: [(&str, &str); 1] = [("RATE_LIMIT_ENABLED", "false")];

/// The service over such a store.
async fn app_over(objects: &Objects) -> TestApp {
    let (endpoint, store) = (engine().await, objects.store());
    TestApp::at((&endpoint, &store), upload::router(), &SETTINGS, None).await
}

/// Another process over the same engine and store.
async fn another(app: &TestApp) -> TestApp {
    let shared = (app.endpoint.as_str(), &app.store);
    TestApp::at(shared, upload::router(), &SETTINGS, None).await
}

fn parts() -> CollectionName {
    PARTS.0.parse().expect("a collection")
}

fn row(n: usize) -> Value {
    json!({"name": format!("Part {n:05}"), "n": n})
}

/// A file of so many parts from a number on, each known by its content.
fn file(first: usize, rows: usize) -> String {
    let rows = (first..first + rows).map(row);
    Value::from(rows.collect::<Vec<_>>()).to_string()
}

fn upload_id(answer: &Answer) -> UploadId {
    let body = answer.json();
    let id = body["upload_id"].as_str().expect("an id");
    id.parse().expect("a UUID")
}

/// The collection and what its index has not taken in.
async fn state(app: &TestApp, tenant: &TenantId) -> (Collection, Markers) {
    let view = app.app.view(tenant, &parts()).await.expect("a view");
    (view.collection.expect("a live collection"), view.markers)
}

async fn pointer(app: &TestApp, tenant: &TenantId) -> Pointer {
    let (collection, _) = state(app, tenant).await;
    collection.index().expect("an index").clone()
}

async fn find(app: &TestApp, tenant: &TenantId, mut body: Value) -> Found {
    body["limit"] = json!(search::MAX_LIMIT);
    let mut fields = Fields::of(&body).expect("an object");
    let request = Request::read(&mut fields).expect("a good request");
    let (collection, markers) = state(app, tenant).await;
    let indexes = app.app.indexes().expect("indexes");
    let found = indexes.search(tenant, &collection, &markers, &request);
    found.await.expect("a page")
}

/// Checks that a search finds exactly these records, which fit on a page, and each of them by its
/// number.
async fn assert_finds(app: &TestApp, tenant: &TenantId, records: &[Record]) {
    let found = find(app, tenant, json!({})).await.page;
    let ids: BTreeSet<RecordId> = found.hits.iter().map(|hit| hit.id).collect();
    let expected: BTreeSet<RecordId> = records.iter().map(|record| record.id).collect();
    assert_eq!(ids, expected);
    assert_eq!((found.hits.len(), found.total), (ids.len(), ids.len()));
    for record in records {
        let body = json!({"filters": {"n": record.data["n"].clone()}});
        let page = find(app, tenant, body).await.page;
        let hits: Vec<RecordId> = page.hits.iter().map(|hit| hit.id).collect();
        assert_eq!(hits, [record.id], "{}", record.name);
    }
}

/// The names of some of these records, in their order.
fn names_of(records: &[Record], ids: &[RecordId]) -> Vec<String> {
    let named = records.iter().filter(|record| ids.contains(&record.id));
    named.map(|record| record.name.clone()).collect()
}

/// Total, indexed, pending, processing and failed records of the collection.
async fn counts(app: &TestApp, tenant: &TenantId) -> [u64; 5] {
    let summary = app.app.summary_with_progress(tenant).await;
    let summary = summary.expect("a summary");
    assert_eq!(summary.collections.len(), 1);
    let (_, counts) = &summary.collections[0];
    [
        counts.total,
        counts.indexed(),
        counts.pending,
        counts.processing,
        counts.failed,
    ]
}

/// Checks that the index holds all of so many records and that nothing is left to fold.
async fn assert_indexed(app: &TestApp, tenant: &TenantId, records: u64) {
    let (collection, markers) = state(app, tenant).await;
    assert!(markers.is_empty(), "{markers:?}");
    assert_eq!(collection.lease, None);
    assert_eq!(counts(app, tenant).await, [records, records, 0, 0, 0]);
    let pointer = collection.index().expect("an index");
    let segments = pointer.segments.iter();
    let documents: u32 = segments.map(|segment| segment.docs - segment.deleted).sum();
    assert_eq!(u64::from(documents), records);
    let found = find(app, tenant, json!({})).await;
    assert_eq!(found.page.total as u64, records);
    assert!(found.statuses.is_empty(), "{:?}", found.statuses);
}

/// Checks that an upload has left its marker, of so many records, to whoever folds next.
async fn assert_left(app: &TestApp, tenant: &TenantId, upload: UploadId, records: u64) {
    let (_, markers) = state(app, tenant).await;
    let marker = markers.batches.get(&upload).expect("a marker");
    assert_eq!(marker.count, records);
    assert_eq!(marker.until, app.app.clock.now());
}

/// Takes the lease by hand, for an hour.
async fn take_lease(app: &TestApp, tenant: &TenantId) -> Lease {
    let now = app.app.clock.now();
    let times = (now, now + TimeDelta::hours(1));
    let parts = parts();
    let taken = app.app.table.take_lease(tenant, &parts, times, None);
    let (_, lease) = taken.await.expect("an answer").expect("a lease");
    lease
}

async fn give_back(app: &TestApp, tenant: &TenantId, lease: &Lease) {
    let table = &app.app.table;
    let given_back = table.give_back_lease(tenant, &parts(), lease).await;
    given_back.expect("an answer");
}

/// Folds what others left, as whoever is next does.
async fn tend(app: &TestApp, tenant: &TenantId) {
    let parts = parts();
    let tended = app.app.indexes().expect("indexes").tend(tenant, &parts);
    assert!(tended.await.expect("a fold"), "somebody else is at it");
}

/// Deletes a record, as one call does.
async fn delete(app: &TestApp, tenant: &TenantId, record: &Record) {
    let summary = app.app.summary(tenant).await.expect("a summary");
    let collection = summary.collection(&parts()).expect("a collection");
    let place = Place::new(tenant, collection.number, collection.generation);
    let now = app.app.clock.now();
    let done = app.app.table.delete_record(&place, record, now).await;
    assert!(done.expect("an answer"), "{} is another", record.name);
}

#[tokio::test]
async fn what_an_upload_wrote_is_indexed_when_it_answers_however_little_it_is() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let mut rows = 0;
    for (more, version) in [(1, 1), (1, 2), (3, 3), (60, 4), (1, 5)] {
        app.advance(TimeDelta::seconds(1));
        let content = file(rows, more);
        let answer = post_file(&client, "a.json", content).await;

        rows += more;
        assert_eq!(taken(&answer), [more as u64, more as u64, 0, 0]);
        assert_indexed(&app, tenant, rows as u64).await;
        assert_eq!(pointer(&app, tenant).await.version, version);
    }
    let records = recounted(&app, tenant).await;
    assert_finds(&app, tenant, &records).await;
    assert_finds(&another(&app).await, tenant, &records).await;
    // Nothing of it stays in the table but records.
    for item in items(&app.endpoint).await {
        let pk = item["pk"].as_s().expect("a key");
        assert!(!pk.contains("#BATCH#") && !pk.contains("#MARKERS"), "{pk}");
    }
}

#[tokio::test]
async fn an_upload_that_cannot_get_the_lease_is_found_and_left_to_others() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    post_file(&client, "a.json", file(0, 3)).await;
    let before = pointer(&app, tenant).await;
    let lease = take_lease(&app, tenant).await;
    app.advance(TimeDelta::minutes(1));

    let answer = post_file(&client, "a.json", file(0, 5)).await;

    assert_eq!(taken(&answer), [5, 2, 0, 3]);
    assert_eq!(
        answer.json()["metadata"]["reconciliation_passed"],
        json!(true)
    );
    assert_left(&app, tenant, upload_id(&answer), 2).await;
    assert_eq!(counts(&app, tenant).await, [5, 3, 2, 0, 0]);
    assert_eq!(pointer(&app, tenant).await, before);
    let records = recounted(&app, tenant).await;
    for app in [&app, &another(&app).await] {
        assert_finds(app, tenant, &records).await;
        let statuses = find(app, tenant, json!({})).await.statuses;
        let pending: BTreeSet<RecordId> = statuses.keys().copied().collect();
        let new: BTreeSet<RecordId> = records[3..].iter().map(|record| record.id).collect();
        assert_eq!(pending, new);
        let mut statuses = statuses.values();
        assert!(statuses.all(|status| *status == IndexingStatus::Pending));
    }
    let (collection, _) = state(&app, tenant).await;
    assert_eq!(
        collection.lease.as_ref(),
        Some(&lease),
        "it is not taken away"
    );

    // It does not wait for the upload's own time.
    give_back(&app, tenant, &lease).await;
    tend(&app, tenant).await;
    assert_indexed(&app, tenant, 5).await;
    assert_eq!(pointer(&app, tenant).await.version, before.version + 1);
    assert_finds(&app, tenant, &records).await;
}

#[tokio::test]
async fn an_upload_to_a_collection_without_a_pointer_is_taken_and_found() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    assert_eq!(
        taken(&post_file(&client, "a.json", file(0, 2)).await),
        [2, 2, 0, 0]
    );
    let keys = [
        ("pk", format!("TENANT#{tenant}#SUMMARY")),
        ("sk", "COLL#parts".to_owned()),
    ];
    let mut remove = dynamodb(&app.endpoint).update_item().table_name(TABLE);
    for (name, value) in keys {
        remove = remove.key(name, AttributeValue::S(value));
    }
    let remove = remove
        .update_expression("REMOVE #index")
        .expression_attribute_names("#index", "index");
    remove.send().await.expect("a change");

    let answer = post_file(&client, "b.json", file(1, 2)).await;

    assert_eq!(taken(&answer), [2, 1, 0, 1]);
    assert_indexed(&app, tenant, 3).await;
    let records = recounted(&app, tenant).await;
    for app in [&app, &another(&app).await] {
        assert_finds(app, tenant, &records).await;
    }
}

#[tokio::test]
async fn the_next_upload_folds_what_others_left() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    post_file(&client, "a.json", file(0, 1)).await;
    let lease = take_lease(&app, tenant).await;
    for n in 1..4 {
        let answer = post_file(&client, "a.json", file(n, 1)).await;
        assert_eq!(taken(&answer), [1, 1, 0, 0]);
        assert_left(&app, tenant, upload_id(&answer), 1).await;
    }
    assert_eq!(counts(&app, tenant).await, [4, 1, 3, 0, 0]);
    give_back(&app, tenant, &lease).await;

    post_file(&client, "a.json", file(4, 1)).await;

    assert_indexed(&app, tenant, 5).await;
    let records = recounted(&app, tenant).await;
    assert_finds(&app, tenant, &records).await;
}

#[tokio::test]
async fn an_upload_while_the_store_is_down_is_found_and_left_to_others() {
    let objects = Objects::default();
    let app = app_over(&objects).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    // The first of the collection, and one more.
    objects.set_down(true);
    let mut rows = 0;
    for more in [2, 3] {
        let answer = post_file(&client, "a.json", file(rows, more)).await;

        rows += more;
        assert_eq!(taken(&answer), [more as u64, more as u64, 0, 0]);
        let body = answer.json();
        assert_eq!(body["status"], "complete");
        assert_eq!(body["metadata"]["reconciliation_passed"], json!(true));
        assert_left(&app, tenant, upload_id(&answer), more as u64).await;
        let all = rows as u64;
        assert_eq!(counts(&app, tenant).await, [all, 0, all, 0, 0]);
        let (collection, _) = state(&app, tenant).await;
        assert_eq!(collection.index().expect("an index").version, 0);
        assert_eq!(collection.lease, None);
        let records = recounted(&app, tenant).await;
        assert_finds(&app, tenant, &records).await;
        assert_finds(&another(&app).await, tenant, &records).await;
    }

    objects.set_down(false);
    let answer = post_file(&client, "a.json", file(rows, 1)).await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    assert_indexed(&app, tenant, 6).await;
    let records = recounted(&app, tenant).await;
    assert_finds(&app, tenant, &records).await;
    assert_finds(&another(&app).await, tenant, &records).await;
}

#[tokio::test]
async fn only_what_changed_is_marked() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let first = "source_id,name,n\n1,Bolt,1\n2,Nut,2\n3,Rivet,3\n4,Screw,4\n";
    let answer = post_file(&client, "a.csv", first).await;
    assert_eq!(taken(&answer), [4, 4, 0, 0]);
    assert_indexed(&app, tenant, 4).await;
    let lease = take_lease(&app, tenant).await;

    let second = "source_id,name,n\n1,Anchor,1\n2,Nut,2\n3,Rivet,30\n4,Screw,4\n5,Washer,5\n";
    let answer = post_file(&client, "a.csv", second).await;

    assert_eq!(taken(&answer), [5, 3, 0, 2]);
    let upload = upload_id(&answer);
    assert_left(&app, tenant, upload, 3).await;
    assert_eq!(counts(&app, tenant).await, [5, 2, 3, 0, 0]);
    let (_, markers) = state(&app, tenant).await;
    assert_eq!((markers.batches.len(), markers.records.len()), (1, 0));
    let batch = app
        .app
        .table
        .batch(tenant, upload, &markers.batches[&upload])
        .await;
    let batch = batch.expect("an answer").expect("ids");
    let records = recounted(&app, tenant).await;
    let names = |ids: &[RecordId]| names_of(&records, ids);
    assert_eq!(names(&batch.added), ["Washer"]);
    assert_eq!(names(&batch.changed), ["Anchor", "Rivet"]);
    assert_finds(&app, tenant, &records).await;

    give_back(&app, tenant, &lease).await;
    tend(&app, tenant).await;
    assert_indexed(&app, tenant, 5).await;
    assert_finds(&app, tenant, &records).await;
    for (word, hits) in [("bolt", 0), ("anchor", 1)] {
        let found = find(&app, tenant, json!({"query": word})).await;
        assert_eq!(found.page.total, hits, "{word}");
    }
}

#[tokio::test]
async fn a_repeated_file_leaves_no_marker_and_does_not_move_the_index() {
    let by_source = "source_id,name,n\n1,Bolt,1\n2,Nut,2\n".to_owned();
    let by_content = "name,n\nBolt,1\nNut,2\n".to_owned();
    for content in [by_source, by_content] {
        let app = TestApp::new(upload::router()).await;
        let client = app.tenant(Plan::Pro).await;
        let tenant = &client.tenant;
        let answer = post_file(&client, "a.csv", &content).await;
        assert_eq!(taken(&answer), [2, 2, 0, 0]);
        assert_indexed(&app, tenant, 2).await;
        let before = pointer(&app, tenant).await;

        for _ in 0..2 {
            app.advance(TimeDelta::minutes(1));
            let answer = post_file(&client, "a.csv", &content).await;
            assert_eq!(taken(&answer), [2, 0, 0, 2], "{content}");
            assert_indexed(&app, tenant, 2).await;
            assert_eq!(pointer(&app, tenant).await, before, "{content}");
        }
        // It does not need the lease either.
        let lease = take_lease(&app, tenant).await;
        let answer = post_file(&client, "a.csv", &content).await;
        assert_eq!(taken(&answer), [2, 0, 0, 2], "{content}");
        give_back(&app, tenant, &lease).await;
        assert_indexed(&app, tenant, 2).await;
        assert_eq!(pointer(&app, tenant).await, before, "{content}");
        assert_eq!(app.store.list("").await.expect("a list").len(), 1);
    }
}

#[tokio::test]
async fn a_file_sent_again_before_it_is_folded_marks_nothing_twice() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    post_file(&client, "a.json", file(0, 1)).await;
    let lease = take_lease(&app, tenant).await;
    let first = post_file(&client, "a.json", file(1, 3)).await;
    assert_eq!(taken(&first), [3, 3, 0, 0]);

    let again = post_file(&client, "a.json", file(1, 3)).await;

    assert_eq!(taken(&again), [3, 0, 0, 3]);
    let (_, markers) = state(&app, tenant).await;
    let uploads: Vec<UploadId> = markers.batches.keys().copied().collect();
    assert_eq!(uploads, [upload_id(&first)]);
    assert_eq!(counts(&app, tenant).await, [4, 1, 3, 0, 0]);
    give_back(&app, tenant, &lease).await;
    tend(&app, tenant).await;
    assert_indexed(&app, tenant, 4).await;
}

#[tokio::test]
async fn a_file_without_a_good_row_touches_no_index() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;

    let answer = post_file(&client, "a.json", r#"[{"n": 1}, {"n": 2}]"#).await;

    assert_eq!(taken(&answer), [2, 0, 2, 0]);
    assert_untouched(&app, &client.tenant).await;
    let markers = app.app.table.all_markers(&client.tenant).await;
    assert!(markers.expect("markers").is_empty());
    assert!(app.store.list("").await.expect("a list").is_empty());
}

#[tokio::test]
async fn an_upload_of_many_slices_is_indexed_whole() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;

    let answer = post_file(&client, "a.json", file(0, 6_000)).await;

    assert_eq!(taken(&answer), [6_000, 6_000, 0, 0]);
    assert_indexed(&app, tenant, 6_000).await;
    let other = another(&app).await;
    for app in [&app, &other] {
        for n in [0, 1, 499, 500, 501, 4_999, 5_000, 5_999] {
            let filtered = json!({"filters": {"n": n}});
            assert_eq!(find(app, tenant, filtered).await.page.total, 1, "{n}");
        }
        let beyond = json!({"filters": {"n_min": 5_000}});
        assert_eq!(find(app, tenant, beyond).await.page.total, 1_000);
    }
}

/// How far an upload is when one of its records is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its rows are written.
    Written,
    /// It is settled.
    Settled,
    /// It is settled, and others fold what is marked as gone before it folds what it wrote.
    Overtaken,
}

#[tokio::test]
async fn what_is_deleted_before_its_upload_is_folded_stays_gone() {
    for stage in [Stage::Written, Stage::Settled, Stage::Overtaken] {
        let app = TestApp::new(upload::router()).await;
        let client = app.tenant(Plan::Pro).await;
        let tenant = &client.tenant;
        let upload = app.reserve(tenant, PARTS, 3).await;
        let records = upload.write((0..3).map(row)).await;
        let ahead = upload.ahead();
        ahead.take(records.clone()).await;
        let mut tally = Tally::default();
        for record in &records {
            tally.add(record.id, record.visibility);
        }
        if stage == Stage::Written {
            delete(&app, tenant, &records[1]).await;
            upload.settle(&tally).await;
        } else {
            upload.settle(&tally).await;
            delete(&app, tenant, &records[1]).await;
        }
        let rest = [records[0].clone(), records[2].clone()];
        assert_finds(&app, tenant, &rest).await;
        let (name, generation) = (parts(), upload.hold.generation);
        let indexes = app.app.indexes().expect("indexes");
        if stage == Stage::Overtaken {
            let others = Own::default();
            let folded = indexes.fold(tenant, &name, generation, others, Effort::Call);
            assert_eq!(folded.await.expect("a fold"), Folded::Yes(1));
        }

        // What the upload took in meanwhile has the record that is gone.
        let own = Own {
            upload: Some(upload.id),
            ahead: Some(ahead),
        };
        let folded = indexes.fold(tenant, &name, generation, own, Effort::Call);

        assert_eq!(folded.await.expect("a fold"), Folded::Yes(3), "{stage:?}");
        assert_indexed(&app, tenant, 2).await;
        assert_eq!(recounted(&app, tenant).await, rest, "{stage:?}");
        for app in [&app, &another(&app).await] {
            assert_finds(app, tenant, &rest).await;
        }
    }
}

#[tokio::test]
async fn what_is_deleted_while_its_upload_writes_the_index_stays_gone() {
    let objects = Objects::default();
    let app = app_over(&objects).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let other = another(&app).await;

    let gate = objects.close().await;
    let uploading = post_file(&client, "a.json", file(0, 3));
    let deleting = async {
        objects.stopped().await;
        assert_eq!(counts(&app, tenant).await, [3, 0, 0, 3, 0]);
        let mut records = recounted(&app, tenant).await;
        let gone = records.remove(1);
        delete(&app, tenant, &gone).await;
        assert_finds(&other, tenant, &records).await;
        drop(gate);
        records
    };
    let (answer, records) = tokio::join!(uploading, deleting);

    assert_eq!(taken(&answer), [3, 3, 0, 0]);
    assert_eq!(counts(&app, tenant).await, [2, 2, 0, 0, 0]);
    for app in [&app, &other, &another(&app).await] {
        assert_finds(app, tenant, &records).await;
    }
    tend(&other, tenant).await;
    assert_indexed(&app, tenant, 2).await;
    for app in [&app, &other, &another(&app).await] {
        assert_finds(app, tenant, &records).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_one_collection_at_once_are_found_when_they_answer_and_folded_in_the_end() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;

    let uploads = (0..6).map(|part| {
        let (client, app) = (client.clone(), &app);
        async move {
            let first = part * 10;
            let answer = insist(|| post_file(&client, "a.json", file(first, 10))).await;
            // Whoever has its answer finds all of its rows, whatever the others do.
            for n in first..first + 10 {
                let filtered = json!({"filters": {"n": n}});
                let found = find(app, &client.tenant, filtered).await;
                assert_eq!(found.page.total, 1, "{n}");
            }
            answer
        }
    });
    for answer in join_all(uploads).await {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        assert_eq!(taken(&answer), [10, 10, 0, 0]);
    }

    let records = recounted(&app, tenant).await;
    assert_eq!(records.len(), 60);
    assert_finds(&app, tenant, &records).await;
    tend(&app, tenant).await;
    assert_indexed(&app, tenant, 60).await;
    assert_finds(&another(&app).await, tenant, &records).await;
}
