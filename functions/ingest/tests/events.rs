//! What the function is called for, and that it calls itself until a file is ingested.

use std::sync::{Arc, Mutex};

use aws_sdk_lambda::config::{Credentials, Region};
use aws_sdk_lambda::{Client, Config};
use aws_smithy_http_client::Builder;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::TimeDelta;
use files::{Files, Received};
use futures_util::stream;
use ingest::{Event, Ingest, Step};
use model::plan::Plan;
use model::time::Moment;
use model::upload::Status;
use serde_json::{Value, json};
use testkit::TestApp;

const ARRIVED: &str = include_str!("../../../events/ingest/arrived.json");
const GO_ON: &str = include_str!("../../../events/ingest/go_on.json");
const UPLOAD: &str = "019cc9f0-7a00-7000-8000-000000000001";
const FUNCTION: &str = "portal-Ingest";

fn event(event: Value) -> Event {
    serde_json::from_value(event).expect("an event")
}

fn step(step: u32) -> Step {
    Step {
        tenant: "t_event".parse().expect("a tenant"),
        id: UPLOAD.parse().expect("an id"),
        step,
    }
}

/// The steps that an event asks for.
fn steps(event: Value) -> Vec<Step> {
    let files = Files::open("memory:///", None, None).expect("a store");
    self::event(event).steps(&files)
}

/// An event of the bucket.
fn arrived(kind: &str, keys: &[&str]) -> Value {
    let records = keys.iter().map(
        |key| json!({"eventName": kind, "eventSource": "aws:s3", "s3": {"object": {"key": key}}}),
    );
    json!({"Records": records.collect::<Vec<_>>()})
}

#[test]
fn a_file_that_came_is_the_first_step_of_its_upload() {
    let key = format!("t_event/{UPLOAD}");
    let kinds = ["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload"];
    for kind in kinds {
        assert_eq!(steps(arrived(kind, &[&key])), [step(1)]);
    }
    let encoded = format!("t%5Fevent/{UPLOAD}");
    let both = steps(arrived(kinds[0], &[&key, &encoded]));
    assert_eq!(both, [step(1), step(1)]);
    let recorded: Value = serde_json::from_str(ARRIVED).expect("JSON");
    let of_bucket = &recorded["Records"][0]["s3"]["object"]["key"];
    assert_eq!(*of_bucket, format!("uploads/{key}"));
    // There the store is the folder of that name.
    assert_eq!(steps(recorded), []);
}

#[test]
fn what_is_no_upload_is_no_step() {
    let key = format!("t_event/{UPLOAD}");
    assert_eq!(steps(arrived("ObjectRemoved:Delete", &[&key])), []);
    for key in ["", "t_event", UPLOAD, "t_event/x", "t event/x"] {
        assert_eq!(steps(arrived("ObjectCreated:Put", &[key])), [], "{key}");
    }
}

#[test]
fn a_step_names_its_upload() {
    let recorded = serde_json::from_str(GO_ON).expect("JSON");
    assert_eq!(steps(recorded), [step(2)]);
    assert_eq!(step(2).following(), step(3));
    let told = json!({"upload": step(3)});
    assert_eq!(steps(told), [step(3)]);
    for wrong in [
        json!({}),
        json!({"upload": {"tenant": "t event", "id": UPLOAD, "step": 1}}),
        json!({"upload": {"tenant": "t_event", "id": "x", "step": 1}}),
        json!({"upload": {"tenant": "t_event", "id": UPLOAD}}),
    ] {
        assert!(
            serde_json::from_value::<Event>(wrong.clone()).is_err(),
            "{wrong}"
        );
    }
}

/// What Lambda was asked for: function, kind of call and event.
type Calls = Arc<Mutex<Vec<(String, String, Value)>>>;

async fn invoke(
    State((calls, answer)): State<(Calls, StatusCode)>,
    Path(function): Path<String>,
    headers: HeaderMap,
    event: Bytes,
) -> StatusCode {
    let kind = headers["x-amz-invocation-type"].to_str().expect("a text");
    let event = serde_json::from_slice(&event).expect("JSON");
    let call = (function, kind.to_owned(), event);
    calls.lock().expect("the calls").push(call);
    answer
}

