//! `PATCH /portal/keys/{key_id}`: what can be changed of a key, and what stays whatever is sent.

mod common;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::TimeDelta;
use common::{KEYS, create, hash, list};
use futures_util::future::join_all;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{
    Client, Fault, TestApp, assert_faults, assert_indistinguishable, assert_unavailable,
};

const UNKNOWN: &str = "/portal/keys/550e8400-e29b-41d4-a716-446655440000";

async fn production_key(client: &Client<'_>) -> Value {
    let body = json!({
        "name": "production-key",
        "scopes": ["search", "upload"],
        "expires_at": "2027-01-01T00:00:00Z",
    });
    create(client, body).await
}

fn path(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn name_and_scopes_change_and_nothing_else() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    app.advance(TimeDelta::hours(1));

    let body = json!({"name": " renamed ", "scopes": ["records"]});
    let answer = client.patch(&path(&key), body).await;

    assert_eq!(answer.status, StatusCode::OK);
    let changed = json!({
        "id": key["id"],
        "name": "renamed",
        "scopes": ["records"],
        "created_at": "2026-03-08T12:00:00Z",
        "last_used_at": null,
        "expires_at": "2027-01-01T00:00:00Z",
    });
    assert_eq!(answer.json(), changed);
    assert_eq!(list(&client).await, json!({"keys": [changed]}));
}

#[tokio::test]
async fn what_is_not_named_stays() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    for (body, name, scopes) in [
        (
            json!({"name": "renamed"}),
            "renamed",
            json!(["search", "upload"]),
        ),
        (json!({"scopes": ["search"]}), "renamed", json!(["search"])),
        (json!({}), "renamed", json!(["search"])),
    ] {
        let answer = client.patch(&path(&key), body).await;

        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let changed = json!({
            "id": key["id"],
            "name": name,
            "scopes": scopes,
            "created_at": "2026-03-08T12:00:00Z",
            "last_used_at": null,
            "expires_at": "2027-01-01T00:00:00Z",
        });
        assert_eq!(answer.json(), changed);
        assert_eq!(list(&client).await, json!({"keys": [changed]}));
    }
}

#[tokio::test]
async fn the_secret_lives_on_and_is_not_shown() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;

    let answer = client.patch(&path(&key), json!({"name": "renamed"})).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.text.contains("sk_live_"));
    assert!(!answer.text.contains(&hash(&key)));
    let stored = app.dump().await;
    assert!(stored.contains(&format!("KEYHASH#{}", hash(&key))));
    assert_eq!(stored.matches("KEYHASH#").count(), 1);
}

#[tokio::test]
async fn fields_that_cannot_change_are_ignored() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let before = list(&client).await;

    let body = json!({
        "id": "550e8400-e29b-41d4-a716-446655440000",
        "key": "chosen-by-the-caller",
        "hash": "chosen-by-the-caller",
        "tenant_id": "chosen-by-the-caller",
        "created_at": "2001-01-01T00:00:00Z",
        "last_used_at": "2001-01-01T00:00:00Z",
        "expires_at": null,
    });
    let answer = client.patch(&path(&key), body).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), before["keys"][0]);
    assert_eq!(list(&client).await, before);
    let stored = app.dump().await;
    for planted in ["550e8400", "chosen-by-the-caller", "2001-01-01"] {
        assert!(!stored.contains(planted), "{planted}");
    }
}

#[tokio::test]
async fn a_bad_field_is_named_and_changes_nothing() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let before = app.dump().await;
    let name = |value: Value| json!({"name": value, "scopes": ["admin"]});
    let scopes = |value: Value| json!({"name": "renamed", "scopes": value});
    for (body, place, kind) in [
        (name(json!(null)), "body.name", "string_type"),
        (name(json!(7)), "body.name", "string_type"),
        (name(json!(["x"])), "body.name", "string_type"),
        (name(json!("")), "body.name", "string_too_short"),
        (name(json!(" ")), "body.name", "string_too_short"),
        (name(json!("x".repeat(101))), "body.name", "string_too_long"),
        (name(json!("a\u{7}b")), "body.name", "value_error"),
        (scopes(json!(null)), "body.scopes", "list_type"),
        (scopes(json!("search")), "body.scopes", "list_type"),
        (scopes(json!({})), "body.scopes", "list_type"),
        (scopes(json!([])), "body.scopes", "too_short"),
        (scopes(json!(["fly"])), "body.scopes.0", "enum"),
        (scopes(json!([7])), "body.scopes.0", "string_type"),
        (
            scopes(json!(["search", "search"])),
            "body.scopes.1",
            "value_error",
        ),
        (json!(null), "body", "model_attributes_type"),
        (json!([]), "body", "model_attributes_type"),
        (json!("renamed"), "body", "model_attributes_type"),
    ] {
        let answer = client.patch(&path(&key), body).await;
        let place: Vec<&str> = place.split('.').collect();
        assert_faults(&answer, &[(place.as_slice(), kind)]);
    }
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn both_fields_are_named_in_one_answer() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;

    let answer = client
        .patch(&path(&key), json!({"name": 1, "scopes": []}))
        .await;

    assert_faults(
        &answer,
        &[
            (&["body", "name"], "string_type"),
            (&["body", "scopes"], "too_short"),
        ],
    );
}

