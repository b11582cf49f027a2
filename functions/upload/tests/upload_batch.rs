//! `POST /upload/{collection}/{record_type}/batch` and `POST /ingest/batch/{collection}/{record_type}`:
//! the answer, what a batch has to be, and that its records are those of a file with the same rows.

mod common;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use common::{assert_untouched, post_file, recounted, taken};
use model::collection::{Collection, CollectionPatch};
use model::id::TenantId;
use model::key::Scope;
use model::plan::Plan;
use model::record::{Record, SourceType, Visibility};
use model::time::Moment;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Answer, Client, NOW, TestApp, assert_bad_key, assert_faults, assert_refusal};

const BATCH: &str = "/upload/parts/product/batch";

/// The same by its other name.
const INGEST: &str = "/ingest/batch/parts/product";

const MB: usize = 1024 * 1024;

/// Somebody with a key of a new tenant that may upload.
async fn uploader(app: &TestApp, plan: Plan) -> Client<'_> {
    let tenant = app.tenant(plan).await.tenant;
    app.with_key(&tenant, &[Scope::Upload]).await
}

/// Sends a body as it is.
async fn send(
    app: &TestApp,
    client: &Client<'_>,
    content_type: Option<&str>,
    body: impl Into<Body>,
) -> Answer {
    let request = client.request(Method::POST, BATCH);
    let request = match content_type {
        Some(content_type) => request.header(header::CONTENT_TYPE, content_type),
        None => request,
    };
    app.send(request.body(body.into()).expect("a request"))
        .await
}

/// So many parts, each known by its content.
fn parts(count: u32) -> Value {
    let part = |n| json!({"name": format!("Part {n:04}"), "n": n});
    (0..count).map(part).collect()
}

async fn collection(app: &TestApp, tenant: &TenantId) -> Collection {
    let name = "parts".parse().expect("a collection");
    let found = app.app.table.find_collection(tenant, &name).await;
    found.expect("an answer").expect("a collection")
}

fn upload_id(answer: &Answer) -> String {
    let body = answer.json();
    body["upload_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_answer_says_what_became_of_every_record() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    let rows = json!([
        {"source_id": "b-1", "name": "Bolt", "price": 1.5},
        {"source_id": "b-2", "price": 2},
        {"source_id": "b-3", "name": "Nut", "price": 2},
        {"source_id": "b-1", "name": "Bolt M8", "price": 1.6},
    ]);

    let answer = client.post(BATCH, rows.clone()).await;

    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let body = answer.json();
    let took = &body["metadata"]["processing_time_ms"];
    assert!(took.as_f64().is_some_and(|took| took >= 0.0), "{took}");
    let hash = hex::encode(Sha256::digest(rows.to_string()));
    assert_eq!(
        body,
        json!({
            "upload_id": upload_id(&answer),
            "status": "complete",
            "summary": {"submitted": 4, "accepted": 2, "rejected": 1, "dedup_skipped": 1},
            "errors": [{
                "row": 2,
                "field": "name",
                "error_type": "missing",
                "message": "Field required",
            }],
            "metadata": {
                "processing_time_ms": took,
                "file_hash": format!("sha256:{hash}"),
                "reconciliation_passed": true,
                "pipeline_backpressure": false,
                "encoding": "utf-8",
                "delimiter": null,
            },
        })
    );
}

#[tokio::test]
async fn a_record_holds_what_the_batch_says_and_that_it_came_by_the_api() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    let rows = json!([{
        "name": " Bolt ",
        "description": "steel",
        "source_id": "b-1",
        "visibility": "public",
        "price": 12.50,
        "gone": null,
        "collection_data": {"sku": "B1"},
        "data": {"tags": ["a", {"b": true}]},
    }]);

    let answer = client.post(BATCH, rows).await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    let now: Moment = NOW.parse().unwrap();
    let data = json!({"price": 12.5, "sku": "B1", "tags": ["a", {"b": true}]});
    let records = recounted(&app, &client.tenant).await;
    let expected = Record {
        id: records[0].id,
        collection: "parts".parse().unwrap(),
        record_type: "product".parse().unwrap(),
        name: "Bolt".to_owned(),
        description: Some("steel".to_owned()),
        data: data.as_object().cloned().unwrap(),
        visibility: Visibility::Public,
        source_type: SourceType::Api,
        source_name: None,
        source_id: Some("b-1".to_owned()),
        created_at: now,
        updated_at: now,
        version: 1,
        upload: upload_id(&answer).parse().unwrap(),
        row: 1,
    };
    assert_eq!(records, [expected]);
}

