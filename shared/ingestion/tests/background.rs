//! Uploads whose file lies on the store: in steps, cut short anywhere, told twice.

mod common;
mod parts;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use chrono::TimeDelta;
use common::{LONG, SETTINGS, errors, found, job, records, send, whole};
use futures_util::stream;
use ingestion::background::{MAX_STEPS, Progress, run};
use model::id::TenantId;
use model::plan::Plan;
use model::time::Moment;
use model::upload::{Job, Status, Summary};
use parts::{essence, file};
use serde_json::json;
use table::cap::{Caps, Note};
use testkit::TestApp;

/// How many rows a step without time takes.
const SLICE: u64 = 500;

#[tokio::test]
async fn a_file_that_has_arrived_becomes_records() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Scale).await.tenant;
    let id = send(&app, &tenant, "parts.ndjson", &file(200)).await;

    assert_eq!(
        run(&app.app, &tenant, id, LONG).await.unwrap(),
        Progress::Done
    );

    let job = found(&app, &tenant, id).await;
    assert_eq!(job.status, Status::Complete);
    let expected = Summary {
        submitted: 200,
        accepted: 150,
        rejected: 20,
        dedup_skipped: 30,
    };
    assert_eq!(job.summary, expected);
    assert_eq!(
        (job.bytes, job.rows, job.steps),
        (job.size_bytes, Some(200), 1)
    );
    assert_eq!(job.format.as_deref(), Some("ndjson"));
    assert_eq!(records(&app, &tenant).await.len(), 150);
    let rows: Vec<u64> = errors(&app, &tenant, id)
        .await
        .iter()
        .map(|it| it.row)
        .collect();
    assert_eq!(rows, (0..20).map(|n| n * 10 + 4).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_is_done_in_as_many_steps_as_it_takes() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let (whole, parts) = (app.tenant(Plan::Scale).await, app.tenant(Plan::Scale).await);
    let (whole, parts) = (whole.tenant, parts.tenant);
    let file = file(1_200);
    let first = send(&app, &whole, "parts.ndjson", &file).await;
    assert_eq!(
        run(&app.app, &whole, first, LONG).await.unwrap(),
        Progress::Done
    );
    let second = send(&app, &parts, "parts.ndjson", &file).await;
    let mut steps = 1;
    while run(&app.app, &parts, second, Duration::ZERO).await.unwrap() == Progress::More {
        let job = found(&app, &parts, second).await;
        assert_eq!(job.status, Status::Processing);
        assert_eq!(job.summary.submitted, SLICE * steps);
        assert!(job.bytes > 0 && job.bytes < job.size_bytes);
        steps += 1;
    }
    assert_eq!(steps, 3);

    let (once, stepped) = (
        found(&app, &whole, first).await,
        found(&app, &parts, second).await,
    );
    assert_eq!(stepped.status, Status::Complete);
    assert_eq!(stepped.summary, once.summary);
    assert_eq!(stepped.file_hash, once.file_hash);
    let (expected, made) = (records(&app, &whole).await, records(&app, &parts).await);
    assert_eq!(essence(&made), essence(&expected));
    assert_eq!(
        errors(&app, &parts, second).await,
        errors(&app, &whole, first).await
    );
}

