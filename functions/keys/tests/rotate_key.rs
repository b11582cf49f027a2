//! `POST /portal/keys/{key_id}/rotate`: a new secret lives, the old one is dead, all else stays.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::plan::Plan;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Answer, Client, Fault, TABLE, TestApp};

const KEYS: &str = "/portal/keys";
const UNKNOWN: &str = "550e8400-e29b-41d4-a716-446655440000";

async fn create_with(client: &Client<'_>, body: Value) -> Value {
    let answer = client.post(KEYS, body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

async fn create(client: &Client<'_>) -> Value {
    let body = json!({"name": "production-key", "scopes": ["search", "upload"]});
    create_with(client, body).await
}

fn id(key: &Value) -> &str {
    key["id"].as_str().expect("an id")
}

async fn rotate(client: &Client<'_>, id: &str) -> Answer {
    let path = format!("{KEYS}/{id}/rotate");
    client.call(Method::POST, &path, None).await
}

fn secret(key: &Value) -> &str {
    key["key"].as_str().expect("a secret")
}

fn hash(key: &Value) -> String {
    hex::encode(Sha256::digest(secret(key)))
}

async fn listed(client: &Client<'_>) -> Value {
    let answer = client.get(KEYS).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

/// Every item of the table as text, in one order.
async fn dump(app: &TestApp) -> String {
    let config = table::local_config(&app.endpoint).build();
    let scanned = aws_sdk_dynamodb::Client::from_conf(config)
        .scan()
        .table_name(TABLE)
        .consistent_read(true)
        .send()
        .await
        .expect("a scan");
    assert!(scanned.last_evaluated_key().is_none(), "a longer table");
    let mut items: Vec<String> = scanned
        .items()
        .iter()
        .map(|item| format!("{:?}", item.iter().collect::<BTreeMap<_, _>>()))
        .collect();
    items.sort();
    items.join("\n")
}

/// Checks that a secret is its prefix, 56 random hex digits and their CRC-32 in 8 more.
#[track_caller]
fn assert_secret(secret: &str) {
    let digits = secret.strip_prefix("sk_live_").expect("the prefix");
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    assert!(digits.len() == 64 && digits.bytes().all(lower_hex));
    let (random, check) = digits.split_at(56);
    assert_eq!(check, format!("{:08x}", crc32fast::hash(random.as_bytes())));
}

/// Checks that of all secrets that were ever issued only this key's is live.
async fn assert_only_live(app: &TestApp, live: &Value, dead: &[&Value]) {
    let stored = dump(app).await;
    assert!(stored.contains(&format!("KEYHASH#{}", hash(live))));
    assert_eq!(stored.matches("KEYHASH#").count(), 1);
    for key in dead {
        assert!(!stored.contains(&hash(key)));
    }
}

/// Checks that two answers differ in nothing but their request ids.
#[track_caller]
fn assert_indistinguishable(left: &Answer, right: &Answer) {
    let headers = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("x-request-id");
        headers
    };
    assert_eq!(left.status, right.status);
    assert_eq!(left.text, right.text);
    assert_eq!(headers(left), headers(right));
}

#[track_caller]
fn assert_not_found(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json(), json!({"detail": "API key not found"}));
}

#[tokio::test]
async fn a_rotated_key_has_a_new_secret_and_is_the_same_otherwise() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let body = json!({
        "name": "production-key",
        "scopes": ["search", "upload"],
        "expires_at": "2027-01-01T00:00:00Z",
    });
    let key = create_with(&client, body).await;
    let before = listed(&client).await;
    app.advance(TimeDelta::hours(1));

    let answer = rotate(&client, id(&key)).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let rotated = answer.json();
    assert_secret(secret(&rotated));
    assert_ne!(secret(&rotated), secret(&key));
    assert_eq!(
        rotated,
        json!({
            "id": key["id"],
            "name": "production-key",
            "key": rotated["key"],
            "scopes": ["search", "upload"],
            "created_at": "2026-03-08T12:00:00Z",
            "expires_at": "2027-01-01T00:00:00Z",
            "message": "Store this key securely \u{2014} it cannot be retrieved again.",
        })
    );
    assert_eq!(listed(&client).await, before);
}

