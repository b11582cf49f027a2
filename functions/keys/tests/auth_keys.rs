//! `/auth/keys`: the same keys for a key that may manage them, and for no other.

mod secrets;

use auth::Role;
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::TenantId;
use model::key::Scope;
use model::plan::Plan;
use secrets::assert_secret;
use serde_json::{Value, json};
use testkit::{Client, TestApp, assert_bad_key, assert_faults, assert_refusal};

const KEYS: &str = "/auth/keys";

const UNKNOWN: &str = "550e8400-e29b-41d4-a716-446655440000";

/// An admin's key of a new tenant.
async fn admin(app: &TestApp) -> Client<'_> {
    let tenant = app.tenant(Plan::Free).await.tenant;
    app.with_key(&tenant, &[Scope::Admin]).await
}

async fn create(client: &Client<'_>, body: Value) -> Value {
    let answer = client.post(KEYS, body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

async fn list(client: &Client<'_>) -> Value {
    let answer = client.get(KEYS).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

fn path(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().expect("an id"))
}

fn secret(key: &Value) -> &str {
    key["key"].as_str().expect("a secret")
}

#[tokio::test]
async fn a_key_is_issued_as_the_portal_issues_it() {
    let app = TestApp::new(keys::router()).await;
    let client = admin(&app).await;

    let body = json!({"name": "ci", "scopes": ["search", "upload"]});
    let answer = client.post(KEYS, body).await;

    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let key = answer.json();
    assert_secret(secret(&key));
    assert_eq!(
        key,
        json!({
            "id": key["id"],
            "name": "ci",
            "key": key["key"],
            "scopes": ["search", "upload"],
            "created_at": "2026-03-08T12:00:00Z",
            "expires_at": null,
            "message": "Store this key securely \u{2014} it cannot be retrieved again.",
        })
    );
}

#[tokio::test]
async fn a_key_works_as_soon_as_it_is_issued() {
    let app = TestApp::new(keys::router()).await;
    let client = admin(&app).await;

    let key = create(&client, json!({"name": "second", "scopes": ["admin"]})).await;

    let second = client.with_token(secret(&key));
    assert_eq!(second.get(KEYS).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_list_is_the_portals_with_the_last_use_of_the_key_that_asks() {
    let app = TestApp::new(keys::router()).await;
    let tenant = app.tenant(Plan::Free).await;
    let (own, own_secret) = app.key(&tenant.tenant, &[Scope::Admin], None).await;
    let client = tenant.with_token(own_secret.reveal());
    app.advance(TimeDelta::seconds(1));
    let body = json!({"name": "ci", "scopes": ["search"], "expires_at": "2027-01-01T00:00:00Z"});
    let made = create(&client, body).await;

    let listed = list(&client).await;

    let expected = json!({"keys": [
        {
            "id": made["id"],
            "name": "ci",
            "scopes": ["search"],
            "created_at": "2026-03-08T12:00:01Z",
            "last_used_at": null,
            "expires_at": "2027-01-01T00:00:00Z",
        },
        {
            "id": own.id,
            "name": "test-key",
            "scopes": ["admin"],
            "created_at": "2026-03-08T12:00:00Z",
            "last_used_at": "2026-03-08T12:00:01Z",
            "expires_at": null,
        },
    ]});
    assert_eq!(listed, expected);
    assert_eq!(tenant.get("/portal/keys").await.json(), expected);
}

#[tokio::test]
async fn a_faulty_body_is_told_as_in_the_portal() {
    let app = TestApp::new(keys::router()).await;
    let client = admin(&app).await;

    let answer = client.post(KEYS, json!({"scopes": ["fly"]})).await;

    assert_faults(
        &answer,
        &[
            (&["body", "name"], "missing"),
            (&["body", "scopes", "0"], "enum"),
        ],
    );
}

#[tokio::test]
async fn a_revoked_key_is_gone_at_once() {
    let app = TestApp::new(keys::router()).await;
    let client = admin(&app).await;
    let key = create(&client, json!({"name": "ci", "scopes": ["admin"]})).await;
    let revoked = client.with_token(secret(&key));
    assert_eq!(revoked.get(KEYS).await.status, StatusCode::OK);

    let answer = client.delete(&path(&key)).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.text, "");
    assert_bad_key(&revoked.get(KEYS).await);
    let again = client.delete(&path(&key)).await;
    assert_refusal(&again, StatusCode::NOT_FOUND, "API key not found");
}

#[tokio::test]
async fn a_key_can_rotate_itself() {
    let app = TestApp::new(keys::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let (key, old) = app.key(&tenant, &[Scope::Admin], None).await;
    let client = app.client(tenant.as_str(), Role::Member);
    let old = client.with_token(old.reveal());

    let path = format!("{KEYS}/{}/rotate", key.id);
    let answer = old.call(Method::POST, &path, None).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let rotated = answer.json();
    assert_eq!(rotated["id"], json!(key.id));
    assert_secret(secret(&rotated));
    assert_bad_key(&old.get(KEYS).await);
    let new = client.with_token(secret(&rotated));
    assert_eq!(new.get(KEYS).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_key_that_revokes_itself_leaves_nothing_alive() {
    let app = TestApp::new(keys::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let (key, secret) = app.key(&tenant, &[Scope::Admin], None).await;
    let client = app.client(tenant.as_str(), Role::Member);
    let client = client.with_token(secret.reveal());

    let answer = client.delete(&format!("{KEYS}/{}", key.id)).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let dump = app.dump().await;
    assert!(!dump.contains("KEYHASH"), "{dump}");
    assert!(!dump.contains(&format!("KEY#{}", key.id)), "{dump}");
    assert_bad_key(&client.get(KEYS).await);
}

#[tokio::test]
async fn of_uses_and_rotations_at_once_one_secret_lives() {
    let app = TestApp::new(keys::router()).await;
    let tenant = app.tenant(Plan::Free).await;
    let (key, secret) = app.key(&tenant.tenant, &[Scope::Admin], None).await;
    let client = tenant.with_token(secret.reveal());
    let rotate = format!("/portal/keys/{}/rotate", key.id);

    let uses = join_all((0..20).map(|_| client.get(KEYS)));
    let (uses, rotated) = tokio::join!(uses, tenant.call(Method::POST, &rotate, None));

    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text);
    for answer in uses {
        let possible = [StatusCode::OK, StatusCode::UNAUTHORIZED];
        assert!(possible.contains(&answer.status), "{}", answer.text);
    }
    assert_bad_key(&client.get(KEYS).await);
    assert_eq!(app.dump().await.matches("KEYHASH#").count(), 1);
}

#[tokio::test]
async fn only_an_admins_key_manages_keys() {
    let app = TestApp::new(keys::router()).await;
    let client = admin(&app).await;
    let key = create(&client, json!({"name": "ci", "scopes": ["search"]})).await;
    let narrow = [Scope::Search, Scope::Upload, Scope::Records];
    let narrow = app.with_key(&client.tenant, &narrow).await;
    let before = app.dump().await;

    let body = json!({"name": "more", "scopes": ["admin"]});
    let answers = [
        narrow.get(KEYS).await,
        narrow.post(KEYS, body).await,
        narrow.delete(&path(&key)).await,
        narrow
            .post(&format!("{}/rotate", path(&key)), json!({}))
            .await,
    ];

    for answer in answers {
        assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
    }
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_token_manages_no_keys_here() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let one = format!("{KEYS}/{UNKNOWN}");
    let rotate = format!("{one}/rotate");

    for client in [&client, &app.stranger()] {
        for (method, path) in [
            (Method::GET, KEYS),
            (Method::POST, KEYS),
            (Method::DELETE, one.as_str()),
            (Method::POST, rotate.as_str()),
        ] {
            assert_bad_key(&client.call(method, path, None).await);
        }
    }
}

#[tokio::test]
async fn another_tenants_key_is_as_unknown_as_none() {
    let app = TestApp::new(keys::router()).await;
    let other = admin(&app).await;
    let key = create(&other, json!({"name": "theirs", "scopes": ["search"]})).await;
    let client = admin(&app).await;
    let before = list(&other).await;

    for path in [path(&key), format!("{KEYS}/{UNKNOWN}"), format!("{KEYS}/x")] {
        let rotate = format!("{path}/rotate");
        for answer in [
            client.delete(&path).await,
            client.call(Method::POST, &rotate, None).await,
        ] {
            assert_refusal(&answer, StatusCode::NOT_FOUND, "API key not found");
        }
    }

    assert_eq!(list(&other).await, before);
}

#[tokio::test]
async fn what_a_key_names_as_its_tenant_changes_nothing() {
    let app = TestApp::new(keys::router()).await;
    let client = admin(&app).await;
    let other: TenantId = "t_other".parse().unwrap();
    app.key(&other, &[Scope::Search], None).await;

    let request = client
        .request(Method::GET, &format!("{KEYS}?tenant_id={other}"))
        .header("X-Tenant-Id", other.as_str())
        .body(axum::body::Body::empty());
    let answer = app.send(request.unwrap()).await;

    let keys = answer.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0]["scopes"], json!(["admin"]));
}

#[tokio::test]
async fn keys_are_not_changed_here() {
    let app = TestApp::new(keys::router()).await;
    let client = admin(&app).await;
    let key = create(&client, json!({"name": "ci", "scopes": ["search"]})).await;

    let answer = client.patch(&path(&key), json!({"name": "new"})).await;

    let status = StatusCode::METHOD_NOT_ALLOWED;
    assert_refusal(&answer, status, "Method not allowed");
    assert_eq!(answer.header("allow"), Some("DELETE"));
}