#[tokio::test]
async fn either_path_takes_a_list_and_an_object_that_has_one() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    for (path, body, expected) in [
        (BATCH, parts(2), [2, 2, 0, 0]),
        (INGEST, parts(2), [2, 0, 0, 2]),
        (INGEST, json!({"records": parts(3)}), [3, 1, 0, 2]),
        (BATCH, json!({"records": parts(3)}), [3, 0, 0, 3]),
    ] {
        let answer = client.post(path, body).await;
        assert_eq!(taken(&answer), expected, "{path}");
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 3);
}

#[tokio::test]
async fn the_same_rows_have_the_same_hash_in_a_list_and_in_an_object() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;

    let bare = client.post(BATCH, parts(2)).await.json();
    let named = client.post(BATCH, json!({"records": parts(2)})).await;

    let hash = hex::encode(Sha256::digest(parts(2).to_string()));
    let hash = json!(format!("sha256:{hash}"));
    assert_eq!(bare["metadata"]["file_hash"], hash);
    assert_eq!(named.json()["metadata"]["file_hash"], hash);
}

#[tokio::test]
async fn what_else_is_in_the_object_is_ignored_however_long_it_is() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    let filling = "x".repeat(3 * MB / 2);
    let body = format!(
        r#"{{"a": ["{filling}"], "tenant_id": "t", "records": [{{"name": "Bolt"}}], "z": {{"records": 1}}}}"#
    );

    let answer = send(&app, &client, Some("application/json"), body).await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].name, "Bolt");
    assert!(records[0].data.is_empty());
}

#[tokio::test]
async fn the_same_batch_again_changes_nothing() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    assert_eq!(taken(&client.post(BATCH, parts(5)).await), [5, 5, 0, 0]);
    let before = recounted(&app, &client.tenant).await;

    let answer = client.post(BATCH, parts(5)).await;

    assert_eq!(taken(&answer), [5, 0, 0, 5]);
    assert_eq!(recounted(&app, &client.tenant).await, before);
}

#[tokio::test]
async fn a_batch_knows_the_records_of_a_file_with_the_same_rows() {
    let app = TestApp::new(upload::router()).await;
    let portal = app.tenant(Plan::Free).await;
    let client = app.with_key(&portal.tenant, &[Scope::Upload]).await;
    let filed = post_file(&portal, "parts.json", parts(3).to_string()).await;
    assert_eq!(taken(&filed), [3, 3, 0, 0]);
    let before = recounted(&app, &client.tenant).await;

    let answer = client.post(BATCH, parts(4)).await;

    assert_eq!(taken(&answer), [4, 1, 0, 3]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[..3], before);
    assert_eq!(records[0].source_type, SourceType::FileUpload);
    assert_eq!(records[3].source_type, SourceType::Api);
}

#[tokio::test]
async fn a_new_record_that_says_nothing_is_as_visible_as_its_collection_says() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    assert_eq!(taken(&client.post(BATCH, parts(1)).await), [1, 1, 0, 0]);
    let patch = CollectionPatch {
        default_visibility: Some(Visibility::Public),
        ..CollectionPatch::default()
    };
    let name = collection(&app, &client.tenant).await.name;
    let table = &app.app.table;
    let changed = table.update_collection(&client.tenant, &name, &patch);
    assert!(changed.await.unwrap().is_some());

    let rows = json!([
        {"name": "Part 0000", "n": 0},
        {"name": "Part 0001"},
        {"name": "Part 0002", "visibility": "private"},
    ]);
    let answer = client.post(BATCH, rows).await;

    assert_eq!(taken(&answer), [3, 2, 0, 1]);
    let records = recounted(&app, &client.tenant).await;
    let visibilities: Vec<Visibility> = records.iter().map(|record| record.visibility).collect();
    assert_eq!(
        visibilities,
        [Visibility::Private, Visibility::Public, Visibility::Private]
    );
}

