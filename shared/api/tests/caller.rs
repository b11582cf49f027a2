//! Who gets in: the forms of the `Authorization` header, tenants, roles, and the first call of all.

use std::time::Duration;

use api::{Body, Caller, Editor, Result, Searcher};
use auth::Role;
use axum::Json;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::routing::{get, post};
use chrono::TimeDelta;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey};
use model::account::User;
use model::id::{TenantId, UserId};
use model::key::{KeySecret, SECRET_BYTES};
use model::plan::Plan;
use serde_json::{Value, json};
use table::tenant::Tenant;
use testkit::{Answer, Fault, NOW, SECRET, TestApp};

fn routes() -> api::Router {
    api::Router::new()
        .route("/me", get(read).post(change))
        .route("/write", post(write))
        .route("/search", post(search))
        .route("/slow", get(slow))
}

async fn read(caller: Caller) -> Result<Json<Value>> {
    let user = caller.user()?;
    Ok(Json(json!({"tenant": caller.tenant, "user": user})))
}

async fn change(Editor(caller): Editor) -> Json<Value> {
    Json(json!({"changed": caller.tenant}))
}

/// The same with a body, which comes last.
async fn write(_: Editor, body: Body) -> Json<Value> {
    Json(body.into_value())
}

async fn search(Searcher(caller): Searcher) -> Result<Json<Value>> {
    caller.admitted().await?;
    Ok(Json(json!({"found": []})))
}

async fn slow(caller: Caller) -> Result<Json<Value>> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    read(caller).await
}

/// A token of `user_1` with these claims besides, well signed and good for an hour.
fn signed(app: &TestApp, claims: &Value) -> String {
    let expires = app.app.clock.now().timestamp() + 3600;
    let mut all = json!({"sub": "user_1", "exp": expires});
    for (name, value) in claims.as_object().expect("an object") {
        all[name] = value.clone();
    }
    let header = jsonwebtoken::Header::new(Algorithm::HS256);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&header, &all, &key).expect("a token")
}

/// Calls a path with these `Authorization` headers.
async fn knock(app: &TestApp, method: Method, path: &str, authorization: &[String]) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"));
    let request = authorization.iter().fold(request, |request, value| {
        request.header(header::AUTHORIZATION, value)
    });
    app.send(request.body(axum::body::Body::empty()).expect("a request"))
        .await
}

async fn find_tenant(app: &TestApp, tenant: &str) -> Option<Tenant> {
    let tenant: TenantId = tenant.parse().expect("a tenant");
    let found = app.app.table.find_tenant(&tenant).await;
    found.expect("an answer of the table")
}

async fn find_user(app: &TestApp, tenant: &str, user: &str) -> Option<User> {
    let tenant: TenantId = tenant.parse().expect("a tenant");
    let user: UserId = user.parse().expect("a user");
    let found = app.app.table.find_user(&tenant, &user).await;
    found.expect("an answer of the table")
}

#[tokio::test]
async fn the_scheme_is_known_in_any_case() {
    let app = TestApp::new(routes()).await;
    let token = signed(&app, &json!({"tenant_id": "acme"}));
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let answer = knock(&app, Method::GET, "/me", &[format!("{scheme} {token}")]).await;
        assert_eq!(answer.status, StatusCode::OK, "{scheme}");
        assert_eq!(answer.json(), json!({"tenant": "acme", "user": "user_1"}));
    }
}

