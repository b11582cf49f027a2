//! Every event of `events/` goes through the function that it belongs to, and is answered as the
//! file beside it says: the same files that the Lambda tools take.

mod answers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use answers::{assert_alike, proxy_answer};
use authorizer::Authorizer;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::Client;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::TimeDelta;
use indexer::Indexer;
use ingest::Ingest;
use lambda_http::request::from_str;
use model::key::KeySecret;
use serde_json::{Value, json};
use testkit::{TABLE, TestApp, dynamodb};

/// The events in an order in which a tenant might call: nothing has the id in the path of a key, of an
/// upload or of a record, no replace is left to cancel, and everything else is there.
const EVENTS: [&str; 78] = [
    "authorizer/allow",
    "authorizer/allow_key",
    "authorizer/refuse",
    "health/get_health",
    "account/get_account",
    "account/update_account",
    "keys/preflight",
    "keys/create_key",
    "keys/list_keys",
    "keys/update_key",
    "keys/rotate_key",
    "keys/revoke_key",
    "upload/upload_file",
    "upload/list_uploads",
    "upload/get_upload",
    "upload/list_errors",
    "upload/replace_collection",
    "upload/replace_status",
    "upload/swap",
    "upload/cancel_replace",
    "upload/put_schema",
    "upload/get_schema",
    "upload/list_schemas",
    "upload/delete_schema",
    "upload/create_upload",
    "ingest/arrived",
    "ingest/go_on",
    "indexer/stream",
    "indexer/schedule",
    "records/list_collections",
    "records/list_records",
    "records/search_collection",
    "usage/get_usage",
    "analytics/get_analytics",
    "quickstart/get_quickstart",
    "usage/list_days",
    "usage/list_keys",
    "analytics/list_days",
    "analytics/list_agents",
    "records/get_record",
    "records/update_record",
    "records/delete_record",
    "usage/get_usage_by_key",
    "keys/create_key_by_key",
    "keys/list_keys_by_key",
    "keys/rotate_key_by_key",
    "keys/revoke_key_by_key",
    "upload/upload_file_by_key",
    "upload/upload_file_at_file",
    "upload/upload_file_at_ingest",
    "upload/upload_batch",
    "upload/upload_batch_at_ingest",
    "upload/get_upload_by_key",
    "upload/list_dlq",
    "records/show_collections",
    "records/update_collection",
    "records/create_record",
    "records/page_records",
    "records/get_record_by_key",
    "records/update_record_by_key",
    "records/delete_record_by_key",
    "records/update_visibility",
    "records/update_records",
    "records/update_visibilities",
    "records/delete_records",
    "records/search_collection_by_key",
    "records/search_shortly",
    "open/list_collections",
    "open/get_schema",
    "open/get_record",
    "open/search_collection",
    "open/search_shortly",
    "open/search_everything",
    "open/search_everything_shortly",
    "upload/register_schema",
    "upload/show_schema",
    "upload/show_schemas",
    "records/delete_collection",
];