#[tokio::test]
async fn a_collection_is_listed_with_its_first_public_record() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    let row =
        |visibility: &str| json!([{"source_id": 1, "name": "Bolt", "visibility": visibility}]);
    for (visibility, listed) in [("private", false), ("public", true), ("private", true)] {
        let answer = client.post(BATCH, row(visibility)).await;
        assert_eq!(taken(&answer), [1, 1, 0, 0]);
        let found = collection(&app, &client.tenant).await;
        assert_eq!(found.listed, listed, "{visibility}");
    }
}

#[tokio::test]
async fn a_bad_record_is_rejected_alone() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    let rows = [
        ("null", "model_attributes_type"),
        ("7", "model_attributes_type"),
        (r#"{"n": 1}"#, "missing"),
        (r#"{"name": "a", "name": "b"}"#, "json_invalid"),
        (r#"{"name": "a", "n": 1e400}"#, "json_invalid"),
        (r#"{"name": "\ud800"}"#, "json_invalid"),
        (r#"{"name": "a", "visibility": "secret"}"#, "enum"),
    ];
    let texts: Vec<&str> = rows.iter().map(|(text, _)| *text).collect();
    let body = format!(r#"[{}, {{"name": "Bolt"}}]"#, texts.join(", "));

    let answer = send(&app, &client, Some("application/json"), body).await;

    assert_eq!(taken(&answer), [8, 1, 7, 0]);
    let body = answer.json();
    let errors = body["errors"].as_array().expect("a list");
    let found: Vec<(u64, &str)> = errors
        .iter()
        .map(|error| {
            let kind = error["error_type"].as_str().expect("a type");
            (error["row"].as_u64().expect("a number"), kind)
        })
        .collect();
    let expected: Vec<(u64, &str)> = (1..).zip(rows.map(|(_, kind)| kind)).collect();
    assert_eq!(found, expected);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].name.as_str(), records[0].row), ("Bolt", 8));
}

#[tokio::test]
async fn a_record_that_the_schema_refuses_is_rejected_alone() {
    let app = TestApp::new(upload::router()).await;
    let portal = app.tenant(Plan::Free).await;
    let client = app.with_key(&portal.tenant, &[Scope::Upload]).await;
    let schema = json!({"type": "object", "required": ["n"]});
    let put = portal.put("/portal/schemas/parts/product", schema).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);

    let rows = json!([{"name": "Bolt", "n": 1}, {"name": "Nut"}]);
    let answer = client.post(BATCH, rows).await;

    assert_eq!(taken(&answer), [2, 1, 1, 0]);
    assert_eq!(answer.json()["errors"][0]["row"], json!(2));
    let records = recounted(&app, &portal.tenant).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].name, "Bolt");
}

#[tokio::test]
async fn a_batch_without_a_good_record_fails_and_makes_no_collection() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;

    let answer = client.post(BATCH, json!([{}, {"n": 1}])).await;

    assert_eq!(taken(&answer), [2, 0, 2, 0]);
    assert_eq!(answer.json()["status"], json!("failed"));
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_batch_of_nothing_is_complete_and_makes_no_collection() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    for body in [json!([]), json!({"records": []})] {
        let answer = client.post(BATCH, body).await;

        assert_eq!(taken(&answer), [0, 0, 0, 0]);
        assert_eq!(answer.json()["status"], json!("complete"));
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn five_thousand_records_are_taken_and_one_more_is_not() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Pro).await;
    for body in [parts(5_001), json!({"records": parts(5_001)})] {
        let answer = client.post(BATCH, body).await;
        let why = "A batch has at most 5000 records; send more as a file";
        assert_refusal(&answer, StatusCode::PAYLOAD_TOO_LARGE, why);
    }
    assert_untouched(&app, &client.tenant).await;

    let answer = client.post(BATCH, parts(5_000)).await;

    assert_eq!(taken(&answer), [5_000, 5_000, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 5_000);
}

