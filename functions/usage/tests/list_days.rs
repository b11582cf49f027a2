//! `GET /portal/usage/daily`: every day that has begun, and days that come to their month.

use auth::Role;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use chrono::TimeDelta;
use model::id::TenantId;
use model::period::Day;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, TestApp, assert_unauthorized};

const DAILY: &str = "/portal/usage/daily";

/// Counts one search now.
async fn search(app: &TestApp, tenant: &TenantId) {
    let day = Day::of(app.app.clock.now());
    let counted = app.app.table.count_search(tenant, day).await;
    counted.expect("a counted search");
}

async fn daily(client: &Client<'_>, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

/// The days of a month from the first on, with that many searches each.
fn days(month: &str, counts: &[u64]) -> Value {
    let numbered = counts.iter().zip(1..);
    let row =
        |(count, day): (&u64, u32)| json!({"date": format!("{month}-{day:02}"), "searches": count});
    numbered.map(row).collect()
}

#[tokio::test]
async fn a_new_tenant_has_a_zero_for_each_day_to_today() {
    let app = TestApp::new(usage::router()).await;
    let client = app.client("newcomer", Role::Member);
    assert_eq!(
        daily(&client, DAILY).await,
        json!({
            "tenant_id": "newcomer",
            "period": "2026-03",
            "total_searches": 0,
            "days": days("2026-03", &[0; 8])
        })
    );
}

#[tokio::test]
async fn searches_are_counted_on_their_days_in_utc() {
    let app = TestApp::new(usage::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    app.travel("2026-03-01T00:00:00Z");
    search(&app, &tenant).await;
    search(&app, &tenant).await;
    app.travel("2026-03-04T23:59:59.999Z");
    search(&app, &tenant).await;
    app.advance(TimeDelta::milliseconds(1));
    search(&app, &tenant).await;

    let client = app.client(tenant.as_str(), Role::Member);
    assert_eq!(
        daily(&client, DAILY).await,
        json!({
            "tenant_id": tenant.as_str(),
            "period": "2026-03",
            "total_searches": 4,
            "days": days("2026-03", &[2, 0, 0, 1, 1])
        })
    );
}

#[tokio::test]
async fn searches_under_a_cap_are_counted_on_their_days_too() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    let today = Day::of(app.app.clock.now());
    let table = &app.app.table;
    for _ in 0..3 {
        let counted = table.count_capped_search(&client.tenant, today, 50).await;
        assert!(counted.unwrap().is_some());
    }
    let answer = daily(&client, DAILY).await;
    assert_eq!(answer["days"], days("2026-03", &[0, 0, 0, 0, 0, 0, 0, 3]));
}

#[tokio::test]
async fn a_search_that_was_given_back_the_next_day_is_not_counted_on_its_own() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let today = Day::of(app.app.clock.now());
    let table = &app.app.table;
    let failed = table.count_search(&client.tenant, today).await.unwrap();
    app.advance(TimeDelta::hours(12));
    search(&app, &client.tenant).await;
    table.uncount_search(&client.tenant, failed).await.unwrap();

    let answer = daily(&client, DAILY).await;
    assert_eq!(answer["total_searches"], json!(1));
    let counts = [0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(answer["days"], days("2026-03", &counts));
}

#[tokio::test]
async fn a_past_month_has_all_of_its_days() {
    let app = TestApp::new(usage::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    search(&app, &tenant).await;
    app.travel("2026-05-20T12:00:00Z");

    let client = app.client(tenant.as_str(), Role::Member);
    let mut counts = [0; 31];
    counts[7] = 1;
    assert_eq!(
        daily(&client, &format!("{DAILY}?period=2026-03")).await,
        json!({
            "tenant_id": tenant.as_str(),
            "period": "2026-03",
            "total_searches": 1,
            "days": days("2026-03", &counts)
        })
    );
}

#[tokio::test]
async fn what_was_counted_before_days_were_is_in_the_month_alone() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let five = AttributeValue::N("5".to_owned());
    app.plant(&client.tenant, "SEARCHES#2026-03#07", [("n", five)])
        .await;
    let answer = daily(&client, DAILY).await;
    assert_eq!(answer["total_searches"], json!(5));
    assert_eq!(answer["days"], days("2026-03", &[0; 8]));
}

#[tokio::test]
async fn a_tenant_sees_its_own_days() {
    let app = TestApp::new(usage::router()).await;
    let (client, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    search(&app, &other.tenant).await;
    let answer = daily(&client, DAILY).await;
    assert_eq!(answer["days"], days("2026-03", &[0; 8]));
}

#[tokio::test]
async fn a_viewer_may_read_and_a_stranger_may_not() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    assert_eq!(
        daily(&client.viewer(), DAILY).await,
        daily(&client, DAILY).await
    );
    assert_unauthorized(&app.stranger().get(DAILY).await);
}

#[tokio::test]
async fn days_are_only_read() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    client.assert_only_read(DAILY).await;
}
