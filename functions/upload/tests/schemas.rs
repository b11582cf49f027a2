//! `/portal/schemas`: schemas are put, versioned, read and deleted, each tenant's its own.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::plan::Plan;
use model::quickstart::Step;
use serde_json::{Value, json};
use table::cap::{Caps, Tally};
use testkit::{
    Answer, Client, Fault, Form, TestApp, assert_faults, assert_indistinguishable, assert_refusal,
    assert_unauthorized, assert_unavailable, insist,
};

const SCHEMAS: &str = "/portal/schemas";
const BOLTS: &str = "/portal/schemas/bolts/product";

const NOT_FOUND: &str = "Schema not found";

fn sizes() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"size": {"type": "integer", "minimum": 1}},
        "required": ["size"],
    })
}

async fn put(client: &Client<'_>, path: &str, schema: Value) -> Answer {
    client.call(Method::PUT, path, Some(schema)).await
}

/// Puts one of many schemas at once.
async fn put_in_turn(client: &Client<'_>, path: &str, schema: Value) -> Answer {
    insist(|| put(client, path, schema.clone())).await
}

/// Puts a schema that is taken, and returns the answer.
async fn taken(client: &Client<'_>, path: &str, schema: Value) -> Value {
    let answer = put(client, path, schema).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn found(client: &Client<'_>, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn assert_none(client: &Client<'_>, path: &str) {
    let answer = client.get(path).await;
    assert_refusal(&answer, StatusCode::NOT_FOUND, NOT_FOUND);
}

/// The collections that live, and how many records each has.
async fn collections(app: &TestApp, client: &Client<'_>) -> Vec<(String, u64)> {
    let summary = app.app.summary(&client.tenant).await.expect("a summary");
    let live = summary.collections.iter();
    live.map(|(collection, counts)| (collection.name.to_string(), counts.total))
        .collect()
}

#[tokio::test]
async fn a_schema_is_put_and_read() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = put(&client, BOLTS, sizes()).await;

    assert_eq!(answer.status, StatusCode::OK);
    let expected = json!({
        "collection": "bolts",
        "record_type": "product",
        "version": 1,
        "schema": sizes(),
        "created_at": "2026-03-08T12:00:00Z",
        "updated_at": "2026-03-08T12:00:00Z",
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(found(&client, BOLTS).await, expected);
    assert_eq!(
        found(&client, SCHEMAS).await,
        json!({"schemas": [expected]})
    );
}

#[tokio::test]
async fn another_schema_is_the_next_version_and_earlier_ones_stay() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = taken(&client, BOLTS, sizes()).await;
    app.advance(TimeDelta::hours(1));

    let second = taken(&client, BOLTS, json!({})).await;

    let expected = json!({
        "collection": "bolts",
        "record_type": "product",
        "version": 2,
        "schema": {},
        "created_at": "2026-03-08T12:00:00Z",
        "updated_at": "2026-03-08T13:00:00Z",
    });
    assert_eq!(second, expected);
    assert_eq!(found(&client, BOLTS).await, expected);
    assert_eq!(
        found(&client, &format!("{BOLTS}?version=2")).await,
        expected
    );
    assert_eq!(found(&client, &format!("{BOLTS}?version=1")).await, first);
    assert_none(&client, &format!("{BOLTS}?version=3")).await;
    assert_eq!(
        found(&client, SCHEMAS).await,
        json!({"schemas": [expected]})
    );
}

#[tokio::test]
async fn the_same_schema_again_keeps_its_version() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = taken(&client, BOLTS, sizes()).await;
    app.advance(TimeDelta::hours(1));
    let before = app.dump().await;
    // The same JSON in another order and with other spaces.
    let text = r#"{ "required": ["size"], "type": "object",
        "properties": {"size": {"minimum": 1, "type": "integer"}},
        "$schema": "https://json-schema.org/draft/2020-12/schema" }"#;
    let request = client
        .request(Method::PUT, BOLTS)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(text))
        .unwrap();

    let answer = app.send(request).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), first);
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_deleted_schema_is_gone_and_the_next_has_another_version() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = taken(&client, BOLTS, sizes()).await;

    let answer = client.delete(BOLTS).await;

    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(answer.text.is_empty());
    assert_none(&client, BOLTS).await;
    assert_eq!(found(&client, SCHEMAS).await, json!({"schemas": []}));
    assert_eq!(found(&client, &format!("{BOLTS}?version=1")).await, first);
    let again = client.delete(BOLTS).await;
    assert_refusal(&again, StatusCode::NOT_FOUND, NOT_FOUND);

    app.advance(TimeDelta::hours(1));
    let next = taken(&client, BOLTS, sizes()).await;
    assert_eq!(next["version"], 2);
    assert_eq!(next["created_at"], "2026-03-08T13:00:00Z");
    // Its collection lived on.
    assert_eq!(collections(&app, &client).await, [("bolts".to_owned(), 0)]);
}

