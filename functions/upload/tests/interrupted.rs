//! `Idempotency-Key` on uploads that did not go well: a call that is at work is not done twice, one that
//! came to nothing is taken up, and one whose answer was lost is told again.

mod calling;
#[expect(dead_code, reason = "other tests need more of it")]
mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use auth::Role;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use calling::{
    CALL, UPLOADS, announced, assert_replay, calls, file, is_replay, member, post_csv, row, uploads,
};
use chrono::TimeDelta;
use common::{post_file, recounted, taken};
use futures_util::future::join_all;
use model::id::{TenantId, UploadId};
use model::plan::Plan;
use model::time::Moment;
use serde_json::json;
use testkit::{
    Answer, Client, Fault, Item, NOW, SDK_ATTEMPTS, TABLE, TRANSACTION_ATTEMPTS, TestApp,
    assert_refusal, assert_reused, assert_unavailable, dynamodb,
};

/// Where the files go.
const PARTS: (&str, &str) = ("parts", "product");

fn start() -> Moment {
    NOW.parse().expect("a moment")
}

async fn put(app: &TestApp, item: Item) {
    let put = dynamodb(&app.endpoint).put_item().table_name(TABLE);
    let put = put.set_item(Some(item)).send().await;
    put.expect("an item that is put");
}

/// Leaves what a call does that has claimed an upload of a file and is at it: the same as a call of
/// another tenant, but for what it made.
async fn claim(app: &TestApp, tenant: &TenantId, upload: UploadId, content: &str) {
    let twin = member(app, Plan::Pro).await;
    taken(&post_file(&twin, "a.json", content).await);
    let mut item = calls(app, &twin.tenant).await.remove(0);
    item.insert(
        "pk".to_owned(),
        AttributeValue::S(format!("TENANT#{tenant}#CALLS")),
    );
    item.insert("made".to_owned(), AttributeValue::S(upload.to_string()));
    item.remove("told").expect("what was told");
    put(app, item).await;
}

/// Leaves what a call does that has written its file and is gone before it has answered.
async fn unanswer(app: &TestApp, tenant: &TenantId) {
    let mut item = calls(app, tenant).await.remove(0);
    item.remove("told").expect("what was told");
    put(app, item).await;
}

/// The service started again, a second later, as the only one that writes to the engine.
async fn restarted(app: &TestApp) -> TestApp {
    let settings = [("RATE_LIMIT_ENABLED", "false")];
    let alone_since = start() + TimeDelta::seconds(1);
    let again = app.again(upload::router(), &settings, Some(alone_since));
    let again = again.await;
    again.advance(TimeDelta::seconds(1));
    again
}

/// How long an upload may write and fold.
fn writes(app: &TestApp) -> TimeDelta {
    TimeDelta::from_std(app.app.config.upload_time).expect("a short time")
}

/// How long a call may be at an upload.
fn longest(app: &TestApp) -> TimeDelta {
    writes(app) + TimeDelta::minutes(2)
}

#[track_caller]
fn assert_at_work(answer: &Answer) {
    let detail = "A call with the same Idempotency-Key is at work";
    assert_refusal(answer, StatusCode::CONFLICT, detail);
    let seconds = answer.header("retry-after").expect("when to come again");
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0));
    assert!(!is_replay(answer));
}

/// The one of several calls at once that did the work, after a check that the others did none: each is
/// told what that one was answered, or that it is at work.
#[track_caller]
fn only_worker(answers: Vec<Answer>) -> Answer {
    let (mut workers, others): (Vec<Answer>, Vec<Answer>) = answers
        .into_iter()
        .partition(|answer| answer.status == StatusCode::CREATED && !is_replay(answer));
    assert_eq!(workers.len(), 1);
    let worker = workers.remove(0);
    for answer in &others {
        if answer.status == StatusCode::CREATED {
            assert_replay(answer, &worker);
        } else {
            assert_at_work(answer);
        }
    }
    worker
}

/// Checks that an answer is that to an earlier call of which nobody noted how long it took.
#[track_caller]
fn assert_told_again(answer: &Answer, first: &Answer) {
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert!(is_replay(answer));
    let mut expected = first.json();
    expected["metadata"]["processing_time_ms"] = json!(0.0);
    assert_eq!(answer.json(), expected);
}

