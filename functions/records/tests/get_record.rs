//! `GET /portal/records/{id}` and `GET /records/{id}`: one record with all of its fields.

use axum::http::StatusCode;
use indexing::{Effort, Own};
use model::id::RecordId;
use model::key::Scope;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{
    TestApp, assert_bad_key, assert_indistinguishable, assert_refusal, assert_unauthorized,
};

const PRODUCTS: (&str, &str) = ("manufacturing", "product");

fn bearing() -> Value {
    json!({
        "name": "Linear Bearing LM16UU", "description": "16mm linear motion bearing",
        "source_id": "p-040", "visibility": "public", "sku": "LM16UU", "price_eur": 12.50,
    })
}

fn portal(id: RecordId) -> String {
    format!("/portal/records/{id}")
}

fn keyed(id: RecordId) -> String {
    format!("/records/{id}")
}

#[tokio::test]
async fn a_record_is_shown_alike_to_a_user_and_to_a_key() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app.with_key(&client.tenant, &[Scope::Search]).await;
    let ids = app.add(&client.tenant, PRODUCTS, &[bearing()]).await;

    let answers = [
        client.get(&portal(ids[0])).await,
        client.viewer().get(&portal(ids[0])).await,
        key.get(&keyed(ids[0])).await,
    ];

    for answer in answers {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(
            answer.json(),
            json!({
                "id": ids[0],
                "name": "Linear Bearing LM16UU",
                "description": "16mm linear motion bearing",
                "collection": "manufacturing",
                "record_type": "product",
                "indexing_status": "indexed",
                "collection_data": {"sku": "LM16UU", "price_eur": 12.5},
                "data": {"sku": "LM16UU", "price_eur": 12.5},
                "visibility": "public",
                "generation": 1,
                "source_type": "file_upload",
                "source_name": null,
                "source_id": "p-040",
                "created_at": "2026-03-08T12:00:00Z",
                "updated_at": "2026-03-08T12:00:00Z",
            })
        );
    }
}

#[tokio::test]
async fn what_there_is_not_is_the_same_404_whosever_it_is() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let theirs = app.add(&owner.tenant, PRODUCTS, &[bearing()]).await[0];
    app.add(&other.tenant, PRODUCTS, &[bearing()]).await;
    let key = app.with_key(&other.tenant, &[Scope::Admin]).await;

    let nobodys = "00000001-0000-8000-8000-000000000000";
    let first = other.get(&format!("/portal/records/{nobodys}")).await;
    assert_refusal(&first, StatusCode::NOT_FOUND, "Record not found");
    for id in [
        theirs.to_string(),
        "00000009-0000-8000-8000-000000000000".to_owned(),
        theirs.to_string().replace('-', ""),
        "x".to_owned(),
        "a%2Fb".to_owned(),
        "%00".to_owned(),
        "x".repeat(10_000),
    ] {
        let answer = other.get(&format!("/portal/records/{id}")).await;
        assert_indistinguishable(&answer, &first);
        let answer = key.get(&format!("/records/{id}")).await;
        assert_refusal(&answer, StatusCode::NOT_FOUND, "Record not found");
    }
}

#[tokio::test]
async fn an_id_costs_two_reads() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let ids = app.add(&client.tenant, PRODUCTS, &[bearing()]).await;
    client.get(&portal(ids[0])).await;

    app.calls.record();
    let answer = client.get(&portal(ids[0])).await;

    assert_eq!(answer.status, StatusCode::OK);
    let calls = app.calls.take();
    assert!(calls.iter().all(testkit::Call::is_read), "{calls:?}");
    assert_eq!(calls.len(), 2, "{calls:?}");
}

#[tokio::test]
async fn a_changed_record_is_pending_until_it_is_folded() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let ids = app.add(&client.tenant, PRODUCTS, &[bearing()]).await;
    let path = portal(ids[0]);
    client.patch(&path, json!({"name": "Bearing"})).await;

    let answer = client.get(&path).await;
    assert_eq!(answer.json()["indexing_status"], "pending");

    let name = "manufacturing".parse().expect("a name");
    let indexes = app.app.indexes().expect("indexes");
    let folded = indexes.fold(&client.tenant, &name, 1, Own::default(), Effort::Call);
    folded.await.expect("a fold");
    let answer = client.get(&path).await;
    assert_eq!(answer.json()["indexing_status"], "indexed");
}

#[tokio::test]
async fn neither_takes_the_others_credential() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let ids = app.add(&client.tenant, PRODUCTS, &[bearing()]).await;
    let key = app.with_key(&client.tenant, &[Scope::Admin]).await;

    assert_unauthorized(&app.stranger().get(&portal(ids[0])).await);
    assert_unauthorized(&key.get(&portal(ids[0])).await);
    assert_bad_key(&app.stranger().get(&keyed(ids[0])).await);
    assert_bad_key(&client.get(&keyed(ids[0])).await);
}

#[tokio::test]
async fn a_key_without_the_scope_reads_nothing() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let ids = app.add(&client.tenant, PRODUCTS, &[bearing()]).await;
    let key = app
        .with_key(&client.tenant, &[Scope::Upload, Scope::Records])
        .await;

    let answer = key.get(&keyed(ids[0])).await;

    assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
}
