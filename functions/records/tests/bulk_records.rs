//! `PATCH /records/bulk`, `POST /records/bulk-visibility` and `POST /records/bulk-delete`.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use chrono::TimeDelta;
use model::id::{RecordId, TenantId};
use model::key::Scope;
use model::period::Period;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Answer, Client, TestApp, assert_faults, assert_refusal, assert_unavailable};

const BULK: &str = "/records/bulk";
const VISIBILITY: &str = "/records/bulk-visibility";
const DELETE: &str = "/records/bulk-delete";

/// How much of an answer its records take at most, and what little is around them.
const MOST_BYTES: usize = 5 * 1024 * 1024 + 2048;

fn bolts(count: u32) -> Vec<Value> {
    let bolt = |number| json!({"name": "Bolt", "number": number, "size": 8});
    (1..=count).map(bolt).collect()
}

/// Records in two collections, in the order of their making.
async fn add(app: &TestApp, tenant: &TenantId) -> Vec<RecordId> {
    let mut ids = app.add(tenant, ("bolts", "bolt"), &bolts(3)).await;
    ids.extend(app.add(tenant, ("nuts", "nut"), &bolts(2)).await);
    ids
}

/// Live records and public ones of all collections, as they are counted.
async fn counted(app: &TestApp, tenant: &TenantId) -> (u64, u64) {
    let period = Period::of(app.app.clock.now());
    let summary = app.app.table.summary(tenant, period).await;
    let collections = summary.expect("a summary").collections;
    let counts = || collections.iter().map(|(_, counts)| counts);
    (
        counts().map(|it| it.total).sum(),
        counts().map(|it| it.public).sum(),
    )
}

async fn key<'a>(app: &'a TestApp, client: &Client<'a>) -> Client<'a> {
    app.with_key(&client.tenant, &[Scope::Records]).await
}

#[track_caller]
fn ids(answer: &Answer) -> Vec<RecordId> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    let records = body["records"].as_array().expect("records");
    let id = |record: &Value| record["id"].as_str()?.parse().ok();
    records.iter().filter_map(id).collect()
}

/// The bytes of an answer as it leaves a Lambda, within JSON.
fn leaving(answer: &Answer) -> usize {
    json!(answer.text).to_string().len()
}

#[tokio::test]
async fn the_same_is_changed_of_all_that_are_named() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let all = add(&app, &client.tenant).await;
    let key = key(&app, &client).await;
    app.advance(TimeDelta::seconds(1));

    let named = [all[4], all[0], all[4]];
    let body = json!({
        "record_ids": named, "name": "Part", "data": {"size": null}, "collection_data": {"a": 1},
    });
    let answer = key.patch(BULK, body).await;

    assert_eq!(ids(&answer), [all[4], all[0]]);
    for record in answer.json()["records"].as_array().expect("records") {
        assert_eq!(record["name"], "Part");
        assert_eq!(record["data"]["a"], 1);
        assert_eq!(record["data"]["size"], json!(null));
        assert_eq!(record["indexing_status"], "pending");
        assert_eq!(record["updated_at"], "2026-03-08T12:00:01Z");
    }
    let other = client.get(&format!("/portal/records/{}", all[1])).await;
    assert_eq!(other.json()["name"], "Bolt");
}

#[tokio::test]
async fn visibility_is_changed_counted_and_listed() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let all = add(&app, &client.tenant).await;
    let key = key(&app, &client).await;

    for (visible, named, public) in [
        ("public", &all[..4], 4),
        ("public", &all[..], 5),
        ("private", &all[1..3], 3),
    ] {
        let body = json!({"record_ids": named, "visibility": visible});
        let answer = key.post(VISIBILITY, body).await;
        assert_eq!(ids(&answer), named);
        assert_eq!(counted(&app, &client.tenant).await, (5, public));
    }
    let dump = app.dump().await;
    for name in ["bolts", "nuts"] {
        assert!(
            dump.contains(&format!("{name}#{}", client.tenant)),
            "{name}"
        );
    }
    let answer = key.post(VISIBILITY, json!({"record_ids": all})).await;
    assert_faults(&answer, &[(&["body", "visibility"], "missing")]);
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_counted_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let all = add(&app, &client.tenant).await;
    let key = key(&app, &client).await;

    for archived in [4, 0] {
        let body = json!({"record_ids": all[..4]});
        let answer = key.post(DELETE, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json(), json!({"archived": archived}));
        assert_eq!(counted(&app, &client.tenant).await, (1, 0));
    }
    let answer = client.get(&format!("/portal/records/{}", all[0])).await;
    assert_refusal(&answer, StatusCode::NOT_FOUND, "Record not found");
    let found = client.post("/portal/search/bolts", json!({})).await.json();
    assert_eq!(found["results"], json!([]));
}

