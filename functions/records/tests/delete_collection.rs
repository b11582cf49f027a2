//! `DELETE /portal/collections/{name}`: a collection and all that is of it are gone at once, its name
//! is free, and nothing of it is left in the end.

use axum::http::StatusCode;
use indexing::RETIRED_FOR;
use model::id::TenantId;
use model::plan::Plan;
use serde_json::{Value, json};
use table::schema::{NewSchema, Put};
use testkit::{
    Answer, Client, TestApp, assert_faults, assert_indistinguishable, assert_refusal,
    assert_unauthorized, items,
};

const PARTS: &str = "/portal/collections/parts";

const COLLECTIONS: &str = "/portal/collections";

fn row(name: &str) -> Value {
    json!({"name": name})
}

/// A tenant's collection of three records.
async fn filled(app: &TestApp, plan: Plan) -> Client<'_> {
    let client = app.tenant(plan).await;
    let rows = [row("Bolt"), row("Nut"), row("Washer")];
    app.add(&client.tenant, ("parts", "product"), &rows).await;
    client
}

#[track_caller]
fn assert_deleted(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    assert_eq!(answer.text, "");
}

#[track_caller]
fn assert_missing(answer: &Answer) {
    assert_refusal(answer, StatusCode::NOT_FOUND, "Collection not found");
}