#[tokio::test]
async fn schemas_are_listed_by_collection_and_record_type() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    for path in [
        "b/x", "a.b/x", "a/z", "a-b/x", "a/B", "a_b/x", "a/a", "A/x", "a0/x",
    ] {
        taken(&client, &format!("{SCHEMAS}/{path}"), json!({})).await;
    }

    let listed = found(&client, SCHEMAS).await;

    let names: Vec<String> = listed["schemas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|schema| {
            let part = |name: &str| schema[name].as_str().unwrap().to_owned();
            format!("{}/{}", part("collection"), part("record_type"))
        })
        .collect();
    assert_eq!(
        names,
        [
            "A/x", "a/B", "a/a", "a/z", "a-b/x", "a.b/x", "a0/x", "a_b/x", "b/x"
        ]
    );
}

#[tokio::test]
async fn a_list_beyond_4_mb_leaves_out_the_rest_of_the_schemas() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let large = json!({"description": "x".repeat(100_000)});
    for number in 0..43 {
        taken(&client, &format!("{SCHEMAS}/c/t{number:02}"), large.clone()).await;
    }

    let answer = client.get(SCHEMAS).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.len() < 4 * 1024 * 1024);
    let schemas = answer.json()["schemas"].as_array().unwrap().clone();
    assert_eq!(schemas.len(), 43);
    assert_eq!(schemas[0]["schema"], large);
    assert_eq!(schemas[40]["schema"], large);
    assert_eq!(schemas[42]["schema"], Value::Null);
    assert_eq!(schemas[42]["version"], 1);
}

#[tokio::test]
async fn a_collection_lives_from_its_first_schema() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    taken(&client, BOLTS, sizes()).await;

    assert_eq!(collections(&app, &client).await, [("bolts".to_owned(), 0)]);
    // What is uploaded to it is its record, under its number.
    let answer = client.upload_csv("bolts", "name,size\nBolt,8\n").await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(collections(&app, &client).await, [("bolts".to_owned(), 1)]);
    let summary = app.app.summary(&client.tenant).await.unwrap();
    assert_eq!(summary.collections[0].0.number, 1);
}

#[tokio::test]
async fn a_schema_for_a_collection_that_lives_makes_no_other() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let answer = client.upload_csv("bolts", "name,size\nBolt,8\n").await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);

    taken(&client, BOLTS, sizes()).await;
    taken(&client, "/portal/schemas/bolts/other", sizes()).await;

    assert_eq!(collections(&app, &client).await, [("bolts".to_owned(), 1)]);
}

#[tokio::test]
async fn a_collection_beyond_the_plan_is_a_402_and_nothing_is_written() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    taken(&client, BOLTS, sizes()).await;
    let before = app.dump().await;

    let answer = put(&client, "/portal/schemas/nuts/product", sizes()).await;

    let detail = "The schema would pass the 1 collection of the free plan";
    assert_refusal(&answer, StatusCode::PAYMENT_REQUIRED, detail);
    assert_eq!(app.dump().await, before);
    // Uploads count it too.
    let answer = client.upload_csv("nuts", "name\nNut\n").await;
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
}