#[tokio::test]
async fn what_there_is_not_is_left_out_whosever_it_is() {
    let app = TestApp::new(records::router()).await;
    let (client, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let own = add(&app, &client.tenant).await;
    let theirs = add(&app, &other.tenant).await;
    let key = key(&app, &client).await;

    let named = json!([
        theirs[0],
        "x",
        own[2],
        "00000009-0000-8000-8000-000000000000"
    ]);
    let answer = key
        .patch(BULK, json!({"record_ids": named, "name": "x"}))
        .await;
    assert_eq!(ids(&answer), [own[2]]);
    let answer = key.post(DELETE, json!({"record_ids": named})).await;
    assert_eq!(answer.json(), json!({"archived": 1}));
    let answer = key.post(DELETE, json!({"record_ids": []})).await;
    assert_eq!(answer.json(), json!({"archived": 0}));

    assert_eq!(counted(&app, &other.tenant).await, (5, 0));
    let answer = other.get(&format!("/portal/records/{}", theirs[0])).await;
    assert_eq!(answer.json()["name"], "Bolt");
}

#[tokio::test]
async fn a_faulty_body_is_told_and_changes_nothing() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let all = add(&app, &client.tenant).await;
    let key = key(&app, &client).await;

    for (named, kind) in [
        (json!("x"), "list_type"),
        (json!(vec!["x"; 1_001]), "too_long"),
    ] {
        for answer in [
            key.patch(BULK, json!({"record_ids": named})).await,
            key.post(DELETE, json!({"record_ids": named})).await,
        ] {
            assert_faults(&answer, &[(&["body", "record_ids"], kind)]);
        }
    }
    let answer = key.post(DELETE, json!({})).await;
    assert_faults(&answer, &[(&["body", "record_ids"], "missing")]);
    let answer = key
        .patch(BULK, json!({"record_ids": [all[0], 7], "name": 1}))
        .await;
    assert_faults(
        &answer,
        &[
            (&["body", "record_ids", "1"], "string_type"),
            (&["body", "name"], "string_type"),
        ],
    );
    let large = json!({"a": "x".repeat(50_000)});
    let body = json!({"record_ids": ["x", all[0]], "data": large});
    let answer = key.patch(BULK, body).await;
    assert_faults(&answer, &[(&["body", "record_ids", "1"], "too_large")]);

    let record = client.get(&format!("/portal/records/{}", all[0])).await;
    assert_eq!(record.json()["name"], "Bolt");
    assert_eq!(counted(&app, &client.tenant).await, (5, 0));
}

#[tokio::test]
async fn more_records_than_are_read_at_once_are_changed_and_deleted_like_few() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let (tenant, rows) = (&client.tenant, bolts(70));
    let first = app.add(tenant, ("bolts", "bolt"), &rows).await;
    let second = app.add(tenant, ("nuts", "nut"), &rows).await;
    let pairs = first.iter().zip(&second);
    let all: Vec<RecordId> = pairs.flat_map(|(bolt, nut)| [*bolt, *nut]).collect();
    let key = key(&app, &client).await;

    let body = json!({"record_ids": all, "name": "Part", "visibility": "public"});
    let answer = key.patch(BULK, body).await;

    assert_eq!(ids(&answer), all);
    let answer = answer.json();
    let records = answer["records"].as_array().expect("records");
    assert!(records.iter().all(|it| it["name"] == "Part"));
    assert_eq!(counted(&app, tenant).await, (140, 140));

    let answer = key.post(DELETE, json!({"record_ids": all})).await;
    assert_eq!(answer.json(), json!({"archived": 140}));
    assert_eq!(counted(&app, tenant).await, (0, 0));
}

#[tokio::test]
async fn what_the_last_record_may_not_become_is_told_before_the_first_is_changed() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let mut rows = bolts(120);
    rows[119]["text"] = json!("x".repeat(40_000));
    let all = app.add(&client.tenant, ("bolts", "bolt"), &rows).await;
    let key = key(&app, &client).await;

    let more = json!({"more": "x".repeat(20_000)});
    let answer = key
        .patch(BULK, json!({"record_ids": all, "data": more}))
        .await;

    let place = ["body", "record_ids", "119"];
    assert_faults(&answer, &[(&place, "too_large")]);
    let record = client.get(&format!("/portal/records/{}", all[0])).await;
    assert_eq!(record.json()["data"], json!({"number": 1, "size": 8}));
}

#[tokio::test]
async fn a_change_that_is_far_larger_than_any_record_is_refused_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let all = add(&app, &client.tenant).await;
    let key = key(&app, &client).await;

    let nulls = (0..60_000).map(|name: u32| (name.to_string(), Value::Null));
    let body = json!({"record_ids": all, "data": nulls.collect::<Value>()});
    let answer = key.patch(BULK, body).await;

    assert_faults(&answer, &[(&["body", "data"], "too_large")]);
}

