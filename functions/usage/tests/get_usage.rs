//! `GET /portal/usage`, plan by plan and month by month.

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

/// Counts new records of a collection, as an upload does.
async fn add_records(app: &TestApp, tenant: &TenantId, collection: &str, added: u64) {
    let upload = app.reserve(tenant, (collection, "product"), added).await;
    upload.settle(&testkit::tally(&[(0, added, 0)])).await;
}

/// Counts one search now.
async fn search(app: &TestApp, tenant: &TenantId) {
    let day = Day::of(app.app.clock.now());
    let counted = app.app.table.count_search(tenant, day).await;
    counted.expect("a counted search");
}

/// Leaves counters of March as that many searches would have, one counter a shard.
async fn searched(app: &TestApp, tenant: &TenantId, counts: &[u64]) {
    for (shard, count) in counts.iter().enumerate() {
        let sk = format!("SEARCHES#2026-03#{shard:02}");
        let count = AttributeValue::N(count.to_string());
        app.plant(tenant, &sk, [("n", count)]).await;
    }
}

async fn usage(client: &Client<'_>) -> Value {
    let answer = client.get("/portal/usage").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn free_has_small_caps_and_no_overage() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    add_records(&app, &client.tenant, "manufacturing", 12).await;
    search(&app, &client.tenant).await;
    search(&app, &client.tenant).await;
    assert_eq!(
        usage(&client).await,
        json!({
            "tenant_id": client.tenant.as_str(),
            "plan": "free",
            "period": "2026-03",
            "records": {
                "used": 12,
                "included": 50,
                "overage": 0,
                "overage_cost": 0.0
            },
            "searches": {
                "used": 2,
                "included": 50,
                "overage": 0,
                "overage_cost": 0.0
            },
            "rate_limit": {
                "requests_per_minute": 60,
                "search_per_minute": 20,
                "max_collections": 1
            },
            "allows_overage": false,
            "estimated_overage_total": 0.0
        })
    );
}

#[tokio::test]
async fn pro_is_charged_for_each_search() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    add_records(&app, &client.tenant, "manufacturing", 12_500).await;
    searched(&app, &client.tenant, &[8_000, 0, 200]).await;
    assert_eq!(
        usage(&client).await,
        json!({
            "tenant_id": client.tenant.as_str(),
            "plan": "pro",
            "period": "2026-03",
            "records": {
                "used": 12_500,
                "included": 100_000,
                "overage": 0,
                "overage_cost": 0.0
            },
            "searches": {
                "used": 8_200,
                "included": null,
                "overage": 8_200,
                "overage_cost": 12.3
            },
            "rate_limit": {
                "requests_per_minute": 200,
                "search_per_minute": 100,
                "max_collections": -1
            },
            "allows_overage": true,
            "estimated_overage_total": 12.3
        })
    );
}

#[tokio::test]
async fn scale_is_charged_beyond_what_is_included() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Scale).await;
    add_records(&app, &client.tenant, "manufacturing", 250_000).await;
    searched(&app, &client.tenant, &[501_000]).await;
    assert_eq!(
        usage(&client).await,
        json!({
            "tenant_id": client.tenant.as_str(),
            "plan": "scale",
            "period": "2026-03",
            "records": {
                "used": 250_000,
                "included": null,
                "overage": 0,
                "overage_cost": 0.0
            },
            "searches": {
                "used": 501_000,
                "included": 500_000,
                "overage": 1_000,
                "overage_cost": 1.0
            },
            "rate_limit": {
                "requests_per_minute": 2_000,
                "search_per_minute": 1_000,
                "max_collections": -1
            },
            "allows_overage": true,
            "estimated_overage_total": 1.0
        })
    );
}

#[tokio::test]
async fn enterprise_is_never_charged() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Enterprise).await;
    searched(&app, &client.tenant, &[1_000_000_000_000]).await;
    assert_eq!(
        usage(&client).await,
        json!({
            "tenant_id": client.tenant.as_str(),
            "plan": "enterprise",
            "period": "2026-03",
            "records": {
                "used": 0,
                "included": null,
                "overage": 0,
                "overage_cost": 0.0
            },
            "searches": {
                "used": 1_000_000_000_000_u64,
                "included": null,
                "overage": 0,
                "overage_cost": 0.0
            },
            "rate_limit": {
                "requests_per_minute": 10_000,
                "search_per_minute": 10_000,
                "max_collections": -1
            },
            "allows_overage": true,
            "estimated_overage_total": 0.0
        })
    );
}

