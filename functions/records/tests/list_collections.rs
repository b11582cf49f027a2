//! `GET /portal/collections`: the tenant's collections and how full they are.

use auth::Role;
use axum::http::StatusCode;
use chrono::TimeDelta;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{TestApp, assert_unauthorized};

const COLLECTIONS: &str = "/portal/collections";

fn bolt(number: u32) -> Value {
    json!({"name": "Bolt", "number": number})
}

#[tokio::test]
async fn a_new_tenant_has_no_collections() {
    let app = TestApp::new(records::router()).await;

    let answer = app.client("t_new", Role::Member).get(COLLECTIONS).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({"collections": [], "plan": "free", "record_limit": 50, "total_records": 0})
    );
}

#[tokio::test]
async fn collections_are_listed_by_name_with_their_types_and_counts() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let bolts = [bolt(1), bolt(2), bolt(3)];
    app.add(tenant, ("manufacturing", "product"), &bolts).await;
    app.add(tenant, ("manufacturing", "part"), &[bolt(1)]).await;
    app.add(tenant, ("hotels", "hotel"), &[json!({"name": "Inn"})])
        .await;

    let answer = client.get(COLLECTIONS).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({
            "collections": [
                {
                    "name": "hotels",
                    "record_types": ["hotel"],
                    "total_records": 1,
                    "indexed": 1,
                    "pending": 0,
                    "processing": 0,
                    "failed": 0,
                    "has_pending_replace": false,
                },
                {
                    "name": "manufacturing",
                    "record_types": ["part", "product"],
                    "total_records": 4,
                    "indexed": 4,
                    "pending": 0,
                    "processing": 0,
                    "failed": 0,
                    "has_pending_replace": false,
                },
            ],
            "plan": "pro",
            "record_limit": 100_000,
            "total_records": 5,
        })
    );
}

#[tokio::test]
async fn the_limit_is_the_plans() {
    let app = TestApp::new(records::router()).await;
    for (plan, limit) in [
        (Plan::Free, json!(50)),
        (Plan::Pro, json!(100_000)),
        (Plan::Scale, json!(null)),
        (Plan::Enterprise, json!(null)),
    ] {
        let client = app.tenant(plan).await;
        let answer = client.get(COLLECTIONS).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.json(),
            json!({
                "collections": [],
                "plan": plan.to_string(),
                "record_limit": limit,
                "total_records": 0,
            })
        );
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_collections_only() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    app.add(&owner.tenant, ("hotels", "hotel"), &[bolt(1), bolt(2)])
        .await;
    app.add(&other.tenant, ("hotels", "inn"), &[bolt(1)]).await;

    let theirs = other.get(COLLECTIONS).await.json();

    assert_eq!(theirs["collections"].as_array().unwrap().len(), 1);
    assert_eq!(theirs["collections"][0]["record_types"], json!(["inn"]));
    assert_eq!(theirs["total_records"], 1);
}

#[tokio::test]
async fn an_upload_in_flight_is_not_shown_and_counts_once_its_time_is_over() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    let rows = [bolt(1), bolt(2)];
    let upload = app.reserve(&client.tenant, ("hotels", "hotel"), 2).await;
    upload.write(rows).await;
    let empty = json!({"collections": [], "plan": "free", "record_limit": 50, "total_records": 0});

    app.advance(TimeDelta::minutes(15) - TimeDelta::milliseconds(1));
    assert_eq!(client.get(COLLECTIONS).await.json(), empty);

    app.advance(TimeDelta::milliseconds(1));
    let answer = client.get(COLLECTIONS).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({
            "collections": [{
                "name": "hotels",
                "record_types": ["hotel"],
                "total_records": 2,
                "indexed": 0,
                "pending": 2,
                "processing": 0,
                "failed": 0,
                "has_pending_replace": false,
            }],
            "plan": "free",
            "record_limit": 50,
            "total_records": 2,
        })
    );
    assert_eq!(client.get(COLLECTIONS).await.json(), answer.json());
}

#[tokio::test]
async fn a_viewer_may_list_collections() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, ("hotels", "hotel"), &[bolt(1)])
        .await;

    let answer = client.viewer().get(COLLECTIONS).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), client.get(COLLECTIONS).await.json());
}

#[tokio::test]
async fn a_stranger_may_not_list_collections() {
    let app = TestApp::new(records::router()).await;

    let answer = app.stranger().get(COLLECTIONS).await;

    assert_unauthorized(&answer);
}
