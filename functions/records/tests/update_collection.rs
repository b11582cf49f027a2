//! `PATCH /collections/{collection}`: what an owner says of a collection.

use axum::http::StatusCode;
use model::id::TenantId;
use model::key::Scope;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{TestApp, assert_bad_key, assert_faults, assert_indistinguishable, assert_refusal};

const PARTS: &str = "/collections/parts";

/// A tenant with a collection of one record.
async fn filled(app: &TestApp) -> TenantId {
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let rows = [json!({"name": "Bolt"})];
    app.add(&tenant, ("parts", "product"), &rows).await;
    tenant
}

/// The collection as the list shows it.
async fn shown(app: &TestApp, tenant: &TenantId) -> Value {
    let client = app.with_key(tenant, &[Scope::Search]).await;
    let answer = client.get("/collections").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["collections"][0].clone()
}

#[tokio::test]
async fn what_is_said_is_shown_and_what_is_not_said_stays() {
    let app = TestApp::new(records::router()).await;
    let tenant = filled(&app).await;
    let client = app.with_key(&tenant, &[Scope::Records]).await;
    let mut expected = json!({
        "collection": "parts",
        "description": "Screws and bolts",
        "category": "hardware",
        "record_types": ["product"],
        "record_count": 1,
        "has_schema": false,
    });
    let with_default = |visibility: &str, expected: &Value| {
        let mut expected = expected.clone();
        expected["default_visibility"] = visibility.into();
        expected
    };

    let said = json!({
        "description": "Screws and bolts",
        "category": "hardware",
        "default_visibility": "public",
    });
    let answer = client.patch(PARTS, said).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json(), with_default("public", &expected));
    assert_eq!(shown(&app, &tenant).await, expected);

    let answer = client.patch(PARTS, json!({"category": "tools"})).await;
    expected["category"] = "tools".into();
    assert_eq!(answer.json(), with_default("public", &expected));
    assert_eq!(shown(&app, &tenant).await, expected);

    let answer = client.patch(PARTS, json!({"other": 1})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json(), with_default("public", &expected));
}

#[tokio::test]
async fn null_makes_it_what_a_new_collection_has() {
    let app = TestApp::new(records::router()).await;
    let tenant = filled(&app).await;
    let client = app.with_key(&tenant, &[Scope::Admin]).await;
    let said = json!({"description": "x", "category": "y", "default_visibility": "public"});
    client.patch(PARTS, said).await;

    let cleared = json!({"description": null, "category": null, "default_visibility": null});
    let answer = client.patch(PARTS, cleared).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({
            "collection": "parts",
            "description": null,
            "category": null,
            "record_types": ["product"],
            "record_count": 1,
            "has_schema": false,
            "default_visibility": "private",
        })
    );
}

#[tokio::test]
async fn every_fault_is_told_and_nothing_is_changed() {
    let app = TestApp::new(records::router()).await;
    let tenant = filled(&app).await;
    let client = app.with_key(&tenant, &[Scope::Records]).await;
    let before = shown(&app, &tenant).await;

    let answer = client
        .patch(
            PARTS,
            json!({
                "description": "x".repeat(1_001),
                "category": 7,
                "default_visibility": "everybody",
            }),
        )
        .await;

    assert_faults(
        &answer,
        &[
            (&["body", "description"], "string_too_long"),
            (&["body", "category"], "string_type"),
            (&["body", "default_visibility"], "enum"),
        ],
    );
    let answer = client.patch("/collections/-", json!({})).await;
    let fault = "string_pattern_mismatch";
    assert_faults(&answer, &[(&["path", "collection"], fault)]);
    assert_eq!(shown(&app, &tenant).await, before);
}

#[tokio::test]
async fn a_collection_that_does_not_live_has_nothing_to_change() {
    let app = TestApp::new(records::router()).await;
    let owner = filled(&app).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    app.reserve(&tenant, ("reserved", "product"), 1).await;
    let client = app.with_key(&tenant, &[Scope::Records]).await;
    let before = shown(&app, &owner).await;
    let patch = async |path: &str| client.patch(path, json!({"category": "tools"})).await;

    let theirs = patch(PARTS).await;

    assert_refusal(&theirs, StatusCode::NOT_FOUND, "Collection not found");
    assert_indistinguishable(&theirs, &patch("/collections/nuts").await);
    assert_indistinguishable(&theirs, &patch("/collections/reserved").await);
    assert_eq!(shown(&app, &owner).await, before);
}

#[tokio::test]
async fn what_a_crash_left_of_an_upload_makes_the_collection_that_is_changed() {
    let app = TestApp::new(records::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let client = app.with_key(&tenant, &[Scope::Records]).await;
    let upload = app.reserve(&tenant, ("parts", "product"), 1).await;
    upload.write([json!({"name": "Bolt"})]).await;
    let said = json!({"category": "tools"});
    let answer = client.patch(PARTS, said.clone()).await;
    assert_refusal(&answer, StatusCode::NOT_FOUND, "Collection not found");

    app.travel("2026-03-08T12:15:00Z");

    let answer = client.patch(PARTS, said).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json()["category"], "tools");
    assert_eq!(answer.json()["record_count"], 1);
}

#[tokio::test]
async fn a_key_of_another_scope_and_a_token_change_nothing() {
    let app = TestApp::new(records::router()).await;
    let tenant = filled(&app).await;
    let scopes = [Scope::Search, Scope::Upload];
    let narrow = app.with_key(&tenant, &scopes).await;
    let before = shown(&app, &tenant).await;

    let answer = narrow.patch(PARTS, json!({"category": "tools"})).await;

    assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
    let owner = app.client(tenant.as_str(), auth::Role::Member);
    assert_bad_key(&owner.patch(PARTS, json!({"category": "tools"})).await);
    assert_eq!(shown(&app, &tenant).await, before);
}