/// Checks that a file whose answer was not noted is told again, once its call has surely been answered and
/// not before: 5 seconds after its upload could fold.
async fn assert_told_later(app: &TestApp, client: &Client<'_>, content: &str, first: &Answer) {
    let answered = writes(app) + TimeDelta::seconds(5);
    for wait in [TimeDelta::zero(), answered - TimeDelta::milliseconds(1)] {
        app.advance(wait);
        assert_at_work(&post_file(client, "a.csv", content).await);
    }
    app.advance(TimeDelta::milliseconds(1));
    assert_told_again(&post_file(client, "a.csv", content).await, first);
    assert_eq!(uploads(app, &client.tenant).await, 1);
}

#[tokio::test]
async fn an_announcement_whose_answer_never_came_is_told_again() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Free).await;
    // Whoever calls for the first time is noted by a transaction of their own.
    client.get(UPLOADS).await;
    app.faults
        .inject("TransactWriteItems", Fault::Lost, SDK_ATTEMPTS);
    assert_unavailable(&client.post(UPLOADS, announced(100)).await);

    let again = client.post(UPLOADS, announced(100)).await;

    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
    assert!(is_replay(&again));
    let listed = client.get(UPLOADS).await.json();
    assert_eq!(listed["uploads"].as_array().expect("a list").len(), 1);
    assert_eq!(listed["uploads"][0]["upload_id"], again.json()["upload_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_20_calls_at_once_one_writes_the_file() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Pro).await;
    let content = file(0..60);

    let answers = (0..20).map(|_| post_file(&client, "a.json", &content));
    let answers = join_all(answers).await;

    assert_eq!(taken(&only_worker(answers)), [60, 60, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 60);
    assert_eq!(uploads(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn a_call_whose_claim_was_made_and_not_answered_claims_it_once() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Pro).await;
    // Whoever calls for the first time is noted by a transaction of their own.
    client.get(UPLOADS).await;
    app.faults.inject("TransactWriteItems", Fault::Lost, 1);
    app.calls.record();

    let first = post_csv(&client).await;

    let partition = format!("TENANT#{}#CALLS", client.tenant);
    let mut claims = app.calls.take();
    claims.retain(|call| {
        let mut keys = call.accesses.iter().map(|access| &access.key);
        call.operation == "TransactWriteItems" && keys.any(|key| *key == partition)
    });
    assert_eq!(claims.len(), 2, "the claim is what was tried again");
    assert_eq!(taken(&first), [2, 2, 0, 0]);
    assert!(!is_replay(&first));
    assert_replay(&post_csv(&client).await, &first);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 2);
    assert_eq!(uploads(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn a_call_whose_claim_failed_is_taken_up_at_once() {
    for (fault, times) in [
        (Fault::Lost, SDK_ATTEMPTS),
        (Fault::Conflict, TRANSACTION_ATTEMPTS),
    ] {
        let app = TestApp::new(upload::router()).await;
        let client = member(&app, Plan::Pro).await;
        // Whoever calls for the first time is noted by a transaction of their own.
        client.get(UPLOADS).await;
        app.faults.inject("TransactWriteItems", fault, times);
        assert_unavailable(&post_csv(&client).await);
        assert!(calls(&app, &client.tenant).await.is_empty(), "{fault:?}");
        assert_eq!(uploads(&app, &client.tenant).await, 0, "{fault:?}");

        let answer = post_csv(&client).await;

        assert_eq!(taken(&answer), [2, 2, 0, 0], "{fault:?}");
        assert!(!is_replay(&answer));
        assert_replay(&post_csv(&client).await, &answer);
        assert_eq!(recounted(&app, &client.tenant).await.len(), 2, "{fault:?}");
        assert_eq!(uploads(&app, &client.tenant).await, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_call_that_failed_half_way_may_be_sent_again_and_writes_nothing_twice() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Pro).await;
    // No batch may meet another one: to the code this is a refusal that it does not know.
    app.faults
        .inject("BatchExecuteStatement", Fault::Conflict, 1);
    let failed = post_file(&client, "a.json", file(0..60)).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    let written = recounted(&app, &client.tenant).await.len() as u64;

    let answer = post_file(&client, "a.json", file(0..60)).await;

    assert_eq!(taken(&answer), [60, 60 - written, 0, written]);
    assert_replay(&post_file(&client, "a.json", file(0..60)).await, &answer);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 60);
}

#[tokio::test]
async fn a_call_that_failed_half_way_is_taken_up_at_once_even_if_it_could_not_be_given_up() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    // To the code a refusal that it does not know, as above.
    app.faults
        .inject("BatchExecuteStatement", Fault::Conflict, 1);
    let failed = post_file(&client, "a.json", file(0..60)).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    let written = recounted(&app, &client.tenant).await.len() as u64;
    let listed = client.get(UPLOADS).await.json();
    let failed = &listed["uploads"][0];
    assert_eq!(failed["status"], "failed");
    assert!(failed["detail"].is_string());
    let upload = failed["upload_id"].as_str().expect("an id");
    let upload = upload.parse().expect("an id");
    claim(&app, &client.tenant, upload, &file(0..60)).await;
    let client = client.under(CALL);

    let answer = post_file(&client, "a.json", file(0..60)).await;

    assert_eq!(taken(&answer), [60, 60 - written, 0, written]);
    assert!(!is_replay(&answer));
    assert_replay(&post_file(&client, "a.json", file(0..60)).await, &answer);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 60);
    assert_eq!(uploads(&app, &client.tenant).await, 2);
}

#[tokio::test]
async fn a_call_whose_process_is_gone_is_taken_up_again_and_writes_no_record_twice() {
    for written in [0, 10, 20] {
        let app = TestApp::new(upload::router()).await;
        let tenant = app.tenant(Plan::Pro).await.tenant;
        let upload = app.reserve(&tenant, PARTS, 20).await;
        upload.write((0..written).map(row)).await;
        claim(&app, &tenant, upload.id, &file(0..20)).await;
        let app = restarted(&app).await;
        let client = app.client(tenant.as_str(), Role::Member).under(CALL);

        let answer = post_file(&client, "a.json", file(0..20)).await;

        let known = written as u64;
        assert_eq!(taken(&answer), [20, 20 - known, 0, known]);
        assert!(!is_replay(&answer));
        assert_replay(&post_file(&client, "a.json", file(0..20)).await, &answer);
        assert_eq!(recounted(&app, &tenant).await.len(), 20);
    }
}

#[tokio::test]
async fn a_call_whose_process_is_gone_has_to_be_sent_with_the_same_body() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let upload = app.app.ids.upload(start());
    claim(&app, &tenant, upload, &file(0..20)).await;
    let app = restarted(&app).await;
    let client = app.client(tenant.as_str(), Role::Member).under(CALL);

    assert_reused(&post_file(&client, "a.json", file(0..21)).await);

    assert!(recounted(&app, &tenant).await.is_empty());
}

#[tokio::test]
async fn of_20_that_take_up_a_call_one_writes_the_file() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let upload = app.app.ids.upload(start());
    claim(&app, &tenant, upload, &file(0..20)).await;
    let app = restarted(&app).await;
    let client = app.client(tenant.as_str(), Role::Member).under(CALL);
    let content = file(0..20);

    let answers = (0..20).map(|_| post_file(&client, "a.json", &content));
    let answers = join_all(answers).await;

    assert_eq!(taken(&only_worker(answers)), [20, 20, 0, 0]);
    assert_eq!(uploads(&app, &tenant).await, 1);
    assert_eq!(recounted(&app, &tenant).await.len(), 20);
}

#[tokio::test]
async fn a_call_at_work_is_not_done_twice_and_is_taken_up_after_its_time() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Pro).await;
    let upload = app.app.ids.upload(start());
    claim(&app, &client.tenant, upload, &file(0..20)).await;

    let almost = longest(&app) - TimeDelta::milliseconds(1);
    for wait in [TimeDelta::zero(), almost] {
        app.advance(wait);
        assert_at_work(&post_file(&client, "a.json", file(0..20)).await);
        assert_reused(&post_file(&client, "a.json", file(0..21)).await);
    }
    assert!(recounted(&app, &client.tenant).await.is_empty());
    assert_eq!(uploads(&app, &client.tenant).await, 0);

    app.advance(TimeDelta::milliseconds(1));
    let answer = post_file(&client, "a.json", file(0..20)).await;
    assert_eq!(taken(&answer), [20, 20, 0, 0]);
    assert!(!is_replay(&answer));
}