/// Something that plays Lambda, and a client of it.
async fn lambda(answer: StatusCode) -> (Client, Calls) {
    let calls = Calls::default();
    let router = axum::Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .with_state((Arc::clone(&calls), answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = Config::builder()
        .behavior_version_latest()
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .http_client(Builder::new().build_http());
    (Client::from_conf(config.build()), calls)
}

fn told(calls: &Calls) -> Vec<(String, String, Value)> {
    std::mem::take(&mut *calls.lock().expect("the calls"))
}

/// Announces a file and sends it.
async fn send(app: &TestApp, file: &str) -> Step {
    let client = app.tenant(Plan::Pro).await;
    let announced = json!({
        "collection": "parts",
        "record_type": "product",
        "file_name": "parts.csv",
        "size_bytes": file.len(),
    });
    let answer = client.post("/portal/uploads", announced).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let id = answer.json()["upload_id"].as_str().expect("an id").parse();
    let id = id.expect("an id");
    let (tenant, size) = (client.tenant.clone(), file.len() as u64);
    let body = stream::iter([Ok::<_, std::io::Error>(file.to_owned().into())]);
    let received = app.files.receive(&tenant, id, size, body).await;
    assert_eq!(received.expect("an answer"), Received::Stored);
    Step {
        tenant,
        id,
        step: 1,
    }
}

async fn status(app: &TestApp, step: &Step) -> Status {
    let found = app.app.table.find_upload(&step.tenant, step.id).await;
    found.expect("an answer").expect("an upload").status
}

/// The event of the bucket that a file of an upload has come.
fn came(step: &Step) -> Value {
    arrived(
        "ObjectCreated:Put",
        &[&format!("{}/{}", step.tenant, step.id)],
    )
}

fn in_minutes(app: &TestApp, minutes: i64) -> Moment {
    app.app.clock.now() + TimeDelta::minutes(minutes)
}

#[tokio::test]
async fn a_file_that_came_is_ingested_and_telling_it_twice_changes_nothing() {
    let app = TestApp::new(upload::router()).await;
    let (client, calls) = lambda(StatusCode::ACCEPTED).await;
    let ingest = Ingest::new(app.app.clone(), client);
    let step = send(&app, "name\nBolt\nNut\n").await;
    for _ in 0..2 {
        let event = event(came(&step));
        let done = ingest.handle(event, FUNCTION.to_owned(), in_minutes(&app, 15));
        done.await.expect("no failure");
        assert_eq!(status(&app, &step).await, Status::Complete);
        assert_eq!(told(&calls), []);
    }
}

#[tokio::test]
async fn a_call_without_time_leaves_the_rest_to_another_of_its_function() {
    let app = TestApp::new(upload::router()).await;
    let (client, calls) = lambda(StatusCode::ACCEPTED).await;
    let ingest = Ingest::new(app.app.clone(), client);
    let mut step = send(&app, "name\nBolt\n").await;
    let mut asked = came(&step);
    for _ in 0..2 {
        let done = ingest.handle(event(asked), FUNCTION.to_owned(), in_minutes(&app, 1));
        done.await.expect("no failure");
        assert_eq!(status(&app, &step).await, Status::Pending);
        step = step.following();
        asked = json!({"upload": step});
        let call = (FUNCTION.to_owned(), "Event".to_owned(), asked.clone());
        assert_eq!(told(&calls), [call]);
    }
    let done = ingest.handle(event(asked), FUNCTION.to_owned(), in_minutes(&app, 15));
    done.await.expect("no failure");
    assert_eq!(status(&app, &step).await, Status::Complete);
}

#[tokio::test]
async fn calls_without_time_do_not_follow_each_other_for_ever() {
    let app = TestApp::new(upload::router()).await;
    let (client, calls) = lambda(StatusCode::ACCEPTED).await;
    let ingest = Ingest::new(app.app.clone(), client);
    let first = send(&app, "name\nBolt\n").await;
    for (step, follows) in [(399, 1), (400, 0)] {
        let step = Step {
            step,
            ..first.clone()
        };
        let asked = event(json!({"upload": step}));
        let done = ingest.handle(asked, FUNCTION.to_owned(), in_minutes(&app, 1));
        assert_eq!(done.await.is_ok(), follows == 1);
        assert_eq!(told(&calls).len(), follows);
    }
}

#[tokio::test]
async fn a_call_that_cannot_be_followed_fails_so_that_it_is_sent_again() {
    let app = TestApp::new(upload::router()).await;
    let (client, _) = lambda(StatusCode::FORBIDDEN).await;
    let ingest = Ingest::new(app.app.clone(), client);
    let step = send(&app, "name\nBolt\n").await;
    let asked = event(came(&step));
    let done = ingest.handle(asked, FUNCTION.to_owned(), in_minutes(&app, 0));
    let error = done.await.expect_err("a failure").to_string();
    assert!(error.starts_with("it cannot call itself: "), "{error}");
}
