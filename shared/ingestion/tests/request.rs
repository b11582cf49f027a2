//! Uploads whose file comes with a request, cut short anywhere: the same call repairs what one left
//! behind, and a replace is cancelled and done again.

#[expect(dead_code, reason = "no file here lies on the store")]
mod common;
mod parts;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::TimeDelta;
use common::{SETTINGS, errors, job, records};
use formats::Source;
use indexing::{Effort, Own};
use ingestion::{Outcome, Upload};
use model::id::{SHARDS, TenantId};
use model::plan::Plan;
use model::record::Record;
use model::upload::{Job, Status, Way};
use parts::{essence, file};
use search::FORMAT;
use serde_json::{Value, json};
use table::marker::{Generation, Markers};
use table::record::Place;
use table::replace::{Begun, Swapped};
use testkit::TestApp;

/// How many rows the files have.
const ROWS: usize = 2_000;

/// A file as a request brings it.
struct InMemory(Arc<[u8]>);

impl Source for InMemory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = Cursor::new(Arc::clone(&self.0));
        file.set_position(from);
        Ok(Box::new(file))
    }
}

/// A new upload of a file.
fn upload(app: &TestApp, tenant: &TenantId, plan: Plan, file: &str) -> Upload {
    let job = Job {
        way: Way::Request,
        ..job(app, "parts.ndjson", file.len())
    };
    Upload {
        tenant: tenant.clone(),
        plan,
        source: Arc::new(InMemory(file.as_bytes().into())),
        staging: None,
        job,
    }
}

/// An upload to its end.
async fn whole(app: &TestApp, upload: Upload) -> Outcome {
    let done = Box::pin(upload.run(&app.app)).await;
    done.expect("an outcome")
}

/// The same, and how often it was polled.
async fn counted(app: &TestApp, upload: Upload) -> (Outcome, usize) {
    let (mut polls, mut work) = (0, Box::pin(upload.run(&app.app)));
    let done = poll_fn(|context| {
        polls += 1;
        work.as_mut().poll(context)
    })
    .await;
    (done.expect("an outcome"), polls)
}

/// The first polls of an upload, so many of them, and the service started again over what it has
/// written, by a process that began after that.
async fn cut_short(app: &TestApp, upload: Upload, polls: usize) -> TestApp {
    let (mut left, mut work) = (polls, Box::pin(upload.run(&app.app)));
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        work.as_mut().poll(context).map(drop)
    })
    .await;
    drop(work);
    // What is under way may still arrive, as with a process that was killed: on the one thread that
    // there is here, before anything that is sent later.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let now = app.app.clock.now() + TimeDelta::seconds(1);
    let again = app.again(api::Router::new(), &SETTINGS, Some(now)).await;
    again.advance(now - again.app.clock.now());
    again
}

/// After how many of so many polls an upload is cut short: all over them, and more often at both
/// ends, where it does something else with each.
fn cuts(polls: usize) -> Vec<usize> {
    let ends: [usize; 4] = [2, 4, 8, 16];
    let mut cuts: Vec<usize> = (1..=8).map(|part| polls * part / 9).collect();
    cuts.extend(ends);
    cuts.extend(ends.map(|few| polls.saturating_sub(few)));
    cuts.sort_unstable();
    cuts
}

/// The plans to cut uploads short on: under a cap only what is new by then is reserved.
fn plans() -> impl Iterator<Item = Plan> {
    [Plan::Scale, Plan::Pro].into_iter().cycle()
}

#[tokio::test]
async fn an_upload_of_a_request_that_is_cut_short_anywhere_is_repaired_by_the_same_call() {
    let file = file(ROWS);
    let clean = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = clean.tenant(Plan::Scale).await.tenant;
    let once = upload(&clean, &tenant, Plan::Scale, &file);
    let (expected, polls) = counted(&clean, once).await;
    let (expected_records, expected_errors) = (
        records(&clean, &tenant).await,
        errors(&clean, &tenant, expected.job.id).await,
    );

    for (cut, plan) in cuts(polls).into_iter().zip(plans()) {
        let cut_at = format!("cut at {cut} of {polls} on {plan:?}");
        let app = TestApp::with(api::Router::new(), &SETTINGS).await;
        let tenant = app.tenant(plan).await.tenant;
        let first = upload(&app, &tenant, plan, &file);
        let app = cut_short(&app, first, cut).await;

        let second = upload(&app, &tenant, plan, &file);
        let outcome = whole(&app, second).await;

        let job = &outcome.job;
        assert_eq!(job.status, Status::Complete, "{cut_at}: {:?}", job.detail);
        assert!(outcome.settled, "{cut_at}");
        let (summary, expected_summary) = (job.summary, expected.job.summary);
        assert!(summary.adds_up(), "{cut_at}: {summary:?}");
        assert_eq!(
            (summary.submitted, summary.rejected),
            (expected_summary.submitted, expected_summary.rejected),
            "{cut_at}"
        );
        assert_eq!(outcome.errors, expected.errors, "{cut_at}");
        let kept = errors(&app, &tenant, job.id).await;
        assert_eq!(kept, expected_errors, "{cut_at}");
        // The counters say the same, and nothing is reserved.
        let made = records(&app, &tenant).await;
        assert_eq!(essence(&made), essence(&expected_records), "{cut_at}");
    }
}

