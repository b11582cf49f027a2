//! `GET /health` answers everybody, whatever state the table is in.

use axum::http::{Method, StatusCode};
use serde_json::json;
use testkit::{Fault, TestApp};

#[tokio::test]
async fn health_is_ok_without_a_token() {
    let app = TestApp::new(health::router()).await;
    let answer = app.stranger().get("/health").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), json!({"status": "ok"}));
}

#[tokio::test]
async fn a_bad_token_does_not_matter() {
    let app = TestApp::new(health::router()).await;
    let answer = app.stranger().with_token("nonsense").get("/health").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"status": "ok"}));
}

#[tokio::test]
async fn nothing_is_asked_of_the_table() {
    let app = TestApp::new(health::router()).await;
    app.faults.calls();
    for operation in ["BatchGetItem", "GetItem", "Query", "UpdateItem"] {
        app.faults.inject(operation, Fault::Throttled, 100);
    }
    assert_eq!(app.stranger().get("/health").await.status, StatusCode::OK);
    assert_eq!(app.faults.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn health_has_no_rate_limit() {
    let app = TestApp::with(health::router(), &[]).await;
    for _ in 0..200 {
        let answer = app.stranger().get("/health").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
}

#[tokio::test]
async fn health_is_only_read() {
    let app = TestApp::new(health::router()).await;
    app.stranger().assert_only_read("/health").await;
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let app = TestApp::new(health::router()).await;
    let answer = app.stranger().call(Method::HEAD, "/health", None).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text, "");
}