#[tokio::test]
async fn costs_are_exact_and_rounded_to_cents() {
    let app = TestApp::new(usage::router()).await;
    for (plan, used, overage, cost) in [
        (Plan::Free, 50, 0_u64, 0.0),
        (Plan::Pro, 0, 0, 0.0),
        (Plan::Pro, 3, 3, 0.0),
        (Plan::Pro, 4, 4, 0.01),
        (Plan::Pro, 10, 10, 0.02),
        (Plan::Pro, 1_000, 1_000, 1.5),
        (
            Plan::Pro,
            1_000_000_000_000,
            1_000_000_000_000,
            1_500_000_000.0,
        ),
        (Plan::Scale, 500_000, 0, 0.0),
        (Plan::Scale, 500_004, 4, 0.0),
        (Plan::Scale, 500_005, 5, 0.01),
    ] {
        let client = app.tenant(plan).await;
        searched(&app, &client.tenant, &[used]).await;
        let usage = usage(&client).await;
        let searches = &usage["searches"];
        assert_eq!(searches["used"], json!(used), "{plan}");
        assert_eq!(searches["overage"], json!(overage), "{plan} {used}");
        assert_eq!(searches["overage_cost"], json!(cost), "{plan} {used}");
        assert_eq!(usage["estimated_overage_total"], json!(cost));
    }
}

#[tokio::test]
async fn records_are_counted_over_all_collections() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    add_records(&app, &client.tenant, "manufacturing", 3).await;
    add_records(&app, &client.tenant, "hotels", 4).await;
    add_records(&app, &client.tenant, "manufacturing", 5).await;
    assert_eq!(usage(&client).await["records"]["used"], json!(12));
}

#[tokio::test]
async fn what_an_upload_has_only_reserved_is_not_used() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let place = ("manufacturing", "product");
    app.reserve(&client.tenant, place, 40).await;
    assert_eq!(usage(&client).await["records"]["used"], json!(0));

    // Nor is it when the time of the upload, which wrote nothing, is over.
    app.advance(TimeDelta::minutes(15));
    assert_eq!(usage(&client).await["records"]["used"], json!(0));
}

#[tokio::test]
async fn searches_at_once_are_all_counted() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    join_all((0..40).map(|_| search(&app, &client.tenant))).await;
    assert_eq!(usage(&client).await["searches"]["used"], json!(40));
}

#[tokio::test]
async fn a_search_that_was_given_back_is_not_counted() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    search(&app, &client.tenant).await;
    let day = Day::of(app.app.clock.now());
    let table = &app.app.table;
    let failed = table.count_search(&client.tenant, day).await.unwrap();
    table.uncount_search(&client.tenant, failed).await.unwrap();
    assert_eq!(usage(&client).await["searches"]["used"], json!(1));
}

#[tokio::test]
async fn a_lost_answer_of_the_table_gives_back_no_other_search() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    let day = Day::of(app.app.clock.now());
    let table = &app.app.table;
    let answered = table.count_capped_search(&client.tenant, day, 50).await;
    assert!(answered.unwrap().is_some());
    let counted = table.count_capped_search(&client.tenant, day, 50).await;
    let failed = counted.unwrap().unwrap();
    app.faults.inject("UpdateItem", Fault::Lost, 1);
    // One too many may stay if this fails, but the search that was answered is never given away.
    let _given_back = table.uncount_search(&client.tenant, failed).await;
    let used = usage(&client).await["searches"]["used"].as_u64().unwrap();
    assert!((1..=2).contains(&used), "{used}");
}

#[tokio::test]
async fn open_searches_are_not_billed() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    add_records(&app, &client.tenant, "manufacturing", 1).await;
    let day = Day::of(app.app.clock.now());
    let table = &app.app.table;
    let counted = table.count_open_searches(&client.tenant, day, 1, 10);
    counted.await.unwrap();
    assert_eq!(
        usage(&client).await["searches"],
        json!({"used": 0, "included": null, "overage": 0, "overage_cost": 0.0})
    );
}

#[tokio::test]
async fn a_month_ends_with_its_last_instant_in_utc() {
    let app = TestApp::new(usage::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    add_records(&app, &tenant, "manufacturing", 7).await;
    search(&app, &tenant).await;
    app.travel("2026-03-31T23:59:59.999Z");
    search(&app, &tenant).await;

    let client = app.client(tenant.as_str(), Role::Member);
    let march = usage(&client).await;
    assert_eq!(march["period"], json!("2026-03"));
    assert_eq!(march["searches"]["used"], json!(2));
    assert_eq!(march["records"]["used"], json!(7));

    app.advance(TimeDelta::milliseconds(1));
    let april = usage(&client).await;
    assert_eq!(april["period"], json!("2026-04"));
    assert_eq!(april["searches"]["used"], json!(0));
    assert_eq!(april["estimated_overage_total"], json!(0.0));
    assert_eq!(april["records"]["used"], json!(7));

    search(&app, &tenant).await;
    assert_eq!(usage(&client).await["searches"]["used"], json!(1));
}

#[tokio::test]
async fn a_past_month_keeps_its_searches_and_is_priced_as_of_now() {
    let app = TestApp::new(usage::router()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    add_records(&app, &tenant, "manufacturing", 7).await;
    searched(&app, &tenant, &[8_000, 0, 200]).await;
    app.travel("2026-05-20T12:00:00Z");
    search(&app, &tenant).await;

    let client = app.client(tenant.as_str(), Role::Member);
    let answer = client.get("/portal/usage?period=2026-03").await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({
            "tenant_id": tenant.as_str(),
            "plan": "pro",
            "period": "2026-03",
            "records": {
                "used": 7,
                "included": 100_000,
                "overage": 0,
                "overage_cost": 0.0
            },
            "searches": {
                "used": 8_200,
                "included": null,
                "overage": 8_200,
                "overage_cost": 12.3
            },
            "rate_limit": {
                "requests_per_minute": 200,
                "search_per_minute": 100,
                "max_collections": -1
            },
            "allows_overage": true,
            "estimated_overage_total": 12.3
        })
    );
}

#[tokio::test]
async fn this_month_by_its_name_is_this_month() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    search(&app, &client.tenant).await;
    let answer = client.get("/portal/usage?period=2026-03").await;
    assert_eq!(answer.json(), usage(&client).await);
}

