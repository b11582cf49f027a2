//! Every way to fail: what the caller is told, what the log is told, and that life goes on.

use std::io;
use std::sync::{Arc, Mutex};

use api::{Caller, Error, Params, Path, Place, Result};
use auth::Role;
use axum::Json;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing::get;
use model::Fault as Wrong;
use model::fault::integer_text;
use model::id::{CollectionName, TenantId};
use serde_json::{Value, json};
use testkit::{Fault, TestApp, assert_faults, assert_unavailable};
use tracing::subscriber::DefaultGuard;

/// What went wrong inside, which no caller may see.
const CAUSE: &str = "the inner cause";

fn routes() -> api::Router {
    api::Router::new()
        .route("/me", get(read).post(read))
        .route("/fail/{how}", get(fail))
        .route("/page", get(page))
}

async fn read(caller: Caller) -> Json<Value> {
    Json(json!({"tenant": caller.tenant}))
}

async fn fail(Path(how): Path<String>) -> Result<Json<Value>> {
    Err(match how.as_str() {
        "unauthorized" => Error::Unauthorized,
        "bad-key" => Error::BadKey,
        "forbidden" => Error::Forbidden("Insufficient permissions"),
        "not-found" => Error::NotFound("Record"),
        "payment-required" => Error::PaymentRequired("The plan ends here".to_owned()),
        "conflict" => Error::Conflict("It is being replaced".to_owned()),
        "too-large" => Error::TooLarge("At most 1 MB".to_owned()),
        "media-type" => Error::UnsupportedMediaType("Only CSV".to_owned()),
        "invalid-body" => Error::Invalid(
            Place::Body,
            vec![
                Wrong::missing().at("name"),
                Wrong::new("enum", "Input should be 'search'")
                    .at_index(1)
                    .at("scopes"),
            ],
        ),
        "invalid-path" => Error::invalid(Place::Path, "id", Wrong::new("value_error", "No id")),
        "rate-limited" => Error::RateLimited(42),
        "unavailable" => Error::Unavailable(Arc::new(io::Error::other(CAUSE))),
        "throttled" => table::Error::Unavailable(CAUSE.to_owned()).into(),
        "internal" => Error::internal(io::Error::other(CAUSE)),
        "refused" => table::Error::Refused(CAUSE.into()).into(),
        "corrupt" => {
            let error = table::Error::Corrupt {
                pk: "TENANT#acme#SUMMARY".to_owned(),
                sk: "TENANT".to_owned(),
                reason: CAUSE.to_owned(),
            };
            error.into()
        }
        "panic" => panic!("{CAUSE}"),
        "panic-without-a-message" => std::panic::panic_any(7),
        _ => Error::NotFound("Failure"),
    })
}

async fn page(mut params: Params) -> Result<Json<Value>> {
    let collection = params.required("collection", str::parse::<CollectionName>);
    let limit = params.optional("limit", |text| integer_text(text, 1, 100));
    match (collection, limit) {
        (Some(collection), Some(limit)) => {
            Ok(Json(json!({"collection": collection, "limit": limit})))
        }
        _ => Err(params.faults()),
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().expect("a log that nobody broke");
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Takes everything that this thread logs, at any level, as long as the guard lives.
    fn listen(&self) -> DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        let log = self.0.lock().expect("a log that nobody broke");
        String::from_utf8_lossy(&log).into_owned()
    }
}

#[tokio::test]
async fn each_failure_has_its_status_and_says_why() {
    let app = TestApp::new(routes()).await;
    for (how, status, detail) in [
        ("unauthorized", 401_u16, "Invalid or expired token"),
        ("bad-key", 401, "Invalid or expired API key"),
        ("payment-required", 402, "The plan ends here"),
        ("forbidden", 403, "Insufficient permissions"),
        ("not-found", 404, "Record not found"),
        ("conflict", 409, "It is being replaced"),
        ("too-large", 413, "At most 1 MB"),
        ("media-type", 415, "Only CSV"),
        (
            "rate-limited",
            429,
            "Rate limit exceeded. Retry after 42 seconds.",
        ),
        ("internal", 500, "Internal server error"),
        ("refused", 500, "Internal server error"),
        ("corrupt", 500, "Internal server error"),
        ("panic", 500, "Internal server error"),
        ("panic-without-a-message", 500, "Internal server error"),
        ("unavailable", 503, "Service temporarily unavailable"),
        ("throttled", 503, "Service temporarily unavailable"),
    ] {
        let answer = app.stranger().get(&format!("/fail/{how}")).await;
        assert_eq!(answer.status, status, "{how}");
        assert_eq!(answer.json(), json!({"detail": detail}), "{how}");
    }
}

