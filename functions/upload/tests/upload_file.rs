//! `POST /portal/upload/{collection}/{record_type}/upload`: the answer, who may call, and where
//! the rows go.

mod common;

use auth::Role;
use axum::http::StatusCode;
use chrono::TimeDelta;
use common::{PATH, assert_untouched, post_file, recounted, taken};
use model::id::{RecordType, TenantId, UploadId};
use model::plan::Plan;
use model::quickstart::Step;
use model::record::{Record, SourceType, Visibility};
use model::time::Moment;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Answer, Form, NOW, TestApp, assert_faults, assert_unauthorized};

const BAD_COLLECTION: (&[&str], &str) = (&["path", "collection"], "string_pattern_mismatch");
const BAD_RECORD_TYPE: (&[&str], &str) = (&["path", "record_type"], "string_pattern_mismatch");

fn upload_id(answer: &Answer) -> UploadId {
    let body = answer.json();
    let id = body["upload_id"].as_str().expect("an id");
    id.parse().expect("a UUID")
}

async fn first_upload_at(app: &TestApp, tenant: &TenantId) -> Option<Moment> {
    let summary = app.app.summary(tenant).await.expect("a summary");
    summary.checklist.completed_at(Step::UploadData)
}

#[tokio::test]
async fn the_answer_says_what_became_of_every_row() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = "source_id,name,price\nb-1,Bolt,1.5\nb-2,,2\nb-3,Nut,2\nb-1,Bolt M8,1.6\n";

    let answer = post_file(&client, "catalog.csv", file).await;

    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    let took = &body["metadata"]["processing_time_ms"];
    assert!(took.as_f64().is_some_and(|took| took >= 0.0), "{took}");
    assert_eq!(
        body,
        json!({
            "upload_id": upload_id(&answer).to_string(),
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
                "file_hash": format!("sha256:{}", hex::encode(Sha256::digest(file))),
                "reconciliation_passed": true,
                "pipeline_backpressure": false,
                "encoding": "utf-8",
                "delimiter": ",",
            },
        })
    );
}

#[tokio::test]
async fn the_hash_is_of_the_bytes_that_were_sent() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = b"\xef\xbb\xbfname;farbe\r\nT\xc3\xbcr;gr\xc3\xbcn\r\n";

    let answer = post_file(&client, "catalog.csv", file).await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    let expected = format!("sha256:{}", hex::encode(Sha256::digest(file)));
    assert_eq!(answer.json()["metadata"]["file_hash"], json!(expected));
}

#[tokio::test]
async fn a_record_holds_what_its_row_says() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = json!([{
        "name": " Bolt ",
        "description": "steel",
        "source_id": "b-1",
        "visibility": "public",
        "price": 12.50,
        "gone": null,
        "collection_data": {"sku": "B1"},
        "data": {"tags": ["a", {"b": true}]},
    }]);
    let form = Form::new()
        .file("catalog.json", file.to_string())
        .text("source_name", "ERP");

    let answer = client.upload(PATH, form).await;

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
        source_type: SourceType::FileUpload,
        source_name: Some("ERP".to_owned()),
        source_id: Some("b-1".to_owned()),
        created_at: now,
        updated_at: now,
        version: 1,
        upload: upload_id(&answer),
        row: 1,
    };
    assert_eq!(records, [expected]);
}

#[tokio::test]
async fn a_record_is_private_unless_its_row_says_public() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = client.upload_csv("parts", "name,price\nBolt,1\n").await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].visibility, Visibility::Private);
    assert_eq!(records[0].source_name, None);
    assert_eq!(records[0].source_id, None);
}

#[tokio::test]
async fn the_first_accepted_row_completes_the_quickstart_step_for_good() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let start: Moment = NOW.parse().unwrap();

    let rejected = post_file(&client, "a.csv", "name,price\n,1\n").await;
    assert_eq!(taken(&rejected), [1, 0, 1, 0]);
    assert_eq!(first_upload_at(&app, &client.tenant).await, None);

    app.advance(TimeDelta::hours(1));
    let accepted = post_file(&client, "a.csv", "name,price\nBolt,1\n").await;
    assert_eq!(taken(&accepted), [1, 1, 0, 0]);
    let stamped = Some(start + TimeDelta::hours(1));
    assert_eq!(first_upload_at(&app, &client.tenant).await, stamped);

    app.advance(TimeDelta::hours(1));
    let more = post_file(&client, "a.csv", "name,price\nNut,1\n").await;
    assert_eq!(taken(&more), [1, 1, 0, 0]);
    assert_eq!(first_upload_at(&app, &client.tenant).await, stamped);
}