#[tokio::test]
async fn whatever_is_no_bearer_token_meets_one_and_the_same_401() {
    let app = TestApp::new(routes()).await;
    let token = signed(&app, &json!({"tenant_id": "acme"}));
    let expired = signed(&app, &json!({"tenant_id": "acme", "exp": 0}));
    let other = signed(&app, &json!({"tenant_id": "globex"}));
    let (message, _) = token.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    let api_key = KeySecret::from_random([7; SECRET_BYTES]);
    let cases = [
        vec![],
        vec![String::new()],
        vec!["Bearer".to_owned()],
        vec!["Bearer ".to_owned()],
        vec!["Bearer null".to_owned()],
        vec![token.clone()],
        vec![format!("Basic {token}")],
        vec![format!("Token {token}")],
        vec![format!("Bearer{token}")],
        vec![format!("Bearer: {token}")],
        vec![format!("Bearer  {token}")],
        vec![format!("Bearer\t{token}")],
        vec![format!("Bearer {token} ")],
        vec![format!("Bearer {token}\t")],
        vec![format!("Bearer \"{token}\"")],
        vec![format!("Bearer {token}, Bearer {token}")],
        vec![format!("Bearer {token},Bearer {token}")],
        vec![format!("Bearer {token}"), format!("Bearer {token}")],
        vec!["Basic x".to_owned(), format!("Bearer {token}")],
        vec![format!("Bearer {}", api_key.reveal())],
        vec![format!("Bearer {expired}")],
        vec![format!("Bearer {message}.{signature}")],
        vec![format!("Bearer {message}.")],
        vec![format!("Bearer {}", "x".repeat(5 << 20))],
    ];
    let mut first: Option<HeaderMap> = None;
    for (number, authorization) in cases.iter().enumerate() {
        for method in [Method::GET, Method::POST] {
            let answer = knock(&app, method, "/me", authorization).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "case {number}");
            assert_eq!(answer.text, r#"{"detail":"Invalid or expired token"}"#);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            let mut headers = answer.headers;
            headers.remove("x-request-id");
            let first = first.get_or_insert_with(|| headers.clone());
            assert_eq!(*first, headers, "case {number}");
        }
    }
}

