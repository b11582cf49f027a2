//! `GET /portal/analytics`: every collection's row, and sums that are their parts.

use auth::Role;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::TenantId;
use model::period::Day;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, Fault, TestApp, assert_faults, assert_unauthorized, assert_unavailable};

/// Counts new records in two shards of a collection, so many and so many of them public, as an
/// upload does, and returns the
/// collection's number.
async fn add_records(
    app: &TestApp,
    tenant: &TenantId,
    collection: &str,
    shards: [(u64, u64); 2],
) -> u32 {
    let rows: u64 = shards.iter().map(|(added, _)| added).sum();
    let upload = app.reserve(tenant, (collection, "product"), rows).await;
    let [first, last] = shards;
    let tally = testkit::tally(&[(0, first.0, first.1), (15, last.0, last.1)]);
    upload.settle(&tally).await;
    upload.hold.number
}

/// Counts open searches of now that found records of a collection.
async fn search_openly(app: &TestApp, tenant: &TenantId, number: u32, count: usize) {
    let day = Day::of(app.app.clock.now());
    let table = &app.app.table;
    let searches = (0..count).map(|_| table.count_open_searches(tenant, day, number, 1));
    for counted in join_all(searches).await {
        counted.expect("a counted search");
    }
}

/// Leaves a live collection called `empty`, with number 1, that counts nothing.
async fn plant_empty_collection(app: &TestApp, tenant: &TenantId) {
    let attributes = [
        ("name", AttributeValue::S("empty".to_owned())),
        ("number", AttributeValue::N("1".to_owned())),
        ("generation", AttributeValue::N("1".to_owned())),
        ("live", AttributeValue::Bool(true)),
    ];
    app.plant(tenant, "COLL#empty", attributes).await;
}

async fn analytics(client: &Client<'_>) -> Value {
    let answer = client.get("/portal/analytics").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_new_tenant_has_no_rows() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.client("newcomer", Role::Member);
    assert_eq!(
        analytics(&client).await,
        json!({
            "tenant_id": "newcomer",
            "period": "2026-03",
            "total_open_searches": 0,
            "collections": []
        })
    );
}

#[tokio::test]
async fn every_collection_has_a_row_in_the_order_of_the_names() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let manufacturing = [(2_000, 1_900), (450, 200)];
    let manufacturing = add_records(&app, &client.tenant, "manufacturing", manufacturing).await;
    app.advance(TimeDelta::milliseconds(1_500));
    let hotels = [(600, 600), (600, 600)];
    let hotels = add_records(&app, &client.tenant, "hotels", hotels).await;
    search_openly(&app, &client.tenant, manufacturing, 31).await;
    search_openly(&app, &client.tenant, hotels, 16).await;
    assert_eq!(
        analytics(&client).await,
        json!({
            "tenant_id": client.tenant.as_str(),
            "period": "2026-03",
            "total_open_searches": 47,
            "collections": [
                {
                    "collection": "hotels",
                    "record_count": 1_200,
                    "public_count": 1_200,
                    "open_searches": 16,
                    "last_updated": "2026-03-08T12:00:01.500Z"
                },
                {
                    "collection": "manufacturing",
                    "record_count": 2_450,
                    "public_count": 2_100,
                    "open_searches": 31,
                    "last_updated": "2026-03-08T12:00:00Z"
                }
            ]
        })
    );
}

#[tokio::test]
async fn a_collection_that_nobody_searched_has_zero_open_searches() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    add_records(&app, &client.tenant, "manufacturing", [(1, 0), (0, 0)]).await;
    assert_eq!(
        analytics(&client).await,
        json!({
            "tenant_id": client.tenant.as_str(),
            "period": "2026-03",
            "total_open_searches": 0,
            "collections": [
                {
                    "collection": "manufacturing",
                    "record_count": 1,
                    "public_count": 0,
                    "open_searches": 0,
                    "last_updated": "2026-03-08T12:00:00Z"
                }
            ]
        })
    );
}

#[tokio::test]
async fn the_last_update_is_the_latest_of_all_uploads() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    let one = [(1, 0), (0, 0)];
    for expected in ["2026-03-08T12:00:00Z", "2026-03-08T13:00:00Z"] {
        add_records(&app, &client.tenant, "manufacturing", one).await;
        let row = &analytics(&client).await["collections"][0];
        assert_eq!(row["last_updated"], json!(expected));
        app.advance(TimeDelta::hours(1));
    }
}

#[tokio::test]
async fn an_empty_collection_has_a_row_without_a_last_update() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    plant_empty_collection(&app, &client.tenant).await;
    assert_eq!(
        analytics(&client).await["collections"],
        json!([
            {
                "collection": "empty",
                "record_count": 0,
                "public_count": 0,
                "open_searches": 0,
                "last_updated": null
            }
        ])
    );
}

#[tokio::test]
async fn a_collection_that_was_emptied_has_no_last_update_either() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    plant_empty_collection(&app, &client.tenant).await;
    let then = "2026-03-01T10:00:00.000000Z".to_owned();
    let counts = [
        ("total", AttributeValue::N("0".to_owned())),
        ("public", AttributeValue::N("0".to_owned())),
        ("pending", AttributeValue::N("0".to_owned())),
        ("last_updated", AttributeValue::S(then)),
    ];
    app.plant(&client.tenant, "COUNT#0000000001#00", counts)
        .await;
    let row = &analytics(&client).await["collections"][0];
    assert_eq!(row["record_count"], json!(0));
    assert_eq!(row["last_updated"], json!(null));
}