/// A tenant with a collection of other parts; the file knows some of them by their `source_id`.
async fn filled(app: &TestApp, plan: Plan) -> TenantId {
    let tenant = app.tenant(plan).await.tenant;
    let rows: Vec<Value> = (0..300)
        .map(|n| json!({"source_id": n.to_string(), "name": format!("Old {n}")}))
        .collect();
    app.add(&tenant, ("parts", "product"), &rows).await;
    tenant
}

/// A replace that has begun, and the upload that is to fill it.
async fn begin(app: &TestApp, tenant: &TenantId, plan: Plan, file: &str) -> Upload {
    let mut upload = upload(app, tenant, plan, file);
    upload.job.way = Way::Replace;
    let (job, now) = (&upload.job, app.app.clock.now());
    let (name, kind) = (&job.collection, &job.record_type);
    let table = &app.app.table;
    let begun = table.begin_replace(tenant, name, job.id, kind, now, FORMAT);
    upload.staging = match begun.await.expect("an answer") {
        Begun::Yes(_, generation) => Some(generation),
        refused => panic!("refused: {refused:?}"),
    };
    upload
}

/// How many records a replace has filled, after a check that they are what is counted of them.
async fn staged(app: &TestApp, tenant: &TenantId) -> u64 {
    let summary = app.app.summary(tenant).await.expect("a summary");
    let (collection, _) = &summary.collections[0];
    let generation = collection.staging().expect("a replace");
    let place = Place::new(tenant, collection.number, generation);
    let mut total = 0;
    for shard in 0..SHARDS {
        let table = &app.app.table;
        let found = testkit::shard_records(table, &place, &collection.name, shard).await;
        total += found.expect("a shard").len() as u64;
    }
    assert_eq!(summary.staged(&collection.name), Some(total));
    total
}

/// Cancels the replace that is under way.
async fn cancel(app: &TestApp, tenant: &TenantId) {
    let (name, now) = ("parts".parse().expect("a collection"), app.app.clock.now());
    let cancelled = app.app.table.cancel_replace(tenant, &name, None, now).await;
    assert!(cancelled.expect("an answer"));
}

/// Serves what a replace has filled, once all of it is indexed; the records by name.
async fn swapped(app: &TestApp, tenant: &TenantId) -> BTreeMap<String, Record> {
    let (name, table) = ("parts".parse().expect("a collection"), &app.app.table);
    let view = table.index_view(tenant, &name).await;
    let collection = view.expect("an answer").expect("a collection").collection;
    let staging = Generation::staging(&collection).expect("a replace");
    let indexes = app.app.indexes().expect("indexes");
    let fold = indexes.fold(
        tenant,
        &name,
        staging.generation,
        Own::default(),
        Effort::Call,
    );
    fold.await.expect("a fold");
    let view = table.index_view(tenant, &name).await;
    let view = view.expect("an answer").expect("a collection");
    let left = view.markers.get(&staging);
    assert!(left.is_none_or(Markers::is_empty), "{left:?}");
    let swap = table.swap(tenant, &view.collection, app.app.clock.now());
    assert_eq!(swap.await.expect("an answer"), Swapped::Yes);
    records(app, tenant).await
}

#[tokio::test]
async fn a_replace_that_is_cut_short_anywhere_is_cancelled_and_done_again() {
    let file = file(ROWS);
    let clean = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = filled(&clean, Plan::Scale).await;
    let once = begin(&clean, &tenant, Plan::Scale, &file).await;
    let (expected, polls) = counted(&clean, once).await;
    let expected_staged = staged(&clean, &tenant).await;
    let expected_records = swapped(&clean, &tenant).await;
    assert_eq!(expected_records.len() as u64, expected_staged);

    for (cut, plan) in cuts(polls).into_iter().step_by(2).zip(plans()) {
        let cut_at = format!("cut at {cut} of {polls} on {plan:?}");
        let app = TestApp::with(api::Router::new(), &SETTINGS).await;
        let tenant = filled(&app, plan).await;
        let old = records(&app, &tenant).await;
        let first = begin(&app, &tenant, plan, &file).await;
        let app = cut_short(&app, first, cut).await;

        let served = records(&app, &tenant).await;
        assert_eq!(essence(&served), essence(&old), "{cut_at}");
        assert!(staged(&app, &tenant).await <= expected_staged, "{cut_at}");

        cancel(&app, &tenant).await;
        let second = begin(&app, &tenant, plan, &file).await;
        let outcome = whole(&app, second).await;

        let job = outcome.job;
        assert_eq!(job.status, Status::Complete, "{cut_at}: {:?}", job.detail);
        assert!(outcome.settled, "{cut_at}");
        assert_eq!(job.summary, expected.job.summary, "{cut_at}");
        assert_eq!(staged(&app, &tenant).await, expected_staged, "{cut_at}");
        let served = records(&app, &tenant).await;
        assert_eq!(essence(&served), essence(&old), "{cut_at}");
        let new = swapped(&app, &tenant).await;
        assert_eq!(essence(&new), essence(&expected_records), "{cut_at}");
    }
}
