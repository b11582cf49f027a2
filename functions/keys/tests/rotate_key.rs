//! `POST /portal/keys/{key_id}/rotate`: a new secret lives, the old one is dead, all else stays.

mod common;
mod secrets;

use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use common::{KEYS, create, hash, list, secret};
use futures_util::future::join_all;
use model::plan::Plan;
use secrets::assert_secret;
use serde_json::{Value, json};
use testkit::{
    Answer, Client, Fault, TestApp, assert_indistinguishable, assert_refusal, assert_unavailable,
};

const UNKNOWN: &str = "550e8400-e29b-41d4-a716-446655440000";

async fn production_key(client: &Client<'_>) -> Value {
    let body = json!({"name": "production-key", "scopes": ["search", "upload"]});
    create(client, body).await
}

fn id(key: &Value) -> &str {
    key["id"].as_str().expect("an id")
}

async fn rotate(client: &Client<'_>, id: &str) -> Answer {
    let path = format!("{KEYS}/{id}/rotate");
    client.call(Method::POST, &path, None).await
}

/// Checks that of all secrets that were ever issued only this key's is live.
async fn assert_only_live(app: &TestApp, live: &Value, dead: &[&Value]) {
    let stored = app.dump().await;
    assert!(stored.contains(&format!("KEYHASH#{}", hash(live))));
    assert_eq!(stored.matches("KEYHASH#").count(), 1);
    for key in dead {
        assert!(!stored.contains(&hash(key)));
    }
}

#[track_caller]
fn assert_not_found(answer: &Answer) {
    assert_refusal(answer, StatusCode::NOT_FOUND, "API key not found");
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
    let key = create(&client, body).await;
    let before = list(&client).await;
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
    assert_eq!(list(&client).await, before);
}

#[tokio::test]
async fn the_old_secret_is_dead_and_only_the_new_ones_hash_is_kept() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = production_key(&client).await;

    let second = rotate(&client, id(&first)).await.json();
    assert_only_live(&app, &second, &[&first]).await;
    let third = rotate(&client, id(&first)).await.json();
    assert_only_live(&app, &third, &[&first, &second]).await;

    let stored = app.dump().await;
    assert!(!stored.contains("sk_live_"));
    assert!(!client.get(KEYS).await.text.contains("sk_live_"));
}

#[tokio::test]
async fn a_body_is_ignored() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let before = list(&client).await;

    let path = format!("{KEYS}/{}/rotate", id(&key));
    let body = json!({"name": "renamed", "scopes": ["admin"], "key": "chosen-by-the-caller"});
    let answer = client.post(&path, body).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_secret(secret(&answer.json()));
    assert_eq!(list(&client).await, before);
}

#[tokio::test]
async fn a_rotation_keeps_what_was_changed_before_it() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
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
    let rotated = production_key(&client).await;
    let other = production_key(&client).await;

    let answer = rotate(&client, id(&rotated)).await;

    assert_eq!(answer.status, StatusCode::OK);
    let stored = app.dump().await;
    assert!(stored.contains(&format!("KEYHASH#{}", hash(&other))));
    assert_eq!(stored.matches("KEYHASH#").count(), 2);
}

#[tokio::test]
async fn a_revoked_key_cannot_be_rotated() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let path = format!("{KEYS}/{}", id(&key));
    assert_eq!(client.delete(&path).await.status, StatusCode::NO_CONTENT);

    assert_not_found(&rotate(&client, id(&key)).await);

    assert!(!app.dump().await.contains("KEYHASH"));
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
    let key = create(&client, body).await;

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
    let key = production_key(&owner).await;

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
    let key = create(&owner, body).await;
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
    let key = production_key(&client).await;

    let answer = rotate(&client.viewer(), id(&key)).await;

    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json(), json!({"detail": "Insufficient permissions"}));
    assert_only_live(&app, &key, &[]).await;
}

#[tokio::test]
async fn a_stranger_may_not_rotate() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;

    let answer = rotate(&app.stranger(), id(&key)).await;

    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json(), json!({"detail": "Invalid or expired token"}));
    assert_only_live(&app, &key, &[]).await;
}

#[tokio::test]
async fn of_20_rotations_at_once_one_secret_lives_and_the_losers_are_told() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;

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
    let stored = app.dump().await;
    let (live, dead): (Vec<&Value>, Vec<&Value>) = won
        .iter()
        .partition(|key| stored.contains(&format!("KEYHASH#{}", hash(key))));
    assert_eq!(live.len(), 1);
    let dead: Vec<&Value> = dead.into_iter().chain([&key]).collect();
    assert_only_live(&app, live[0], &dead).await;
    assert_eq!(list(&client).await["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_rotation_that_is_throttled_for_ever_is_a_503_and_the_old_secret_lives() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let before = app.dump().await;
    app.faults
        .inject("TransactWriteItems", Fault::Throttled, 100);

    let answer = rotate(&client, id(&key)).await;

    assert_unavailable(&answer);
    assert_eq!(app.dump().await, before);
    assert_only_live(&app, &key, &[]).await;
}

#[tokio::test]
async fn a_rotation_that_meets_other_transactions_is_tried_again() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    app.faults.inject("TransactWriteItems", Fault::Conflict, 3);

    let answer = rotate(&client, id(&key)).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_only_live(&app, &answer.json(), &[&key]).await;
}

#[tokio::test]
async fn a_rotation_whose_reply_was_lost_answers_with_the_secret_that_lives() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    app.faults.inject("TransactWriteItems", Fault::Lost, 1);

    let answer = rotate(&client, id(&key)).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_only_live(&app, &answer.json(), &[&key]).await;
}
