//! The API: who may call it, what the gateway itself answers, and what it logs.

use std::collections::BTreeSet;

use api::Error;
use axum::body::to_bytes;
use axum::response::IntoResponse;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::TestApp;

use crate::aws::template;
use crate::common::{api, functions, text};

/// The gateway's own answers, each with its status; a default keeps that of its cause.
const GATEWAY_ANSWERS: [(&str, Option<u16>); 12] = [
    ("ACCESS_DENIED", Some(403)),
    ("BAD_REQUEST_BODY", Some(400)),
    ("DEFAULT_4XX", None),
    ("DEFAULT_5XX", None),
    ("INTEGRATION_FAILURE", Some(502)),
    ("INTEGRATION_TIMEOUT", Some(504)),
    ("INVALID_SIGNATURE", Some(404)),
    ("MISSING_AUTHENTICATION_TOKEN", Some(404)),
    ("QUOTA_EXCEEDED", Some(429)),
    ("REQUEST_TOO_LARGE", Some(413)),
    ("THROTTLED", Some(429)),
    ("UNAUTHORIZED", Some(401)),
];

/// What stands between single quotes, as the gateway takes what is not to be looked up.
fn quoted(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix('\'')?.strip_suffix('\'')
}

#[test]
fn every_route_but_health_preflights_and_the_open_ones_needs_a_token_or_a_key() {
    let template = template();
    let auth = &api(&template)["Auth"];
    assert_eq!(auth["DefaultAuthorizer"], "Token");
    assert_eq!(auth["AddDefaultAuthorizerToCorsPreflight"], false);
    let token = json!({
        "FunctionArn": "Authorizer.Arn",
        "Identity": {"Header": "Authorization", "ReauthorizeEvery": 300},
    });
    assert_eq!(auth["Authorizers"], json!({"Token": token}));
    for (name, function) in functions(&template) {
        for (event, of) in function["Events"].as_object().into_iter().flatten() {
            if of["Type"] != "Api" {
                continue;
            }
            let route = &of["Properties"];
            let path = text(&route["Path"]);
            let is_open = path == "/api/v1/health" || path.starts_with("/open/v1/");
            let is_public = is_open || route["Method"] == "OPTIONS";
            let expected = if is_public {
                json!({"Authorizer": "NONE"})
            } else {
                Value::Null
            };
            assert_eq!(route["Auth"], expected, "{name}.{event}");
        }
    }
}

/// An answer of the gateway.
#[track_caller]
fn gateway_answer<'a>(template: &'a Value, name: &str) -> &'a Value {
    let answer = &api(template)["GatewayResponses"][name];
    assert!(answer.is_object(), "the gateway has no {name} of ours");
    answer
}

/// The body of an answer of the gateway, with a text in the place of its message.
#[track_caller]
fn gateway_body(answer: &Value) -> Value {
    let templates = answer["ResponseTemplates"].as_object();
    let types: Vec<&str> = templates
        .into_iter()
        .flat_map(|templates| templates.keys().map(String::as_str))
        .collect();
    assert_eq!(types, ["application/json"]);
    let body = text(&answer["ResponseTemplates"]["application/json"]);
    let body = body.replace("$context.error.messageString", "\"a message\"");
    serde_json::from_str(&body).expect("a body of JSON")
}

