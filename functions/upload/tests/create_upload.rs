//! `POST /portal/uploads`: what a file is announced by, what comes of that, and what is refused.

use axum::http::StatusCode;
use chrono::TimeDelta;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{TestApp, assert_faults, assert_refusal};

const UPLOADS: &str = "/portal/uploads";
const MB: u64 = 1024 * 1024;

fn announced() -> Value {
    json!({
        "collection": "parts",
        "record_type": "product",
        "file_name": " catalog.csv ",
        "size_bytes": 10 * MB,
    })
}

/// What is announced, with one field replaced.
fn with(field: &str, value: Value) -> Value {
    let mut body = announced();
    body[field] = value;
    body
}

#[tokio::test]
async fn a_file_is_announced_and_has_an_address_for_a_quarter_of_an_hour() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let mut body = announced();
    body["name_column"] = json!("title");
    body["record_tag"] = json!("item");
    body["source_name"] = json!("ERP");

    let answer = client.post(UPLOADS, body).await;

    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    let id = body["upload_id"].as_str().expect("an id");
    let url = body["url"].as_str().expect("an address");
    let place = format!("http://127.0.0.1:3000/local/files/{}/{id}?", client.tenant);
    assert!(url.starts_with(&place), "{url}");
    let headers = json!({"Content-Length": (10 * MB).to_string(), "If-None-Match": "*"});
    assert_eq!(body["headers"], headers);
    assert_eq!(body["expires_at"], "2026-03-08T12:15:00Z");
    assert_eq!(body.as_object().expect("an object").len(), 4);

    let path = format!("{UPLOADS}/{id}");
    let shown = client.get(&path).await.json();
    for (field, expected) in [
        ("status", json!("pending")),
        ("collection", json!("parts")),
        ("record_type", json!("product")),
        ("file_name", json!("catalog.csv")),
        ("source_name", json!("ERP")),
        ("expires_at", json!("2026-03-08T12:15:00Z")),
    ] {
        assert_eq!(shown[field], expected, "{field}");
    }
    assert_eq!(shown["progress"]["total_bytes"], 10 * MB);
    // One that began in time may take longer to arrive.
    app.advance(TimeDelta::minutes(74));
    assert_eq!(client.get(&path).await.json()["status"], "pending");
    app.advance(TimeDelta::minutes(1));
    assert_eq!(client.get(&path).await.json()["status"], "failed");
}

#[tokio::test]
async fn every_fault_is_told_at_once() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let answer = client.post(UPLOADS, json!({})).await;
    assert_faults(
        &answer,
        &[
            (&["body", "collection"], "missing"),
            (&["body", "record_type"], "missing"),
            (&["body", "file_name"], "missing"),
            (&["body", "size_bytes"], "missing"),
        ],
    );
    let long = "x".repeat(201);
    for (field, value, kind) in [
        ("collection", json!("a/b"), "string_pattern_mismatch"),
        ("collection", json!(1), "string_type"),
        ("record_type", json!(""), "string_pattern_mismatch"),
        ("file_name", json!("  "), "string_too_short"),
        ("file_name", json!(long), "string_too_long"),
        ("size_bytes", json!(0), "greater_than_equal"),
        ("size_bytes", json!(-1), "greater_than_equal"),
        ("size_bytes", json!(1.5), "int_from_float"),
        ("size_bytes", json!("1"), "int_type"),
        ("size_bytes", Value::Null, "int_type"),
        ("name_column", json!(""), "string_too_short"),
        ("record_tag", json!("a b"), "value_error"),
        ("source_name", json!([]), "string_type"),
    ] {
        let answer = client.post(UPLOADS, with(field, value)).await;
        assert_faults(&answer, &[(&["body", field], kind)]);
    }
    assert_eq!(client.get(UPLOADS).await.json()["uploads"], json!([]));
}

#[tokio::test]
async fn what_is_larger_than_the_plan_allows_is_refused() {
    let app = TestApp::new(upload::router()).await;
    for (plan, limit) in [
        (Plan::Free, 10),
        (Plan::Pro, 1024),
        (Plan::Scale, 5 * 1024),
        (Plan::Enterprise, 5 * 1024),
    ] {
        let client = app.tenant(plan).await;
        let answer = client
            .post(UPLOADS, with("size_bytes", json!(limit * MB)))
            .await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        for larger in [limit * MB + 1, u64::MAX] {
            let answer = client
                .post(UPLOADS, with("size_bytes", json!(larger)))
                .await;
            let detail = format!("The file is larger than the {limit} MB that the plan allows");
            assert_refusal(&answer, StatusCode::PAYLOAD_TOO_LARGE, &detail);
        }
        let listed = client.get(UPLOADS).await.json();
        assert_eq!(listed["uploads"].as_array().expect("a list").len(), 1);
    }
}

#[tokio::test]
async fn a_viewer_announces_nothing() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let answer = client.viewer().post(UPLOADS, announced()).await;
    assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
}
