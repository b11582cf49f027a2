//! Uploads under a plan's cap on records that meet a delete, or somebody who settles for them: they add
//! what they have reserved, and not one record more.

mod common;

use std::future::poll_fn;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::TimeDelta;
use common::{LONG, SETTINGS, errors, found, job, records, send, whole};
use formats::Source;
use ingestion::Upload;
use ingestion::background::{Progress, run};
use model::id::{TenantId, UploadId};
use model::plan::Plan;
use model::record::Record;
use model::upload::{Job, LISTED_ERRORS, RowError, Status, Summary, Way};
use serde_json::{Value, json};
use table::record::Place;
use testkit::{Fault, SDK_ATTEMPTS, TestApp};

/// Where the files go.
const PARTS: (&str, &str) = ("parts", "product");

/// How many rows a step without time takes.
const SLICE: u32 = 500;

/// A file that is slow to begin, so that a test that sees what its upload has reserved has time.
struct Slow(String);

impl Source for Slow {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        std::thread::sleep(Duration::from_millis(100));
        let mut file = Cursor::new(self.0.clone().into_bytes());
        file.set_position(from);
        Ok(Box::new(file))
    }
}

/// Parts that their source knows by their numbers, as `version` describes them.
fn rows(numbers: Range<u32>, version: &str) -> Vec<Value> {
    numbers
        .map(|n| json!({"source_id": n.to_string(), "name": format!("Part {n} {version}")}))
        .collect()
}

fn file(rows: &[Value]) -> String {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    lines.join("\n")
}

/// An upload whose file comes with its request, and its id.
fn upload(app: &TestApp, tenant: &TenantId, plan: Plan, rows: &[Value]) -> (UploadId, Upload) {
    let file = file(rows);
    let job = Job {
        way: Way::Request,
        ..job(app, "parts.ndjson", file.len())
    };
    let upload = Upload {
        tenant: tenant.clone(),
        plan,
        source: Arc::new(Slow(file)),
        staging: None,
        job,
    };
    (upload.job.id, upload)
}

