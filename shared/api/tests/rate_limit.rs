//! The rate limit: exactly so many requests of a tenant pass in a sliding minute.

use api::{App, Body, Caller, Editor, Error, Result, Searcher};
use auth::Role;
use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use chrono::TimeDelta;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use model::period::Day;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Answer, Client, Fault, TestApp};

/// The stopped clock's time, in unix seconds; a minute begins with it.
const NOON: i64 = 1_772_971_200;

fn routes() -> api::Router {
    api::Router::new()
        .route("/things", get(read).post(change))
        .route("/search", post(search))
        .route("/missing", get(missing))
        .route("/echo", post(echo))
        .route("/panic", get(panics))
}

async fn read(caller: Caller) -> Json<Value> {
    Json(json!({"tenant": caller.tenant}))
}

/// Leaves a trace in the table: a counted search.
async fn change(State(app): State<App>, Editor(caller): Editor) -> Result<Json<Value>> {
    let day = Day::of(app.clock.now());
    app.table.count_search(&caller.tenant, day).await?;
    Ok(Json(json!({"changed": true})))
}

async fn search(Searcher(caller): Searcher) -> Result<Json<Value>> {
    caller.admitted().await?;
    Ok(Json(json!({"found": []})))
}

async fn missing(_: Caller) -> Result<Json<Value>> {
    Err(Error::NotFound("Thing"))
}

async fn echo(_: Caller, body: Body) -> Json<Value> {
    Json(body.into_value())
}

async fn panics(_: Caller) -> StatusCode {
    panic!("on purpose")
}

/// An app whose limiter is on.
async fn limited() -> TestApp {
    TestApp::with(routes(), &[]).await
}

async fn search_once(client: &Client<'_>) -> Answer {
    client.post("/search", json!({})).await
}

/// Reads so many times, one after the other, and all of them pass.
async fn pass(client: &Client<'_>, count: u32) {
    for number in 1..=count {
        let answer = client.get("/things").await;
        assert_eq!(answer.status, StatusCode::OK, "number {number} of {count}");
    }
}

/// Limit, remaining and reset, as an answer tells them.
fn bucket(answer: &Answer) -> Option<(i64, i64, i64)> {
    let number = |name: &str| -> Option<i64> { answer.header(name)?.parse().ok() };
    Some((
        number("x-ratelimit-limit")?,
        number("x-ratelimit-remaining")?,
        number("x-ratelimit-reset")?,
    ))
}

/// Checks that an answer is the refusal of a bucket of `limit` that opens `seconds` after `now`.
#[track_caller]
fn assert_refused(answer: &Answer, limit: i64, now: i64, seconds: i64) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let detail = format!("Rate limit exceeded. Retry after {seconds} seconds.");
    assert_eq!(answer.json(), json!({ "detail": detail }));
    let seconds_text = seconds.to_string();
    assert_eq!(answer.header("retry-after"), Some(seconds_text.as_str()));
    assert_eq!(bucket(answer), Some((limit, 0, now + seconds)));
}

fn count(answers: &[Answer], status: StatusCode) -> usize {
    let of_status = answers.iter().filter(|answer| answer.status == status);
    of_status.count()
}

#[tokio::test]
async fn sixty_requests_of_a_minute_pass_and_one_more_does_not() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    for left in (0..60).rev() {
        let answer = client.get("/things").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json(), json!({"tenant": client.tenant.as_str()}));
        assert_eq!(bucket(&answer), Some((60, left, NOON + 60)));
        assert_eq!(answer.header("retry-after"), None);
    }
    // By the table, then from memory.
    for _ in 0..3 {
        assert_refused(&client.get("/things").await, 60, NOON, 61);
    }
}

