//! `GET /collections`: the tenant's collections as the main API shows them.

use axum::http::StatusCode;
use model::key::Scope;
use model::plan::Plan;
use serde_json::{Value, json};
use table::schema::{NewSchema, Put};
use testkit::{TestApp, assert_bad_key, assert_refusal};

const COLLECTIONS: &str = "/collections";

fn row(number: u32) -> Value {
    json!({"name": "Bolt", "number": number})
}

#[tokio::test]
async fn collections_are_shown_by_name_with_what_is_in_them() {
    let app = TestApp::new(records::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let rows = [row(1), row(2)];
    app.add(&tenant, ("parts", "product"), &rows).await;
    app.add(&tenant, ("parts", "part"), &[row(1)]).await;
    let summary = app.app.summary(&tenant).await.expect("a summary");
    let new = NewSchema {
        collection: &"hotels".parse().expect("a collection"),
        record_type: &"hotel".parse().expect("a record type"),
        schema: &json!({}),
        at: app.app.clock.now(),
        format: search::FORMAT,
    };
    let limits = Plan::Pro.limits();
    let put = app.app.table.put_schema(&tenant, &summary, limits, &new);
    let put = put.await.expect("an outcome");
    assert!(matches!(put, Put::Yes(_)), "{put:?}");
    let client = app.with_key(&tenant, &[Scope::Search]).await;

    let answer = client.get(COLLECTIONS).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({
            "collections": [
                {
                    "collection": "hotels",
                    "description": null,
                    "category": null,
                    "record_types": [],
                    "record_count": 0,
                    "has_schema": true,
                },
                {
                    "collection": "parts",
                    "description": null,
                    "category": null,
                    "record_types": ["part", "product"],
                    "record_count": 3,
                    "has_schema": false,
                },
            ],
        })
    );
}

#[tokio::test]
async fn a_schema_that_was_deleted_is_none() {
    let app = TestApp::new(records::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    app.add(&tenant, ("parts", "product"), &[row(1)]).await;
    let (parts, product) = (
        "parts".parse().expect("a collection"),
        "product".parse().expect("a record type"),
    );
    let (table, now) = (&app.app.table, app.app.clock.now());
    let summary = app.app.summary(&tenant).await.expect("a summary");
    let new = NewSchema {
        collection: &parts,
        record_type: &product,
        schema: &json!({}),
        at: now,
        format: search::FORMAT,
    };
    let limits = Plan::Pro.limits();
    let put = table.put_schema(&tenant, &summary, limits, &new).await;
    assert!(matches!(put, Ok(Put::Yes(_))), "{put:?}");
    let client = app.with_key(&tenant, &[Scope::Search]).await;
    let has_schema =
        async || client.get(COLLECTIONS).await.json()["collections"][0]["has_schema"].clone();
    assert_eq!(has_schema().await, true);

    let deleted = table.delete_schema(&tenant, &parts, &product, now).await;

    assert!(deleted.expect("an answer"));
    assert_eq!(has_schema().await, false);
}

#[tokio::test]
async fn a_tenant_without_collections_is_shown_none() {
    let app = TestApp::new(records::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let client = app.with_key(&tenant, &[Scope::Admin]).await;

    let answer = client.get(COLLECTIONS).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json(), json!({"collections": []}));
}

#[tokio::test]
async fn a_key_shows_its_own_tenants_collections_only() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    app.add(&owner.tenant, ("parts", "product"), &[row(1)])
        .await;
    let client = app.with_key(&other.tenant, &[Scope::Search]).await;

    let answer = client.get(COLLECTIONS).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json(), json!({"collections": []}));
}

#[tokio::test]
async fn a_key_of_another_scope_is_refused() {
    let app = TestApp::new(records::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let scopes = [Scope::Upload, Scope::Records];
    let client = app.with_key(&tenant, &scopes).await;

    let answer = client.get(COLLECTIONS).await;

    assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
}

#[tokio::test]
async fn a_token_is_no_key() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;

    assert_bad_key(&client.get(COLLECTIONS).await);
    assert_bad_key(&app.stranger().get(COLLECTIONS).await);
}