#[tokio::test]
async fn of_many_collections_at_once_a_plan_for_one_gets_one() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let paths: Vec<String> = (0..10).map(|n| format!("{SCHEMAS}/c{n}/t")).collect();
    let puts = paths.iter().map(|path| put_in_turn(&client, path, sizes()));
    let answers = join_all(puts).await;

    let with = |status| answers.iter().filter(move |answer| answer.status == status);
    assert_eq!(with(StatusCode::OK).count(), 1, "{answers:?}");
    assert_eq!(with(StatusCode::PAYMENT_REQUIRED).count(), 9);
    assert_eq!(collections(&app, &client).await.len(), 1);
}

#[tokio::test]
async fn a_collection_that_an_upload_has_reserved_lives_from_its_schema() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let tenant = client.tenant.clone();
    let upload = app.reserve(&tenant, ("bolts", "product"), 1).await;
    assert!(collections(&app, &client).await.is_empty());

    taken(&client, BOLTS, sizes()).await;

    assert_eq!(collections(&app, &client).await, [("bolts".to_owned(), 0)]);
    let mut tally = Tally::default();
    for record in upload.write([json!({"name": "Bolt", "size": 8})]).await {
        tally.add(record.id, record.visibility);
    }
    upload.settle(&tally).await;
    assert_eq!(collections(&app, &client).await, [("bolts".to_owned(), 1)]);
}

#[tokio::test]
async fn a_schema_waits_for_an_upload_that_may_take_its_place() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let _in_flight = app.reserve(&client.tenant, ("nuts", "product"), 1).await;

    let answer = put(&client, BOLTS, sizes()).await;

    assert_unavailable(&answer);
    assert!(collections(&app, &client).await.is_empty());
    assert_none(&client, BOLTS).await;
}

#[tokio::test]
async fn the_first_schema_completes_its_step_of_the_quickstart() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let completed = async || {
        let summary = app.app.summary(&client.tenant).await.expect("a summary");
        summary.checklist.completed_at(Step::DefineSchema)
    };
    assert_eq!(completed().await, None);
    let refused = put(&client, BOLTS, json!(true)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(completed().await, None);
    let first = app.app.clock.now();

    taken(&client, BOLTS, sizes()).await;

    assert_eq!(completed().await, Some(first));
    app.advance(TimeDelta::hours(1));
    taken(&client, BOLTS, json!({})).await;
    client.delete(BOLTS).await;
    taken(&client, BOLTS, json!({})).await;
    assert_eq!(completed().await, Some(first));
}

#[tokio::test]
async fn puts_at_once_all_succeed_with_a_version_each() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let puts = (0..10).map(|n| put_in_turn(&client, BOLTS, json!({"maxProperties": n})));
    let answers = join_all(puts).await;

    let mut versions: Vec<u64> = Vec::new();
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let version = answer.json()["version"].as_u64().unwrap();
        versions.push(version);
        let kept = found(&client, &format!("{BOLTS}?version={version}")).await;
        assert_eq!(kept["schema"], answer.json()["schema"]);
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=10).collect::<Vec<u64>>());
    assert_eq!(found(&client, BOLTS).await["version"], 10);
}

#[tokio::test]
async fn the_same_schema_by_many_at_once_is_one_version() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answers = join_all((0..10).map(|_| put_in_turn(&client, BOLTS, sizes()))).await;

    for answer in answers {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json()["version"], 1);
    }
}

