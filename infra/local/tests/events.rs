//! Every event of `events/` reaches its handler: the same files that the Lambda tools take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use authorizer::{Authorizer, TokenRequest};
use axum::body::Body;
use axum::http::StatusCode;
use lambda_http::request::from_str;
use serde_json::json;
use testkit::{Answer, TestApp};

/// Each event with the status of its answer, in an order in which a tenant might call: nothing
/// has the id in the path of a key, and everything else is there.
const EVENTS: [(&str, u16); 16] = [
    ("health/get_health", 200),
    ("health/preflight", 200),
    ("account/get_account", 200),
    ("account/update_account", 200),
    ("keys/create_key", 201),
    ("keys/list_keys", 200),
    ("keys/update_key", 404),
    ("keys/rotate_key", 404),
    ("keys/revoke_key", 404),
    ("upload/upload_file", 201),
    ("records/list_collections", 200),
    ("records/list_records", 200),
    ("records/search_collection", 200),
    ("usage/get_usage", 200),
    ("analytics/get_analytics", 200),
    ("quickstart/get_quickstart", 200),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name).with_extension("json")).expect("an event")
}

async fn send(app: &TestApp, name: &str) -> Answer {
    let request = from_str(&read(name)).expect("an event of API Gateway");
    let (parts, body) = request.into_parts();
    let body = match body {
        lambda_http::Body::Empty => Body::empty(),
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        other => panic!("{other:?}"),
    };
    app.send(axum::http::Request::from_parts(parts, body)).await
}

#[tokio::test]
async fn every_event_is_answered_by_its_handler() {
    let settings = [
        ("RATE_LIMIT_ENABLED", "false"),
        ("CORS_ALLOWED_ORIGINS", "https://dashboard.example.com"),
    ];
    let app = TestApp::with(portal_local::routes(), &settings).await;
    let mut answers = BTreeMap::new();
    for (name, status) in EVENTS {
        let answer = send(&app, name).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {answer:?}");
        answers.insert(name, answer);
    }
    let preflight = &answers["health/preflight"];
    let origin = preflight.header("access-control-allow-origin");
    assert_eq!(origin, Some("https://dashboard.example.com"));
    assert_eq!(
        answers["account/update_account"].json(),
        json!({
            "user_id": "u_event",
            "email": "developer@example.com",
            "tenant_id": "t_event",
            "display_name": "Jane D.",
            "company": "Acme Industries",
            "created_at": "2026-03-08T12:00:00Z",
        })
    );
    assert_eq!(answers["keys/rotate_key"].detail(), "API key not found");
    let upload = answers["upload/upload_file"].json();
    assert_eq!(upload["summary"]["accepted"], 2);
    assert_eq!(answers["records/list_records"].json()["total"], 2);
    let found = answers["records/search_collection"].json();
    assert_eq!(found["results"][0]["name"], "Linear Bearing LM16UU");
    assert_eq!(answers["usage/get_usage"].json()["searches"]["used"], 1);
}

#[test]
fn the_list_of_events_is_complete() {
    let mut files = Vec::new();
    for family in std::fs::read_dir(folder()).unwrap() {
        let family = family.unwrap().path();
        if !family.is_dir()
            || ["authorizer", "indexer"]
                .iter()
                .any(|name| family.ends_with(name))
        {
            continue;
        }
        for file in std::fs::read_dir(&family).unwrap() {
            let file = file.unwrap().path();
            let family = family.file_name().unwrap().to_str().unwrap();
            files.push(format!(
                "{family}/{}",
                file.file_stem().unwrap().to_str().unwrap()
            ));
        }
    }
    files.sort();
    let mut listed: Vec<String> = EVENTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    listed.sort();
    assert_eq!(files, listed);
}

#[tokio::test]
async fn what_an_event_says_of_its_caller_is_not_believed() {
    let app = TestApp::new(portal_local::routes()).await;
    let forged = read("account/get_account").replace("Bearer ey", "Bearer fy");
    let (parts, _) = from_str(&forged).unwrap().into_parts();
    let answer = app
        .send(axum::http::Request::from_parts(parts, Body::empty()))
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_authorizer_allows_the_whole_stage_or_says_unauthorized() {
    let app = TestApp::new(portal_local::routes()).await;
    let authorizer = Authorizer::new(&app.app.config);
    let decide = |event: &str| {
        let request: TokenRequest = serde_json::from_str(event).unwrap();
        authorizer.decide(&request, app.app.clock.now())
    };
    assert_eq!(
        decide(&read("authorizer/allow")).unwrap(),
        json!({
            "principalId": "u_event",
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [{
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource":
                        "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/prod/*",
                }],
            },
            "context": {"tenant": "t_event", "user": "u_event", "role": "member"},
        })
    );
    let arn = r#""methodArn": "arn:aws:execute-api:eu-central-1:1:a/prod/GET/x""#;
    for event in [
        read("authorizer/refuse"),
        format!("{{{arn}}}"),
        format!(r#"{{"authorizationToken": null, {arn}}}"#),
        format!(r#"{{"authorizationToken": "", {arn}}}"#),
        format!(r#"{{"authorizationToken": "Bearer", {arn}}}"#),
        format!(r#"{{"authorizationToken": "Basic eDp5", {arn}}}"#),
    ] {
        let refused = decide(&event).unwrap_err();
        assert_eq!(refused.to_string(), "Unauthorized", "{event}");
    }
}
