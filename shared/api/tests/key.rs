//! Who gets in with an API key: its forms, its scopes, its end, and what its use leaves behind.

use api::{App, Caller, Editor, Result, Searcher, by_any_key, by_key};
use auth::Role;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::routing::{get, post};
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{KeyId, TenantId};
use model::key::{KeySecret, SECRET_BYTES, Scope};
use model::period::Period;
use model::plan::Plan;
use model::time::Moment;
use serde_json::{Value, json};
use table::key::Rotated;
use table::usage::KeyCalls;
use testkit::{
    Answer, Client, Fault, NOW, TestApp, assert_bad_key, assert_indistinguishable, assert_refusal,
    assert_unauthorized, assert_unavailable,
};

const SCOPES: [Scope; 4] = [Scope::Search, Scope::Upload, Scope::Records, Scope::Admin];

fn routes() -> api::Router {
    api::Router::new()
        .route("/portal/things", get(read).post(change))
        .route(
            "/things",
            by_key(Scope::Search, get(read)).merge(by_key(Scope::Records, post(change))),
        )
        .route("/search", by_key(Scope::Search, post(search)))
        .route("/uploads", by_key(Scope::Upload, get(read)))
        .route("/keys", by_key(Scope::Admin, get(read)))
        .route("/any", by_any_key(get(read)))
        .route("/user", by_any_key(get(user)))
}

async fn read(caller: Caller) -> Json<Value> {
    Json(json!({"tenant": caller.tenant, "key": caller.key()}))
}

/// Leaves a trace in the table: a tenant of that name.
async fn change(State(app): State<App>, Editor(caller): Editor) -> Result<Json<Value>> {
    let trace: TenantId = "trace".parse().expect("a tenant");
    let now = app.clock.now();
    app.table.create_tenant(&trace, Plan::Free, now).await?;
    Ok(Json(json!({"changed": caller.tenant})))
}

async fn search(Searcher(caller): Searcher) -> Result<Json<Value>> {
    caller.admitted().await?;
    Ok(Json(json!({"found": []})))
}

async fn user(caller: Caller) -> Result<Json<Value>> {
    Ok(Json(json!({"user": caller.user()?})))
}

fn acme() -> TenantId {
    "acme".parse().expect("a tenant")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

/// Calls a path with these `Authorization` headers.
async fn knock(app: &TestApp, path: &str, authorization: &[String]) -> Answer {
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("/api/v1{path}"));
    let request = authorization.iter().fold(request, |request, value| {
        request.header(header::AUTHORIZATION, value)
    });
    let request = request.body(Body::empty()).expect("a request");
    app.send(request).await
}

async fn last_used_at(app: &TestApp) -> Option<Moment> {
    let keys = app.app.table.list_keys(&acme()).await.expect("a list");
    keys[0].last_used_at
}

/// What a tenant's keys were used for this month, by key.
async fn calls(app: &TestApp, tenant: &TenantId) -> Vec<(KeyId, KeyCalls)> {
    let period = Period::of(app.app.clock.now());
    let calls = app.app.table.key_calls(tenant, period).await;
    calls.expect("counters").into_iter().collect()
}

/// Reads so many times, one after the other, and all of them pass.
async fn pass(client: &Client<'_>, count: u32) {
    for number in 1..=count {
        let answer = client.get("/things").await;
        assert_eq!(answer.status, StatusCode::OK, "number {number} of {count}");
    }
}

#[tokio::test]
async fn a_key_acts_for_its_tenant() {
    let app = TestApp::new(routes()).await;
    let (key, secret) = app.key(&acme(), &[Scope::Search], None).await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let header = [format!("{scheme} {}", secret.reveal())];
        let answer = knock(&app, "/things", &header).await;
        assert_eq!(answer.status, StatusCode::OK, "{scheme}");
        assert_eq!(answer.json(), json!({"tenant": "acme", "key": key.id}));
    }
}

