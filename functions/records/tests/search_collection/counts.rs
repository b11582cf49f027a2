//! Which searches are counted, where a plan ends, and the first search.

use std::time::Duration;

use auth::Role;
use axum::http::StatusCode;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::TenantId;
use model::plan::Plan;
use model::quickstart::Step;
use model::time::Moment;
use serde_json::json;
use testkit::{Answer, Client, NOW, Objects, TestApp, assert_faults, engine};

use crate::common::{PRODUCTS, SEARCH, bearing, bolt, counted, ids};

/// A counter that takes longer than this does not change.
const PATIENCE: Duration = Duration::from_mins(1);

async fn first_search(app: &TestApp, tenant: &TenantId) -> Option<Moment> {
    let checklist = app.app.table.checklist(tenant).await;
    checklist
        .expect("a checklist")
        .completed_at(Step::FirstSearch)
}

async fn search_times(client: &Client<'_>, times: u32) {
    for _ in 0..times {
        let answer = client.post(SEARCH, json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
}

/// Waits until so many searches are counted.
async fn until_counted(app: &TestApp, tenant: &TenantId, count: u64) {
    let counting = async {
        while counted(app, tenant).await != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let counted = tokio::time::timeout(PATIENCE, counting).await;
    counted.expect("so many searches");
}

#[track_caller]
fn assert_used_up(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(
        answer.json(),
        json!({"detail": "The free plan includes 50 searches a month, and they are used up"})
    );
}

#[tokio::test]
async fn a_search_is_counted_once_it_is_answered() {
    let app = TestApp::new(records::router()).await;
    for plan in Plan::ALL {
        let client = app.tenant(plan).await;
        app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
        for count in 1..=3 {
            search_times(&client, 1).await;
            assert_eq!(counted(&app, &client.tenant).await, count, "{plan}");
        }
    }
}

#[tokio::test]
async fn a_search_without_results_is_counted_too() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let answer = client.post(SEARCH, json!({"query": "helicopter"})).await;

    assert!(ids(&answer).is_empty());
    assert_eq!(counted(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn a_search_that_is_refused_is_neither_counted_nor_a_first_one() {
    let app = TestApp::new(records::router()).await;
    for plan in [Plan::Free, Plan::Pro] {
        let client = app.tenant(plan).await;
        app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
        for (path, body, status) in [
            (
                SEARCH,
                json!({"limit": 0}),
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            (
                SEARCH,
                json!({"filters": {"price_eur_min": [1, 2]}}),
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            (
                "/portal/search/-a",
                json!({}),
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            ("/portal/search/nowhere", json!({}), StatusCode::NOT_FOUND),
        ] {
            let answer = client.post(path, body).await;
            assert_eq!(answer.status, status, "{}", answer.text);
            assert_eq!(counted(&app, &client.tenant).await, 0, "{path}");
            assert_eq!(first_search(&app, &client.tenant).await, None, "{path}");
        }
    }
}

#[tokio::test]
async fn the_free_plan_ends_after_50_searches() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    search_times(&client, 50).await;

    for _ in 0..2 {
        assert_used_up(&client.post(SEARCH, json!({})).await);
        assert_used_up(&client.viewer().post(SEARCH, json!({})).await);
    }
    let answer = client.post(SEARCH, json!({"limit": 0})).await;
    assert_faults(&answer, &[(&["body", "limit"], "greater_than_equal")]);
    assert_eq!(counted(&app, &client.tenant).await, 50);
}

#[tokio::test]
async fn a_refused_search_is_given_back_to_the_free_plan() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    search_times(&client, 49).await;

    let faulty = json!({"filters": {"price_eur_min": [1, 2]}});
    let answer = client.post(SEARCH, faulty).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);

    search_times(&client, 1).await;
    assert_used_up(&client.post(SEARCH, json!({})).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_searches_at_once_the_free_plan_answers_exactly_50() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let answers = join_all((0..100).map(|_| client.post(SEARCH, json!({})))).await;

    let (answered, refused): (Vec<Answer>, Vec<Answer>) = answers
        .into_iter()
        .partition(|answer| answer.status == StatusCode::OK);
    assert_eq!((answered.len(), refused.len()), (50, 50));
    for answer in &refused {
        assert_used_up(answer);
    }
    assert_eq!(counted(&app, &client.tenant).await, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_searches_at_once_a_charged_plan_counts_each() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let answers = join_all((0..100).map(|_| client.post(SEARCH, json!({})))).await;

    for answer in &answers {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    assert_eq!(counted(&app, &client.tenant).await, 100);
}

#[tokio::test]
async fn a_new_month_has_searches_of_its_own() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    search_times(&client, 50).await;

    // To the last millisecond of March, then to the first of April.
    app.advance(TimeDelta::days(23) + TimeDelta::hours(12) - TimeDelta::milliseconds(1));
    let client = app.client(client.tenant.as_str(), Role::Member);
    assert_used_up(&client.post(SEARCH, json!({})).await);
    assert_eq!(counted(&app, &client.tenant).await, 50);

    app.advance(TimeDelta::milliseconds(1));
    search_times(&client, 1).await;
    assert_eq!(counted(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn a_search_over_the_rate_limit_is_not_counted() {
    let app = TestApp::with(records::router(), &[]).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    search_times(&client, 20).await;

    let answer = client.post(SEARCH, json!({})).await;

    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let detail = answer.detail();
    let told = detail.as_str().unwrap_or_default();
    assert!(
        told.starts_with("Rate limit exceeded. Retry after "),
        "{detail}"
    );
    assert_eq!(counted(&app, &client.tenant).await, 20);
}

#[tokio::test]
async fn the_first_search_is_stamped_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    assert_eq!(first_search(&app, &client.tenant).await, None);

    for _ in 0..3 {
        search_times(&client, 1).await;
        let stamp = first_search(&app, &client.tenant).await;
        assert_eq!(stamp, Some(NOW.parse().unwrap()));
        app.advance(TimeDelta::minutes(1));
    }
}

#[tokio::test]
async fn a_search_that_nobody_waits_for_is_given_back() {
    for plan in [Plan::Free, Plan::Pro] {
        let (endpoint, objects) = (engine().await, Objects::default());
        let start = async || {
            let settings = [("RATE_LIMIT_ENABLED", "false")];
            let store = objects.store();
            TestApp::at((&endpoint, &store), records::router(), &settings, None).await
        };
        let writer = start().await;
        let tenant = writer.tenant(plan).await.tenant;
        writer.add(&tenant, PRODUCTS, &[bearing()]).await;
        let app = start().await;
        let client = app.client(tenant.as_str(), Role::Member);

        // The index is lost, and the client hangs up while it is built anew.
        objects.lose().await;
        let gate = objects.close().await;
        let waiting = async {
            objects.stopped().await;
            until_counted(&app, &tenant, 1).await;
        };
        tokio::select! {
            answer = client.post(SEARCH, json!({"query": "bearing"})) => {
                panic!("it was answered too soon: {answer:?}");
            }
            () = waiting => {}
        }
        drop(gate);

        until_counted(&app, &tenant, 0).await;
        let answer = client.post(SEARCH, json!({"query": "bearing"})).await;
        assert_eq!(answer.status, StatusCode::OK, "{plan}");
        assert_eq!(counted(&app, &tenant).await, 1, "{plan}");
    }
}
