//! `POST /portal/keys`: what is issued, what is refused, and that a refusal leaves nothing behind.

mod common;
mod secrets;

use std::collections::HashSet;

use auth::Role;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::TimeDelta;
use common::{KEYS, create, hash, list, secret};
use futures_util::future::join_all;
use model::id::KeyId;
use model::plan::Plan;
use model::quickstart::Step;
use secrets::assert_secret;
use serde_json::{Value, json};
use testkit::{
    Answer, Client, Fault, NOW, TestApp, assert_faults, assert_unauthorized, assert_unavailable,
};

fn draft() -> Value {
    json!({"name": "production-key", "scopes": ["search", "upload"]})
}

/// A good body with one field replaced.
fn with(field: &str, value: Value) -> Value {
    let mut body = draft();
    body[field] = value;
    body
}

/// A good body without one field.
fn without(field: &str) -> Value {
    let mut body = draft();
    body.as_object_mut().expect("an object").remove(field);
    body
}

async fn listed(client: &Client<'_>) -> Vec<Value> {
    let list = list(client).await;
    list["keys"].as_array().expect("a list").clone()
}

/// How many secrets the table takes for live.
async fn live(app: &TestApp) -> usize {
    app.dump().await.matches("KEYHASH#").count()
}

/// Sends bodies, each wrong in one place, and checks that nothing comes of them.
async fn assert_refused(cases: Vec<(Value, &str, &str)>) {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    assert!(listed(&client).await.is_empty());
    let before = app.dump().await;
    for (body, place, kind) in cases {
        let answer = client.post(KEYS, body).await;
        let place: Vec<&str> = place.split('.').collect();
        assert_faults(&answer, &[(place.as_slice(), kind)]);
    }
    assert_eq!(app.dump().await, before);
}

async fn post_raw(
    app: &TestApp,
    client: &Client<'_>,
    content_type: Option<&str>,
    body: impl Into<Body>,
) -> Answer {
    let mut request = client.request(Method::POST, KEYS);
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    app.send(request.body(body.into()).expect("a request"))
        .await
}

#[tokio::test]
async fn a_new_key_is_answered_whole_and_kept_out_of_caches() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = client.post(KEYS, draft()).await;

    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let key = answer.json();
    assert_secret(secret(&key));
    assert!(key["id"].as_str().unwrap().parse::<KeyId>().is_ok());
    assert_eq!(
        key,
        json!({
            "id": key["id"],
            "name": "production-key",
            "key": key["key"],
            "scopes": ["search", "upload"],
            "created_at": NOW,
            "expires_at": null,
            "message": "Store this key securely \u{2014} it cannot be retrieved again.",
        })
    );
}

#[tokio::test]
async fn the_secret_is_shown_once_and_only_its_hash_is_kept() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    let key = create(&client, draft()).await;

    let stored = app.dump().await;
    assert!(!stored.contains(secret(&key)));
    assert!(!stored.contains("sk_live_"));
    assert!(stored.contains(&format!("KEYHASH#{}", hash(&key))));
    let list = client.get(KEYS).await.text;
    assert!(!list.contains("sk_live_") && !list.contains(&hash(&key)));
}

#[tokio::test]
async fn a_name_is_trimmed_and_may_be_of_any_script() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let longest = "\u{e9}".repeat(100);
    for (name, stored) in [
        ("x", "x"),
        ("  production-key \t", "production-key"),
        ("two  words", "two  words"),
        ("\u{1f511} key", "\u{1f511} key"),
        (
            "\u{645}\u{641}\u{62a}\u{627}\u{62d}",
            "\u{645}\u{641}\u{62a}\u{627}\u{62d}",
        ),
        ("<b>&\"'</b>", "<b>&\"'</b>"),
        (longest.as_str(), longest.as_str()),
    ] {
        let key = create(&client, with("name", json!(name))).await;
        assert_eq!(key["name"], stored);
        let id = &key["id"];
        let keys = listed(&client).await;
        let kept = keys.iter().find(|key| key["id"] == *id).unwrap();
        assert_eq!(kept["name"], stored);
    }
}

#[tokio::test]
async fn every_scope_can_be_given_and_keeps_its_place() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    for scopes in [
        json!(["search"]),
        json!(["upload"]),
        json!(["records"]),
        json!(["admin"]),
        json!(["upload", "search", "admin", "records"]),
    ] {
        let key = create(&client, with("scopes", scopes.clone())).await;
        assert_eq!(key["scopes"], scopes);
    }
}