#[tokio::test]
async fn a_month_in_which_nothing_was_searched_costs_nothing() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    search(&app, &client.tenant).await;
    for month in ["2025-03", "2026-02", "2026-04"] {
        let path = format!("/portal/usage?period={month}");
        let answer = client.get(&path).await.json();
        assert_eq!(answer["period"], json!(month));
        assert_eq!(
            answer["searches"],
            json!({"used": 0, "included": null, "overage": 0, "overage_cost": 0.0})
        );
    }
}

#[tokio::test]
async fn a_period_that_is_no_month_is_refused_by_its_name() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    for path in ["/portal/usage", "/portal/usage/daily", "/portal/usage/keys"] {
        for bad in ["", "2026-13", "2026-3", "march"] {
            let answer = client.get(&format!("{path}?period={bad}")).await;
            let kind = "string_pattern_mismatch";
            assert_faults(&answer, &[(&["query", "period"], kind)]);
        }
        let twice = format!("{path}?period=2026-03&period=2026-02");
        let answer = client.get(&twice).await;
        assert_faults(&answer, &[(&["query", "period"], "value_error")]);
    }
}

#[tokio::test]
async fn a_leap_day_belongs_to_february() {
    let app = TestApp::new(usage::router()).await;
    app.travel("2028-02-29T23:59:59.999Z");
    let client = app.tenant(Plan::Pro).await;
    assert_eq!(usage(&client).await["period"], json!("2028-02"));
    app.advance(TimeDelta::milliseconds(1));
    assert_eq!(usage(&client).await["period"], json!("2028-03"));
}

#[tokio::test]
async fn another_plan_shows_at_once() {
    let app = TestApp::new(usage::router()).await;
    let client = app.client("newcomer", Role::Member);
    assert_eq!(usage(&client).await["plan"], json!("free"));
    for plan in [Plan::Pro, Plan::Scale, Plan::Enterprise, Plan::Free] {
        let now = app.app.clock.now();
        let set = app.app.table.set_plan(&client.tenant, plan, now).await;
        set.unwrap();
        assert_eq!(usage(&client).await["plan"], json!(plan.to_string()));
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_usage_whatever_the_request_says() {
    let app = TestApp::new(usage::router()).await;
    let (client, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    search(&app, &other.tenant).await;
    let path = format!("/portal/usage?tenant_id={}", other.tenant);
    let request = client
        .request(Method::GET, &path)
        .header("X-Tenant-Id", other.tenant.as_str())
        .body(axum::body::Body::empty());
    let answer = app.send(request.unwrap()).await.json();
    assert_eq!(answer["tenant_id"], json!(client.tenant.as_str()));
    assert_eq!(answer["searches"]["used"], json!(0));
    assert_eq!(usage(&other).await["searches"]["used"], json!(1));
}

#[tokio::test]
async fn a_viewer_may_read() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    assert_eq!(usage(&client.viewer()).await, usage(&client).await);
}

#[tokio::test]
async fn a_stranger_may_not() {
    let app = TestApp::new(usage::router()).await;
    let answer = app.stranger().get("/portal/usage").await;
    assert_unauthorized(&answer);
}

#[tokio::test]
async fn usage_is_only_read() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    client.assert_only_read("/portal/usage").await;
}

#[tokio::test]
async fn an_unknown_plan_in_the_table_is_a_500_and_no_free_ride() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let gold = AttributeValue::S("gold".to_owned());
    app.plant(&client.tenant, "TENANT", [("plan", gold)]).await;
    let answer = client.get("/portal/usage").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json(), json!({"detail": "Internal server error"}));
}

#[tokio::test]
async fn a_counter_that_is_no_number_is_a_500_and_no_free_ride() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let many = AttributeValue::S("many".to_owned());
    app.plant(&client.tenant, "SEARCHES#2026-03#00", [("n", many)])
        .await;
    let answer = client.get("/portal/usage").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json(), json!({"detail": "Internal server error"}));
}

#[tokio::test]
async fn a_table_that_throttles_once_goes_unnoticed() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    let quiet = usage(&client).await;
    app.faults.inject("Query", Fault::Throttled, 1);
    assert_eq!(usage(&client).await, quiet);
}

#[tokio::test]
async fn a_table_that_throttles_for_ever_is_a_503() {
    let app = TestApp::new(usage::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("Query", Fault::Throttled, 100);
    let answer = client.get("/portal/usage").await;
    assert_unavailable(&answer);
    app.faults.clear();
    assert_eq!(usage(&client).await["plan"], json!("free"));
}
