//! `GET /portal/usage/keys`: what each key was used for, with its name as long as it has one.

use auth::Role;
use axum::http::StatusCode;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{KeyId, TenantId};
use model::key::{Key, KeyDraft, KeyPatch, Scope};
use model::period::Period;
use model::plan::Plan;
use serde_json::{Value, json};
use table::key::Created;
use testkit::{Client, TestApp, assert_unauthorized};

const KEYS: &str = "/portal/usage/keys";

/// Creates a key, as its endpoint does.
async fn create_key(app: &TestApp, tenant: &TenantId, name: &str) -> KeyId {
    let now = app.app.clock.now();
    let draft = KeyDraft {
        name: name.to_owned(),
        scopes: vec![Scope::Search],
        expires_at: None,
    };
    let key = Key::new(draft, app.app.ids.key(now), now);
    let hash = app.app.ids.secret().hash();
    let created = app.app.table.create_key(tenant, &key, &hash, None).await;
    assert_eq!(created.expect("an outcome"), Created::Yes);
    key.id
}

/// Counts one call with a key now.
async fn call(app: &TestApp, tenant: &TenantId, key: KeyId, is_search: bool) {
    let period = Period::of(app.app.clock.now());
    let table = &app.app.table;
    let counted = table.count_key_call(tenant, period, key, is_search).await;
    counted.expect("a counted call");
}

async fn keys(client: &Client<'_>, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

fn row(key: KeyId, name: Option<&str>, requests: u64, searches: u64) -> Value {
    json!({
        "id": key.to_string(),
        "name": name,
        "requests": requests,
        "searches": searches
    })
}

#[tokio::test]
async fn a_tenant_without_keys_has_no_rows() {
    let app = TestApp::new(usage::router()).await;
    let client = app.client("newcomer", Role::Member);
    assert_eq!(
        keys(&client, KEYS).await,
        json!({"tenant_id": "newcomer", "period": "2026-03", "keys": []})
    );
}

#[tokio::test]
async fn every_key_has_a_row_newest_first_used_or_not() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let old = create_key(&app, &client.tenant, "old").await;
    app.advance(TimeDelta::seconds(1));
    let new = create_key(&app, &client.tenant, "new").await;
    call(&app, &client.tenant, old, false).await;
    call(&app, &client.tenant, old, true).await;
    call(&app, &client.tenant, old, false).await;

    assert_eq!(
        keys(&client, KEYS).await,
        json!({
            "tenant_id": client.tenant.as_str(),
            "period": "2026-03",
            "keys": [row(new, Some("new"), 0, 0), row(old, Some("old"), 3, 1)]
        })
    );
}

#[tokio::test]
async fn a_key_has_the_name_of_now() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = create_key(&app, &client.tenant, "before").await;
    call(&app, &client.tenant, key, false).await;
    let patch = KeyPatch {
        name: Some("after".to_owned()),
        scopes: None,
    };
    let table = &app.app.table;
    let renamed = table.update_key(&client.tenant, key, &patch).await;
    assert!(renamed.unwrap().is_some());
    assert_eq!(
        keys(&client, KEYS).await["keys"],
        json!([row(key, Some("after"), 1, 0)])
    );
}

#[tokio::test]
async fn what_a_revoked_key_was_used_for_stays_without_a_name() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let revoked = create_key(&app, &client.tenant, "revoked").await;
    let unused = create_key(&app, &client.tenant, "unused and revoked").await;
    let kept = create_key(&app, &client.tenant, "kept").await;
    call(&app, &client.tenant, revoked, true).await;
    for key in [revoked, unused] {
        let gone = app.app.table.revoke_key(&client.tenant, key).await;
        assert!(gone.unwrap());
    }
    assert_eq!(
        keys(&client, KEYS).await["keys"],
        json!([row(kept, Some("kept"), 0, 0), row(revoked, None, 1, 1)])
    );
}

#[tokio::test]
async fn calls_at_once_are_all_counted() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = create_key(&app, &client.tenant, "busy").await;
    let calls = (0..40).map(|number| call(&app, &client.tenant, key, number % 4 == 0));
    join_all(calls).await;
    assert_eq!(
        keys(&client, KEYS).await["keys"],
        json!([row(key, Some("busy"), 40, 10)])
    );
}

#[tokio::test]
async fn calls_are_counted_by_the_month() {
    let app = TestApp::new(usage::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let key = create_key(&app, &tenant, "key").await;
    call(&app, &tenant, key, true).await;
    app.travel("2026-04-01T00:00:00Z");
    call(&app, &tenant, key, false).await;
    call(&app, &tenant, key, false).await;

    let client = app.client(tenant.as_str(), Role::Member);
    let march = keys(&client, &format!("{KEYS}?period=2026-03")).await;
    let april = keys(&client, KEYS).await;
    assert_eq!(march["period"], json!("2026-03"));
    assert_eq!(march["keys"], json!([row(key, Some("key"), 1, 1)]));
    assert_eq!(april["period"], json!("2026-04"));
    assert_eq!(april["keys"], json!([row(key, Some("key"), 2, 0)]));
}

#[tokio::test]
async fn a_tenant_sees_its_own_keys() {
    let app = TestApp::new(usage::router()).await;
    let (client, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let key = create_key(&app, &other.tenant, "theirs").await;
    call(&app, &other.tenant, key, false).await;
    assert_eq!(keys(&client, KEYS).await["keys"], json!([]));
}

#[tokio::test]
async fn a_viewer_may_read_and_a_stranger_may_not() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    create_key(&app, &client.tenant, "key").await;
    assert_eq!(
        keys(&client.viewer(), KEYS).await,
        keys(&client, KEYS).await
    );
    assert_unauthorized(&app.stranger().get(KEYS).await);
}

#[tokio::test]
async fn the_usage_of_keys_is_only_read() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    client.assert_only_read(KEYS).await;
}
