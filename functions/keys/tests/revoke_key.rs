//! `DELETE /portal/keys/{key_id}`: a revoked key is dead for good when the answer arrives.

mod common;

use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use common::{KEYS, create, hash, list};
use futures_util::future::join_all;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{
    Answer, Client, Fault, TestApp, assert_indistinguishable, assert_refusal, assert_unavailable,
};

const UNKNOWN: &str = "/portal/keys/550e8400-e29b-41d4-a716-446655440000";

async fn production_key(client: &Client<'_>) -> Value {
    let body = json!({"name": "production-key", "scopes": ["search"]});
    create(client, body).await
}

fn path(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().expect("an id"))
}

/// The ids in the list.
async fn ids(client: &Client<'_>) -> Vec<Value> {
    let list = list(client).await;
    let keys = list["keys"].as_array().expect("a list");
    keys.iter().map(|key| key["id"].clone()).collect()
}

#[track_caller]
fn assert_not_found(answer: &Answer) {
    assert_refusal(answer, StatusCode::NOT_FOUND, "API key not found");
}

#[tokio::test]
async fn a_revoked_key_is_gone_and_its_hash_with_it() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    assert!(app.dump().await.contains(&hash(&key)));

    let answer = client.delete(&path(&key)).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.text, "");
    assert!(ids(&client).await.is_empty());
    let stored = app.dump().await;
    assert!(!stored.contains(&hash(&key)));
    assert!(!stored.contains(key["id"].as_str().unwrap()));
    assert!(!stored.contains("KEYHASH"));
}

#[tokio::test]
async fn revoking_twice_is_a_404() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let answer = client.delete(&path(&key)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);

    let again = client.delete(&path(&key)).await;

    assert_not_found(&again);
    assert_indistinguishable(&again, &client.delete(UNKNOWN).await);
}

#[tokio::test]
async fn other_keys_live_on() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let revoked = production_key(&client).await;
    let kept = production_key(&client).await;

    let answer = client.delete(&path(&revoked)).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(ids(&client).await, [kept["id"].clone()]);
    let stored = app.dump().await;
    assert!(stored.contains(&format!("KEYHASH#{}", hash(&kept))));
    assert_eq!(stored.matches("KEYHASH#").count(), 1);
}

#[tokio::test]
async fn an_expired_key_can_be_revoked() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let body = json!({
        "name": "short-lived",
        "scopes": ["search"],
        "expires_at": "2026-03-08T12:00:01Z",
    });
    let key = create(&client, body).await;
    app.advance(TimeDelta::hours(1));

    let answer = client.delete(&path(&key)).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(ids(&client).await.is_empty());
    assert!(!app.dump().await.contains("KEYHASH"));
}

#[tokio::test]
async fn a_rotated_key_is_revoked_with_its_new_secret() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let rotate = format!("{}/rotate", path(&key));
    let rotated = client.call(Method::POST, &rotate, None).await;
    assert_eq!(rotated.status, StatusCode::OK);

    let answer = client.delete(&path(&key)).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let stored = app.dump().await;
    assert!(!stored.contains(&hash(&key)));
    assert!(!stored.contains(&hash(&rotated.json())));
}

#[tokio::test]
async fn a_viewer_may_not_revoke() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let before = app.dump().await;

    let answer = client.viewer().delete(&path(&key)).await;

    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json(), json!({"detail": "Insufficient permissions"}));
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_stranger_may_not_revoke() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;

    let answer = app.stranger().delete(&path(&key)).await;

    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json(), json!({"detail": "Invalid or expired token"}));
    assert_eq!(ids(&client).await.len(), 1);
}

#[tokio::test]
async fn another_tenants_key_is_as_unknown_as_any_and_lives_on() {
    let app = TestApp::new(keys::router()).await;
    let owner = app.tenant(Plan::Free).await;
    let other = app.tenant(Plan::Free).await;
    let key = production_key(&owner).await;

    let foreign = other.delete(&path(&key)).await;
    let unknown = other.delete(UNKNOWN).await;

    assert_not_found(&unknown);
    assert_indistinguishable(&foreign, &unknown);
    assert_eq!(ids(&owner).await.len(), 1);
    assert!(
        app.dump()
            .await
            .contains(&format!("KEYHASH#{}", hash(&key)))
    );
}

#[tokio::test]
async fn a_malformed_id_is_as_unknown_as_any() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let unknown = client.delete(UNKNOWN).await;
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
        "550e8400-e29b-41d4-a716-446655440000%20",
        long.as_str(),
    ] {
        let answer = client.delete(&format!("{KEYS}/{id}")).await;
        assert_indistinguishable(&answer, &unknown);
    }
}

#[tokio::test]
async fn of_many_revocations_at_once_one_did_it() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let path = path(&key);

    let answers = join_all((0..20).map(|_| client.delete(&path))).await;

    let (done, late): (Vec<&Answer>, Vec<&Answer>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::NO_CONTENT);
    assert_eq!(done.len(), 1);
    for answer in late {
        assert_not_found(answer);
    }
    assert!(!app.dump().await.contains("KEYHASH"));
}

#[tokio::test]
async fn a_revocation_among_rotations_leaves_no_live_secret() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let path = path(&key);
    let rotate = format!("{path}/rotate");

    let rotations = join_all((0..8).map(|_| client.call(Method::POST, &rotate, None)));
    let (revoked, rotations) = tokio::join!(client.delete(&path), rotations);

    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    for answer in &rotations {
        let possible = [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::CONFLICT];
        assert!(possible.contains(&answer.status), "{}", answer.text);
    }
    assert!(ids(&client).await.is_empty());
    assert!(!app.dump().await.contains("KEYHASH"));
}

#[tokio::test]
async fn a_revocation_that_is_throttled_for_ever_is_a_503_and_revokes_nothing() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let before = app.dump().await;
    app.faults
        .inject("TransactWriteItems", Fault::Throttled, 100);

    let answer = client.delete(&path(&key)).await;

    assert_unavailable(&answer);
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_revocation_that_meets_other_transactions_is_tried_again() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    app.faults.inject("TransactWriteItems", Fault::Conflict, 3);

    let answer = client.delete(&path(&key)).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(!app.dump().await.contains("KEYHASH"));
}

#[tokio::test]
async fn a_revocation_whose_reply_was_lost_is_a_204() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    app.faults.inject("TransactWriteItems", Fault::Lost, 1);

    let answer = client.delete(&path(&key)).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(ids(&client).await.is_empty());
    assert!(!app.dump().await.contains("KEYHASH"));
}