#[tokio::test]
async fn whatever_is_no_good_key_meets_one_and_the_same_401() {
    let app = TestApp::new(routes()).await;
    let (_, good) = app.key(&acme(), &[Scope::Admin], None).await;
    let good = good.reveal();
    let end = now() + TimeDelta::seconds(1);
    let (_, expired) = app.key(&acme(), &[Scope::Admin], Some(end)).await;
    let (key, revoked) = app.key(&acme(), &[Scope::Admin], None).await;
    assert!(app.app.table.revoke_key(&acme(), key.id).await.unwrap());
    app.travel("2026-03-08T12:00:01Z");
    let token = app.token(&acme(), Role::Member);
    let unknown = KeySecret::from_random([7; SECRET_BYTES]);
    let cases = [
        vec![],
        vec![String::new()],
        vec!["Bearer".to_owned()],
        vec!["Bearer ".to_owned()],
        vec![good.to_owned()],
        vec![format!("Basic {good}")],
        vec![format!("Bearer{good}")],
        vec![format!("Bearer  {good}")],
        vec![format!("Bearer {good} ")],
        vec![format!("Bearer {good}0")],
        vec![format!("Bearer {}", good.to_uppercase())],
        vec![format!("Bearer {}", &good[..good.len() - 1])],
        vec![format!("Bearer {good},Bearer {good}")],
        vec![format!("Bearer {good}"), format!("Bearer {good}")],
        vec![format!("Bearer {token}")],
        vec![format!("Bearer {}", unknown.reveal())],
        vec![format!("Bearer {}", expired.reveal())],
        vec![format!("Bearer {}", revoked.reveal())],
        vec![format!("Bearer {}", "x".repeat(1 << 20))],
    ];
    let mut first: Option<HeaderMap> = None;
    for (number, authorization) in cases.iter().enumerate() {
        let answer = knock(&app, "/any", authorization).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "case {number}");
        assert_bad_key(&answer);
        let mut headers = answer.headers;
        headers.remove("x-request-id");
        let first = first.get_or_insert_with(|| headers.clone());
        assert_eq!(*first, headers, "case {number}");
    }
}

