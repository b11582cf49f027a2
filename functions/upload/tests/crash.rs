//! Uploads that are cut short or meet a database that falters: what is written is counted, and the
//! file sent again completes it.

mod common;

use std::ops::Range;

use auth::Role;
use axum::http::StatusCode;
use chrono::TimeDelta;
use common::{assert_untouched, post_file, recounted, taken};
use futures_util::future::join_all;
use model::id::{CollectionName, RecordType, TenantId};
use model::plan::Plan;
use model::quickstart::Step;
use model::record::{Record, Visibility};
use model::time::Moment;
use serde_json::{Value, json};
use table::record::Place;
use testkit::{
    Fault, Form, NOW, SDK_ATTEMPTS, TRANSACTION_ATTEMPTS, TestApp, Upload, assert_unavailable,
};

/// Where the files go.
const PARTS: (&str, &str) = ("parts", "product");

fn start() -> Moment {
    NOW.parse().expect("a moment")
}

fn names() -> (CollectionName, RecordType) {
    let (collection, record_type) = PARTS;
    (
        collection.parse().expect("a collection"),
        record_type.parse().expect("a record type"),
    )
}

/// Every second part is public.
fn row(n: usize) -> Value {
    let visibility = if n.is_multiple_of(2) {
        "public"
    } else {
        "private"
    };
    json!({"name": format!("Part {n:02}"), "n": n, "visibility": visibility})
}

fn file(rows: Range<usize>) -> String {
    Value::from(rows.map(row).collect::<Vec<_>>()).to_string()
}

/// An upload whose process dies when some of its rows are written.
async fn cut_short<'a>(
    app: &'a TestApp,
    tenant: &TenantId,
    rows: u64,
    written: impl IntoIterator<Item = Value>,
) -> Upload<'a> {
    let upload = app.reserve(tenant, PARTS, rows).await;
    upload.write(written).await;
    upload
}

/// The service started again, a minute later, as the only one that writes to the engine.
async fn restarted(app: &TestApp) -> TestApp {
    let settings = [("RATE_LIMIT_ENABLED", "false")];
    let alone_since = start() + TimeDelta::seconds(30);
    let again = TestApp::at(
        (&app.endpoint, &app.store),
        upload::router(),
        &settings,
        Some(alone_since),
    )
    .await;
    again.advance(TimeDelta::minutes(1));
    again
}

async fn first_upload_at(app: &TestApp, tenant: &TenantId) -> Option<Moment> {
    let summary = app.app.summary(tenant).await.expect("a summary");
    summary.checklist.completed_at(Step::UploadData)
}

fn calls_of(calls: &[String], operation: &str) -> usize {
    calls.iter().filter(|call| *call == operation).count()
}

#[tokio::test]
async fn what_a_crash_cut_short_is_counted_at_the_first_look_after_a_restart() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    cut_short(&app, &client.tenant, 20, (0..10).map(row)).await;
    let summary = app.app.summary(&client.tenant).await.unwrap();
    assert!(summary.collections.is_empty());
    assert_eq!(summary.checklist.completed_at(Step::UploadData), None);

    let app = restarted(&app).await;

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records.len(), 10);
    let summary = app.app.summary(&client.tenant).await.unwrap();
    let (collection, counts) = &summary.collections[0];
    assert_eq!(collection.name.as_str(), "parts");
    assert!(collection.record_types.contains(&names().1));
    assert_eq!((counts.total, counts.public), (10, 5));
    assert_eq!(counts.last_updated, Some(start()));
    assert_eq!(first_upload_at(&app, &client.tenant).await, Some(start()));
    let later = app.app.clock.now() + TimeDelta::days(1);
    assert!(summary.caps.abandoned(later, None).is_empty());
}

#[tokio::test]
async fn the_file_sent_again_completes_what_a_crash_cut_short() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    cut_short(&app, &tenant, 20, (0..10).map(row)).await;
    let app = restarted(&app).await;
    let client = app.client(tenant.as_str(), Role::Member);

    let answer = post_file(&client, "a.json", file(0..20)).await;

    assert_eq!(taken(&answer), [20, 10, 0, 10]);
    assert_eq!(recounted(&app, &tenant).await.len(), 20);
    let again = post_file(&client, "a.json", file(0..20)).await;
    assert_eq!(taken(&again), [20, 0, 0, 20]);
    assert_eq!(recounted(&app, &tenant).await.len(), 20);
}