#[tokio::test]
async fn only_a_401_says_how_to_sign_in() {
    let app = TestApp::new(routes()).await;
    for (how, expected) in [
        ("unauthorized", Some("Bearer")),
        ("bad-key", Some("Bearer")),
        ("forbidden", None),
        ("not-found", None),
        ("internal", None),
    ] {
        let answer = app.stranger().get(&format!("/fail/{how}")).await;
        assert_eq!(answer.header("www-authenticate"), expected, "{how}");
    }
}

#[tokio::test]
async fn who_may_come_back_is_told_when_in_whole_seconds() {
    let app = TestApp::new(routes()).await;
    for (how, expected) in [
        ("rate-limited", Some("42")),
        ("unavailable", Some("5")),
        ("throttled", Some("5")),
        ("internal", None),
        ("conflict", None),
    ] {
        let answer = app.stranger().get(&format!("/fail/{how}")).await;
        assert_eq!(answer.header("retry-after"), expected, "{how}");
    }
}

#[tokio::test]
async fn a_422_says_where_each_fault_is() {
    let app = TestApp::new(routes()).await;
    let answer = app.stranger().get("/fail/invalid-body").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer.json(),
        json!({
            "detail": [
                {
                    "loc": ["body", "name"],
                    "msg": "Field required",
                    "type": "missing"
                },
                {
                    "loc": ["body", "scopes", 1],
                    "msg": "Input should be 'search'",
                    "type": "enum"
                }
            ]
        })
    );
    let answer = app.stranger().get("/fail/invalid-path").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer.json(),
        json!({
            "detail": [
                {"loc": ["path", "id"], "msg": "No id", "type": "value_error"}
            ]
        })
    );
}

#[tokio::test]
async fn every_fault_of_a_query_is_named_at_once() {
    let app = TestApp::new(routes()).await;
    let stranger = app.stranger();
    let answer = stranger.get("/page?limit=0").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer.json(),
        json!({
            "detail": [
                {
                    "loc": ["query", "collection"],
                    "msg": "Field required",
                    "type": "missing"
                },
                {
                    "loc": ["query", "limit"],
                    "msg": "Input should be greater than or equal to 1",
                    "type": "greater_than_equal"
                }
            ]
        })
    );
    for (limit, kind) in [
        ("101", "less_than_equal"),
        ("-1", "greater_than_equal"),
        ("99999999999999999999", "less_than_equal"),
        ("-99999999999999999999", "greater_than_equal"),
        ("", "int_parsing"),
        ("1e2", "int_parsing"),
        ("%205", "int_parsing"),
        ("%2B5", "int_parsing"),
        ("5.0", "int_parsing"),
        ("1&limit=1", "value_error"),
    ] {
        let path = format!("/page?collection=hotels&limit={limit}");
        let answer = stranger.get(&path).await;
        assert_faults(&answer, &[(&["query", "limit"], kind)]);
    }
}

#[tokio::test]
async fn a_query_is_decoded_and_what_is_unknown_in_it_is_ignored() {
    let app = TestApp::new(routes()).await;
    let path = "/page?collection=h%6Ftels&limit=100&offset=x&tenant_id=globex";
    let answer = app.stranger().get(path).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"collection": "hotels", "limit": 100}));
    let answer = app.stranger().get("/page?collection=hotels").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({"collection": "hotels", "limit": null})
    );
}