#[test]
fn the_gateways_answers_are_errors_like_all_others() {
    let template = template();
    let answers = api(&template)["GatewayResponses"].as_object().unwrap();
    let names: BTreeSet<&str> = answers.keys().map(String::as_str).collect();
    let expected = BTreeSet::from(GATEWAY_ANSWERS.map(|(name, _)| name));
    assert_eq!(names, expected);
    // The origin is a page that may call; where there is none, nothing is said.
    let common = json!({
        "Access-Control-Allow-Origin": [
            "HasOrigins",
            ["'${Origin}'", {"Origin": [0, "CorsAllowedOrigins"]}],
            "AWS::NoValue",
        ],
        "Access-Control-Expose-Headers": "'X-Request-Id,Retry-After'",
        "X-Content-Type-Options": "'nosniff'",
        "X-Request-Id": "context.requestId",
    });
    for (name, status) in GATEWAY_ANSWERS {
        let answer = gateway_answer(&template, name);
        assert_eq!(answer["StatusCode"], json!(status), "{name}");
        let body = gateway_body(answer);
        let detail = body["detail"].as_str().unwrap();
        assert!(!detail.is_empty(), "{name}");
        if name == "REQUEST_TOO_LARGE" {
            assert!(detail.contains("POST /portal/uploads"), "{detail}");
        }
        assert_eq!(body, json!({"detail": detail}), "{name}");

        let headers = &answer["ResponseParameters"]["Headers"];
        let mut headers = headers.as_object().unwrap().clone();
        for (header, value) in &headers {
            let looked_up = value.as_str().is_none_or(|it| it.starts_with("context."));
            assert!(looked_up || quoted(value).is_some(), "{name}: {header}");
        }
        let challenge = headers.remove("WWW-Authenticate");
        assert_eq!(challenge.is_some(), name == "UNAUTHORIZED", "{name}");
        let wait = headers.remove("Retry-After");
        assert_eq!(wait.is_some(), name == "THROTTLED", "{name}");
        assert_eq!(Value::Object(headers), common, "{name}");
    }
}

/// What a function says to a failure.
async fn told(error: Error) -> Value {
    let body = error.into_response().into_body();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    serde_json::from_slice(&body).expect("a body of JSON")
}

#[tokio::test]
async fn the_gateway_says_what_the_functions_say() {
    let template = template();
    let app = TestApp::new(portal_local::routes()).await;
    let member = app.tenant(Plan::Pro).await;
    let key = "/portal/keys/550e8400-e29b-41d4-a716-446655440000";
    for (name, answer) in [
        ("UNAUTHORIZED", app.stranger().delete(key).await),
        ("ACCESS_DENIED", member.viewer().delete(key).await),
        (
            "MISSING_AUTHENTICATION_TOKEN",
            app.stranger().get("/portal/nothing").await,
        ),
        ("INVALID_SIGNATURE", member.get("/portal/nothing").await),
    ] {
        let of_gateway = gateway_answer(&template, name);
        assert_eq!(of_gateway["StatusCode"], answer.status.as_u16(), "{name}");
        assert_eq!(gateway_body(of_gateway), answer.json(), "{name}");
        let challenge = &of_gateway["ResponseParameters"]["Headers"]["WWW-Authenticate"];
        assert_eq!(quoted(challenge), answer.header("www-authenticate"));
    }
    for name in ["DEFAULT_5XX", "INTEGRATION_FAILURE"] {
        let of_gateway = gateway_body(gateway_answer(&template, name));
        assert_eq!(of_gateway, told(Error::internal(std::fmt::Error)).await);
    }
    let throttled = gateway_answer(&template, "THROTTLED");
    let wait = &throttled["ResponseParameters"]["Headers"]["Retry-After"];
    let seconds = quoted(wait).unwrap().parse().unwrap();
    let told = told(Error::RateLimited(seconds)).await;
    assert_eq!(gateway_body(throttled), told);
}

#[test]
fn the_api_takes_files_as_they_are_and_is_traced() {
    let template = template();
    let api = api(&template);
    assert_eq!(api["BinaryMediaTypes"], json!(["multipart/form-data"]));
    assert_eq!(api["EndpointConfiguration"], json!({"Type": "REGIONAL"}));
    assert_eq!(api["TracingEnabled"], true);
}

#[test]
fn the_access_log_leads_to_the_functions_log() {
    let template = template();
    let setting = &api(&template)["AccessLogSetting"];
    assert_eq!(setting["DestinationArn"], "AccessLogs.Arn");
    let format = text(&setting["Format"]);
    assert!(!format.contains('\n'), "{format}");
    let format: Value = serde_json::from_str(format).unwrap();
    for (name, value) in format.as_object().unwrap() {
        assert!(text(value).starts_with("$context."), "{name}: {value}");
    }
    assert_eq!(format["requestId"], "$context.requestId");
    let of_function = &format["functionRequestId"];
    assert_eq!(of_function, "$context.integration.requestId");
}
