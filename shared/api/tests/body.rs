//! The JSON body: when it is there, of the right type, well-formed and not too large.

use std::io;

use api::{Body, Result};
use axum::Json;
use axum::http::{Method, StatusCode, header};
use axum::routing::post;
use futures_util::stream;
use model::fault::{Fields, string};
use serde_json::{Value, json};
use testkit::{Answer, TestApp, assert_faults};

/// The largest JSON body, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

fn routes() -> api::Router {
    api::Router::new()
        .route("/echo", post(echo))
        .route("/greet", post(greet))
}

async fn echo(body: Body) -> Json<Value> {
    Json(body.into_value())
}

async fn greet(body: Body) -> Result<Json<Value>> {
    let (greeting, name) = body.parse(parse)?;
    Ok(Json(json!({"said": format!("{greeting}, {name}")})))
}

fn parse(body: &Value) -> std::result::Result<(String, String), model::Faults> {
    let text = |value: &Value| string(value).map(str::to_owned);
    let mut fields = Fields::of(body)?;
    let greeting = fields.required("greeting", text);
    let name = fields.required("name", text);
    match (greeting, name) {
        (Some(greeting), Some(name)) => Ok((greeting, name)),
        _ => Err(fields.into_faults()),
    }
}

/// Sends a body of a type, or of none, to be echoed.
async fn send(
    app: &TestApp,
    content_type: Option<&str>,
    body: impl Into<axum::body::Body>,
) -> Answer {
    let request = app.stranger().request(Method::POST, "/echo");
    let request = match content_type {
        Some(content_type) => request.header(header::CONTENT_TYPE, content_type),
        None => request,
    };
    app.send(request.body(body.into()).expect("a request"))
        .await
}

#[tokio::test]
async fn an_empty_body_is_missing_whatever_its_type() {
    let app = TestApp::new(routes()).await;
    for content_type in [
        None,
        Some("application/json"),
        Some("application/json; charset=utf-16"),
        Some("text/plain"),
        Some("multipart/form-data"),
        Some("nonsense"),
    ] {
        let answer = send(&app, content_type, "").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            answer.json(),
            json!({
                "detail": [
                    {"loc": ["body"], "msg": "Field required", "type": "missing"}
                ]
            }),
            "{content_type:?}"
        );
    }
}

