//! `GET /portal/keys`: which keys are shown, in which order, and what of them.

mod common;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use chrono::TimeDelta;
use common::{KEYS, create, hash, list, secret};
use futures_util::future::join_all;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, Fault, TABLE, TestApp, assert_unauthorized, assert_unavailable, dynamodb};

async fn named(client: &Client<'_>, name: &str) -> Value {
    create(client, json!({"name": name, "scopes": ["search"]})).await
}

/// The names in the list, in its order.
async fn names(client: &Client<'_>) -> Vec<Value> {
    let list = list(client).await;
    let keys = list["keys"].as_array().expect("a list");
    keys.iter().map(|key| key["name"].clone()).collect()
}

#[tokio::test]
async fn a_tenant_without_keys_has_an_empty_list() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = client.get(KEYS).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), json!({"keys": []}));
}

#[tokio::test]
async fn keys_are_listed_whole_and_newest_first() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = named(&client, "first").await;
    app.advance(TimeDelta::milliseconds(1_500));
    let body = json!({
        "name": "second",
        "scopes": ["upload", "admin"],
        "expires_at": "2027-01-01T00:00:00Z",
    });
    let second = create(&client, body).await;

    let answer = client.get(KEYS).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({"keys": [
            {
                "id": second["id"],
                "name": "second",
                "scopes": ["upload", "admin"],
                "created_at": "2026-03-08T12:00:01.500Z",
                "last_used_at": null,
                "expires_at": "2027-01-01T00:00:00Z",
            },
            {
                "id": first["id"],
                "name": "first",
                "scopes": ["search"],
                "created_at": "2026-03-08T12:00:00Z",
                "last_used_at": null,
                "expires_at": null,
            },
        ]})
    );
}

#[tokio::test]
async fn neither_a_secret_nor_its_hash_is_ever_listed() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = named(&client, "production-key").await;

    let list = client.get(KEYS).await.text;

    assert!(!list.contains(secret(&key)));
    assert!(!list.contains("sk_live_"));
    assert!(!list.contains(&hash(&key)));
}

#[tokio::test]
async fn keys_of_one_second_are_listed_newest_first_too() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    for name in ["a", "b", "c", "d"] {
        named(&client, name).await;
        app.advance(TimeDelta::microseconds(1));
    }

    assert_eq!(names(&client).await, ["d", "c", "b", "a"]);
}

#[tokio::test]
async fn a_list_is_the_same_until_something_changes() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    join_all((0..10).map(|_| named(&client, "made at once"))).await;

    let first = client.get(KEYS).await;
    let second = client.get(KEYS).await;

    assert_eq!(first.text, second.text);
}

#[tokio::test]
async fn all_of_a_hundred_keys_are_listed() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let longest = "\u{1f511}".repeat(100);
    join_all((0..100).map(|_| named(&client, &longest))).await;

    assert_eq!(names(&client).await.len(), 100);
}

#[tokio::test]
async fn an_expired_key_stays_listed() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let body = json!({
        "name": "short-lived",
        "scopes": ["search"],
        "expires_at": "2026-03-08T12:00:01Z",
    });
    create(&client, body).await;

    app.advance(TimeDelta::hours(1));

    assert_eq!(names(&client).await, ["short-lived"]);
}

#[tokio::test]
async fn the_last_use_of_a_key_is_shown() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = named(&client, "production-key").await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let partition = format!("TENANT#{}#KEYS", client.tenant);
    dynamodb(&app.endpoint)
        .update_item()
        .table_name(TABLE)
        .key("pk", text(&partition))
        .key("sk", text(&format!("KEY#{}", key["id"].as_str().unwrap())))
        .update_expression("SET last_used_at = :at")
        .expression_attribute_values(":at", text("2026-03-08T14:30:00.000000Z"))
        .send()
        .await
        .unwrap();

    let answer = client.get(KEYS).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json()["keys"][0]["last_used_at"],
        "2026-03-08T14:30:00Z"
    );
}

#[tokio::test]
async fn a_viewer_may_list() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    named(&client, "production-key").await;

    assert_eq!(names(&client.viewer()).await, ["production-key"]);
}

#[tokio::test]
async fn a_stranger_may_not_list() {
    let app = TestApp::new(keys::router()).await;

    let answer = app.stranger().get(KEYS).await;

    assert_unauthorized(&answer);
}

#[tokio::test]
async fn each_tenant_sees_its_own_keys_and_no_others() {
    let app = TestApp::new(keys::router()).await;
    let one = app.tenant(Plan::Free).await;
    let other = app.tenant(Plan::Free).await;
    named(&one, "of one").await;
    named(&other, "of the other").await;

    assert_eq!(names(&one).await, ["of one"]);
    assert_eq!(names(&other).await, ["of the other"]);
    let path = format!("{KEYS}?tenant_id={}", other.tenant);
    let answer = one.get(&path).await;
    assert_eq!(answer.json()["keys"][0]["name"], "of one");
}

#[tokio::test]
async fn a_throttled_list_is_tried_again() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    named(&client, "production-key").await;
    app.faults.inject("Query", Fault::Throttled, 2);

    assert_eq!(names(&client).await, ["production-key"]);
}

#[tokio::test]
async fn a_list_that_is_throttled_for_ever_is_a_503() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("Query", Fault::Throttled, 100);

    let answer = client.get(KEYS).await;

    assert_unavailable(&answer);
}
