//! `GET /portal/analytics/agents`: who came, how often and when, and no more of them than a day has
//! room for.

use auth::Role;
use axum::http::StatusCode;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::TenantId;
use model::period::Day;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, TestApp, assert_unauthorized};

const AGENTS: &str = "/portal/analytics/agents";

/// Counts open searches that an agent makes now.
async fn come(app: &TestApp, tenant: &TenantId, agent: &str, count: u64) {
    let day = Day::of(app.app.clock.now());
    let table = &app.app.table;
    let counted = table.count_agent_searches(tenant, day, agent, count).await;
    counted.expect("counted searches");
}

async fn agents(client: &Client<'_>, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_tenant_that_no_agent_searched_has_none() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.client("newcomer", Role::Member);
    assert_eq!(
        agents(&client, AGENTS).await,
        json!({
            "tenant_id": "newcomer",
            "period": "2026-03",
            "agents": [],
            "other": {"searches": 0, "days": []}
        })
    );
}

#[tokio::test]
async fn the_busiest_agent_is_first_and_each_has_the_days_on_which_it_came() {
    let app = TestApp::new(analytics::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    come(&app, &tenant, "weekly-bot", 2).await;
    come(&app, &tenant, "a#b c", 1).await;
    come(&app, &tenant, "other", 1).await;
    app.advance(TimeDelta::days(2));
    come(&app, &tenant, "daily-bot", 3).await;
    come(&app, &tenant, "weekly-bot", 7).await;

    let client = app.client(tenant.as_str(), Role::Member);
    let (eighth, tenth) = ("2026-03-08", "2026-03-10");
    assert_eq!(
        agents(&client, AGENTS).await,
        json!({
            "tenant_id": tenant.as_str(),
            "period": "2026-03",
            "agents": [
                {
                    "agent": "weekly-bot",
                    "searches": 9,
                    "days": [
                        {"date": eighth, "searches": 2},
                        {"date": tenth, "searches": 7}
                    ]
                },
                {
                    "agent": "daily-bot",
                    "searches": 3,
                    "days": [{"date": tenth, "searches": 3}]
                },
                {
                    "agent": "a#b c",
                    "searches": 1,
                    "days": [{"date": eighth, "searches": 1}]
                },
                {
                    "agent": "other",
                    "searches": 1,
                    "days": [{"date": eighth, "searches": 1}]
                }
            ],
            "other": {"searches": 0, "days": []}
        })
    );
}

#[tokio::test]
async fn agents_after_the_first_100_of_a_day_are_counted_together() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    for number in 0..103 {
        come(&app, &client.tenant, &format!("bot-{number:03}"), 1).await;
    }
    // One that is known has its place, one that is not has none yet.
    come(&app, &client.tenant, "bot-000", 4).await;
    come(&app, &client.tenant, "bot-101", 4).await;

    let answer = agents(&client, AGENTS).await;
    let names = answer["agents"].as_array().expect("a list");
    assert_eq!(names.len(), 100);
    assert_eq!(names[0]["agent"], json!("bot-000"));
    assert_eq!(names[0]["searches"], json!(5));
    assert_eq!(names[99]["agent"], json!("bot-099"));
    let today = json!([{"date": "2026-03-08", "searches": 7}]);
    assert_eq!(answer["other"], json!({"searches": 7, "days": today}));
}

#[tokio::test]
async fn each_day_has_room_for_others() {
    let app = TestApp::new(analytics::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    for number in 0..101 {
        come(&app, &tenant, &format!("bot-{number:03}"), 1).await;
    }
    app.advance(TimeDelta::days(1));
    come(&app, &tenant, "bot-100", 1).await;

    let client = app.client(tenant.as_str(), Role::Member);
    let answer = agents(&client, AGENTS).await;
    let names = answer["agents"].as_array().expect("a list");
    assert_eq!(
        names[100],
        json!({
            "agent": "bot-100",
            "searches": 1,
            "days": [{"date": "2026-03-09", "searches": 1}]
        })
    );
    assert_eq!(answer["other"]["searches"], json!(1));
}

#[tokio::test]
async fn agents_at_once_are_all_counted_and_no_more_than_100_told_apart() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    let names: Vec<String> = (0..120).map(|number| format!("bot-{number:03}")).collect();
    let searches = names
        .iter()
        .map(|agent| come(&app, &client.tenant, agent, 1));
    join_all(searches).await;

    let answer = agents(&client, AGENTS).await;
    let rows = answer["agents"].as_array().expect("a list");
    assert_eq!(rows.len(), 100);
    let named = rows.iter().filter_map(|row| row["searches"].as_u64());
    let named: u64 = named.sum();
    assert_eq!(named + answer["other"]["searches"].as_u64().unwrap(), 120);
}

#[tokio::test]
async fn a_past_month_has_its_agents() {
    let app = TestApp::new(analytics::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    come(&app, &tenant, "old-bot", 2).await;
    app.travel("2026-04-01T00:00:00Z");
    come(&app, &tenant, "new-bot", 1).await;

    let client = app.client(tenant.as_str(), Role::Member);
    let march = agents(&client, &format!("{AGENTS}?period=2026-03")).await;
    let april = agents(&client, AGENTS).await;
    assert_eq!(
        march["agents"],
        json!([{
            "agent": "old-bot",
            "searches": 2,
            "days": [{"date": "2026-03-08", "searches": 2}]
        }])
    );
    assert_eq!(
        april["agents"],
        json!([{
            "agent": "new-bot",
            "searches": 1,
            "days": [{"date": "2026-04-01", "searches": 1}]
        }])
    );
}

#[tokio::test]
async fn a_tenant_sees_its_own_agents() {
    let app = TestApp::new(analytics::router()).await;
    let (client, other) = (app.tenant(Plan::Free).await, app.tenant(Plan::Free).await);
    come(&app, &other.tenant, "bot", 5).await;
    assert_eq!(agents(&client, AGENTS).await["agents"], json!([]));
}

#[tokio::test]
async fn a_viewer_may_read_and_a_stranger_may_not() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    assert_eq!(
        agents(&client.viewer(), AGENTS).await,
        agents(&client, AGENTS).await
    );
    assert_unauthorized(&app.stranger().get(AGENTS).await);
}

#[tokio::test]
async fn agents_are_only_read() {
    let app = TestApp::new(analytics::router()).await;
    let client = app.tenant(Plan::Free).await;
    client.assert_only_read(AGENTS).await;
}