#[tokio::test]
async fn a_collection_that_an_upload_has_only_reserved_has_no_row() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.reserve(&client.tenant, ("manufacturing", "product"), 1)
        .await;
    assert_eq!(analytics(&client).await["collections"], json!([]));
}

#[tokio::test]
async fn open_searches_at_once_are_all_counted() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    let one = [(1, 1), (0, 0)];
    let number = add_records(&app, &client.tenant, "manufacturing", one).await;
    search_openly(&app, &client.tenant, number, 40).await;
    let answer = analytics(&client).await;
    assert_eq!(answer["total_open_searches"], json!(40));
    assert_eq!(answer["collections"][0]["open_searches"], json!(40));
}

#[tokio::test]
async fn the_total_is_that_of_the_rows() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let one = [(1, 1), (0, 0)];
    let number = add_records(&app, &client.tenant, "manufacturing", one).await;
    search_openly(&app, &client.tenant, number, 2).await;
    // Of a collection that is not there any more.
    search_openly(&app, &client.tenant, number + 1, 3).await;
    let answer = analytics(&client).await;
    assert_eq!(answer["total_open_searches"], json!(2));
    assert_eq!(answer["collections"][0]["open_searches"], json!(2));
}

#[tokio::test]
async fn searches_of_the_dashboard_are_not_open_ones() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let day = Day::of(app.app.clock.now());
    let counted = app.app.table.count_search(&client.tenant, day).await;
    counted.unwrap();
    let answer = analytics(&client).await;
    assert_eq!(answer["total_open_searches"], json!(0));
}

#[tokio::test]
async fn open_searches_are_counted_by_the_month_in_utc() {
    let app = TestApp::new(analytics::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let one = [(1, 1), (0, 0)];
    let number = add_records(&app, &tenant, "manufacturing", one).await;
    search_openly(&app, &tenant, number, 2).await;
    app.travel("2026-03-31T23:59:59.999Z");
    search_openly(&app, &tenant, number, 1).await;

    let client = app.client(tenant.as_str(), Role::Member);
    let march = analytics(&client).await;
    assert_eq!(march["period"], json!("2026-03"));
    assert_eq!(march["total_open_searches"], json!(3));
    assert_eq!(march["collections"][0]["open_searches"], json!(3));

    app.advance(TimeDelta::milliseconds(1));
    let april = analytics(&client).await;
    assert_eq!(april["period"], json!("2026-04"));
    assert_eq!(april["total_open_searches"], json!(0));
    assert_eq!(
        april["collections"],
        json!([
            {
                "collection": "manufacturing",
                "record_count": 1,
                "public_count": 1,
                "open_searches": 0,
                "last_updated": "2026-03-08T12:00:00Z"
            }
        ])
    );
}

#[tokio::test]
async fn a_past_month_has_its_searches_and_the_records_of_now() {
    let app = TestApp::new(analytics::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let number = add_records(&app, &tenant, "manufacturing", [(1, 1), (0, 0)]).await;
    search_openly(&app, &tenant, number, 3).await;
    app.travel("2026-05-20T12:00:00Z");
    add_records(&app, &tenant, "manufacturing", [(2, 1), (0, 0)]).await;
    search_openly(&app, &tenant, number, 1).await;

    let client = app.client(tenant.as_str(), Role::Member);
    let answer = client.get("/portal/analytics?period=2026-03").await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({
            "tenant_id": tenant.as_str(),
            "period": "2026-03",
            "total_open_searches": 3,
            "collections": [
                {
                    "collection": "manufacturing",
                    "record_count": 3,
                    "public_count": 2,
                    "open_searches": 3,
                    "last_updated": "2026-05-20T12:00:00Z"
                }
            ]
        })
    );
}

#[tokio::test]
async fn a_period_that_is_no_month_is_refused_by_its_name() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    for path in [
        "/portal/analytics",
        "/portal/analytics/daily",
        "/portal/analytics/agents",
    ] {
        for bad in ["", "2026-13", "2026-3", "march"] {
            let answer = client.get(&format!("{path}?period={bad}")).await;
            let kind = "string_pattern_mismatch";
            assert_faults(&answer, &[(&["query", "period"], kind)]);
        }
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows_whatever_the_request_says() {
    let app = TestApp::new(analytics::router()).await;
    let (client, other) = (app.tenant(Plan::Free).await, app.tenant(Plan::Free).await);
    let one = [(1, 1), (0, 0)];
    let number = add_records(&app, &other.tenant, "manufacturing", one).await;
    search_openly(&app, &other.tenant, number, 3).await;
    let path = format!("/portal/analytics?tenant_id={}", other.tenant);
    let request = client
        .request(Method::GET, &path)
        .header("X-Tenant-Id", other.tenant.as_str())
        .body(axum::body::Body::empty());
    let answer = app.send(request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({
            "tenant_id": client.tenant.as_str(),
            "period": "2026-03",
            "total_open_searches": 0,
            "collections": []
        })
    );
}

#[tokio::test]
async fn a_viewer_may_read() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    assert_eq!(analytics(&client.viewer()).await, analytics(&client).await);
}

#[tokio::test]
async fn a_stranger_may_not() {
    let app = TestApp::new(analytics::router()).await;
    let answer = app.stranger().get("/portal/analytics").await;
    assert_unauthorized(&answer);
}

#[tokio::test]
async fn analytics_are_only_read() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    client.assert_only_read("/portal/analytics").await;
}

#[tokio::test]
async fn a_table_that_throttles_for_ever_is_a_503() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("Query", Fault::Throttled, 100);
    let answer = client.get("/portal/analytics").await;
    assert_unavailable(&answer);
    app.faults.clear();
    assert_eq!(analytics(&client).await["collections"], json!([]));
}
