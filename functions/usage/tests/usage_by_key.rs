//! `GET /usage`: the portal's answer for a key of whatever scope.

use axum::http::StatusCode;
use model::key::Scope;
use model::plan::Plan;
use testkit::{TestApp, assert_bad_key};

#[tokio::test]
async fn a_key_of_any_scope_reads_what_the_portal_shows() {
    let app = TestApp::new(usage::router()).await;
    let tenant = app.tenant(Plan::Pro).await;
    let expected = tenant.get("/portal/usage").await;
    assert_eq!(expected.status, StatusCode::OK);

    for scope in [Scope::Search, Scope::Upload, Scope::Records, Scope::Admin] {
        let client = app.with_key(&tenant.tenant, &[scope]).await;
        let answer = client.get("/usage").await;
        assert_eq!(answer.status, StatusCode::OK, "{scope:?}");
        assert_eq!(answer.json(), expected.json(), "{scope:?}");
    }
}

#[tokio::test]
async fn a_token_and_a_stranger_read_nothing_here() {
    let app = TestApp::new(usage::router()).await;
    let tenant = app.tenant(Plan::Pro).await;
    for client in [&tenant, &app.stranger()] {
        assert_bad_key(&client.get("/usage").await);
    }
}

#[tokio::test]
async fn usage_is_only_read() {
    let app = TestApp::new(usage::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let client = app.with_key(&tenant, &[Scope::Admin]).await;
    client.assert_only_read("/usage").await;
}