#[tokio::test]
async fn what_is_no_schema_is_told_at_its_place_and_changes_nothing() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    taken(&client, BOLTS, sizes()).await;
    let before = app.dump().await;
    for (schema, place, kind) in [
        (json!(true), "body", "model_attributes_type"),
        (json!(null), "body", "model_attributes_type"),
        (json!([]), "body", "model_attributes_type"),
        (json!("{}"), "body", "model_attributes_type"),
        (json!({"type": "strnig"}), "body.type", "schema_invalid"),
        (
            json!({"properties": {"size": {"minimum": "1"}}}),
            "body.properties.size.minimum",
            "schema_invalid",
        ),
        (
            json!({"required": "size"}),
            "body.required",
            "schema_invalid",
        ),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "body.$schema",
            "schema_draft",
        ),
        (
            json!({"$ref": "https://example.com/schema.json"}),
            "body.$ref",
            "schema_ref",
        ),
        (
            json!({"properties": {"size": {"$ref": "file:///etc/passwd"}}}),
            "body.properties.size.$ref",
            "schema_ref",
        ),
        (json!({"$ref": "#/$defs/none"}), "body.$ref", "schema_ref"),
        (json!({"$ref": "#"}), "body", "schema_ref"),
        (
            json!({"properties": {"size": {"pattern": "(a)\\1"}}}),
            "body.properties.size.pattern",
            "schema_pattern",
        ),
        (
            json!({"description": "x".repeat(102_400)}),
            "body",
            "too_large",
        ),
    ] {
        let answer = put(&client, BOLTS, schema).await;
        let place: Vec<&str> = place.split('.').collect();
        assert_faults(&answer, &[(place.as_slice(), kind)]);
    }
    let listed = put(&client, BOLTS, json!({"allOf": [{}, {"type": 7}]})).await;
    let fault = &listed.json()["detail"][0];
    assert_eq!(fault["loc"], json!(["body", "allOf", 1, "type"]));
    assert_ne!(fault["msg"], "");
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({"not": deep});
    }
    assert_faults(&put(&client, BOLTS, deep).await, &[(&["body"], "too_deep")]);
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_body_that_is_absent_too_large_or_not_json_changes_nothing() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = client.call(Method::PUT, BOLTS, None).await;
    assert_faults(&answer, &[(&["body"], "missing")]);

    let huge = json!({"description": "x".repeat(1024 * 1024)});
    let answer = put(&client, BOLTS, huge).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);

    for (content_type, status) in [
        ("application/json", StatusCode::UNPROCESSABLE_ENTITY),
        ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let request = client
            .request(Method::PUT, BOLTS)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(r#"{"type": "object""#))
            .unwrap();
        assert_eq!(app.send(request).await.status, status);
    }
    assert_none(&client, BOLTS).await;
    assert!(collections(&app, &client).await.is_empty());
}

#[tokio::test]
async fn names_have_one_form() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let kind = "string_pattern_mismatch";
    let collection: (&[&str], &str) = (&["path", "collection"], kind);
    let record_type: (&[&str], &str) = (&["path", "record_type"], kind);
    for method in [Method::PUT, Method::GET, Method::DELETE] {
        let call = async |path: &str| {
            let body = (method == Method::PUT).then(sizes);
            let path = format!("{SCHEMAS}/{path}");
            client.call(method.clone(), &path, body).await
        };
        assert_faults(&call("-a/product").await, &[collection]);
        assert_faults(&call("bolts/a%20b").await, &[record_type]);
        assert_faults(&call("a%23b/_x").await, &[collection, record_type]);
    }
}

#[tokio::test]
async fn a_version_is_a_whole_number_from_1() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    taken(&client, BOLTS, sizes()).await;
    for (version, kind) in [
        ("0", "greater_than_equal"),
        ("-1", "greater_than_equal"),
        ("1.0", "int_parsing"),
        ("", "int_parsing"),
        ("last", "int_parsing"),
        ("99999999999999999999", "less_than_equal"),
    ] {
        let answer = client.get(&format!("{BOLTS}?version={version}")).await;
        assert_faults(&answer, &[(&["query", "version"], kind)]);
    }
    let answer = client.get(&format!("{BOLTS}?version=1&version=1")).await;
    assert_faults(&answer, &[(&["query", "version"], "value_error")]);
}