#[tokio::test]
async fn exactly_sixty_of_a_burst_pass() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    let calls = stream::iter((0..180).map(|_| client.get("/things")));
    let answers: Vec<Answer> = calls.buffer_unordered(90).collect().await;
    assert_eq!(count(&answers, StatusCode::OK), 60);
    assert_eq!(count(&answers, StatusCode::TOO_MANY_REQUESTS), 120);
    for answer in &answers {
        let (limit, left, _) = bucket(answer).unwrap();
        assert_eq!(limit, 60);
        assert!((0..60).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn exactly_twenty_searches_of_a_burst_pass() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    let answers = join_all((0..60).map(|_| search_once(&client))).await;
    assert_eq!(count(&answers, StatusCode::OK), 20);
    assert_eq!(count(&answers, StatusCode::TOO_MANY_REQUESTS), 40);
}

#[tokio::test]
async fn exactly_sixty_changes_of_a_burst_are_made() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    let calls = stream::iter((0..180).map(|_| client.post("/things", json!({}))));
    let answers: Vec<Answer> = calls.buffer_unordered(90).collect().await;
    assert_eq!(count(&answers, StatusCode::OK), 60);
    assert_eq!(count(&answers, StatusCode::TOO_MANY_REQUESTS), 120);
    let summary = app.app.summary(&client.tenant).await.unwrap();
    assert_eq!(summary.searches, 60);
}

#[tokio::test]
async fn searches_have_a_second_and_lower_bucket() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    for left in (0..20).rev() {
        let answer = search_once(&client).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json(), json!({"found": []}));
        assert_eq!(bucket(&answer), Some((20, left, NOON + 60)));
    }
    for _ in 0..3 {
        assert_refused(&search_once(&client).await, 20, NOON, 63);
    }
    // Forty other requests are left of the sixty, and no more.
    for left in (0..40).rev() {
        let answer = client.get("/things").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(bucket(&answer), Some((60, left, NOON + 60)));
    }
    assert_refused(&client.get("/things").await, 60, NOON, 61);
}

#[tokio::test]
async fn a_full_bucket_of_requests_refuses_searches_too() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    pass(&client, 60).await;
    assert_refused(&search_once(&client).await, 60, NOON, 61);
}

#[tokio::test]
async fn the_headers_tell_the_bucket_nearest_to_its_end() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    pass(&client, 35).await;
    let answer = search_once(&client).await;
    assert_eq!(bucket(&answer), Some((20, 19, NOON + 60)));
    pass(&client, 10).await;
    let answer = search_once(&client).await;
    assert_eq!(bucket(&answer), Some((60, 13, NOON + 60)));
}

#[tokio::test]
async fn a_refused_request_does_not_count() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    for _ in 0..30 {
        search_once(&client).await;
    }
    // Twenty passed, ten were refused; this is the twenty-first that counts.
    let answer = client.get("/things").await;
    assert_eq!(bucket(&answer), Some((60, 39, NOON + 60)));
}

#[tokio::test]
async fn whoever_waits_as_told_passes() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    pass(&client, 60).await;
    assert_refused(&client.get("/things").await, 60, NOON, 61);

    app.advance(TimeDelta::seconds(60));
    assert_refused(&client.get("/things").await, 60, NOON + 60, 1);
    app.advance(TimeDelta::seconds(1));
    pass(&client, 1).await;
    assert_refused(&client.get("/things").await, 60, NOON + 61, 1);
    app.advance(TimeDelta::seconds(1));
    pass(&client, 1).await;
}

#[tokio::test]
async fn whoever_waits_as_told_passes_after_a_burst_too() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    let answers = join_all((0..60).map(|_| search_once(&client))).await;
    let waits = answers
        .iter()
        .filter_map(|answer| answer.header("retry-after")?.parse().ok());
    let shortest: i64 = waits.min().unwrap();
    app.advance(TimeDelta::seconds(shortest));
    assert_eq!(search_once(&client).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_wait_is_told_in_whole_seconds_rounded_up() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    pass(&client, 60).await;
    assert_refused(&client.get("/things").await, 60, NOON, 61);
    app.advance(TimeDelta::milliseconds(30_400));
    let answer = client.get("/things").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), Some("31"));
    assert_eq!(bucket(&answer), Some((60, 0, NOON + 61)));
}