#[tokio::test]
async fn a_token_in_the_query_string_is_ignored() {
    let app = TestApp::new(routes()).await;
    let token = signed(&app, &json!({"tenant_id": "acme"}));
    for name in ["token", "access_token", "jwt", "authorization"] {
        let path = format!("/me?{name}={token}");
        let answer = knock(&app, Method::GET, &path, &[]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        assert_eq!(answer.json(), json!({"detail": "Invalid or expired token"}));
    }
}

#[tokio::test]
async fn the_tenant_is_the_tokens_whatever_else_the_request_says() {
    let app = TestApp::new(routes()).await;
    let client = app.client("acme", Role::Member);
    let request = client
        .request(Method::GET, "/me?tenant_id=globex&tenant=globex")
        .header("X-Tenant-Id", "globex")
        .header("Cookie", "tenant_id=globex")
        .body(axum::body::Body::from(r#"{"tenant_id": "globex"}"#));
    let answer = app.send(request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"tenant": "acme", "user": "user_1"}));
    assert_eq!(find_tenant(&app, "globex").await, None);
}

#[tokio::test]
async fn a_good_token_without_a_usable_tenant_is_a_403() {
    let app = TestApp::new(routes()).await;
    for claims in [
        json!({}),
        json!({"tenant_id": null}),
        json!({"tenant_id": ""}),
        json!({"tenant_id": 7}),
        json!({"tenant_id": ["acme"]}),
        json!({"tenant_id": "t#KEY#x"}),
        json!({"tenant_id": "acme "}),
        json!({"tenant_id": "acme\u{0}"}),
        json!({"tenant_id": "\u{ff11}\u{ff12}"}),
        json!({"tenant_id": "x".repeat(65)}),
        json!({"app_metadata": {}}),
        json!({"app_metadata": {"tenant_id": "a/b"}}),
        json!({"user_metadata": {"tenant_id": "acme"}}),
    ] {
        let token = signed(&app, &claims);
        for method in [Method::GET, Method::POST] {
            let bearer = [format!("Bearer {token}")];
            let answer = knock(&app, method, "/me", &bearer).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{claims}");
            assert_eq!(answer.header("www-authenticate"), None);
            assert_eq!(
                answer.json(),
                json!({"detail": "The token names no usable tenant"})
            );
        }
    }
}

#[tokio::test]
async fn the_tenant_may_stand_in_the_apps_metadata() {
    let app = TestApp::new(routes()).await;
    for claims in [
        json!({"app_metadata": {"tenant_id": "acme"}}),
        json!({"app_metadata": {"tenant_id": "globex"}, "tenant_id": "acme"}),
    ] {
        let bearer = [format!("Bearer {}", signed(&app, &claims))];
        let answer = knock(&app, Method::GET, "/me", &bearer).await;
        assert_eq!(answer.status, StatusCode::OK, "{claims}");
        assert_eq!(answer.json()["tenant"], json!("acme"), "{claims}");
    }
}

#[tokio::test]
async fn who_is_refused_costs_no_call_of_the_table() {
    let app = TestApp::with(routes(), &[]).await;
    let nobody = [format!("Bearer {}", signed(&app, &json!({})))];
    app.faults.calls();
    knock(&app, Method::GET, "/me", &[]).await;
    knock(&app, Method::GET, "/me", &["Bearer x.y.z".to_owned()]).await;
    knock(&app, Method::GET, "/me", &nobody).await;
    assert_eq!(app.faults.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_viewer_reads_and_searches_and_changes_nothing() {
    let app = TestApp::new(routes()).await;
    for (mut claims, may_change) in [
        (json!({"role": "viewer"}), false),
        (json!({"app_metadata": {"role": "viewer"}}), false),
        (
            json!({"app_metadata": {"role": "viewer"}, "role": "owner"}),
            false,
        ),
        (
            json!({"app_metadata": {"role": "owner"}, "role": "viewer"}),
            true,
        ),
        (json!({"role": "owner"}), true),
        (json!({"role": "Viewer"}), true),
        (json!({"role": null}), true),
        (json!({"role": 7}), true),
        (json!({"user_metadata": {"role": "viewer"}}), true),
        (json!({}), true),
    ] {
        claims["tenant_id"] = json!("acme");
        let token = signed(&app, &claims);
        let client = app.client("acme", Role::Member).with_token(&token);
        assert_eq!(client.get("/me").await.status, StatusCode::OK, "{claims}");
        let found = client.post("/search", json!({})).await;
        assert_eq!(found.status, StatusCode::OK, "{claims}");
        let changed = client.post("/me", json!({})).await;
        if may_change {
            assert_eq!(changed.status, StatusCode::OK, "{claims}");
            assert_eq!(changed.json(), json!({"changed": "acme"}));
        } else {
            assert_eq!(changed.status, StatusCode::FORBIDDEN, "{claims}");
            assert_eq!(
                changed.json(),
                json!({"detail": "Insufficient permissions"})
            );
        }
    }
}

#[tokio::test]
async fn who_may_not_change_anything_is_not_told_what_is_wrong_with_the_body() {
    let app = TestApp::new(routes()).await;
    let member = app.client("acme", Role::Member);
    let missing = json!([{"loc": ["body"], "msg": "Field required", "type": "missing"}]);
    for (client, status, detail) in [
        (app.stranger(), 401_u16, json!("Invalid or expired token")),
        (member.viewer(), 403, json!("Insufficient permissions")),
        (member, 422, missing),
    ] {
        let answer = client.call(Method::POST, "/write", None).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json(), json!({ "detail": detail }));
    }
}

#[tokio::test]
async fn the_first_call_creates_tenant_and_user_as_the_token_says() {
    let app = TestApp::with(
        routes(),
        &[("DEFAULT_PLAN", "pro"), ("RATE_LIMIT_ENABLED", "false")],
    )
    .await;
    assert_eq!(find_tenant(&app, "acme").await, None);
    let claims = json!({
        "tenant_id": "acme",
        "email": "jane@example.com",
        "user_metadata": {"full_name": "Jane Developer"}
    });
    let bearer = [format!("Bearer {}", signed(&app, &claims))];
    let answer = knock(&app, Method::GET, "/me", &bearer).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        find_tenant(&app, "acme").await,
        Some(Tenant {
            plan: Plan::Pro,
            created_at: NOW.parse().unwrap(),
        })
    );
    assert_eq!(
        find_user(&app, "acme", "user_1").await,
        Some(User {
            id: "user_1".parse().unwrap(),
            email: Some("jane@example.com".to_owned()),
            display_name: Some("Jane Developer".to_owned()),
            company: None,
            created_at: NOW.parse().unwrap(),
        })
    );
}

#[tokio::test]
async fn of_twenty_first_calls_at_once_one_creates_the_tenant_and_the_user() {
    let app = TestApp::new(routes()).await;
    let calls = (0..20).map(|number| {
        let claims = json!({"tenant_id": "acme", "name": format!("Name {number}")});
        let client = app.client("acme", Role::Member);
        let client = client.with_token(&signed(&app, &claims));
        async move { client.get("/me").await }
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json(), json!({"tenant": "acme", "user": "user_1"}));
    }
    let tenant = find_tenant(&app, "acme").await.unwrap();
    let user = find_user(&app, "acme", "user_1").await.unwrap();
    assert_eq!(tenant.plan, Plan::Free);
    assert!(user.display_name.as_ref().unwrap().starts_with("Name "));

    // Later first calls of another process find both as they were.
    let settings = [("DEFAULT_PLAN", "pro"), ("RATE_LIMIT_ENABLED", "false")];
    let later = TestApp::at((&app.endpoint, &app.store), routes(), &settings, None).await;
    later.advance(TimeDelta::hours(1));
    let client = later.client("acme", Role::Member);
    for answer in join_all((0..20).map(|_| client.get("/me"))).await {
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert_eq!(find_tenant(&later, "acme").await, Some(tenant));
    assert_eq!(find_user(&later, "acme", "user_1").await, Some(user));
}

#[tokio::test]
async fn a_new_user_of_an_old_tenant_leaves_the_tenant_as_it_is() {
    let app = TestApp::new(routes()).await;
    let client = app.tenant(Plan::Scale).await;
    let before = find_tenant(&app, client.tenant.as_str()).await;
    app.advance(TimeDelta::minutes(1));
    assert_eq!(client.get("/me").await.status, StatusCode::OK);
    assert_eq!(find_tenant(&app, client.tenant.as_str()).await, before);
    let user = find_user(&app, client.tenant.as_str(), "user_1").await;
    assert_eq!(user.unwrap().created_at, app.app.clock.now());
}

#[tokio::test]
async fn a_first_call_is_answered_although_the_tables_answer_was_lost() {
    let app = TestApp::new(routes()).await;
    app.faults.inject("PutItem", Fault::Lost, 1);
    let answer = app.client("acme", Role::Member).get("/me").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(find_tenant(&app, "acme").await.is_some());
    assert!(find_user(&app, "acme", "user_1").await.is_some());
}

#[tokio::test]
async fn a_known_caller_costs_no_call_of_the_table() {
    let app = TestApp::new(routes()).await;
    let client = app.client("acme", Role::Member);
    client.get("/me").await;
    app.faults.calls();
    assert_eq!(client.get("/me").await.status, StatusCode::OK);
    assert_eq!(app.faults.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_thousand_interleaved_calls_of_ten_tenants_stay_apart() {
    let app = TestApp::new(routes()).await;
    let clients: Vec<_> = (0..10)
        .map(|number| app.client(&format!("tenant-{number}"), Role::Member))
        .collect();
    for client in &clients {
        assert_eq!(client.get("/me").await.status, StatusCode::OK);
    }
    let calls = (0..1_000).map(|number| {
        let client = &clients[number % 10];
        async move { (client.tenant.as_str(), client.get("/slow").await) }
    });
    for (tenant, answer) in join_all(calls).await {
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json(), json!({"tenant": tenant, "user": "user_1"}));
    }
}