#[tokio::test]
async fn a_call_that_was_written_and_never_answered_is_answered_from_what_is_kept() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Pro).await;
    let tenant = client.tenant.clone();
    let content = "name,n\nBolt,1\n,2\n";
    let first = post_file(&client, "a.csv", content).await;
    assert_eq!(taken(&first), [2, 1, 1, 0]);
    unanswer(&app, &tenant).await;

    // After a restart it cannot be about to be answered.
    let restarted = restarted(&app).await;
    let caller = restarted.client(tenant.as_str(), Role::Member).under(CALL);
    assert_told_again(&post_file(&caller, "a.csv", content).await, &first);
    assert_told_later(&app, &client, content, &first).await;

    assert_eq!(recounted(&app, &tenant).await.len(), 1);
}

#[tokio::test]
async fn a_call_whose_answer_could_not_be_noted_is_answered_from_what_is_kept() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Pro).await;
    let content = "name,n\n,1\n,2\n";
    // Of a file without a good row nothing else is noted by an update.
    app.faults
        .inject("UpdateItem", Fault::Throttled, SDK_ATTEMPTS);
    let first = post_file(&client, "a.csv", content).await;
    assert_eq!(taken(&first), [2, 0, 2, 0]);

    assert_told_later(&app, &client, content, &first).await;
}