#[tokio::test]
async fn a_minute_slides() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    pass(&client, 60).await;
    // Half of the next minute later, half of the sixty still count.
    app.advance(TimeDelta::seconds(90));
    pass(&client, 30).await;
    assert_refused(&client.get("/things").await, 60, NOON + 90, 1);
}

#[tokio::test]
async fn the_edge_of_a_minute_does_not_double_the_limit() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    app.advance(TimeDelta::seconds(59));
    pass(&client, 60).await;
    app.advance(TimeDelta::seconds(1));
    assert_refused(&client.get("/things").await, 60, NOON + 60, 1);
}

#[tokio::test]
async fn two_minutes_later_everything_is_forgotten() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    pass(&client, 60).await;
    assert_refused(&client.get("/things").await, 60, NOON, 61);
    for minutes in [2, 4, 6] {
        app.advance(TimeDelta::minutes(2));
        let answer = client.get("/things").await;
        assert_eq!(answer.status, StatusCode::OK);
        let reset = NOON + 60 * (minutes + 1);
        assert_eq!(bucket(&answer), Some((60, 59, reset)));
        pass(&client, 59).await;
    }
}

#[tokio::test]
async fn all_callers_of_a_tenant_share_its_limit() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    let viewer = client.viewer();
    for _ in 0..30 {
        pass(&client, 1).await;
        pass(&viewer, 1).await;
    }
    assert_refused(&viewer.get("/things").await, 60, NOON, 61);
    assert_refused(&client.get("/things").await, 60, NOON, 61);
}

#[tokio::test]
async fn all_processes_share_a_tenants_limit() {
    let first = limited().await;
    let second = TestApp::at((&first.endpoint, &first.store), routes(), &[], None).await;
    let client = first.tenant(Plan::Free).await;
    let elsewhere = second.client(client.tenant.as_str(), Role::Member);
    for _ in 0..30 {
        pass(&client, 1).await;
        pass(&elsewhere, 1).await;
    }
    assert_refused(&client.get("/things").await, 60, NOON, 61);
    let answer = elsewhere.get("/things").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_tenant_over_its_limit_leaves_the_others_alone() {
    let app = limited().await;
    let (loud, quiet) = (app.tenant(Plan::Free).await, app.tenant(Plan::Free).await);
    pass(&loud, 60).await;
    assert_refused(&loud.get("/things").await, 60, NOON, 61);
    let answer = quiet.get("/things").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(bucket(&answer), Some((60, 59, NOON + 60)));
}

#[tokio::test]
async fn each_plan_has_its_limits() {
    let app = limited().await;
    for (plan, requests, searches) in [
        (Plan::Free, 60, 20),
        (Plan::Pro, 200, 100),
        (Plan::Scale, 2_000, 1_000),
    ] {
        let client = app.tenant(plan).await;
        let answer = client.get("/things").await;
        let expected = Some((requests, requests - 1, NOON + 60));
        assert_eq!(bucket(&answer), expected, "{plan}");
        let answer = search_once(&client).await;
        let expected = Some((searches, searches - 1, NOON + 60));
        assert_eq!(bucket(&answer), expected, "{plan}");
    }
    // Of two buckets of one size, all requests fill theirs first.
    let client = app.tenant(Plan::Enterprise).await;
    let answer = client.get("/things").await;
    assert_eq!(bucket(&answer), Some((10_000, 9_999, NOON + 60)));
    let answer = search_once(&client).await;
    assert_eq!(bucket(&answer), Some((10_000, 9_998, NOON + 60)));
}

#[tokio::test]
async fn a_new_tenant_has_the_default_plans_limit_from_its_first_call() {
    for (setting, limit) in [("free", 60), ("pro", 200)] {
        let app = TestApp::with(routes(), &[("DEFAULT_PLAN", setting)]).await;
        let client = app.client("newcomer", Role::Member);
        for used in 1..=3 {
            let answer = client.get("/things").await;
            assert_eq!(answer.status, StatusCode::OK);
            let expected = Some((limit, limit - used, NOON + 60));
            assert_eq!(bucket(&answer), expected, "{setting}");
        }
    }
}

#[tokio::test]
async fn another_plan_counts_at_once() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    pass(&client, 60).await;

    let now = app.app.clock.now();
    let table = &app.app.table;
    let set = table.set_plan(&client.tenant, Plan::Pro, now).await;
    set.unwrap();
    let answer = client.get("/things").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(bucket(&answer), Some((200, 139, NOON + 60)));

    let set = table.set_plan(&client.tenant, Plan::Free, now).await;
    set.unwrap();
    let answer = client.get("/things").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(bucket(&answer).unwrap().0, 60);
}

