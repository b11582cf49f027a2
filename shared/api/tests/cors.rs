//! Which pages a browser lets call: those of the listed origins, on every answer.

use api::{Caller, Error, Result};
use axum::Json;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Answer, Client, TestApp};

const PORTAL: &str = "https://portal.example";
const LOCAL: &str = "http://localhost:5173";

fn routes() -> api::Router {
    api::Router::new()
        .route("/me", get(read))
        .route("/fail", get(fail))
        .route("/panic", get(panics))
}

async fn read(caller: Caller) -> Json<Value> {
    Json(json!({"tenant": caller.tenant}))
}

async fn fail() -> Result<Json<Value>> {
    Err(Error::Conflict("It is being replaced".to_owned()))
}

async fn panics() -> StatusCode {
    panic!("on purpose")
}

/// An app that lets two origins in.
async fn app() -> TestApp {
    let origins = format!("{PORTAL}, {LOCAL}");
    let settings = [
        ("CORS_ALLOWED_ORIGINS", origins.as_str()),
        ("RATE_LIMIT_ENABLED", "false"),
    ];
    TestApp::with(routes(), &settings).await
}

/// Calls a path as a page of `origin` does.
async fn call(app: &TestApp, client: &Client<'_>, path: &str, origin: &str) -> Answer {
    let request = client
        .request(Method::GET, path)
        .header("Origin", origin)
        .body(Body::empty());
    let answer = app.send(request.expect("a request")).await;
    assert_no_star(&answer);
    answer
}

/// Asks whether a page of `origin` may send such a request.
async fn preflight(app: &TestApp, path: &str, origin: &str, method: &str) -> Answer {
    let request = app
        .stranger()
        .request(Method::OPTIONS, path)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header(
            "Access-Control-Request-Headers",
            "authorization,content-type",
        )
        .body(Body::empty());
    let answer = app.send(request.expect("a request")).await;
    assert_no_star(&answer);
    answer
}

#[track_caller]
fn assert_no_star(answer: &Answer) {
    for (name, value) in &answer.headers {
        if name.as_str().starts_with("access-control-") {
            assert!(!value.as_bytes().contains(&b'*'), "{name}: {value:?}");
        }
    }
}

/// An origin that no answer may let in.
const FOREIGN: [&str; 8] = [
    "null",
    "https://evil.example",
    "http://portal.example",
    "https://portal.example:8443",
    "https://portal.example.evil.example",
    "https://evil-portal.example",
    "https://portal.example/",
    "HTTPS://PORTAL.EXAMPLE",
];

#[tokio::test]
async fn a_listed_origin_is_echoed() {
    let app = app().await;
    let client = app.tenant(Plan::Free).await;
    for origin in [PORTAL, LOCAL] {
        let answer = call(&app, &client, "/me", origin).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json(), json!({"tenant": client.tenant.as_str()}));
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("vary"), Some("origin"));
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some(
                "x-request-id,x-ratelimit-limit,x-ratelimit-remaining,x-ratelimit-reset,\
                 retry-after"
            )
        );
    }
}

#[tokio::test]
async fn a_page_of_a_listed_origin_can_read_errors_too() {
    let app = app().await;
    let stranger = app.stranger();
    for (path, status, detail) in [
        ("/me", 401_u16, "Invalid or expired token"),
        ("/nothing", 404, "Resource not found"),
        ("/fail", 409, "It is being replaced"),
        ("/panic", 500, "Internal server error"),
    ] {
        let answer = call(&app, &stranger, path, PORTAL).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json(), json!({"detail": detail}));
        assert_eq!(answer.header("access-control-allow-origin"), Some(PORTAL));
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    let request = stranger
        .request(Method::DELETE, "/me")
        .header("Origin", PORTAL)
        .body(Body::empty());
    let answer = app.send(request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("access-control-allow-origin"), Some(PORTAL));
}

#[tokio::test]
async fn a_page_of_a_listed_origin_can_read_a_429() {
    let app = TestApp::with(routes(), &[("CORS_ALLOWED_ORIGINS", PORTAL)]).await;
    let client = app.tenant(Plan::Free).await;
    for _ in 0..60 {
        let answer = call(&app, &client, "/me", PORTAL).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    // The first is refused by the table, the second from memory.
    for _ in 0..2 {
        let answer = call(&app, &client, "/me", PORTAL).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(
            answer.json(),
            json!({"detail": "Rate limit exceeded. Retry after 61 seconds."})
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some(PORTAL));
        assert_eq!(answer.header("vary"), Some("origin"));
        assert!(answer.header("access-control-expose-headers").is_some());
    }
}

#[tokio::test]
async fn another_origin_is_let_in_nowhere() {
    let app = app().await;
    let client = app.tenant(Plan::Free).await;
    for origin in FOREIGN {
        for path in ["/me", "/fail", "/nothing"] {
            let answer = call(&app, &client, path, origin).await;
            let allowed = answer.header("access-control-allow-origin");
            assert_eq!(allowed, None, "{origin} {path}");
        }
        let answer = preflight(&app, "/me", origin, "POST").await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, None, "{origin}");
    }
}

#[tokio::test]
async fn who_is_no_browser_is_not_hindered() {
    let app = app().await;
    let client = app.tenant(Plan::Free).await;
    let answer = client.get("/me").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"tenant": client.tenant.as_str()}));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_preflight_says_what_may_be_sent() {
    let app = app().await;
    for origin in [PORTAL, LOCAL] {
        for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
            let answer = preflight(&app, "/me", origin, method).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.text, "");
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            assert_eq!(
                answer.header("access-control-allow-methods"),
                Some("GET,POST,PATCH,PUT,DELETE,OPTIONS")
            );
            assert_eq!(
                answer.header("access-control-allow-headers"),
                Some("authorization,content-type,idempotency-key,x-agent-id")
            );
            assert_eq!(answer.header("access-control-max-age"), Some("600"));
            assert_eq!(answer.header("vary"), Some("origin"));
        }
    }
}

#[tokio::test]
async fn a_preflight_needs_no_token_and_counts_nowhere() {
    let app = TestApp::with(routes(), &[("CORS_ALLOWED_ORIGINS", PORTAL)]).await;
    app.faults.calls();
    for path in ["/me", "/fail", "/nothing"] {
        let answer = preflight(&app, path, PORTAL, "GET").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(PORTAL));
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
    assert_eq!(app.faults.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn without_a_list_no_origin_is_let_in() {
    let app = TestApp::new(routes()).await;
    let client = app.tenant(Plan::Free).await;
    for origin in [PORTAL, LOCAL, "null"] {
        let answer = call(&app, &client, "/me", origin).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let answer = preflight(&app, "/me", origin, "GET").await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}