/// Makes a call and hangs up so many polls after its first or, if `is_claimed`, after its claim is there.
/// What it was answered, if that came before.
async fn hang_up(
    app: &TestApp,
    client: &Client<'_>,
    (polls, is_claimed): (usize, bool),
) -> Option<Answer> {
    let (mut left, mut call) = (polls, pin!(post_csv(client)));
    loop {
        let polled = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
        if let Poll::Ready(answer) = polled {
            return Some(answer);
        }
        // While this is asked, what the call waits for is done.
        let is_there = !calls(app, &client.tenant).await.is_empty();
        if is_there || !is_claimed {
            if left == 0 {
                return None;
            }
            left -= 1;
        }
    }
}

/// Makes a call, and makes it again for as long as another is at work.
async fn until_answered(client: &Client<'_>) -> Answer {
    for _ in 0..500 {
        let answer = post_csv(client).await;
        if answer.status != StatusCode::CONFLICT {
            return answer;
        }
        assert_at_work(&answer);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody works on it");
}

#[tokio::test]
async fn a_call_whose_client_hangs_up_anywhere_is_done_once() {
    let app = TestApp::new(upload::router()).await;
    let early = (0..4).map(|polls| (polls, false));
    // Until it is answered. The clock stands still: a claim that nobody works on would be at work for ever.
    let late = (0..1_000).map(|polls| (polls, true));
    for (polls, is_claimed) in early.chain(late) {
        let at = format!("{polls} polls on, claimed: {is_claimed}");
        let client = member(&app, Plan::Pro).await;
        // Whoever calls for the first time is noted by a transaction of their own.
        client.get(UPLOADS).await;
        let first = hang_up(&app, &client, (polls, is_claimed)).await;

        let answer = until_answered(&client).await;

        assert_eq!(taken(&answer), [2, 2, 0, 0], "{at}");
        assert!(is_replay(&answer) || !is_claimed, "{at}");
        assert_eq!(recounted(&app, &client.tenant).await.len(), 2, "{at}");
        assert_eq!(uploads(&app, &client.tenant).await, 1, "{at}");
        if let Some(first) = first {
            assert_eq!(taken(&first), [2, 2, 0, 0], "{at}");
            assert_replay(&answer, &first);
            break;
        }
    }
}