/// What the functions are told in these tests; `infra/sam-test.sh` tells them the same.
const SETTINGS: [(&str, &str); 2] = [
    ("RATE_LIMIT_ENABLED", "false"),
    ("CORS_ALLOWED_ORIGINS", "https://dashboard.example.com"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.json"))).expect("an event")
}

fn expected(name: &str) -> Value {
    let answer = read(&format!("{name}.answer"));
    serde_json::from_str(&answer).expect("an answer")
}

/// The routes of a family, and of no other.
fn routes(family: &str) -> api::Router {
    match family {
        "account" => account::router(),
        "analytics" => analytics::router(),
        "health" => health::router(),
        "keys" => keys::router(),
        "quickstart" => quickstart::router(),
        "records" => records::router(),
        "upload" => upload::router(),
        "usage" => usage::router(),
        _ => panic!("{family} has no routes"),
    }
}

fn request(event: &str) -> Request<Body> {
    let request = from_str(event).expect("an event of API Gateway");
    request.map(|body| match body {
        lambda_http::Body::Empty => Body::empty(),
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        other => panic!("{other:?}"),
    })
}

/// What a function answers, as the Lambda tools print it.
async fn answer(world: &TestApp, family: &str, event: &str) -> Value {
    let json = |event| serde_json::from_str(event).expect("JSON");
    match family {
        "authorizer" => {
            let authorizer = Authorizer::new(&world.app.config);
            match authorizer.decide(&json(event), world.app.clock.now()) {
                Ok(policy) => policy,
                Err(refusal) => json!({"errorMessage": refusal.to_string()}),
            }
        }
        "indexer" => {
            let indexer = Indexer::new(world.app.indexes().expect("indexes").clone());
            let event = serde_json::from_value(json(event)).expect("an event");
            let answer = indexer.handle(event).await.expect("an answer");
            serde_json::to_value(answer).expect("JSON")
        }
        "ingest" => {
            // It has nothing to go on with, so it calls nobody.
            let nobody = Client::from_conf(aws_sdk_lambda::Config::builder().build());
            let ingest = Ingest::new(world.app.clone(), nobody);
            let event = serde_json::from_value(json(event)).expect("an event");
            let deadline = world.app.clock.now() + TimeDelta::minutes(15);
            let done = ingest.handle(event, "portal-ingest".to_owned(), deadline);
            done.await.expect("no failure");
            Value::Null
        }
        "open" => {
            let place = (world.endpoint.as_str(), &world.store);
            let routes = (api::Router::new(), open::router());
            let function = TestApp::at_with_open(place, routes, &SETTINGS).await;
            proxy_answer(&function.send(request(event)).await)
        }
        family => {
            let place = (world.endpoint.as_str(), &world.store);
            let function = TestApp::at(place, routes(family), &SETTINGS, None).await;
            proxy_answer(&function.send(request(event)).await)
        }
    }
}

/// Lets a table know whose the API key of the events is, and that it may do everything. No list shows
/// that key.
async fn know_key(endpoint: &str) {
    let event: Value = serde_json::from_str(&read("authorizer/allow_key")).expect("JSON");
    let bearer = event["authorizationToken"].as_str().expect("a text");
    let secret = bearer.strip_prefix("Bearer ").and_then(KeySecret::parse);
    let hash = secret.expect("an API key").hash();
    let text = |value: &str| AttributeValue::S(value.to_owned());
    dynamodb(endpoint)
        .put_item()
        .table_name(TABLE)
        .item("pk", text(&format!("KEYHASH#{}", hash.as_str())))
        .item("sk", text("KEYHASH"))
        .item("tenant", text("t_event"))
        .item("key", text("550e8400-e29b-41d4-a716-446655440001"))
        .item("scopes", AttributeValue::L(vec![text("admin")]))
        .send()
        .await
        .expect("an item");
}

#[tokio::test]
async fn every_event_is_answered_by_its_function() {
    let world = TestApp::with(api::Router::new(), &SETTINGS).await;
    know_key(&world.endpoint).await;
    for name in EVENTS {
        let (family, _) = name.split_once('/').expect("a family");
        let answer = answer(&world, family, &read(name)).await;
        assert_alike(name, &expected(name), &answer);
    }
}

/// Prepares the table of `infra/sam-test.sh` for the events that have an API key.
#[tokio::test]
#[ignore = "infra/sam-test.sh runs it, with SAM_TABLE for where its table is"]
async fn the_table_of_sam_local_knows_the_key() {
    #[expect(clippy::disallowed_methods, reason = "the script says where it is")]
    let endpoint = std::env::var("SAM_TABLE").expect("SAM_TABLE");
    know_key(&endpoint).await;
}

/// Compares what `infra/sam-test.sh` was answered by the deployed binaries.
#[test]
#[ignore = "infra/sam-test.sh runs it, with SAM_ANSWERS for the folder of the answers"]
fn sam_local_answers_alike() {
    #[expect(clippy::disallowed_methods, reason = "the script says where they are")]
    let folder = std::env::var("SAM_ANSWERS").expect("SAM_ANSWERS");
    let mut compared = 0;
    for name in EVENTS {
        let path = Path::new(&folder).join(name).with_extension("json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let answer = serde_json::from_str(&text).expect("an answer of a function");
        assert_alike(name, &expected(name), &answers::normal(answer));
        compared += 1;
    }
    assert!(compared > 0, "no answers in {folder}");
}

#[test]
fn the_list_of_events_is_complete_and_each_has_its_answer() {
    let mut files = BTreeSet::new();
    for family in std::fs::read_dir(folder()).unwrap() {
        let family = family.unwrap().path();
        if !family.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&family).unwrap() {
            let file = file.unwrap().path();
            let path = file.strip_prefix(folder()).unwrap().to_str().unwrap();
            files.insert(path.to_owned());
        }
    }
    let listed = EVENTS
        .iter()
        .flat_map(|name| [format!("{name}.json"), format!("{name}.answer.json")]);
    assert_eq!(files, listed.collect());
}

#[tokio::test]
async fn what_an_event_says_of_its_caller_is_not_believed() {
    let app = TestApp::new(account::router()).await;
    let forged = read("account/get_account").replace("Bearer ey", "Bearer fy");
    let answer = app.send(request(&forged)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_authorizer_says_unauthorized_to_whatever_is_wrong() {
    let app = TestApp::new(api::Router::new()).await;
    let authorizer = Authorizer::new(&app.app.config);
    let good: Value = serde_json::from_str(&read("authorizer/allow")).unwrap();
    let now = app.app.clock.now();
    assert!(authorizer.decide(&good, now).is_ok());
    let with = |name: &str, value: Value| {
        let mut event = good.clone();
        event[name] = value;
        event
    };
    let token = good["authorizationToken"].as_str().unwrap();
    let events = [
        json!(null),
        json!([]),
        json!("token"),
        json!({}),
        with("authorizationToken", json!(null)),
        with("authorizationToken", json!("")),
        with("authorizationToken", json!("Bearer")),
        with("authorizationToken", json!("Basic eDp5")),
        with("authorizationToken", json!(["Bearer x"])),
        with(
            "authorizationToken",
            json!(token.replace("Bearer ", "Bearer  ")),
        ),
        with("authorizationToken", json!(format!("{token}.x"))),
        with("authorizationToken", json!("Bearer \u{1F600}")),
        with("methodArn", json!(null)),
        with("methodArn", json!("")),
        with("methodArn", json!("arn:aws:execute-api:eu-central-1:1:api")),
        with(
            "methodArn",
            json!("arn:aws:execute-api:eu-central-1:1:api/prod"),
        ),
        with("methodArn", json!("*/*/*")),
    ];
    for event in events {
        let refused = authorizer.decide(&event, now).unwrap_err();
        assert_eq!(refused.to_string(), "Unauthorized", "{event}");
    }
}

#[tokio::test]
async fn a_token_without_a_tenant_passes_the_authorizer_and_is_a_403() {
    let app = TestApp::new(account::router()).await;
    let authorizer = Authorizer::new(&app.app.config);
    let client = app.client("t_1", auth::Role::Member);
    let token = jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &json!({"sub": "u_1", "exp": 4_070_908_800_i64}),
        &jsonwebtoken::EncodingKey::from_secret(testkit::SECRET.as_bytes()),
    );
    let token = token.expect("a token");
    let event = json!({
        "type": "TOKEN",
        "authorizationToken": format!("Bearer {token}"),
        "methodArn": "arn:aws:execute-api:eu-central-1:1:api/prod/GET/api/v1/portal/account",
    });
    let policy = authorizer.decide(&event, app.app.clock.now()).unwrap();
    assert_eq!(policy["policyDocument"]["Statement"][0]["Effect"], "Allow");
    assert_eq!(policy["context"], json!({}));
    let answer = client.with_token(&token).get("/portal/account").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}