#[tokio::test]
async fn records_of_an_upload_in_flight_are_waited_for_together() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let (tenant, place) = (&client.tenant, ("bolts", "bolt"));
    let settled = app.add(tenant, place, &bolts(1)).await[0];
    let upload = app.reserve(tenant, place, 64).await;
    let nuts = (0..64).map(|number| json!({"name": "Nut", "number": number}));
    let written = upload.write(nuts).await;
    let mut named: Vec<RecordId> = written.iter().map(|record| record.id).collect();
    named.push(settled);
    let key = key(&app, &client).await;

    let started = Instant::now();
    let answer = key.post(DELETE, json!({"record_ids": named})).await;

    // A call waits for 5 seconds, and 16 records are deleted at once: if each of the 64 waited for as
    // long, it would take 20.
    assert!(started.elapsed() < Duration::from_secs(18));
    assert_unavailable(&answer);
    let answer = client.get(&format!("/portal/records/{settled}")).await;
    assert_refusal(&answer, StatusCode::NOT_FOUND, "Record not found");
    app.advance(TimeDelta::minutes(16));
    let answer = key.post(DELETE, json!({"record_ids": named})).await;
    assert_eq!(answer.json(), json!({"archived": 64}), "{}", answer.text);
    assert_eq!(counted(&app, tenant).await, (0, 0));
}

#[tokio::test]
async fn an_answer_beyond_5_mb_leaves_the_data_of_the_last_records_out() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let row = |number: u32| json!({"name": "Bolt", "n": number, "text": "x".repeat(40_000)});
    let rows: Vec<Value> = (0..100).map(row).collect();
    let all = app.add(&client.tenant, ("bolts", "bolt"), &rows).await;
    let key = key(&app, &client).await;

    let body = json!({"record_ids": all, "visibility": "public"});
    let answer = key.post(VISIBILITY, body).await;

    assert_eq!(ids(&answer), all);
    assert!(leaving(&answer) <= MOST_BYTES);
    let body = answer.json();
    let records = body["records"].as_array().expect("records");
    let whole = records.iter().filter(|it| it.get("data").is_some()).count();
    // Twice 40,000 bytes each.
    assert!((60..=65).contains(&whole), "{whole}");
    assert!(
        records[..whole]
            .iter()
            .all(|it| it["data"]["text"].is_string())
    );
    assert!(
        records[whole..]
            .iter()
            .all(|it| it["visibility"] == "public")
    );
}

#[tokio::test]
async fn an_answer_is_as_large_as_a_lambda_hands_it_on() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let row = |number: u32| json!({"name": "Bolt", "n": number, "text": "\"".repeat(20_000)});
    let rows: Vec<Value> = (0..60).map(row).collect();
    let all = app.add(&client.tenant, ("bolts", "bolt"), &rows).await;
    let key = key(&app, &client).await;

    let body = json!({"record_ids": all, "visibility": "public"});
    let answer = key.post(VISIBILITY, body).await;

    assert_eq!(ids(&answer), all);
    assert!(leaving(&answer) <= MOST_BYTES);
    let body = answer.json();
    let records = body["records"].as_array().expect("records");
    let whole = records.iter().filter(|it| it.get("data").is_some()).count();
    // Twice 80,000 bytes each.
    assert!((30..=33).contains(&whole), "{whole}");
    assert!(records.iter().all(|it| it["name"] == "Bolt"));
}

#[tokio::test]
async fn an_answer_whose_names_alone_are_beyond_5_mb_leaves_the_last_ones_out() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let long = |characters: usize| "\u{1f600}".repeat(characters);
    let name = long(1_000);
    let row = |number: u32| json!({"name": name, "source_id": format!("{number:04}{}", long(251))});
    let rows: Vec<Value> = (0..1_000).map(row).collect();
    let all = app.add(&client.tenant, ("bolts", "bolt"), &rows).await;
    let key = key(&app, &client).await;

    let body = json!({"record_ids": all, "visibility": "private"});
    let answer = key.post(VISIBILITY, body).await;

    assert_eq!(ids(&answer), all);
    assert!(leaving(&answer) <= MOST_BYTES);
    let body = answer.json();
    let records = body["records"].as_array().expect("records");
    assert_eq!(records[0]["name"], name.as_str());
    let named = records.iter().filter(|it| it.get("name").is_some()).count();
    assert!((900..1_000).contains(&named), "{named}");
    assert!(records.iter().all(|it| it["visibility"] == "private"));
}

#[tokio::test]
async fn a_key_without_the_scope_changes_nothing() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let all = add(&app, &client.tenant).await;
    let key = app
        .with_key(&client.tenant, &[Scope::Search, Scope::Upload])
        .await;

    let body = json!({"record_ids": all, "visibility": "public"});
    for answer in [
        key.patch(BULK, body.clone()).await,
        key.post(VISIBILITY, body.clone()).await,
        key.post(DELETE, body).await,
    ] {
        assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
    }
    assert_eq!(counted(&app, &client.tenant).await, (5, 0));
}