#[tokio::test]
async fn what_a_crash_left_takes_no_more_of_the_cap_than_it_wrote() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    cut_short(&app, &tenant, 50, (0..25).map(row)).await;
    let app = restarted(&app).await;
    let client = app.client(tenant.as_str(), Role::Member);

    let over = post_file(&client, "a.json", file(25..51)).await;
    assert_eq!(over.status, StatusCode::PAYMENT_REQUIRED, "{}", over.text);
    let answer = post_file(&client, "a.json", file(0..50)).await;

    assert_eq!(taken(&answer), [50, 25, 0, 25]);
    assert_eq!(recounted(&app, &tenant).await.len(), 50);
}

#[tokio::test]
async fn without_a_restart_a_crash_is_settled_once_its_deadline_is_over() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    cut_short(&app, &client.tenant, 20, (0..10).map(row)).await;

    app.advance(TimeDelta::minutes(14));
    let summary = app.app.summary(&client.tenant).await.unwrap();
    assert!(summary.collections.is_empty(), "it may still be writing");

    app.advance(TimeDelta::minutes(2));
    assert_eq!(recounted(&app, &client.tenant).await.len(), 10);
    let stamped = Some(start());
    assert_eq!(first_upload_at(&app, &client.tenant).await, stamped);
    let answer = post_file(&client, "a.json", file(0..20)).await;
    assert_eq!(taken(&answer), [20, 10, 0, 10]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 20);
    assert_eq!(first_upload_at(&app, &client.tenant).await, stamped);
}

#[tokio::test]
async fn a_file_sent_again_before_that_is_counted_once_too() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    cut_short(&app, &client.tenant, 20, (0..10).map(row)).await;

    let answer = post_file(&client, "a.json", file(0..20)).await;

    assert_eq!(taken(&answer), [20, 10, 0, 10]);
    app.advance(TimeDelta::minutes(16));
    assert_eq!(recounted(&app, &client.tenant).await.len(), 20);
}

#[tokio::test]
async fn a_page_of_the_collection_settles_it_too() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    cut_short(&app, &tenant, 20, (0..10).map(row)).await;
    let app = restarted(&app).await;
    let (collection, record_type) = names();

    let view = app.app.view(&tenant, &collection).await.unwrap();

    let shown = view.collection.unwrap();
    assert_eq!(shown.name, collection);
    assert!(shown.record_types.contains(&record_type));
    assert_eq!(view.checklist.completed_at(Step::UploadData), Some(start()));
    assert_eq!(recounted(&app, &tenant).await.len(), 10);
}

#[tokio::test]
async fn a_crash_before_the_first_row_leaves_nothing_to_see() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    cut_short(&app, &tenant, 50, (0..0).map(row)).await;
    let app = restarted(&app).await;
    let client = app.client(tenant.as_str(), Role::Member);

    assert!(recounted(&app, &tenant).await.is_empty());
    assert_eq!(first_upload_at(&app, &tenant).await, None);
    // The name it had reserved does not count: another collection can be the plan's one.
    let form = Form::new().file("a.json", file(0..50));
    let answer = client
        .upload("/portal/upload/tools/product/upload", form)
        .await;
    assert_eq!(taken(&answer), [50, 50, 0, 0]);
    assert_eq!(recounted(&app, &tenant).await.len(), 50);
}

#[tokio::test]
async fn a_crash_between_changes_counts_no_record_twice() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let first = "source_id,name\n1,Bolt\n2,Nut\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", first).await),
        [2, 2, 0, 0]
    );
    let records = recounted(&app, &client.tenant).await;
    let upload = app.reserve(&client.tenant, PARTS, 0).await;
    let place = Place::new(&client.tenant, upload.hold.number, upload.hold.generation);
    let changed = Record {
        name: "Bolt M8".to_owned(),
        visibility: Visibility::Public,
        version: 2,
        ..records[0].clone()
    };
    let table = &app.app.table;
    let done = table
        .change_record(&place, &records[0], &changed, upload.id)
        .await;
    assert!(done.unwrap());

    let app = restarted(&app).await;

    assert_eq!(
        recounted(&app, &client.tenant).await,
        [changed, records[1].clone()]
    );
    let summary = app.app.summary(&client.tenant).await.unwrap();
    let (_, counts) = &summary.collections[0];
    assert_eq!((counts.total, counts.public), (2, 1));
    assert_eq!(counts.last_updated, Some(start()));
}

