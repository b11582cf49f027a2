//! `POST /schemas`, `GET /schemas` and `GET /schemas/{collection}/{record_type}`: the portal's schemas
//! under the names that the main API's clients know.

use axum::http::StatusCode;
use model::key::Scope;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, TestApp, assert_faults, assert_refusal};

const SCHEMAS: &str = "/schemas";

fn sizes() -> Value {
    json!({
        "type": "object",
        "properties": {"size": {"type": "integer", "minimum": 1}},
        "required": ["size"],
    })
}

fn registration(collection: &str) -> Value {
    json!({"collection": collection, "record_type": "product", "json_schema": sizes()})
}

/// A new tenant's token and a key of it that may do everything.
async fn clients(app: &TestApp, plan: Plan) -> (Client<'_>, Client<'_>) {
    let portal = app.tenant(plan).await;
    let key = app.with_key(&portal.tenant, &[Scope::Admin]).await;
    (portal, key)
}

#[tokio::test]
async fn a_schema_that_a_key_registers_is_the_portals() {
    let app = TestApp::new(upload::router()).await;
    let (portal, key) = clients(&app, Plan::Free).await;

    let answer = key.post(SCHEMAS, registration("bolts")).await;

    assert_eq!(answer.status, StatusCode::CREATED);
    let expected = json!({
        "collection": "bolts",
        "record_type": "product",
        "version": 1,
        "json_schema": sizes(),
        "created_at": testkit::NOW,
        "updated_at": testkit::NOW,
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(key.get("/schemas/bolts/product").await.json(), expected);
    assert_eq!(
        key.get(SCHEMAS).await.json(),
        json!({"schemas": [expected]})
    );
    let in_portal = portal.get("/portal/schemas/bolts/product").await.json();
    assert_eq!(in_portal["schema"], sizes());
    assert_eq!(in_portal["version"], 1);
}

#[tokio::test]
async fn another_schema_is_the_next_version_and_the_same_again_is_not() {
    let app = TestApp::new(upload::router()).await;
    let (_, key) = clients(&app, Plan::Free).await;
    let mut other = registration("bolts");
    other["json_schema"] = json!({"type": "object"});

    for (body, version) in [
        (registration("bolts"), 1),
        (registration("bolts"), 1),
        (other, 2),
    ] {
        let answer = key.post(SCHEMAS, body).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(answer.json()["version"], version);
    }

    let first = key.get("/schemas/bolts/product?version=1").await.json();
    assert_eq!(first["json_schema"], sizes());
}

#[tokio::test]
async fn a_list_may_be_of_one_collection() {
    let app = TestApp::new(upload::router()).await;
    let (_, key) = clients(&app, Plan::Pro).await;
    for collection in ["bolts", "bolts-2"] {
        let answer = key.post(SCHEMAS, registration(collection)).await;
        assert_eq!(answer.status, StatusCode::CREATED);
    }

    let listed = async |query: &str| {
        let answer = key.get(&format!("{SCHEMAS}{query}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        let body = answer.json();
        let schemas = body["schemas"].as_array().expect("a list").iter();
        schemas
            .map(|schema| schema["collection"].clone())
            .collect::<Vec<_>>()
    };

    assert_eq!(listed("").await, ["bolts", "bolts-2"]);
    assert_eq!(listed("?collection=bolts").await, ["bolts"]);
    assert!(listed("?collection=nuts").await.is_empty());
    let malformed = key.get("/schemas?collection=-").await;
    assert_faults(
        &malformed,
        &[(&["query", "collection"], "string_pattern_mismatch")],
    );
}

#[tokio::test]
async fn every_fault_of_a_registration_is_named_and_nothing_is_changed() {
    let app = TestApp::new(upload::router()).await;
    let (_, key) = clients(&app, Plan::Free).await;

    for (body, faults) in [
        (
            json!({}),
            vec![
                (&["body", "collection"][..], "missing"),
                (&["body", "record_type"], "missing"),
                (&["body", "json_schema"], "missing"),
            ],
        ),
        (
            json!({"collection": "-", "record_type": 7, "json_schema": null}),
            vec![
                (&["body", "collection"], "string_pattern_mismatch"),
                (&["body", "record_type"], "string_type"),
                (&["body", "json_schema"], "model_attributes_type"),
            ],
        ),
        (json!([]), vec![(&["body"], "model_attributes_type")]),
    ] {
        assert_faults(&key.post(SCHEMAS, body).await, &faults);
    }

    assert_eq!(key.get(SCHEMAS).await.json(), json!({"schemas": []}));
}

#[tokio::test]
async fn a_collection_beyond_the_plan_is_a_402() {
    let app = TestApp::new(upload::router()).await;
    let (_, key) = clients(&app, Plan::Free).await;
    let first = key.post(SCHEMAS, registration("bolts")).await;
    assert_eq!(first.status, StatusCode::CREATED);

    let answer = key.post(SCHEMAS, registration("nuts")).await;

    let why = "The schema would pass the 1 collection of the free plan";
    assert_refusal(&answer, StatusCode::PAYMENT_REQUIRED, why);
}

#[tokio::test]
async fn what_is_not_there_is_a_404() {
    let app = TestApp::new(upload::router()).await;
    let (_, key) = clients(&app, Plan::Free).await;

    let answer = key.get("/schemas/bolts/product").await;

    assert_refusal(&answer, StatusCode::NOT_FOUND, "Schema not found");
}
