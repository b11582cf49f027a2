//! `DELETE /portal/records/{id}` and `DELETE /records/{id}`.

use std::fmt::Display;

use axum::http::StatusCode;
use chrono::TimeDelta;
use model::id::TenantId;
use model::key::Scope;
use model::period::Period;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{TestApp, assert_refusal, assert_unauthorized};

const PRODUCTS: (&str, &str) = ("manufacturing", "product");

fn bolts(count: u32) -> Vec<Value> {
    let bolt = |number| json!({"name": "Bolt", "number": number, "visibility": "public"});
    (1..=count).map(bolt).collect()
}

fn portal(id: impl Display) -> String {
    format!("/portal/records/{id}")
}

/// Live records and public ones, as they are counted.
async fn counted(app: &TestApp, tenant: &TenantId) -> (u64, u64) {
    let period = Period::of(app.app.clock.now());
    let summary = app.app.table.summary(tenant, period).await;
    let counts = summary.expect("a summary").collections.remove(0).1;
    (counts.total, counts.public)
}

#[tokio::test]
async fn a_deleted_record_is_gone_everywhere_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let ids = app.add(&client.tenant, PRODUCTS, &bolts(3)).await;

    let answer = client.delete(&portal(ids[1])).await;

    assert_eq!(
        (answer.status, answer.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    let missing = "Record not found";
    for answer in [
        client.get(&portal(ids[1])).await,
        client.patch(&portal(ids[1]), json!({"name": "x"})).await,
        client.delete(&portal(ids[1])).await,
    ] {
        assert_refusal(&answer, StatusCode::NOT_FOUND, missing);
    }
    let found = client
        .post("/portal/search/manufacturing", json!({"query": "bolt"}))
        .await
        .json();
    assert_eq!(found["metadata"]["total_estimate"], 2);
    let listed = client.get("/portal/records?collection=manufacturing").await;
    assert_eq!(listed.json()["total"], 2);
    assert!(!listed.text.contains(&ids[1].to_string()));
    assert_eq!(counted(&app, &client.tenant).await, (2, 2));
}

#[tokio::test]
async fn a_key_deletes_in_two_reads_and_one_transaction() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let ids = app.add(&client.tenant, PRODUCTS, &bolts(2)).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;
    let answer = key.delete(&format!("/records/{}", ids[0])).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);

    // The portal's own call, so that nothing is done for a key.
    client.get(&portal(ids[1])).await;
    app.calls.record();
    let answer = client.delete(&portal(ids[1])).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let calls: Vec<String> = app
        .calls
        .take()
        .into_iter()
        .map(|it| it.operation)
        .collect();
    assert_eq!(calls, ["Query", "TransactGetItems", "TransactWriteItems"]);
    assert_eq!(counted(&app, &client.tenant).await, (0, 0));
}

#[tokio::test]
async fn an_empty_collection_stays() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let ids = app.add(&client.tenant, PRODUCTS, &bolts(1)).await;

    client.delete(&portal(ids[0])).await;

    let collections = client.get("/portal/collections").await.json();
    assert_eq!(collections["collections"][0]["name"], "manufacturing");
    assert_eq!(collections["collections"][0]["total_records"], 0);
}

#[tokio::test]
async fn a_record_of_an_upload_that_was_cut_short_is_counted_before_it_goes() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let upload = app.reserve(&client.tenant, PRODUCTS, 3).await;
    let records = upload.write(bolts(3)).await;
    // A collection lives from its first record that is counted.
    app.add(&client.tenant, PRODUCTS, &[json!({"name": "Nut"})])
        .await;
    app.advance(TimeDelta::minutes(16));

    let answer = client.delete(&portal(records[0].id)).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    assert_eq!(counted(&app, &client.tenant).await, (3, 2));
}

#[tokio::test]
async fn who_may_not_delete_a_record_does_not() {
    let app = TestApp::new(records::router()).await;
    let (client, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let id = app.add(&client.tenant, PRODUCTS, &bolts(1)).await[0];
    app.add(&other.tenant, PRODUCTS, &bolts(1)).await;
    let narrow = app
        .with_key(&client.tenant, &[Scope::Search, Scope::Upload])
        .await;

    let (status, denied) = (StatusCode::FORBIDDEN, "Insufficient permissions");
    assert_refusal(&client.viewer().delete(&portal(id)).await, status, denied);
    let answer = narrow.delete(&format!("/records/{id}")).await;
    assert_refusal(&answer, status, denied);
    assert_unauthorized(&app.stranger().delete(&portal(id)).await);
    let (status, missing) = (StatusCode::NOT_FOUND, "Record not found");
    assert_refusal(&other.delete(&portal(id)).await, status, missing);
    assert_refusal(&client.delete(&portal("x")).await, status, missing);

    assert_eq!(counted(&app, &client.tenant).await, (1, 1));
}