#[tokio::test]
async fn wherever_it_is_cut_short_it_ends_as_if_it_had_not_been() {
    let file = file(6_000);
    let clean = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = clean.tenant(Plan::Scale).await.tenant;
    let id = send(&clean, &tenant, "parts.ndjson", &file).await;
    let (mut polls, mut steps) = (0, pin!(whole(&clean, &tenant, id)));
    poll_fn(|context| {
        polls += 1;
        steps.as_mut().poll(context)
    })
    .await;
    let expected = found(&clean, &tenant, id).await;
    let (expected_records, expected_errors) = (
        records(&clean, &tenant).await,
        errors(&clean, &tenant, id).await,
    );

    for cut in 1..=12 {
        let app = TestApp::with(api::Router::new(), &SETTINGS).await;
        // Under a cap only what is new by then is reserved.
        let plan = if cut % 2 == 0 { Plan::Pro } else { Plan::Scale };
        let tenant = app.tenant(plan).await.tenant;
        let id = send(&app, &tenant, "parts.ndjson", &file).await;
        let mut app = app;
        // Cut short twice, the second time as far on again.
        for _ in 0..2 {
            let mut left = polls * cut / 13;
            {
                let mut steps = pin!(whole(&app, &tenant, id));
                poll_fn(|context| {
                    if left == 0 {
                        return Poll::Ready(());
                    }
                    left -= 1;
                    steps.as_mut().poll(context)
                })
                .await;
            }
            // What is under way may still arrive, as with a process that was killed: on the one thread that
            // there is here, before anything that is sent later.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = app.app.clock.now() + TimeDelta::seconds(1);
            app = app.again(api::Router::new(), &SETTINGS, Some(now)).await;
            app.advance(now - app.app.clock.now());
        }
        whole(&app, &tenant, id).await;

        let job = found(&app, &tenant, id).await;
        assert_eq!(
            job.status,
            Status::Complete,
            "cut at {cut}: {:?}",
            job.detail
        );
        assert_eq!(job.summary, expected.summary, "cut at {cut}");
        assert_eq!(job.errors, expected.errors, "cut at {cut}");
        let made = records(&app, &tenant).await;
        assert_eq!(essence(&made), essence(&expected_records), "cut at {cut}");
        assert_eq!(
            errors(&app, &tenant, id).await,
            expected_errors,
            "cut at {cut}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_told_twice_is_counted_once() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Scale).await.tenant;
    let id = send(&app, &tenant, "parts.ndjson", &file(500)).await;

    let (first, second) = tokio::join!(
        run(&app.app, &tenant, id, LONG),
        run(&app.app, &tenant, id, LONG)
    );
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (Progress::Done, Progress::Done)
    );
    let third = run(&app.app, &tenant, id, LONG).await.unwrap();

    assert_eq!(third, Progress::Done);
    let job = found(&app, &tenant, id).await;
    assert_eq!((job.status, job.steps), (Status::Complete, 1));
    assert_eq!(
        job.summary.accepted,
        records(&app, &tenant).await.len() as u64
    );
}

#[tokio::test]
async fn an_upload_that_does_not_end_is_ended() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Scale).await.tenant;
    let id = send(&app, &tenant, "parts.ndjson", &file(3_000)).await;
    let job = Job {
        steps: MAX_STEPS - 1,
        ..found(&app, &tenant, id).await
    };
    let note = Note {
        job: &job,
        lease: None,
    };
    let noted = app
        .app
        .table
        .note_upload(&tenant, note, app.app.clock.now());
    assert!(noted.await.unwrap());

    let mut ends = Vec::new();
    for _ in 0..2 {
        ends.push(run(&app.app, &tenant, id, Duration::ZERO).await.unwrap());
    }

    assert_eq!(ends, [Progress::More, Progress::Done]);
    let job = found(&app, &tenant, id).await;
    assert_eq!(job.status, Status::Failed);
    let why = "The upload did not end; send the file in parts";
    assert_eq!(job.detail.as_deref(), Some(why));
    // What its last step wrote is there and counted, and nothing is reserved for the rest.
    assert_eq!(job.summary.submitted, SLICE);
    let made = records(&app, &tenant).await;
    assert_eq!(made.len() as u64, job.summary.accepted);
}

#[tokio::test]
async fn a_file_that_cannot_be_taken_ends_its_upload_and_writes_nothing() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let rows: String = (0..60).fold("name\n".to_owned(), |file, n| format!("{file}Part {n}\n"));
    for (name, file, told) in [
        (
            "a.csv",
            rows.as_str(),
            "The upload would pass the 50 records of the free plan",
        ),
        (
            "a.csv",
            "name,a\nx,\"open\n",
            "The quote that opens at line 2 is never closed",
        ),
        ("a.csv", "title\nx\n", "The file has no column 'name'"),
        ("a.json", "[{\"name\": \"x\"},]", "not valid JSON"),
    ] {
        let tenant = app.tenant(Plan::Free).await.tenant;
        let id = send(&app, &tenant, name, file).await;

        assert_eq!(
            run(&app.app, &tenant, id, LONG).await.unwrap(),
            Progress::Done
        );

        let job = found(&app, &tenant, id).await;
        assert_eq!(job.status, Status::Failed, "{file}");
        let detail = job.detail.expect("a reason");
        assert!(detail.contains(told), "{detail}");
        let summary = app.app.summary(&tenant).await.unwrap();
        assert!(summary.collections.is_empty());
        assert_eq!(summary.caps, Caps::default());
    }
}

