//! Who may search what.

use axum::http::StatusCode;
use model::plan::Plan;
use serde_json::json;
use testkit::{TestApp, assert_unauthorized};

use crate::common::{PRODUCTS, SEARCH, bearing, bolt, counted, ids};

#[tokio::test]
async fn an_unknown_collection_and_anothers_are_the_same_404() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    app.add(&owner.tenant, PRODUCTS, &[bolt(1)]).await;
    assert_eq!(owner.post(SEARCH, json!({})).await.status, StatusCode::OK);

    let theirs = other.post(SEARCH, json!({})).await;
    let nobodys = other.post("/portal/search/nowhere", json!({})).await;

    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    assert_eq!(theirs.json(), json!({"detail": "Collection not found"}));
    assert_eq!((nobodys.status, nobodys.text), (theirs.status, theirs.text));
}

#[tokio::test]
async fn tenants_with_collections_of_one_name_find_their_own() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let own = app.add(&owner.tenant, PRODUCTS, &[bearing()]).await;
    let theirs = app.add(&other.tenant, PRODUCTS, &[bearing()]).await;

    let body = json!({"query": "LM16UU", "tenant_id": owner.tenant});
    assert_eq!(ids(&owner.post(SEARCH, body.clone()).await), own);
    assert_eq!(ids(&other.post(SEARCH, body).await), theirs);
    let body = json!({"filters": {"tenant_id": owner.tenant}});
    assert!(ids(&other.post(SEARCH, body).await).is_empty());
}

#[tokio::test]
async fn a_viewer_may_search() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let added = app.add(&client.tenant, PRODUCTS, &[bearing()]).await;

    let answer = client
        .viewer()
        .post(SEARCH, json!({"query": "LM16UU"}))
        .await;

    assert_eq!(ids(&answer), added);
    assert_eq!(counted(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn a_stranger_may_not_search() {
    let app = TestApp::new(records::router()).await;

    let answer = app.stranger().post(SEARCH, json!({})).await;

    assert_unauthorized(&answer);
}