#[tokio::test]
async fn a_body_that_is_absent_or_not_json_changes_nothing() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let before = app.dump().await;

    let answer = client.call(Method::PATCH, &path(&key), None).await;
    assert_faults(&answer, &[(&["body"], "missing")]);

    for (content_type, status) in [
        ("application/json", StatusCode::UNPROCESSABLE_ENTITY),
        ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let request = client
            .request(Method::PATCH, &path(&key))
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(r#"{"name": "renamed""#))
            .unwrap();
        assert_eq!(app.send(request).await.status, status);
    }
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_viewer_may_not_change() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let before = app.dump().await;

    let answer = client
        .viewer()
        .patch(&path(&key), json!({"name": "renamed"}))
        .await;

    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json(), json!({"detail": "Insufficient permissions"}));
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_stranger_may_not_change() {
    let app = TestApp::new(keys::router()).await;

    let answer = app
        .stranger()
        .patch(UNKNOWN, json!({"name": "renamed"}))
        .await;

    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json(), json!({"detail": "Invalid or expired token"}));
}

#[tokio::test]
async fn another_tenants_key_is_as_unknown_as_any() {
    let app = TestApp::new(keys::router()).await;
    let owner = app.tenant(Plan::Free).await;
    let other = app.tenant(Plan::Free).await;
    let key = production_key(&owner).await;
    let before = list(&owner).await;

    let body = json!({"name": "stolen", "scopes": ["admin"]});
    let foreign = other.patch(&path(&key), body.clone()).await;
    let unknown = other.patch(UNKNOWN, body).await;

    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.json(), json!({"detail": "API key not found"}));
    assert_indistinguishable(&foreign, &unknown);
    assert_eq!(list(&owner).await, before);
    assert_eq!(list(&other).await, json!({"keys": []}));
}

#[tokio::test]
async fn a_malformed_id_is_as_unknown_as_any() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let unknown = client.patch(UNKNOWN, json!({"name": "renamed"})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let long = "x".repeat(10_000);
    for id in [
        "1",
        "null",
        "..",
        "%2F",
        "%00",
        "%23",
        "KEY%23550e8400-e29b-41d4-a716-446655440000",
        "550e8400e29b41d4a716446655440000",
        "%7B550e8400-e29b-41d4-a716-446655440000%7D",
        "550e8400-e29b-41d4-a716-446655440000%20",
        long.as_str(),
    ] {
        let path = format!("{KEYS}/{id}");
        let answer = client.patch(&path, json!({"name": "renamed"})).await;
        assert_indistinguishable(&answer, &unknown);
    }
}

#[tokio::test]
async fn a_revoked_key_cannot_be_changed_back_to_life() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let answer = client.delete(&path(&key)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);

    let answer = client.patch(&path(&key), json!({"name": "renamed"})).await;

    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json(), json!({"detail": "API key not found"}));
    assert_eq!(list(&client).await, json!({"keys": []}));
    assert!(!app.dump().await.contains(&hash(&key)));
}

#[tokio::test]
async fn changes_at_once_all_succeed_and_one_of_them_is_last() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let path = path(&key);

    let names: Vec<String> = (0..20).map(|n| format!("name {n}")).collect();
    let patches = names
        .iter()
        .map(|name| client.patch(&path, json!({"name": name})));
    let answers = join_all(patches).await;

    for (answer, name) in answers.iter().zip(&names) {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json()["name"], name.as_str());
    }
    let list = list(&client).await;
    let last = list["keys"][0]["name"].as_str().unwrap();
    assert!(names.iter().any(|name| name == last), "{last}");
    assert_eq!(list["keys"][0]["scopes"], json!(["search", "upload"]));
    assert_eq!(list["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_that_never_gets_its_turn_is_a_503_and_changes_nothing() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    let before = app.dump().await;
    app.faults
        .inject("TransactWriteItems", Fault::Conflict, 100);

    let answer = client.patch(&path(&key), json!({"name": "renamed"})).await;

    assert_unavailable(&answer);
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_change_whose_reply_was_lost_is_answered_as_made() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = production_key(&client).await;
    app.faults.inject("TransactWriteItems", Fault::Lost, 1);

    let answer = client.patch(&path(&key), json!({"name": "renamed"})).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["name"], "renamed");
    assert_eq!(list(&client).await["keys"][0], answer.json());
}