#[tokio::test]
async fn the_old_secret_is_dead_and_only_the_new_ones_hash_is_kept() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = create(&client).await;

    let second = rotate(&client, id(&first)).await.json();
    assert_only_live(&app, &second, &[&first]).await;
    let third = rotate(&client, id(&first)).await.json();
    assert_only_live(&app, &third, &[&first, &second]).await;

    let stored = dump(&app).await;
    assert!(!stored.contains("sk_live_"));
    assert!(!client.get(KEYS).await.text.contains("sk_live_"));
}

#[tokio::test]
async fn a_body_is_ignored() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client).await;
    let before = listed(&client).await;

    let path = format!("{KEYS}/{}/rotate", id(&key));
    let body = json!({"name": "renamed", "scopes": ["admin"], "key": "chosen-by-the-caller"});
    let answer = client.post(&path, body).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_secret(secret(&answer.json()));
    assert_eq!(listed(&client).await, before);
}

#[tokio::test]
async fn a_rotation_keeps_what_was_changed_before_it() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client).await;
    let path = format!("{KEYS}/{}", id(&key));
    let body = json!({"name": "renamed", "scopes": ["search"]});
    let answer = client.patch(&path, body).await;
    assert_eq!(answer.status, StatusCode::OK);

    let rotated = rotate(&client, id(&key)).await.json();

    assert_eq!(rotated["name"], "renamed");
    assert_eq!(rotated["scopes"], json!(["search"]));
    assert_only_live(&app, &rotated, &[&key]).await;
}

#[tokio::test]
async fn other_keys_keep_their_secrets() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let rotated = create(&client).await;
    let other = create(&client).await;

    let answer = rotate(&client, id(&rotated)).await;

    assert_eq!(answer.status, StatusCode::OK);
    let stored = dump(&app).await;
    assert!(stored.contains(&format!("KEYHASH#{}", hash(&other))));
    assert_eq!(stored.matches("KEYHASH#").count(), 2);
}

#[tokio::test]
async fn a_revoked_key_cannot_be_rotated() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client).await;
    let path = format!("{KEYS}/{}", id(&key));
    assert_eq!(client.delete(&path).await.status, StatusCode::NO_CONTENT);

    assert_not_found(&rotate(&client, id(&key)).await);

    assert!(!dump(&app).await.contains("KEYHASH"));
}

#[tokio::test]
async fn a_key_can_be_rotated_until_the_instant_of_its_expiry() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let body = json!({
        "name": "short-lived",
        "scopes": ["search"],
        "expires_at": "2026-03-08T12:00:01Z",
    });
    let key = create_with(&client, body).await;

    app.advance(TimeDelta::milliseconds(999));
    let answer = rotate(&client, id(&key)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let rotated = answer.json();

    app.advance(TimeDelta::milliseconds(1));
    let answer = rotate(&client, id(&key)).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.json(), json!({"detail": "The API key has expired"}));
    assert_eq!(answer.header("cache-control"), None);
    assert_only_live(&app, &rotated, &[&key]).await;
}

#[tokio::test]
async fn another_tenants_key_is_as_unknown_as_any_and_keeps_its_secret() {
    let app = TestApp::new(keys::router()).await;
    let owner = app.tenant(Plan::Free).await;
    let other = app.tenant(Plan::Free).await;
    let key = create(&owner).await;

    let foreign = rotate(&other, id(&key)).await;
    let unknown = rotate(&other, UNKNOWN).await;

    assert_not_found(&unknown);
    assert_indistinguishable(&foreign, &unknown);
    assert_only_live(&app, &key, &[]).await;
}