#[tokio::test]
async fn an_unknown_path_is_one_and_the_same_404() {
    let app = TestApp::new(routes()).await;
    let token = app.token(&"acme".parse().unwrap(), Role::Member);
    for path in [
        "/",
        "/me",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/me",
        "/prod/api/v1/me",
        "//api/v1/me",
        "/api/v1//me",
        "/api/v1/me/",
        "/api/v1/ME",
        "/api/v1/me%2F",
        "/api/v1/me/..",
        "/api/v1/../v1/me",
        "/api/v1/fail",
        "/api/v1/fail/",
        "/api/v1/fail/a/b",
        "/api/v1/nothing",
    ] {
        for method in [Method::GET, Method::POST] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("Authorization", format!("Bearer {token}"))
                .body(Body::empty());
            let answer = app.send(request.unwrap()).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(answer.text, r#"{"detail":"Resource not found"}"#);
            assert_eq!(answer.header("allow"), None, "{path}");
        }
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_decoded_names_nothing() {
    let app = TestApp::new(routes()).await;
    for path in ["/fail/%FF", "/fail/%C3%28", "/fail/%ED%A0%80"] {
        let answer = app.stranger().get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.text, r#"{"detail":"Resource not found"}"#);
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_405_that_names_the_right_ones() {
    let app = TestApp::new(routes()).await;
    let brew = Method::from_bytes(b"BREW").unwrap();
    for (method, path, allow) in [
        (Method::PUT, "/me", "GET,HEAD,POST"),
        (Method::PATCH, "/me", "GET,HEAD,POST"),
        (Method::DELETE, "/me", "GET,HEAD,POST"),
        (brew, "/me", "GET,HEAD,POST"),
        (Method::POST, "/fail/internal", "GET,HEAD"),
        (Method::DELETE, "/page?limit=x", "GET,HEAD"),
    ] {
        let answer = app.stranger().call(method, path, None).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
        assert_eq!(answer.json(), json!({"detail": "Method not allowed"}));
    }
}

#[tokio::test]
async fn the_next_request_after_a_panic_works() {
    let app = TestApp::new(routes()).await;
    let client = app.client("acme", Role::Member);
    for how in ["panic", "panic-without-a-message"] {
        let answer = client.get(&format!("/fail/{how}")).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.text, r#"{"detail":"Internal server error"}"#);
        let answer = client.get("/me").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json(), json!({"tenant": "acme"}));
    }
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own_making() {
    let app = TestApp::new(routes()).await;
    let mut ids = Vec::new();
    for path in ["/me", "/nothing", "/fail/internal", "/fail/panic"] {
        let request = app
            .stranger()
            .request(Method::GET, path)
            .header("X-Request-Id", "req_of_the_caller")
            .body(Body::empty());
        let answer = app.send(request.unwrap()).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        let digits = id.strip_prefix("req_").unwrap();
        assert_eq!(digits.len(), 32, "{id}");
        assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(!ids.contains(&id), "{id}");
        ids.push(id);
    }
}

#[tokio::test]
async fn a_table_that_throttles_for_a_while_goes_unnoticed() {
    let app = TestApp::new(routes()).await;
    app.faults.inject("BatchGetItem", Fault::Throttled, 1);
    app.faults.inject("PutItem", Fault::Throttled, 1);
    let answer = app.client("acme", Role::Member).get("/me").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"tenant": "acme"}));
}

#[tokio::test]
async fn a_table_that_throttles_for_ever_is_a_503_that_leaves_nothing() {
    let app = TestApp::new(routes()).await;
    let client = app.client("acme", Role::Member);
    app.faults.inject("BatchGetItem", Fault::Throttled, 100);
    let answer = client.get("/me").await;
    assert_unavailable(&answer);
    let tenant: TenantId = "acme".parse().unwrap();
    let found = app.app.table.find_tenant(&tenant).await.unwrap();
    assert_eq!(found, None);

    app.faults.clear();
    assert_eq!(client.get("/me").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_cause_of_a_failure_is_logged_and_not_answered() {
    let app = TestApp::new(routes()).await;
    for how in [
        "internal",
        "refused",
        "corrupt",
        "unavailable",
        "throttled",
        "panic",
    ] {
        let log = Log::default();
        let listening = log.listen();
        let answer = app.stranger().get(&format!("/fail/{how}")).await;
        drop(listening);
        assert!(!answer.text.contains(CAUSE), "{how}: {}", answer.text);
        assert!(!answer.text.contains("TENANT"), "{how}: {}", answer.text);
        assert!(log.text().contains(CAUSE), "{how}: {}", log.text());
        let id = answer.header("x-request-id").unwrap();
        assert!(log.text().contains(id), "{how}: {}", log.text());
    }
}

#[tokio::test]
async fn no_part_of_a_token_reaches_the_log() {
    let app = TestApp::new(routes()).await;
    let token = app.token(&"tenant-of-the-token".parse().unwrap(), Role::Member);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (_, payload) = message.split_once('.').unwrap();
    let log = Log::default();
    let listening = log.listen();
    let stranger = app.stranger();
    for bad in [
        format!("{message}.{}", "A".repeat(signature.len())),
        format!("{payload}.{signature}"),
        format!("{token} "),
        format!("{token}{}", "x".repeat(9_000)),
    ] {
        let answer = stranger.with_token(&bad).get("/me").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let refused = log.text();
    assert!(refused.contains("answered"), "{refused}");
    assert!(!refused.contains("tenant-of-the-token"), "{refused}");

    let answer = stranger.with_token(&token).get("/me").await;
    assert_eq!(answer.status, StatusCode::OK);
    drop(listening);
    let all = log.text();
    assert!(!all.contains(signature), "{all}");
    assert!(!all.contains(payload), "{all}");
}