#[tokio::test]
async fn json_in_utf_8_is_read_and_so_is_a_body_without_a_type() {
    let app = TestApp::new(routes()).await;
    for content_type in [
        None,
        Some("application/json"),
        Some("Application/JSON"),
        Some("application/json;charset=utf-8"),
        Some("application/json; charset=utf-8"),
        Some("application/json; charset=UTF-8"),
        Some("application/json; charset=\"utf-8\""),
    ] {
        let answer = send(&app, content_type, r#"{"name": "Björn"}"#).await;
        assert_eq!(answer.status, StatusCode::OK, "{content_type:?}");
        assert_eq!(answer.json(), json!({"name": "Björn"}));
    }
}

#[tokio::test]
async fn another_type_is_a_415() {
    let app = TestApp::new(routes()).await;
    for content_type in [
        "",
        "json",
        "*/*",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/problem+json",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "multipart/form-data; boundary=x",
    ] {
        let answer = send(&app, Some(content_type), r#"{"name": "x"}"#).await;
        assert_eq!(
            answer.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{content_type}"
        );
        assert_eq!(
            answer.json(),
            json!({"detail": "The body has to be application/json in UTF-8"})
        );
    }
}

#[tokio::test]
async fn what_is_not_well_formed_is_invalid_json() {
    let app = TestApp::new(routes()).await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for text in [
        "{",
        "[1,]",
        "{\"a\": 1,}",
        "{'a': 1}",
        "{a: 1}",
        "{} {}",
        "NaN",
        "1e400",
        "undefined",
        "\"\\ud800\"",
        "\u{feff}{}",
        "{\"a\": 1, \"a\": 1}",
        "{\"x\": [{\"a\": 1, \"\\u0061\": 2}]}",
        deep.as_str(),
    ] {
        let answer = send(&app, Some("application/json"), text.to_owned()).await;
        assert_faults(&answer, &[(&["body"], "json_invalid")]);
    }
}

#[tokio::test]
async fn what_is_not_utf_8_is_invalid_json() {
    let app = TestApp::new(routes()).await;
    for bytes in [
        b"{\"name\": \"Bj\xf6rn\"}".to_vec(),
        b"\xff\xfe{\x00}\x00".to_vec(),
        b"\"\xed\xa0\x80\"".to_vec(),
    ] {
        let answer = send(&app, Some("application/json"), bytes).await;
        assert_faults(&answer, &[(&["body"], "json_invalid")]);
    }
}

#[tokio::test]
async fn a_hundred_levels_are_not_too_deep() {
    let app = TestApp::new(routes()).await;
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let answer = send(&app, None, deep.clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text, deep);
}

#[tokio::test]
async fn a_refusal_does_not_repeat_what_was_sent() {
    let app = TestApp::new(routes()).await;
    for text in [
        r#"{"password": "hunter2", "password": "hunter2"}"#,
        r#"{"password": "hunter2" "#,
        "hunter2",
    ] {
        let answer = send(&app, None, text).await;
        assert_faults(&answer, &[(&["body"], "json_invalid")]);
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
        assert!(!answer.text.contains("password"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_invalid_json() {
    let app = TestApp::new(routes()).await;
    let chunks = [Ok("{\"name\":"), Err(io::Error::other("gone"))];
    let body = axum::body::Body::from_stream(stream::iter(chunks));
    let answer = send(&app, Some("application/json"), body).await;
    assert_faults(&answer, &[(&["body"], "json_invalid")]);
}

#[tokio::test]
async fn a_megabyte_passes_and_one_byte_more_is_a_413() {
    let app = TestApp::new(routes()).await;
    let largest = format!("\"{}\"", "x".repeat(MAX_BYTES - 2));
    let answer = send(&app, Some("application/json"), largest.clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text == largest);

    for content_type in [Some("application/json"), Some("text/plain"), None] {
        let answer = send(&app, content_type, format!("{largest} ")).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(
            answer.json(),
            json!({"detail": "A JSON body has at most 1 MB"})
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_say_its_length_ends_at_a_megabyte_too() {
    let app = TestApp::new(routes()).await;
    let chunks = (0..2_000).map(|_| Ok::<_, io::Error>("x".repeat(1024)));
    let body = axum::body::Body::from_stream(stream::iter(chunks));
    let answer = send(&app, Some("application/json"), body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        answer.json(),
        json!({"detail": "A JSON body has at most 1 MB"})
    );
}

#[tokio::test]
async fn every_fault_of_a_body_is_named_at_once() {
    let app = TestApp::new(routes()).await;
    let answer = app.stranger().post("/greet", json!({"name": 7})).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer.json(),
        json!({
            "detail": [
                {
                    "loc": ["body", "greeting"],
                    "msg": "Field required",
                    "type": "missing"
                },
                {
                    "loc": ["body", "name"],
                    "msg": "Input should be a valid string",
                    "type": "string_type"
                }
            ]
        })
    );
}

#[tokio::test]
async fn a_body_that_is_no_object_is_a_fault_of_the_body() {
    let app = TestApp::new(routes()).await;
    for body in [json!(null), json!([]), json!("x"), json!(7), json!(true)] {
        let answer = app.stranger().post("/greet", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            answer.json(),
            json!({
                "detail": [
                    {
                        "loc": ["body"],
                        "msg": "Input should be a valid object",
                        "type": "model_attributes_type"
                    }
                ]
            })
        );
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let app = TestApp::new(routes()).await;
    let body = json!({"greeting": "Hello", "name": "Jane", "tenant_id": "globex", "": {}});
    let answer = app.stranger().post("/greet", body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"said": "Hello, Jane"}));
}