#[tokio::test]
async fn an_expiry_is_shown_in_utc_and_none_means_never() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    for (given, shown) in [
        (json!(null), json!(null)),
        (
            json!("2026-03-08T12:00:00.001Z"),
            json!("2026-03-08T12:00:00.001Z"),
        ),
        (json!("2026-03-08T12:00:01Z"), json!("2026-03-08T12:00:01Z")),
        (
            json!("2036-03-08T12:00:00+02:00"),
            json!("2036-03-08T10:00:00Z"),
        ),
        (
            json!("2028-02-29T23:59:59.5Z"),
            json!("2028-02-29T23:59:59.500Z"),
        ),
    ] {
        let key = create(&client, with("expires_at", given)).await;
        assert_eq!(key["expires_at"], shown);
    }
}

#[tokio::test]
async fn an_expiry_at_a_leap_second_is_the_second_after_it() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    let key = create(&client, with("expires_at", json!("2026-12-31T23:59:60Z"))).await;

    assert_eq!(key["expires_at"], "2027-01-01T00:00:00Z");
    assert_eq!(listed(&client).await[0]["expires_at"], key["expires_at"]);
}

#[tokio::test]
async fn a_bad_name_is_named() {
    assert_refused(vec![
        (without("name"), "body.name", "missing"),
        (with("name", json!(null)), "body.name", "string_type"),
        (with("name", json!(7)), "body.name", "string_type"),
        (with("name", json!(true)), "body.name", "string_type"),
        (with("name", json!(["x"])), "body.name", "string_type"),
        (with("name", json!({"x": 1})), "body.name", "string_type"),
        (with("name", json!("")), "body.name", "string_too_short"),
        (with("name", json!("   ")), "body.name", "string_too_short"),
        (
            with("name", json!("x".repeat(101))),
            "body.name",
            "string_too_long",
        ),
        (
            with("name", json!("\u{1f511}".repeat(101))),
            "body.name",
            "string_too_long",
        ),
        (with("name", json!("a\u{7}b")), "body.name", "value_error"),
        (with("name", json!("a\nb")), "body.name", "value_error"),
        (with("name", json!("a\u{0}b")), "body.name", "value_error"),
        (with("name", json!("a\u{7f}b")), "body.name", "value_error"),
    ])
    .await;
}