async fn put_schema(app: &TestApp, tenant: &TenantId) -> u64 {
    let (table, now) = (&app.app.table, app.app.clock.now());
    let summary = app.app.summary(tenant).await.expect("a summary");
    let new = NewSchema {
        collection: &"parts".parse().expect("a collection"),
        record_type: &"product".parse().expect("a record type"),
        schema: &json!({"type": "object"}),
        at: now,
        format: search::FORMAT,
    };
    let limits = Plan::Pro.limits();
    let put = table.put_schema(tenant, &summary, limits, &new).await;
    match put.expect("an outcome") {
        Put::Yes(schema) => schema.version,
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn a_deleted_collection_is_gone_for_every_reader_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = filled(&app, Plan::Pro).await;

    assert_deleted(&client.delete(PARTS).await);

    let listed = client.get(COLLECTIONS).await;
    assert_eq!(listed.status, StatusCode::OK);
    assert_eq!(
        listed.json(),
        json!({"collections": [], "plan": "pro", "record_limit": 100_000, "total_records": 0})
    );
    assert_missing(&client.get("/portal/records?collection=parts").await);
    let search = "/portal/search/parts";
    assert_missing(&client.post(search, json!({"query": "bolt"})).await);
    assert_missing(&client.delete(PARTS).await);
}

#[tokio::test]
async fn its_name_is_free_at_once_for_records_of_their_own() {
    let app = TestApp::new(records::router()).await;
    // The plan has room for one collection.
    let client = filled(&app, Plan::Free).await;
    assert_deleted(&client.delete(PARTS).await);

    let rows = [row("Bolt"), row("Screw")];
    app.add(&client.tenant, ("parts", "product"), &rows).await;

    let listed = client.get("/portal/records?collection=parts").await;
    assert_eq!(listed.status, StatusCode::OK);
    let body = listed.json();
    assert_eq!(body["total"], 2);
    let items = body["items"].as_array().expect("a list");
    let mut names: Vec<&str> = items
        .iter()
        .map(|item| item["name"].as_str().expect("a name"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["Bolt", "Screw"]);
    assert_eq!(client.get(COLLECTIONS).await.json()["total_records"], 2);
}

#[tokio::test]
async fn its_room_is_free_at_once_for_a_collection_of_another_name() {
    let app = TestApp::new(records::router()).await;
    let client = filled(&app, Plan::Free).await;
    app.reserve(&client.tenant, ("parts", "product"), 40).await;

    assert_deleted(&client.delete(PARTS).await);

    let rows: Vec<Value> = (0..50).map(|n| row(&format!("Inn {n}"))).collect();
    app.add(&client.tenant, ("hotels", "hotel"), &rows).await;
    assert_eq!(client.get(COLLECTIONS).await.json()["total_records"], 50);
}

#[tokio::test]
async fn its_schemas_go_with_it() {
    let app = TestApp::new(records::router()).await;
    let client = filled(&app, Plan::Pro).await;
    let tenant = &client.tenant;
    assert_eq!(put_schema(&app, tenant).await, 1);

    assert_deleted(&client.delete(PARTS).await);

    let schemas = app.app.table.list_schemas(tenant, None, usize::MAX).await;
    assert_eq!(schemas.expect("a list"), []);
    for item in items(&app.endpoint).await {
        let pk = item["pk"].as_s().expect("text");
        assert!(!pk.contains("#SCHEMA"), "{pk}");
    }
    assert_eq!(put_schema(&app, tenant).await, 1);
}

#[tokio::test]
async fn nothing_of_it_is_left_in_the_end() {
    let app = TestApp::new(records::router()).await;
    let client = filled(&app, Plan::Pro).await;
    put_schema(&app, &client.tenant).await;
    assert_deleted(&client.delete(PARTS).await);

    app.advance(RETIRED_FOR);
    let indexes = app.app.indexes().expect("indexes");
    let parts = "parts".parse().expect("a collection");
    let erased = indexes.erase(&client.tenant, &parts).await;

    assert!(erased.expect("an answer"));
    assert!(app.store.list("").await.expect("a list").is_empty());
    for item in items(&app.endpoint).await {
        let text = |name: &str| item[name].as_s().expect("text");
        let (pk, sk) = (text("pk"), text("sk"));
        assert!(
            ["#SUMMARY", "#USERS", "#LIMIT"]
                .iter()
                .any(|kind| pk.ends_with(kind)),
            "{pk} {sk}"
        );
        assert!(
            !sk.starts_with("COLL#") && !sk.starts_with("COUNT#"),
            "{sk}"
        );
    }
}

#[tokio::test]
async fn what_a_crash_left_of_an_upload_is_deleted_with_the_collection_that_it_makes() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let upload = app.reserve(&client.tenant, ("parts", "product"), 1).await;
    upload.write([row("Bolt")]).await;
    assert_missing(&client.delete(PARTS).await);

    app.travel("2026-03-08T12:15:00Z");

    assert_deleted(&client.delete(PARTS).await);
    assert_eq!(client.get(COLLECTIONS).await.json()["total_records"], 0);
}

#[tokio::test]
async fn other_collections_and_other_tenants_keep_theirs() {
    let app = TestApp::new(records::router()).await;
    let (client, other) = (filled(&app, Plan::Pro).await, filled(&app, Plan::Pro).await);
    let inn = [row("Inn")];
    app.add(&client.tenant, ("parts-2", "hotel"), &inn).await;

    assert_deleted(&client.delete(PARTS).await);

    assert_eq!(client.get(COLLECTIONS).await.json()["total_records"], 1);
    assert_eq!(other.get(COLLECTIONS).await.json()["total_records"], 3);
}

#[tokio::test]
async fn another_tenants_collection_is_as_one_that_does_not_exist() {
    let app = TestApp::new(records::router()).await;
    let owner = filled(&app, Plan::Pro).await;
    let other = app.tenant(Plan::Pro).await;

    let theirs = other.delete(PARTS).await;

    assert_missing(&theirs);
    assert_indistinguishable(&theirs, &other.delete("/portal/collections/nuts").await);
    assert_eq!(owner.get(COLLECTIONS).await.json()["total_records"], 3);
}

#[tokio::test]
async fn a_name_that_is_none_is_a_fault_of_the_path() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;

    let answer = client.delete("/portal/collections/-").await;

    let fault = "string_pattern_mismatch";
    assert_faults(&answer, &[(&["path", "name"], fault)]);
}

#[tokio::test]
async fn a_viewer_and_a_stranger_delete_nothing() {
    let app = TestApp::new(records::router()).await;
    let client = filled(&app, Plan::Pro).await;

    let viewers = client.viewer().delete(PARTS).await;
    let strangers = app.stranger().delete(PARTS).await;

    assert_refusal(&viewers, StatusCode::FORBIDDEN, "Insufficient permissions");
    assert_unauthorized(&strangers);
    assert_eq!(client.get(COLLECTIONS).await.json()["total_records"], 3);
}