#[tokio::test]
async fn a_request_costs_one_write() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    client.get("/things").await;
    app.faults.calls();
    for _ in 0..10 {
        client.get("/things").await;
        assert_eq!(app.faults.calls(), ["UpdateItem"]);
    }
}

#[tokio::test]
async fn a_flood_of_refusals_costs_no_call_of_the_table() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    pass(&client, 60).await;
    assert_refused(&client.get("/things").await, 60, NOON, 61);
    app.faults.calls();
    for _ in 0..50 {
        assert_refused(&client.get("/things").await, 60, NOON, 61);
        assert_refused(&client.post("/things", json!({})).await, 60, NOON, 61);
        assert_refused(&search_once(&client).await, 60, NOON, 61);
    }
    assert_eq!(app.faults.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_is_served_when_the_limiter_cannot_count() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    for _ in 0..3 {
        app.faults.inject("UpdateItem", Fault::Conflict, 1);
        let answer = client.get("/things").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json(), json!({"tenant": client.tenant.as_str()}));
        assert_eq!(bucket(&answer), None);
    }
    let answer = client.get("/things").await;
    assert_eq!(bucket(&answer), Some((60, 59, NOON + 60)));
}

#[tokio::test]
async fn a_request_is_served_when_the_limiter_is_throttled_for_ever() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("UpdateItem", Fault::Throttled, 100);
    let answer = client.get("/things").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"tenant": client.tenant.as_str()}));
    assert_eq!(bucket(&answer), None);
    app.faults.clear();
    let answer = client.get("/things").await;
    assert_eq!(bucket(&answer), Some((60, 59, NOON + 60)));
}

#[tokio::test]
async fn every_authenticated_answer_has_the_headers() {
    let app = limited().await;
    let client = app.tenant(Plan::Free).await;
    let viewer = client.viewer();
    let answers = [
        (client.get("/things").await, 200_u16),
        (viewer.post("/things", json!({})).await, 403),
        (client.get("/missing").await, 404),
        (client.call(Method::POST, "/echo", None).await, 422),
        (client.get("/panic").await, 500),
    ];
    for ((answer, status), left) in answers.iter().zip((55..60).rev()) {
        assert_eq!(answer.status, *status);
        assert_eq!(bucket(answer), Some((60, left, NOON + 60)), "{status}");
    }
}

#[tokio::test]
async fn an_answer_to_nobody_has_no_headers() {
    let app = limited().await;
    let stranger = app.stranger();
    for (path, status) in [("/things", 401_u16), ("/nothing", 404)] {
        let answer = stranger.get(path).await;
        assert_eq!(answer.status, status);
        assert_eq!(bucket(&answer), None);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
}

#[tokio::test]
async fn a_limiter_that_is_off_refuses_nobody_and_says_nothing() {
    let app = TestApp::with(routes(), &[("RATE_LIMIT_ENABLED", "false")]).await;
    let client = app.tenant(Plan::Free).await;
    for _ in 0..70 {
        let answer = search_once(&client).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
        assert_eq!(answer.header("x-ratelimit-remaining"), None);
        assert_eq!(answer.header("x-ratelimit-reset"), None);
    }
}