#[tokio::test]
async fn a_file_of_rejected_rows_only_fails_and_makes_no_collection() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = post_file(&client, "a.csv", "name,price\n,1\n,2\n").await;

    assert_eq!(taken(&answer), [2, 0, 2, 0]);
    let body = answer.json();
    assert_eq!(body["status"], json!("failed"));
    assert_eq!(body["metadata"]["reconciliation_passed"], json!(true));
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_file_without_rows_is_complete_and_makes_no_collection() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for (name, content) in [
        ("a.csv", "name,price\n"),
        ("a.json", "[]"),
        ("a.json", r#"{"records": []}"#),
    ] {
        let answer = post_file(&client, name, content).await;

        assert_eq!(taken(&answer), [0, 0, 0, 0], "{content}");
        assert_eq!(answer.json()["status"], json!("complete"), "{content}");
        assert_eq!(answer.json()["errors"], json!([]), "{content}");
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_collection_knows_the_record_types_that_were_uploaded_to_it() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for record_type in ["product", "service", "product"] {
        let path = format!("/portal/upload/parts/{record_type}/upload");
        let form = Form::new().file("a.csv", "name,price\nBolt,1\n");
        let answer = client.upload(&path, form).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }
    let summary = app.app.summary(&client.tenant).await.unwrap();
    let (collection, counts) = &summary.collections[0];
    let types: Vec<&str> = collection
        .record_types
        .iter()
        .map(RecordType::as_str)
        .collect();
    assert_eq!(types, ["product", "service"]);
    // The same content in another type is another record.
    assert_eq!(counts.total, 2);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 2);
}

#[tokio::test]
async fn names_that_cannot_be_are_each_named() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let long = format!("{0}/{0}", "x".repeat(65));
    for (names, faults) in [
        ("-parts/_product", &[BAD_COLLECTION, BAD_RECORD_TYPE][..]),
        (long.as_str(), &[BAD_COLLECTION, BAD_RECORD_TYPE][..]),
        ("%2E%2E/%2E%2E", &[BAD_COLLECTION, BAD_RECORD_TYPE][..]),
        (".parts/product", &[BAD_COLLECTION][..]),
        ("a%2Fb/product", &[BAD_COLLECTION][..]),
        ("a%23KEY%23b/product", &[BAD_COLLECTION][..]),
        ("%C3%A9t%C3%A9/product", &[BAD_COLLECTION][..]),
        ("parts/a%20b", &[BAD_RECORD_TYPE][..]),
        ("parts/a%00", &[BAD_RECORD_TYPE][..]),
    ] {
        let path = format!("/portal/upload/{names}/upload");
        let form = Form::new().file("a.csv", "name,price\nBolt,1\n");

        let answer = client.upload(&path, form).await;

        assert_faults(&answer, faults);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn the_longest_and_oddest_good_names_are_taken() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let long = "x".repeat(64);
    for name in ["9", "Fasteners_2026.v1-x", long.as_str()] {
        let path = format!("/portal/upload/{name}/{name}/upload");
        let form = Form::new().file("a.csv", "name,price\nBolt,1\n");
        assert_eq!(taken(&client.upload(&path, form).await), [1, 1, 0, 0]);
    }
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records.len(), 3);
}

#[tokio::test]
async fn a_viewer_uploads_nothing() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;

    let answer = post_file(&client.viewer(), "a.csv", "name,price\nBolt,1\n").await;

    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json(), json!({"detail": "Insufficient permissions"}));
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_stranger_uploads_nothing() {
    let app = TestApp::new(upload::router()).await;

    let answer = post_file(&app.stranger(), "a.csv", "name,price\nBolt,1\n").await;

    assert_unauthorized(&answer);
}

#[tokio::test]
async fn a_tenant_that_never_called_can_upload_at_once() {
    let app = TestApp::new(upload::router()).await;
    let client = app.client("t_new", Role::Member);

    let answer = post_file(&client, "a.csv", "name,price\nBolt,1\n").await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    let summary = app.app.summary(&client.tenant).await.unwrap();
    assert_eq!(summary.plan(&client.tenant).unwrap(), Plan::Free);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}

#[tokio::test]
async fn the_same_file_of_two_tenants_makes_records_of_their_own() {
    let app = TestApp::new(upload::router()).await;
    let (left, right) = (app.tenant(Plan::Free).await, app.tenant(Plan::Free).await);
    let file = "source_id,name\n1,Bolt\n2,Nut\n";

    assert_eq!(taken(&post_file(&left, "a.csv", file).await), [2, 2, 0, 0]);
    assert_untouched(&app, &right.tenant).await;
    assert_eq!(taken(&post_file(&right, "a.csv", file).await), [2, 2, 0, 0]);

    let (of_left, of_right) = (
        recounted(&app, &left.tenant).await,
        recounted(&app, &right.tenant).await,
    );
    let names = |records: &[Record]| -> Vec<String> {
        records.iter().map(|record| record.name.clone()).collect()
    };
    assert_eq!(names(&of_left), names(&of_right));
    assert!(
        of_left
            .iter()
            .all(|left| of_right.iter().all(|right| left.id != right.id))
    );
}

#[tokio::test]
async fn fields_that_look_like_the_servers_own_are_data() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = "name,id,tenant_id,PK,pk,version,__proto__\nBolt,x,t_other,y,z,99,w\n";

    let answer = post_file(&client, "a.csv", file).await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(
        Value::Object(records[0].data.clone()),
        json!({
            "id": "x", "tenant_id": "t_other", "PK": "y", "pk": "z", "version": 99,
            "__proto__": "w",
        })
    );
    assert_eq!(records[0].version, 1);
}
