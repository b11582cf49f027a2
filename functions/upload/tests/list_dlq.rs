//! `GET /uploads/{id}/dlq`: the row errors of an upload.

use axum::http::StatusCode;
use model::key::Scope;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, TestApp, assert_faults};

/// Somebody with a key of a new tenant that may upload.
async fn uploader(app: &TestApp) -> Client<'_> {
    let tenant = app.tenant(Plan::Pro).await.tenant;
    app.with_key(&tenant, &[Scope::Upload]).await
}

/// Uploads a batch, and where its errors are.
async fn batch(client: &Client<'_>, rows: Value) -> String {
    let answer = client.post("/upload/parts/product/batch", rows).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let body = answer.json();
    let id = body["upload_id"].as_str().expect("an id");
    format!("/uploads/{id}/dlq")
}

fn nameless(row: u64) -> Value {
    json!({
        "row": row,
        "field": "name",
        "error_type": "missing",
        "message": "Field required",
    })
}

#[tokio::test]
async fn every_row_error_is_an_entry() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app).await;
    let path = batch(&client, json!([{"n": 1}, {"name": "Bolt"}, {"n": 2}])).await;

    let answer = client.get(&path).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({"entries": [nameless(1), nameless(3)], "cursor": null, "has_more": false})
    );
}

#[tokio::test]
async fn an_upload_without_errors_has_no_entries() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app).await;
    let path = batch(&client, json!([{"name": "Bolt"}])).await;

    let answer = client.get(&path).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({"entries": [], "cursor": null, "has_more": false})
    );
}

#[tokio::test]
async fn a_page_has_five_hundred_entries_unless_less_are_asked_for() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app).await;
    let rows: Value = (0..700).map(|n| json!({"n": n})).collect();
    let path = batch(&client, rows).await;
    let all: Vec<Value> = (1..=700).map(nameless).collect();

    let first = client.get(&path).await.json();
    assert_eq!(first["entries"], json!(all[..500]));
    assert_eq!(first["has_more"], json!(true));
    let cursor = first["cursor"].as_str().expect("a cursor");

    let next = client
        .get(&format!("{path}?limit=100&cursor={cursor}"))
        .await;
    let next = next.json();
    assert_eq!(next["entries"], json!(all[500..600]));
    assert_eq!(next["has_more"], json!(true));
    let cursor = next["cursor"].as_str().expect("a cursor");

    let last = client.get(&format!("{path}?cursor={cursor}")).await;
    assert_eq!(
        last.json(),
        json!({"entries": all[600..], "cursor": null, "has_more": false})
    );
}

#[tokio::test]
async fn a_limit_and_a_cursor_that_cannot_be_are_each_named() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app).await;
    let path = batch(&client, json!([{"n": 1}])).await;

    let answer = client.get(&format!("{path}?limit=501&cursor=x")).await;

    assert_faults(
        &answer,
        &[
            (&["query", "limit"], "less_than_equal"),
            (&["query", "cursor"], "value_error"),
        ],
    );
}