#[tokio::test]
async fn a_fake_costs_no_call_of_the_table() {
    let app = TestApp::with(routes(), &[]).await;
    let (_, secret) = app.key(&acme(), &[Scope::Admin], None).await;
    let typo = secret.reveal().replace("sk_live_", "sk_test_");
    let fake = format!("sk_live_{}", "0".repeat(64));
    let token = app.token(&acme(), Role::Member);
    app.faults.calls();
    for text in [typo, fake, token, "x".to_owned()] {
        assert_bad_key(&knock(&app, "/things", &[format!("Bearer {text}")]).await);
    }
    assert_eq!(app.faults.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_good_key_costs_one_read_and_its_count() {
    let app = TestApp::new(routes()).await;
    let client = app.with_key(&acme(), &[Scope::Search]).await;
    pass(&client, 1).await;
    app.faults.calls();
    pass(&client, 1).await;
    assert_eq!(app.faults.calls(), ["GetItem", "UpdateItem"]);
}

#[tokio::test]
async fn a_key_opens_nothing_of_the_portal_and_a_token_nothing_of_the_main_api() {
    let app = TestApp::new(routes()).await;
    let by_key = app.with_key(&acme(), &[Scope::Admin]).await;
    let by_token = app.client("acme", Role::Member);
    for (path, client) in [("/things", &by_key), ("/portal/things", &by_token)] {
        assert_eq!(client.get(path).await.status, StatusCode::OK, "{path}");
    }
    assert_unauthorized(&by_key.get("/portal/things").await);
    assert_unauthorized(&by_key.post("/portal/things", json!({})).await);
    assert_bad_key(&by_token.get("/things").await);
    assert_bad_key(&by_token.post("/things", json!({})).await);
}

#[tokio::test]
async fn each_route_takes_its_scope_or_an_admins_key_and_no_other() {
    let app = TestApp::new(routes()).await;
    for held in SCOPES {
        let client = app.with_key(&acme(), &[held]).await;
        for (method, path, asked) in [
            (Method::GET, "/things", Scope::Search),
            (Method::POST, "/things", Scope::Records),
            (Method::POST, "/search", Scope::Search),
            (Method::GET, "/uploads", Scope::Upload),
            (Method::GET, "/keys", Scope::Admin),
        ] {
            let answer = client.call(method.clone(), path, None).await;
            if held == asked || held == Scope::Admin {
                assert_eq!(answer.status, StatusCode::OK, "{held:?}: {method} {path}");
            } else {
                assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
            }
        }
        assert_eq!(client.get("/any").await.status, StatusCode::OK, "{held:?}");
    }
}

#[tokio::test]
async fn a_key_of_several_scopes_may_do_what_each_allows() {
    let app = TestApp::new(routes()).await;
    let scopes = [Scope::Upload, Scope::Records];
    let client = app.with_key(&acme(), &scopes).await;
    assert_eq!(client.get("/uploads").await.status, StatusCode::OK);
    let changed = client.post("/things", json!({})).await;
    assert_eq!(changed.json(), json!({"changed": "acme"}));
    assert_eq!(client.get("/things").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_missing_scope_changes_nothing_and_is_no_use() {
    let app = TestApp::new(routes()).await;
    let scopes = [Scope::Search, Scope::Upload];
    let client = app.with_key(&acme(), &scopes).await;
    let before = app.dump().await;

    let answer = client.post("/things", json!({})).await;

    assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn methods_of_one_path_stay_one_path() {
    let app = TestApp::new(routes()).await;
    let client = app.with_key(&acme(), &[Scope::Admin]).await;
    let answer = client.delete("/things").await;
    let status = StatusCode::METHOD_NOT_ALLOWED;
    assert_refusal(&answer, status, "Method not allowed");
    assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
}

#[tokio::test]
async fn a_key_ends_at_the_instant_of_its_expiry() {
    let app = TestApp::new(routes()).await;
    let end = now() + TimeDelta::hours(1);
    let (_, secret) = app.key(&acme(), &[Scope::Search], Some(end)).await;
    let client = app.client("acme", Role::Member);
    let client = client.with_token(secret.reveal());
    app.travel("2026-03-08T12:59:59.999Z");
    assert_eq!(client.get("/things").await.status, StatusCode::OK);

    app.travel("2026-03-08T13:00:00Z");

    assert_bad_key(&client.get("/things").await);
}

#[tokio::test]
async fn a_revoked_key_is_dead_on_the_next_request_of_any_process() {
    let app = TestApp::new(routes()).await;
    let (key, secret) = app.key(&acme(), &[Scope::Search], None).await;
    let settings = [("RATE_LIMIT_ENABLED", "false")];
    let other = app.again(routes(), &settings, None).await;
    let clients = [&app, &other].map(|app| {
        let client = app.client("acme", Role::Member);
        client.with_token(secret.reveal())
    });
    for client in &clients {
        pass(client, 2).await;
    }

    assert!(app.app.table.revoke_key(&acme(), key.id).await.unwrap());

    for client in &clients {
        assert_bad_key(&client.get("/things").await);
    }
}

#[tokio::test]
async fn after_a_rotation_the_new_secret_alone_works() {
    let app = TestApp::new(routes()).await;
    let (key, old) = app.key(&acme(), &[Scope::Search], None).await;
    let client = app.client("acme", Role::Member);
    let (old, new) = (client.with_token(old.reveal()), app.app.ids.secret());
    pass(&old, 1).await;

    let table = &app.app.table;
    let rotated = table
        .rotate_key(&acme(), key.id, &new.hash(), now(), None)
        .await;

    assert!(matches!(rotated, Ok(Rotated::Yes(_))), "{rotated:?}");
    assert_bad_key(&old.get("/things").await);
    let answer = client.with_token(new.reveal()).get("/things").await;
    assert_eq!(answer.json(), json!({"tenant": "acme", "key": key.id}));
}

#[tokio::test]
async fn the_last_use_moves_once_a_minute() {
    let app = TestApp::new(routes()).await;
    let client = app.with_key(&acme(), &[Scope::Search]).await;
    assert_eq!(last_used_at(&app).await, None);
    for (at, noted) in [
        ("2026-03-08T12:00:30Z", "2026-03-08T12:00:30Z"),
        ("2026-03-08T12:01:29Z", "2026-03-08T12:00:30Z"),
        ("2026-03-08T12:01:30Z", "2026-03-08T12:01:30Z"),
    ] {
        app.travel(at);
        pass(&client, 1).await;
        let noted: Moment = noted.parse().unwrap();
        assert_eq!(last_used_at(&app).await, Some(noted), "{at}");
    }
}

#[tokio::test]
async fn fifty_calls_at_once_move_the_last_use_by_one_write() {
    let app = TestApp::new(routes()).await;
    let client = app.with_key(&acme(), &[Scope::Search]).await;
    app.faults.calls();

    let answers = join_all((0..50).map(|_| client.get("/things"))).await;

    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    let calls = app.faults.calls();
    let writes = calls.iter().filter(|call| *call == "UpdateItem").count();
    assert_eq!(writes, 51, "50 counts and one last use");
    assert_eq!(last_used_at(&app).await, Some(now()));
}

#[tokio::test]
async fn a_use_that_cannot_be_noted_fails_no_call() {
    let app = TestApp::new(routes()).await;
    let client = app.with_key(&acme(), &[Scope::Search]).await;
    app.faults.inject("UpdateItem", Fault::Throttled, 100);

    pass(&client, 1).await;

    app.faults.clear();
    assert_eq!(last_used_at(&app).await, None);
    app.advance(TimeDelta::minutes(1));
    pass(&client, 1).await;
    assert_eq!(last_used_at(&app).await, Some(app.app.clock.now()));
}

#[tokio::test]
async fn a_key_that_cannot_be_looked_up_is_a_503() {
    let app = TestApp::new(routes()).await;
    let client = app.with_key(&acme(), &[Scope::Search]).await;
    app.faults.inject("GetItem", Fault::Throttled, 100);

    assert_unavailable(&client.get("/things").await);
}

#[tokio::test]
async fn calls_and_searches_are_counted_by_key() {
    let app = TestApp::new(routes()).await;
    let (one, secret) = app.key(&acme(), &[Scope::Search], None).await;
    let client = app.client("acme", Role::Member);
    let client = client.with_token(secret.reveal());
    pass(&client, 2).await;
    for _ in 0..3 {
        client.post("/search", json!({})).await;
    }
    client.get("/keys").await;

    let counted = KeyCalls {
        requests: 5,
        searches: 3,
    };
    assert_eq!(calls(&app, &acme()).await, [(one.id, counted)]);
}

#[tokio::test]
async fn keys_and_tokens_of_a_tenant_share_its_limit() {
    let app = TestApp::with(routes(), &[]).await;
    let by_token = app.tenant(Plan::Free).await;
    let one = app.with_key(&by_token.tenant, &[Scope::Search]).await;
    let other = app.with_key(&by_token.tenant, &[Scope::Search]).await;
    pass(&one, 20).await;
    pass(&other, 20).await;
    for _ in 0..20 {
        let answer = by_token.get("/portal/things").await;
        assert_eq!(answer.status, StatusCode::OK);
    }

    for (client, path) in [
        (&one, "/things"),
        (&other, "/things"),
        (&by_token, "/portal/things"),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.header("x-ratelimit-limit"), Some("60"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
    }
}

#[tokio::test]
async fn a_call_that_the_limiter_refuses_is_no_use() {
    let app = TestApp::with(routes(), &[]).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let client = app.with_key(&tenant, &[Scope::Search]).await;
    pass(&client, 60).await;

    for _ in 0..3 {
        let answer = client.get("/things").await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    }

    assert_eq!(calls(&app, &tenant).await[0].1.requests, 60);
}

#[tokio::test]
async fn a_missing_scope_counts_in_the_limit() {
    let app = TestApp::with(routes(), &[]).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let client = app.with_key(&tenant, &[Scope::Upload]).await;

    let answer = client.get("/things").await;

    assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("59"));
}

#[tokio::test]
async fn an_unknown_and_a_revoked_key_cannot_be_told_apart() {
    let app = TestApp::new(routes()).await;
    let (key, revoked) = app.key(&acme(), &[Scope::Search], None).await;
    assert!(app.app.table.revoke_key(&acme(), key.id).await.unwrap());
    let client = app.client("acme", Role::Member);
    let unknown = KeySecret::from_random([7; SECRET_BYTES]);

    let revoked = client.with_token(revoked.reveal()).get("/things").await;
    let unknown = client.with_token(unknown.reveal()).get("/things").await;

    assert_indistinguishable(&revoked, &unknown);
}

#[tokio::test]
async fn a_key_creates_no_user_and_is_none() {
    let app = TestApp::new(routes()).await;
    let client = app.with_key(&acme(), &[Scope::Search]).await;
    pass(&client, 1).await;
    assert!(!app.dump().await.contains("#USERS"));

    let answer = client.get("/user").await;

    let status = StatusCode::INTERNAL_SERVER_ERROR;
    assert_refusal(&answer, status, "Internal server error");
}