#[tokio::test]
async fn a_change_of_what_is_not_counted_yet_is_counted_in_the_end() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let public = json!({"source_id": "1", "name": "Bolt", "visibility": "public"});
    cut_short(&app, &client.tenant, 2, [public]).await;

    let private = "source_id,name,visibility\n1,Bolt,private\n2,Nut,private\n";
    let answer = post_file(&client, "a.csv", private).await;

    assert_eq!(taken(&answer), [2, 2, 0, 0]);
    // The tenant can be looked at while one record is still to be counted.
    let summary = app.app.summary(&client.tenant).await.unwrap();
    assert_eq!(summary.collections.len(), 1);
    app.advance(TimeDelta::minutes(16));
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records.len(), 2);
    assert!(
        records
            .iter()
            .all(|record| record.visibility == Visibility::Private)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_looks_at_once_settle_once() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    cut_short(&app, &tenant, 20, (0..10).map(row)).await;
    let app = restarted(&app).await;

    let looks = (0..8).map(|_| app.app.summary(&tenant));
    for look in join_all(looks).await {
        let summary = look.unwrap();
        let (_, counts) = &summary.collections[0];
        assert_eq!((counts.total, counts.public), (10, 5));
    }

    assert_eq!(recounted(&app, &tenant).await.len(), 10);
}

#[tokio::test]
async fn an_upload_that_others_have_settled_is_not_counted_again() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let upload = cut_short(&app, &client.tenant, 20, (0..10).map(row)).await;
    app.advance(TimeDelta::minutes(16));
    assert_eq!(recounted(&app, &client.tenant).await.len(), 10);

    let tally = testkit::tally(&[(0, 10, 5)]);
    let now = app.app.clock.now();
    let table = &app.app.table;
    let settled = table
        .settle(&client.tenant, upload.id, &upload.hold, &tally, now)
        .await;

    assert!(!settled.unwrap());
    assert_eq!(recounted(&app, &client.tenant).await.len(), 10);
}

#[tokio::test]
async fn a_throttled_upload_is_written_whole_and_says_that_it_was() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.faults
        .inject("BatchExecuteStatement", Fault::Throttled, SDK_ATTEMPTS);

    let answer = post_file(&client, "a.json", file(0..20)).await;

    assert_eq!(taken(&answer), [20, 20, 0, 0]);
    let metadata = answer.json()["metadata"].clone();
    assert_eq!(metadata["pipeline_backpressure"], json!(true));
    assert_eq!(metadata["reconciliation_passed"], json!(true));
    assert_eq!(recounted(&app, &client.tenant).await.len(), 20);
}

#[tokio::test]
async fn a_database_that_throttles_from_the_start_is_a_503_and_nothing_is_written() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.faults
        .inject("TransactWriteItems", Fault::Throttled, SDK_ATTEMPTS);

    let answer = post_file(&client, "a.json", file(0..20)).await;

    assert_unavailable(&answer);
    assert_untouched(&app, &client.tenant).await;
    let again = post_file(&client, "a.json", file(0..20)).await;
    assert_eq!(taken(&again), [20, 20, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 20);
}