#[tokio::test]
async fn a_file_of_another_size_than_announced_is_not_taken() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let job = job(&app, "a.csv", 100);
    app.app
        .table
        .create_upload(&tenant, &job, None)
        .await
        .unwrap();
    let body = stream::iter([Ok::<_, std::io::Error>("name\nBolt\n".into())]);
    app.files.receive(&tenant, job.id, 10, body).await.unwrap();

    assert_eq!(
        run(&app.app, &tenant, job.id, LONG).await.unwrap(),
        Progress::Done
    );

    let job = found(&app, &tenant, job.id).await;
    assert_eq!(job.status, Status::Failed);
    let detail = "The file has 10 bytes, 100 were announced";
    assert_eq!(job.detail.as_deref(), Some(detail));
}

#[tokio::test]
async fn an_upload_whose_file_has_not_arrived_waits_for_it() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let job = job(&app, "a.csv", 10);
    app.app
        .table
        .create_upload(&tenant, &job, None)
        .await
        .unwrap();

    assert_eq!(
        run(&app.app, &tenant, job.id, LONG).await.unwrap(),
        Progress::Done
    );

    let now: Moment = app.app.clock.now();
    let found = found(&app, &tenant, job.id).await;
    assert_eq!(found.clone().seen(now, None).status, Status::Pending);
    let late = now + TimeDelta::minutes(75);
    assert_eq!(found.seen(late, None).status, Status::Failed);
}

/// Deletes the collection that files go to.
async fn delete(app: &TestApp, tenant: &TenantId) {
    let (name, now) = ("parts".parse().expect("a collection"), app.app.clock.now());
    let deleted = app.app.table.delete_collection(tenant, &name, now).await;
    assert!(deleted.expect("an answer").is_some());
}

#[tokio::test]
async fn an_upload_whose_collection_is_deleted_between_steps_ends_as_a_conflict() {
    for is_made_anew in [false, true] {
        let app = TestApp::with(api::Router::new(), &SETTINGS).await;
        let tenant = app.tenant(Plan::Scale).await.tenant;
        let id = send(&app, &tenant, "parts.ndjson", &file(12_000)).await;
        let first = run(&app.app, &tenant, id, Duration::ZERO).await.unwrap();
        assert_eq!(first, Progress::More);
        delete(&app, &tenant).await;
        if is_made_anew {
            let rows = [json!({"name": "Screw"})];
            app.add(&tenant, ("parts", "product"), &rows).await;
        }

        whole(&app, &tenant, id).await;

        let job = found(&app, &tenant, id).await;
        assert_eq!(job.status, Status::Failed);
        let detail = "The collection was deleted meanwhile";
        assert_eq!(job.detail.as_deref(), Some(detail));
        let left = records(&app, &tenant).await;
        assert_eq!(left.len(), usize::from(is_made_anew));
    }
}

#[tokio::test]
async fn a_step_that_was_cut_short_does_not_make_a_deleted_collection_anew() {
    let app = TestApp::with(api::Router::new(), &SETTINGS).await;
    let tenant = app.tenant(Plan::Scale).await.tenant;
    let rows = [json!({"name": "Screw"})];
    app.add(&tenant, ("parts", "product"), &rows).await;
    let id = send(&app, &tenant, "parts.ndjson", &file(6_000)).await;
    let is_reserved = async || {
        let summary = app.app.summary(&tenant).await.expect("a summary");
        summary.caps.hold(id).is_some()
    };
    {
        let mut step = pin!(run(&app.app, &tenant, id, LONG));
        while !is_reserved().await {
            poll_fn(|context| {
                assert!(step.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
    }
    // What is under way may still arrive, as with a process that was killed.
    tokio::time::sleep(Duration::from_millis(50)).await;
    delete(&app, &tenant).await;
    let now = app.app.clock.now() + TimeDelta::seconds(1);
    let app = app.again(api::Router::new(), &SETTINGS, Some(now)).await;
    app.advance(now - app.app.clock.now());

    whole(&app, &tenant, id).await;

    let job = found(&app, &tenant, id).await;
    assert_eq!(job.status, Status::Failed);
    let detail = "The collection was deleted meanwhile";
    assert_eq!(job.detail.as_deref(), Some(detail));
    assert!(records(&app, &tenant).await.is_empty());
}