/// Lets an upload come to where this is so.
async fn until<F: Future>(mut upload: Pin<&mut F>, is_so: impl AsyncFn() -> bool) {
    while !is_so().await {
        poll_fn(|context| {
            assert!(upload.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
}

/// Lets an upload come to where it has reserved what it may add, and has not begun to write.
async fn until_reserved<F: Future>(
    app: &TestApp,
    (tenant, id): (&TenantId, UploadId),
    upload: Pin<&mut F>,
) {
    let is_reserved = async || {
        let summary = app.app.summary(tenant).await.expect("a summary");
        summary.caps.hold(id).is_some()
    };
    until(upload, is_reserved).await;
}

/// The parts that there are, and where.
async fn parts(app: &TestApp, tenant: &TenantId) -> (Place, Vec<Record>) {
    let summary = app.app.summary(tenant).await.expect("a summary");
    let (collection, _) = &summary.collections[0];
    let place = Place::new(tenant, collection.number, collection.generation);
    let mut parts = Vec::new();
    for shard in 0..model::id::SHARDS {
        let table = &app.app.table;
        let found = testkit::shard_records(table, &place, &collection.name, shard).await;
        parts.extend(found.expect("a shard"));
    }
    (place, parts)
}

/// Deletes the parts of these numbers, as calls do.
async fn delete(app: &TestApp, tenant: &TenantId, numbers: Range<u32>) {
    let (place, parts) = parts(app, tenant).await;
    let (table, now) = (&app.app.table, app.app.clock.now());
    let mut left = numbers.len();
    for record in parts {
        let number = record.source_id.as_ref().map(|id| id.parse::<u32>());
        if number.is_some_and(|number| number.is_ok_and(|it| numbers.contains(&it))) {
            let deleted = table.delete_record(&place, &record, now).await;
            assert!(deleted.expect("an answer"), "{} is another", record.name);
            left -= 1;
        }
    }
    assert_eq!(left, 0, "of {numbers:?}");
}

/// Checks that these rows, and no others, were rejected because they were not written.
#[track_caller]
fn assert_not_written(errors: &[RowError], expected: impl Iterator<Item = u64>) {
    let rows = errors.iter().map(|error| error.row);
    assert_eq!(rows.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    for error in errors {
        assert_eq!(error.error_type, "not_written");
        assert!(error.message.ends_with("send the file again"), "{error:?}");
    }
}

#[tokio::test]
async fn records_that_are_deleted_while_they_are_uploaded_again_leave_their_room_to_others() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    app.add(&tenant, PARTS, &rows(0..50, "old")).await;
    let (id, upload) = upload(&app, &tenant, Plan::Free, &rows(0..50, "new"));
    let mut uploading = pin!(upload.run(&app.app));
    until_reserved(&app, (&tenant, id), uploading.as_mut()).await;
    delete(&app, &tenant, 0..50).await;
    app.add(&tenant, PARTS, &rows(50..100, "other")).await;

    let outcome = uploading.await.expect("an outcome");

    let expected = Summary {
        submitted: 50,
        rejected: 50,
        ..Summary::default()
    };
    assert_eq!(outcome.job.summary, expected);
    assert_eq!(outcome.job.status, Status::Failed);
    assert!(outcome.settled);
    assert_not_written(&outcome.errors, 1..51);
    let left = records(&app, &tenant).await;
    assert_eq!(left.len(), 50);
    assert!(left.keys().all(|name| name.ends_with("other")), "{left:?}");
}

#[tokio::test]
async fn what_is_reserved_is_added_though_other_rows_have_lost_their_records() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    app.add(&tenant, PARTS, &rows(0..30, "old")).await;
    // Ten of them are new.
    let (id, upload) = upload(&app, &tenant, Plan::Free, &rows(0..40, "new"));
    let mut uploading = pin!(upload.run(&app.app));
    until_reserved(&app, (&tenant, id), uploading.as_mut()).await;
    delete(&app, &tenant, 10..30).await;
    app.add(&tenant, PARTS, &rows(50..80, "other")).await;

    let outcome = uploading.await.expect("an outcome");

    let expected = Summary {
        submitted: 40,
        accepted: 20,
        rejected: 20,
        dedup_skipped: 0,
    };
    assert_eq!(outcome.job.summary, expected);
    assert_eq!(outcome.job.status, Status::Complete);
    assert!(outcome.settled);
    assert_not_written(&outcome.errors, 21..41);
    let left = records(&app, &tenant).await;
    assert_eq!(left.len(), 50);
    let written = (0..20).map(|n| format!("Part {n} new"));
    let others = (50..80).map(|n| format!("Part {n} other"));
    for name in written.chain(others) {
        assert!(left.contains_key(&name), "{name}: {left:?}");
    }

    // Sent again, it adds what there is room for, or nothing.
    delete(&app, &tenant, 50..70).await;
    let id = send(&app, &tenant, "parts.ndjson", &file(&rows(0..40, "new"))).await;
    assert_eq!(
        run(&app.app, &tenant, id, LONG).await.unwrap(),
        Progress::Done
    );
    let expected = Summary {
        submitted: 40,
        accepted: 20,
        rejected: 0,
        dedup_skipped: 20,
    };
    assert_eq!(found(&app, &tenant, id).await.summary, expected);
    assert_eq!(records(&app, &tenant).await.len(), 50);
}

#[tokio::test]
async fn what_is_left_of_the_room_is_all_that_the_next_step_adds() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    app.add(&tenant, PARTS, &rows(0..SLICE + 40, "old")).await;
    // Ten of them are new.
    let mut all = rows(0..SLICE, "old");
    all.extend(rows(SLICE..SLICE + 50, "new"));
    let id = send(&app, &tenant, "parts.ndjson", &file(&all)).await;
    let first = run(&app.app, &tenant, id, Duration::ZERO).await.unwrap();
    assert_eq!(first, Progress::More);
    delete(&app, &tenant, SLICE + 20..SLICE + 40).await;

    whole(&app, &tenant, id).await;

    let job = found(&app, &tenant, id).await;
    assert_eq!((job.status, job.steps), (Status::Complete, 2));
    let expected = Summary {
        submitted: 550,
        accepted: 30,
        rejected: 20,
        dedup_skipped: 500,
    };
    assert_eq!(job.summary, expected);
    assert_not_written(&errors(&app, &tenant, id).await, 531..551);
    assert_eq!(records(&app, &tenant).await.len(), 530);
}

/// A slice that may need more than those which are being written would leave waits for what they do not
/// add, so that rows are refused in the order of the file.
#[tokio::test]
async fn a_slice_waits_for_what_those_before_it_leave() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    app.add(&tenant, PARTS, &rows(0..5 * SLICE, "old")).await;
    // The last 600 are new: enough for all rows of one slice, and not of two.
    let all = rows(0..5 * SLICE + 600, "old");
    let id = send(&app, &tenant, "parts.ndjson", &file(&all)).await;
    let first = run(&app.app, &tenant, id, Duration::ZERO).await.unwrap();
    assert_eq!(first, Progress::More);
    for (slice, count) in [(1, 50), (2, 200), (3, 350)] {
        delete(&app, &tenant, slice * SLICE..slice * SLICE + count).await;
    }

    let second = run(&app.app, &tenant, id, LONG).await.unwrap();

    assert_eq!(second, Progress::Done);
    let job = found(&app, &tenant, id).await;
    let expected = Summary {
        submitted: 3_100,
        accepted: 600,
        rejected: 600,
        dedup_skipped: 1_900,
    };
    assert_eq!(job.summary, expected);
    assert_not_written(&errors(&app, &tenant, id).await, 2_501..3_101);
    assert_eq!(records(&app, &tenant).await.len(), 2_500);
}

/// Slices are written beside each other, and each may need all that is left.
#[tokio::test]
async fn slices_together_add_no_more_than_is_left() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    app.add(&tenant, PARTS, &rows(0..3 * SLICE, "old")).await;
    // Ten of them are new.
    let all = rows(0..3 * SLICE + 10, "old");
    let id = send(&app, &tenant, "parts.ndjson", &file(&all)).await;
    let first = run(&app.app, &tenant, id, Duration::ZERO).await.unwrap();
    assert_eq!(first, Progress::More);
    delete(&app, &tenant, SLICE..SLICE + 20).await;
    delete(&app, &tenant, 2 * SLICE..2 * SLICE + 20).await;

    let second = run(&app.app, &tenant, id, LONG).await.unwrap();

    assert_eq!(second, Progress::Done);
    let job = found(&app, &tenant, id).await;
    let expected = Summary {
        submitted: 1_510,
        accepted: 10,
        rejected: 40,
        dedup_skipped: 1_460,
    };
    assert_eq!(job.summary, expected);
    let none_left = (511..521).chain(1_001..1_021).chain(1_501..1_511);
    assert_not_written(&errors(&app, &tenant, id).await, none_left);
    assert_eq!(records(&app, &tenant).await.len(), 1_470);
}