#[tokio::test]
async fn rows_whose_answer_was_lost_are_accepted_and_not_repetitions() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    // Three batches, and the first three answers are lost.
    app.faults.inject("BatchExecuteStatement", Fault::Lost, 3);

    let answer = post_file(&client, "a.json", file(0..60)).await;

    assert_eq!(taken(&answer), [60, 60, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records.len(), 60);
    assert!(records.iter().all(|record| record.version == 1));
    let calls = app.faults.calls();
    assert_eq!(calls_of(&calls, "BatchExecuteStatement"), 6);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_accepted() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let first = "source_id,name\n1,Bolt\n2,Nut\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", first).await),
        [2, 2, 0, 0]
    );
    app.advance(TimeDelta::hours(1));
    app.faults.inject("UpdateItem", Fault::Lost, 1);

    let second = "source_id,name\n1,Bolt M8\n2,Nut\n";
    let answer = post_file(&client, "a.csv", second).await;

    assert_eq!(taken(&answer), [2, 1, 0, 1]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].name, "Bolt M8");
    assert_eq!(records[0].version, 2);
    let summary = app.app.summary(&client.tenant).await.unwrap();
    let (_, counts) = &summary.collections[0];
    assert_eq!(counts.last_updated, Some(start() + TimeDelta::hours(1)));
}

#[tokio::test]
async fn a_change_is_tried_again_while_the_table_does_not_keep_up() {
    let app = TestApp::with(upload::router(), &[("RATE_LIMIT_ENABLED", "false")]).await;
    let client = app.tenant(Plan::Pro).await;
    let rows = "source_id,name\n1,Bolt\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", rows).await),
        [1, 1, 0, 0]
    );
    app.faults
        .inject("UpdateItem", Fault::Throttled, SDK_ATTEMPTS);
    app.faults.calls();

    let changed = "source_id,name\n1,Bolt M8\n";
    let answer = post_file(&client, "a.csv", changed).await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(
        (records[0].name.as_str(), records[0].version),
        ("Bolt M8", 2)
    );
    let calls = app.faults.calls();
    assert!(calls_of(&calls, "UpdateItem") > SDK_ATTEMPTS);
}

#[tokio::test]
async fn a_reservation_whose_answer_was_lost_is_made_once() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("TransactWriteItems", Fault::Lost, 1);

    let answer = post_file(&client, "a.json", file(0..50)).await;

    assert_eq!(taken(&answer), [50, 50, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 50);
}

#[tokio::test]
async fn a_transaction_that_meets_others_is_tried_again() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("TransactWriteItems", Fault::Conflict, 3);

    let answer = post_file(&client, "a.json", file(0..50)).await;

    assert_eq!(taken(&answer), [50, 50, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 50);
    // The tenant's plan, the user, the reservation, the listing as public, the settlement; one of
    // them four times.
    let calls = app.faults.calls();
    assert_eq!(calls_of(&calls, "TransactWriteItems"), 8);
}

#[tokio::test]
async fn a_transaction_that_always_meets_others_is_a_503_and_nothing_is_written() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults
        .inject("TransactWriteItems", Fault::Conflict, TRANSACTION_ATTEMPTS);

    let answer = post_file(&client, "a.json", file(0..50)).await;

    assert_unavailable(&answer);
    assert_untouched(&app, &client.tenant).await;
    let again = post_file(&client, "a.json", file(0..50)).await;
    assert_eq!(taken(&again), [50, 50, 0, 0]);
}

#[tokio::test]
async fn a_settlement_that_falters_is_made_once() {
    for fault in [Fault::Conflict, Fault::Lost] {
        let app = TestApp::new(upload::router()).await;
        let tenant = app.tenant(Plan::Pro).await.tenant;
        cut_short(&app, &tenant, 20, (0..10).map(row)).await;
        let app = restarted(&app).await;
        app.faults.inject("TransactWriteItems", fault, 2);

        assert_eq!(recounted(&app, &tenant).await.len(), 10, "{fault:?}");

        let calls = app.faults.calls();
        assert_eq!(calls_of(&calls, "TransactWriteItems"), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn what_was_written_is_counted_even_if_the_rest_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    // No batch may meet another one: to the code this is a refusal that it does not know.
    app.faults
        .inject("BatchExecuteStatement", Fault::Conflict, 1);

    let answer = post_file(&client, "a.json", file(0..60)).await;

    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json(), json!({"detail": "Internal server error"}));
    let written = recounted(&app, &client.tenant).await.len() as u64;
    let again = post_file(&client, "a.json", file(0..60)).await;
    assert_eq!(taken(&again), [60, 60 - written, 0, written]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 60);
}