#[tokio::test]
async fn another_tenants_expired_key_is_as_unknown_as_any() {
    let app = TestApp::new(keys::router()).await;
    let owner = app.tenant(Plan::Free).await;
    let other = app.tenant(Plan::Free).await;
    let body = json!({
        "name": "short-lived",
        "scopes": ["search"],
        "expires_at": "2026-03-08T12:00:01Z",
    });
    let key = create_with(&owner, body).await;
    app.advance(TimeDelta::seconds(2));

    let foreign = rotate(&other, id(&key)).await;

    assert_indistinguishable(&foreign, &rotate(&other, UNKNOWN).await);
}

#[tokio::test]
async fn a_malformed_id_is_as_unknown_as_any() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let unknown = rotate(&client, UNKNOWN).await;
    assert_not_found(&unknown);
    let long = "x".repeat(10_000);
    for id in [
        "1",
        "..",
        "%2F",
        "%00",
        "COUNT",
        "KEY%23550e8400-e29b-41d4-a716-446655440000",
        "550e8400e29b41d4a716446655440000",
        "%7B550e8400-e29b-41d4-a716-446655440000%7D",
        long.as_str(),
    ] {
        assert_indistinguishable(&rotate(&client, id).await, &unknown);
    }
}

#[tokio::test]
async fn a_viewer_may_not_rotate() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client).await;

    let answer = rotate(&client.viewer(), id(&key)).await;

    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json(), json!({"detail": "Insufficient permissions"}));
    assert_only_live(&app, &key, &[]).await;
}

#[tokio::test]
async fn a_stranger_may_not_rotate() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client).await;

    let answer = rotate(&app.stranger(), id(&key)).await;

    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json(), json!({"detail": "Invalid or expired token"}));
    assert_only_live(&app, &key, &[]).await;
}

#[tokio::test]
async fn of_20_rotations_at_once_one_secret_lives_and_the_losers_are_told() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client).await;

    let answers = join_all((0..20).map(|_| rotate(&client, id(&key)))).await;

    let (won, lost): (Vec<&Answer>, Vec<&Answer>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::OK);
    for answer in lost {
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(
            answer.json(),
            json!({"detail": "The API key was rotated by another request"})
        );
    }
    let won: Vec<Value> = won.into_iter().map(Answer::json).collect();
    let stored = dump(&app).await;
    let (live, dead): (Vec<&Value>, Vec<&Value>) = won
        .iter()
        .partition(|key| stored.contains(&format!("KEYHASH#{}", hash(key))));
    assert_eq!(live.len(), 1);
    let dead: Vec<&Value> = dead.into_iter().chain([&key]).collect();
    assert_only_live(&app, live[0], &dead).await;
    assert_eq!(listed(&client).await["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_rotation_that_is_throttled_for_ever_is_a_503_and_the_old_secret_lives() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client).await;
    let before = dump(&app).await;
    app.faults
        .inject("TransactWriteItems", Fault::Throttled, 100);

    let answer = rotate(&client, id(&key)).await;

    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.json(),
        json!({"detail": "Service temporarily unavailable"})
    );
    assert!(answer.header("retry-after").unwrap().parse::<u32>().is_ok());
    assert_eq!(dump(&app).await, before);
    assert_only_live(&app, &key, &[]).await;
}

#[tokio::test]
async fn a_rotation_that_meets_other_transactions_is_tried_again() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client).await;
    app.faults.inject("TransactWriteItems", Fault::Conflict, 3);

    let answer = rotate(&client, id(&key)).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_only_live(&app, &answer.json(), &[&key]).await;
}

#[tokio::test]
async fn a_rotation_whose_reply_was_lost_answers_with_the_secret_that_lives() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client).await;
    app.faults.inject("TransactWriteItems", Fault::Lost, 1);

    let answer = rotate(&client, id(&key)).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_only_live(&app, &answer.json(), &[&key]).await;
}