#[tokio::test]
async fn another_tenants_schema_is_as_unknown_as_any() {
    let app = TestApp::new(upload::router()).await;
    let owner = app.tenant(Plan::Free).await;
    let other = app.tenant(Plan::Free).await;
    let kept = taken(&owner, BOLTS, sizes()).await;

    for path in [BOLTS, "/portal/schemas/bolts/product?version=1"] {
        let unknown = path.replace("bolts", "nuts");
        let foreign = other.get(path).await;
        assert_refusal(&foreign, StatusCode::NOT_FOUND, NOT_FOUND);
        assert_indistinguishable(&foreign, &other.get(&unknown).await);
    }
    let foreign = other.delete(BOLTS).await;
    assert_refusal(&foreign, StatusCode::NOT_FOUND, NOT_FOUND);
    assert_eq!(found(&other, SCHEMAS).await, json!({"schemas": []}));

    // The same names are other things.
    let own = taken(&other, BOLTS, json!({})).await;
    assert_eq!(own["version"], 1);
    assert_eq!(found(&owner, BOLTS).await, kept);
    assert_eq!(found(&other, BOLTS).await, own);
}

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let kept = taken(&client, BOLTS, sizes()).await;
    let viewer = client.viewer();

    let put = put(&viewer, BOLTS, json!({})).await;
    let delete = viewer.delete(BOLTS).await;

    for answer in [put, delete] {
        assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
    }
    assert_eq!(found(&viewer, BOLTS).await, kept);
    assert_eq!(found(&viewer, SCHEMAS).await, json!({"schemas": [kept]}));
}

#[tokio::test]
async fn a_stranger_sees_nothing() {
    let app = TestApp::new(upload::router()).await;
    let stranger = app.stranger();

    for (method, path) in [
        (Method::PUT, BOLTS),
        (Method::GET, BOLTS),
        (Method::DELETE, BOLTS),
        (Method::GET, SCHEMAS),
    ] {
        let body = (method == Method::PUT).then(sizes);
        assert_unauthorized(&stranger.call(method, path, body).await);
    }
}

#[tokio::test]
async fn a_call_whose_reply_was_lost_is_answered_as_made() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    app.faults.inject("TransactWriteItems", Fault::Lost, 1);
    let made = taken(&client, BOLTS, sizes()).await;

    assert_eq!(made["version"], 1);
    app.faults.inject("TransactWriteItems", Fault::Lost, 1);
    let answer = client.delete(BOLTS).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_none(&client, BOLTS).await;
}

#[tokio::test]
async fn a_table_that_does_not_keep_up_is_a_503_and_changes_nothing() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    assert_none(&client, BOLTS).await;
    let before = app.dump().await;
    app.faults
        .inject("TransactWriteItems", Fault::Conflict, 100);

    let answer = put(&client, BOLTS, sizes()).await;

    assert_unavailable(&answer);
    assert_eq!(app.dump().await, before);
    let summary = app.app.summary(&client.tenant).await.unwrap();
    assert_eq!(summary.caps, Caps::default());
}

#[tokio::test]
async fn rows_are_checked_against_the_schema_and_each_violation_is_told() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let schema = json!({
        "properties": {"dims": {"items": {"properties": {"width": {"type": "number"}}}}},
        "required": ["dims"],
    });
    taken(&client, BOLTS, schema).await;
    let rows = json!([
        {"name": "Good", "dims": [{"width": 1}]},
        {"name": "Bad", "dims": [{"width": "1"}, {"width": 2}, {"width": null}]},
        {"name": "Bare"},
    ]);
    let form = Form::new().file("bolts.json", rows.to_string());

    let answer = client
        .upload("/portal/upload/bolts/product/upload", form)
        .await;

    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["summary"]["accepted"], 1);
    assert_eq!(body["summary"]["rejected"], 2);
    let errors: Vec<(u64, Value)> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            assert_eq!(error["error_type"], "schema_violation", "{error}");
            (error["row"].as_u64().unwrap(), error["field"].clone())
        })
        .collect();
    assert_eq!(
        errors,
        [
            (2, json!("/dims/0/width")),
            (2, json!("/dims/2/width")),
            (3, Value::Null)
        ]
    );
    // Another record type has no schema.
    let form = Form::new().file("bolts.json", json!([{"name": "Free"}]).to_string());
    let answer = client
        .upload("/portal/upload/bolts/other/upload", form)
        .await;
    assert_eq!(answer.json()["summary"]["accepted"], 1, "{}", answer.text);
}