#[tokio::test]
async fn ten_megabytes_are_taken_and_a_byte_more_is_not() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    let row = r#"{"name": "Bolt"}"#;
    let blank = |bytes: usize| format!("[{}{row}]", " ".repeat(bytes - row.len() - 2));

    let answer = send(&app, &client, None, blank(10 * MB + 1)).await;
    let why = "A JSON body has at most 10 MB";
    assert_refusal(&answer, StatusCode::PAYLOAD_TOO_LARGE, why);
    assert_untouched(&app, &client.tenant).await;

    let answer = send(&app, &client, None, blank(10 * MB)).await;
    assert_eq!(taken(&answer), [1, 1, 0, 0]);
}

#[tokio::test]
async fn what_is_no_list_of_records_is_refused_as_a_whole() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    let (whole, member): (&[&str], &[&str]) = (&["body"], &["body", "records"]);
    let bodies: [(&[u8], &[&str], &str); 16] = [
        (b"", whole, "missing"),
        (b"7", whole, "list_type"),
        (b"null", whole, "list_type"),
        (br#""text""#, whole, "list_type"),
        (b"{}", member, "missing"),
        (br#"{"name": "Bolt"}"#, member, "missing"),
        (br#"{"records": null}"#, member, "missing"),
        (br#"{"records": {"name": "Bolt"}}"#, member, "list_type"),
        (br#"{"records": [], "records": []}"#, whole, "json_invalid"),
        (br#"[{"name": "Bolt"},]"#, whole, "json_invalid"),
        (br#"[{"name": "Bolt"}"#, whole, "json_invalid"),
        (br#"[{"name": "Bolt"}] []"#, whole, "json_invalid"),
        (
            b"{\"name\": \"a\"}\n{\"name\": \"b\"}",
            whole,
            "json_invalid",
        ),
        (b"\xef\xbb\xbf[]", whole, "json_invalid"),
        (b"[{\"name\": \"\xe4\"}]", whole, "json_invalid"),
        (b"name,n\nBolt,1\n", whole, "json_invalid"),
    ];
    for (body, place, kind) in bodies {
        let answer = send(&app, &client, None, body).await;
        assert_faults(&answer, &[(place, kind)]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    for content_type in ["text/csv", "multipart/form-data; boundary=b", "text/plain"] {
        let answer = send(&app, &client, Some(content_type), parts(1).to_string()).await;
        let why = "The body has to be application/json in UTF-8";
        assert_refusal(&answer, StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn names_that_cannot_be_are_each_named() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;
    let faults: &[(&[&str], &str)] = &[
        (&["path", "collection"], "string_pattern_mismatch"),
        (&["path", "record_type"], "string_pattern_mismatch"),
    ];
    for path in [
        "/upload/-parts/_product/batch",
        "/ingest/batch/-parts/_product",
    ] {
        assert_faults(&client.post(path, parts(1)).await, faults);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_batch_that_the_plan_has_no_room_for_writes_nothing() {
    let app = TestApp::new(upload::router()).await;
    let client = uploader(&app, Plan::Free).await;

    let answer = client.post(BATCH, parts(51)).await;

    let why = "The upload would pass the 50 records of the free plan";
    assert_refusal(&answer, StatusCode::PAYMENT_REQUIRED, why);
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_key_that_may_not_upload_and_a_token_upload_nothing() {
    let app = TestApp::new(upload::router()).await;
    let portal = app.tenant(Plan::Free).await;
    let searcher = app.with_key(&portal.tenant, &[Scope::Search]).await;
    for path in [BATCH, INGEST] {
        let narrow = searcher.post(path, parts(1)).await;
        assert_refusal(&narrow, StatusCode::FORBIDDEN, "Insufficient permissions");
        assert_bad_key(&portal.post(path, parts(1)).await);
    }
    assert_untouched(&app, &portal.tenant).await;
}
