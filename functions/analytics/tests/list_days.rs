//! `GET /portal/analytics/daily`: every day that has begun, and days that come to their month.

use auth::Role;
use axum::http::StatusCode;
use chrono::TimeDelta;
use model::id::TenantId;
use model::period::Day;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, TestApp, assert_unauthorized};

const DAILY: &str = "/portal/analytics/daily";

/// Counts open searches of now that found records of a collection.
async fn search_openly(app: &TestApp, tenant: &TenantId, number: u32, count: u64) {
    let day = Day::of(app.app.clock.now());
    let table = &app.app.table;
    let counted = table.count_open_searches(tenant, day, number, count).await;
    counted.expect("counted searches");
}

async fn daily(client: &Client<'_>, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

/// The days of a month from the first on, with that many searches each.
fn days(month: &str, counts: &[u64]) -> Value {
    let numbered = counts.iter().zip(1..);
    let row = |(count, day): (&u64, u32)| json!({"date": format!("{month}-{day:02}"), "open_searches": count});
    numbered.map(row).collect()
}

#[tokio::test]
async fn a_tenant_that_nobody_searched_has_a_zero_for_each_day_to_today() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.client("newcomer", Role::Member);
    assert_eq!(
        daily(&client, DAILY).await,
        json!({
            "tenant_id": "newcomer",
            "period": "2026-03",
            "total_open_searches": 0,
            "days": days("2026-03", &[0; 8])
        })
    );
}

#[tokio::test]
async fn searches_of_all_collections_are_counted_on_their_days() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.travel("2026-03-01T00:00:00Z");
    search_openly(&app, &client.tenant, 1, 3).await;
    app.travel("2026-03-07T23:59:59.999Z");
    search_openly(&app, &client.tenant, 1, 40).await;
    search_openly(&app, &client.tenant, 2, 2).await;
    app.advance(TimeDelta::milliseconds(1));
    search_openly(&app, &client.tenant, 2, 1).await;

    let client = app.client(client.tenant.as_str(), Role::Member);
    assert_eq!(
        daily(&client, DAILY).await,
        json!({
            "tenant_id": client.tenant.as_str(),
            "period": "2026-03",
            "total_open_searches": 46,
            "days": days("2026-03", &[3, 0, 0, 0, 0, 0, 42, 1])
        })
    );
}

#[tokio::test]
async fn a_past_month_has_all_of_its_days() {
    let app = TestApp::new(analytics::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    app.travel("2028-02-29T12:00:00Z");
    search_openly(&app, &tenant, 1, 5).await;
    app.travel("2028-04-02T12:00:00Z");

    let client = app.client(tenant.as_str(), Role::Member);
    let mut counts = [0; 29];
    counts[28] = 5;
    assert_eq!(
        daily(&client, &format!("{DAILY}?period=2028-02")).await,
        json!({
            "tenant_id": tenant.as_str(),
            "period": "2028-02",
            "total_open_searches": 5,
            "days": days("2028-02", &counts)
        })
    );
}

#[tokio::test]
async fn a_month_that_has_not_begun_has_no_days() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    search_openly(&app, &client.tenant, 1, 5).await;
    assert_eq!(
        daily(&client, &format!("{DAILY}?period=2026-04")).await,
        json!({
            "tenant_id": client.tenant.as_str(),
            "period": "2026-04",
            "total_open_searches": 0,
            "days": []
        })
    );
}

#[tokio::test]
async fn a_tenant_sees_its_own_days() {
    let app = TestApp::new(analytics::router()).await;
    let (client, other) = (app.tenant(Plan::Free).await, app.tenant(Plan::Free).await);
    search_openly(&app, &other.tenant, 1, 5).await;
    let answer = daily(&client, DAILY).await;
    assert_eq!(answer["total_open_searches"], json!(0));
    assert_eq!(answer["days"], days("2026-03", &[0; 8]));
}

#[tokio::test]
async fn a_viewer_may_read_and_a_stranger_may_not() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    assert_eq!(
        daily(&client.viewer(), DAILY).await,
        daily(&client, DAILY).await
    );
    assert_unauthorized(&app.stranger().get(DAILY).await);
}

#[tokio::test]
async fn days_are_only_read() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    client.assert_only_read(DAILY).await;
}