#[tokio::test]
async fn bad_scopes_are_named_with_their_place() {
    let hundred = vec!["search"; 100];
    assert_refused(vec![
        (without("scopes"), "body.scopes", "missing"),
        (with("scopes", json!(null)), "body.scopes", "list_type"),
        (with("scopes", json!("search")), "body.scopes", "list_type"),
        (with("scopes", json!(1)), "body.scopes", "list_type"),
        (
            with("scopes", json!({"search": true})),
            "body.scopes",
            "list_type",
        ),
        (with("scopes", json!([])), "body.scopes", "too_short"),
        (with("scopes", json!(["fly"])), "body.scopes.0", "enum"),
        (with("scopes", json!(["Search"])), "body.scopes.0", "enum"),
        (with("scopes", json!(["search "])), "body.scopes.0", "enum"),
        (
            with("scopes", json!(["search", "fly"])),
            "body.scopes.1",
            "enum",
        ),
        (with("scopes", json!([1])), "body.scopes.0", "string_type"),
        (
            with("scopes", json!(["admin", null])),
            "body.scopes.1",
            "string_type",
        ),
        (
            with("scopes", json!(["search", "search"])),
            "body.scopes.1",
            "value_error",
        ),
        (
            with("scopes", json!(hundred)),
            "body.scopes.1",
            "value_error",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_bad_expiry_is_named() {
    let parsing = "datetime_from_date_parsing";
    let place = "body.expires_at";
    let expiring = |at: Value| with("expires_at", at);
    assert_refused(vec![
        (expiring(json!(4_102_444_800_u64)), place, "string_type"),
        (expiring(json!(true)), place, "string_type"),
        (expiring(json!([])), place, "string_type"),
        (expiring(json!("")), place, parsing),
        (expiring(json!("soon")), place, parsing),
        (expiring(json!("2027-01-01")), place, parsing),
        (expiring(json!("2027-01-01T00:00:00")), place, parsing),
        (expiring(json!("2027-02-29T00:00:00Z")), place, parsing),
        (expiring(json!("2027-01-01T24:00:00Z")), place, parsing),
        (
            expiring(json!("2020-01-01T00:00:00Z")),
            place,
            "datetime_future",
        ),
        (
            expiring(json!("2026-03-08T11:59:59.999Z")),
            place,
            "datetime_future",
        ),
        (expiring(json!(NOW)), place, "datetime_future"),
        (
            expiring(json!("2026-03-08T14:00:00+02:00")),
            place,
            "datetime_future",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    assert_refused(vec![
        (json!(null), "body", "model_attributes_type"),
        (json!([]), "body", "model_attributes_type"),
        (json!([{"name": "x"}]), "body", "model_attributes_type"),
        (json!("text"), "body", "model_attributes_type"),
        (json!(7), "body", "model_attributes_type"),
    ])
    .await;
}

#[tokio::test]
async fn every_fault_is_named_in_one_answer() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    let body = json!({"name": 7, "expires_at": "2020-01-01T00:00:00Z"});
    let answer = client.post(KEYS, body).await;

    assert_faults(
        &answer,
        &[
            (&["body", "name"], "string_type"),
            (&["body", "scopes"], "missing"),
            (&["body", "expires_at"], "datetime_future"),
        ],
    );
    assert!(listed(&client).await.is_empty());
}

#[tokio::test]
async fn a_missing_name_is_told_as_clients_know_it() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = client.post(KEYS, without("name")).await;

    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer.json(),
        json!({"detail": [
            {"loc": ["body", "name"], "msg": "Field required", "type": "missing"},
        ]})
    );
}

#[tokio::test]
async fn a_body_that_is_absent_or_not_json_is_refused() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    for content_type in [None, Some("application/json"), Some("text/plain")] {
        let answer = post_raw(&app, &client, content_type, Body::empty()).await;
        assert_faults(&answer, &[(&["body"], "missing")]);
    }
    let twice = r#"{"name": "a", "name": "b", "scopes": ["search"]}"#;
    for body in [
        b"{".to_vec(),
        b"{\"name\": \"\xff\"}".to_vec(),
        "[".repeat(200).into_bytes(),
        twice.as_bytes().to_vec(),
    ] {
        let answer = post_raw(&app, &client, Some("application/json"), body).await;
        assert_faults(&answer, &[(&["body"], "json_invalid")]);
    }
    assert!(listed(&client).await.is_empty());
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_and_one_without_a_type_is_json() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let body = draft().to_string();

    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/vnd.api+json",
        "nonsense",
    ] {
        let answer = post_raw(&app, &client, Some(content_type), body.clone()).await;
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
    assert!(listed(&client).await.is_empty());
    for content_type in [None, Some("application/json; charset=utf-8")] {
        let answer = post_raw(&app, &client, content_type, body.clone()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{content_type:?}");
    }
}

#[tokio::test]
async fn a_body_over_a_megabyte_is_too_large() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    let empty = with("ignored", json!("")).to_string().len();
    let padded = |size: usize| with("ignored", json!("x".repeat(size - empty)));

    let answer = client.post(KEYS, padded(1024 * 1024)).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let answer = client.post(KEYS, padded(1024 * 1024 + 1)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        answer.json(),
        json!({"detail": "A JSON body has at most 1 MB"})
    );
    assert_eq!(listed(&client).await.len(), 1);
}

#[tokio::test]
async fn fields_that_the_caller_may_not_set_are_ignored() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    let chosen = "550e8400-e29b-41d4-a716-446655440000";
    let body = json!({
        "name": "production-key",
        "scopes": ["search"],
        "id": chosen,
        "key": "chosen-by-the-caller",
        "hash": "chosen-by-the-caller",
        "tenant_id": "chosen-by-the-caller",
        "created_at": "2001-01-01T00:00:00Z",
        "last_used_at": "2001-01-01T00:00:00Z",
    });
    let key = create(&client, body).await;

    assert_ne!(key["id"], chosen);
    assert_secret(secret(&key));
    assert_eq!(
        listed(&client).await,
        [json!({
            "id": key["id"],
            "name": "production-key",
            "scopes": ["search"],
            "created_at": NOW,
            "last_used_at": null,
            "expires_at": null,
        })]
    );
    let stored = app.dump().await;
    for planted in [chosen, "chosen-by-the-caller", "2001-01-01"] {
        assert!(!stored.contains(planted), "{planted}");
    }
}

#[tokio::test]
async fn a_key_is_the_tokens_tenants_whatever_else_is_said() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let other = app.tenant(Plan::Free).await;

    let request = client
        .request(Method::POST, "/portal/keys?tenant_id=other")
        .header("x-tenant-id", other.tenant.as_str())
        .body(Body::from(
            with("tenant_id", json!(other.tenant.as_str())).to_string(),
        ))
        .unwrap();
    let answer = app.send(request).await;

    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(listed(&client).await.len(), 1);
    assert!(listed(&other).await.is_empty());
}

#[tokio::test]
async fn a_viewer_may_not_create() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    for body in [draft(), json!(null)] {
        let answer = client.viewer().post(KEYS, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.json(), json!({"detail": "Insufficient permissions"}));
    }
    assert!(listed(&client).await.is_empty());
    assert_eq!(live(&app).await, 0);
}