#[tokio::test]
async fn an_upload_that_was_cut_short_reserves_what_is_new_by_then() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    app.add(&tenant, PARTS, &rows(0..40, "old")).await;
    let id = send(&app, &tenant, "parts.ndjson", &file(&rows(0..50, "old"))).await;
    {
        let mut step = pin!(run(&app.app, &tenant, id, LONG));
        until_reserved(&app, (&tenant, id), step.as_mut()).await;
    }
    // What is under way may still arrive, as with a process that was killed.
    tokio::time::sleep(Duration::from_millis(50)).await;
    delete(&app, &tenant, 0..20).await;
    let now = app.app.clock.now() + TimeDelta::seconds(1);
    let app = app.again(api::Router::new(), &SETTINGS, Some(now)).await;
    app.advance(now - app.app.clock.now());

    whole(&app, &tenant, id).await;

    let job = found(&app, &tenant, id).await;
    assert_eq!(job.status, Status::Complete, "{:?}", job.detail);
    let expected = Summary {
        submitted: 50,
        accepted: 30,
        rejected: 0,
        dedup_skipped: 20,
    };
    assert_eq!(job.summary, expected);
    assert_eq!(records(&app, &tenant).await.len(), 50);
}

#[tokio::test]
async fn rows_that_exist_are_read_again_where_the_table_does_not_keep_up() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    app.add(&tenant, PARTS, &rows(0..50, "old")).await;
    let mut all = rows(0..25, "new");
    all.extend(rows(25..50, "old"));
    let (id, upload) = upload(&app, &tenant, Plan::Free, &all);
    let mut uploading = pin!(upload.run(&app.app));
    until_reserved(&app, (&tenant, id), uploading.as_mut()).await;
    app.faults.calls();
    app.faults
        .inject("BatchGetItem", Fault::Throttled, SDK_ATTEMPTS);

    let outcome = uploading.await.expect("an outcome");

    let expected = Summary {
        submitted: 50,
        accepted: 25,
        rejected: 0,
        dedup_skipped: 25,
    };
    assert_eq!(outcome.job.summary, expected);
    assert!(outcome.job.slowed);
    // What exists is not tried to be added.
    let calls = app.faults.calls();
    assert!(!calls.iter().any(|call| call == "BatchExecuteStatement"));
    assert_eq!(records(&app, &tenant).await.len(), 50);
}