#[tokio::test]
async fn a_stranger_may_not_create_and_leaves_no_trace() {
    let app = TestApp::new(keys::router()).await;

    let answer = app.stranger().post(KEYS, draft()).await;

    assert_unauthorized(&answer);
    assert_eq!(app.dump().await, "");
}

#[tokio::test]
async fn a_key_is_no_token_for_the_portal() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create(&client, draft()).await;

    let answer = client.with_token(secret(&key)).get(KEYS).await;

    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json(), json!({"detail": "Invalid or expired token"}));
}

#[tokio::test]
async fn the_first_key_stamps_the_quickstart_and_no_later_one_moves_it() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let stamped = async || {
        let checklist = app.app.table.checklist(&client.tenant).await.unwrap();
        checklist.completed_at(Step::CreateApiKey)
    };
    assert_eq!(stamped().await, None);

    create(&client, draft()).await;
    let first = app.app.clock.now();
    assert_eq!(stamped().await, Some(first));

    app.advance(TimeDelta::hours(1));
    create(&client, draft()).await;
    assert_eq!(stamped().await, Some(first));
}

#[tokio::test]
async fn every_key_has_an_id_and_a_secret_of_its_own() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;

    let keys = join_all((0..100).map(|_| create(&client, draft()))).await;

    let ids: HashSet<&Value> = keys.iter().map(|key| &key["id"]).collect();
    let secrets: HashSet<&str> = keys.iter().map(secret).collect();
    assert_eq!((ids.len(), secrets.len()), (100, 100));
    for secret in secrets {
        assert_secret(secret);
    }
}

#[tokio::test]
async fn of_50_keys_at_once_beside_99_exactly_one_is_created() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    join_all((0..99).map(|_| create(&client, draft()))).await;

    let answers = join_all((0..50).map(|_| client.post(KEYS, draft()))).await;

    let (created, refused): (Vec<&Answer>, Vec<&Answer>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!((created.len(), refused.len()), (1, 49));
    for answer in refused {
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(
            answer.json(),
            json!({"detail": "A tenant has at most 100 API keys; revoke one first"})
        );
    }
    assert_eq!(listed(&client).await.len(), 100);
    assert_eq!(live(&app).await, 100);
}

#[tokio::test]
async fn an_expired_key_counts_until_it_is_revoked() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    let expiring = with("expires_at", json!("2026-03-08T12:00:01Z"));
    let expired = create(&client, expiring).await;
    join_all((0..99).map(|_| create(&client, draft()))).await;
    app.advance(TimeDelta::seconds(2));

    let answer = client.post(KEYS, draft()).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);

    let path = format!("{KEYS}/{}", expired["id"].as_str().unwrap());
    let answer = client.delete(&path).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    create(&client, draft()).await;
    let answer = client.post(KEYS, draft()).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn one_tenants_keys_do_not_count_for_another() {
    let app = TestApp::new(keys::router()).await;
    let full = app.tenant(Plan::Free).await;
    join_all((0..100).map(|_| create(&full, draft()))).await;

    let other = app.client("t_other", Role::Member);
    create(&other, draft()).await;

    assert_eq!(listed(&other).await.len(), 1);
}

#[tokio::test]
async fn a_throttled_creation_is_tried_again() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("TransactWriteItems", Fault::Throttled, 1);
    app.faults.inject("BatchGetItem", Fault::Throttled, 1);

    let key = create(&client, draft()).await;

    assert_eq!(listed(&client).await.len(), 1);
    assert!(app.dump().await.contains(&hash(&key)));
}

#[tokio::test]
async fn a_creation_that_is_throttled_for_ever_is_a_503_and_leaves_nothing() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    assert!(listed(&client).await.is_empty());
    let before = app.dump().await;
    app.faults
        .inject("TransactWriteItems", Fault::Throttled, 100);

    let answer = client.post(KEYS, draft()).await;

    assert_unavailable(&answer);
    assert_eq!(answer.header("cache-control"), None);
    assert_eq!(app.dump().await, before);
    app.faults.clear();
    create(&client, draft()).await;
}

#[tokio::test]
async fn a_creation_that_meets_other_transactions_is_tried_again() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("TransactWriteItems", Fault::Conflict, 3);

    create(&client, draft()).await;

    assert_eq!(listed(&client).await.len(), 1);
    assert_eq!(live(&app).await, 1);
}

#[tokio::test]
async fn a_creation_whose_reply_was_lost_is_answered_as_made_and_made_once() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("TransactWriteItems", Fault::Lost, 1);

    let key = create(&client, draft()).await;

    assert_eq!(listed(&client).await.len(), 1);
    assert_eq!(live(&app).await, 1);
    assert!(
        app.dump()
            .await
            .contains(&format!("KEYHASH#{}", hash(&key)))
    );
}