#[tokio::test]
async fn an_upload_that_others_have_settled_is_written_down_as_what_it_came_to() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    app.add(&tenant, PARTS, &rows(0..10, "old")).await;
    let (id, upload) = upload(&app, &tenant, Plan::Free, &rows(10..30, "new"));
    let mut uploading = pin!(upload.run(&app.app));
    let is_written = async || parts(&app, &tenant).await.1.len() == 30;
    until(uploading.as_mut(), is_written).await;
    let summary = app.app.summary(&tenant).await.expect("a summary");
    assert!(summary.caps.hold(id).is_some(), "it has settled itself");
    // Whoever looks after its time settles for it.
    app.advance(TimeDelta::minutes(16));
    assert_eq!(records(&app, &tenant).await.len(), 30);

    let outcome = uploading.await.expect("an outcome");

    assert!(!outcome.settled);
    let expected = Summary {
        submitted: 20,
        accepted: 20,
        ..Summary::default()
    };
    assert_eq!(outcome.job.summary, expected);
    assert_eq!(outcome.job.status, Status::Complete);
    assert_eq!(found(&app, &tenant, id).await, outcome.job);
    assert_eq!(records(&app, &tenant).await.len(), 30);
}

#[tokio::test]
async fn errors_are_listed_in_the_order_in_which_they_are_kept() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    app.add(&tenant, PARTS, &rows(0..20, "old")).await;
    let mut all = rows(0..20, "new");
    // Without a name none is a record: that is known before the others are written.
    all.extend((20..170).map(|n| json!({"source_id": n.to_string()})));
    let (id, upload) = upload(&app, &tenant, Plan::Free, &all);
    let mut uploading = pin!(upload.run(&app.app));
    until_reserved(&app, (&tenant, id), uploading.as_mut()).await;
    delete(&app, &tenant, 0..20).await;

    let outcome = uploading.await.expect("an outcome");

    let kept = errors(&app, &tenant, id).await;
    let numbers: Vec<u64> = kept.iter().map(|error| error.row).collect();
    assert_eq!(numbers, (1..171).collect::<Vec<_>>());
    assert_not_written(&kept[..20], 1..21);
    assert_eq!(outcome.errors, kept[..LISTED_ERRORS]);
}
