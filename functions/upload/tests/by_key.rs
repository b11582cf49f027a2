//! The main API's paths of what the portal has too: a file in, and how far an upload is.

#[expect(dead_code, reason = "other tests need more of it")]
mod common;

use axum::http::StatusCode;
use common::{recounted, taken};
use model::key::Scope;
use model::plan::Plan;
use model::record::SourceType;
use serde_json::{Value, json};
use testkit::{Answer, Form, TestApp, assert_indistinguishable, assert_refusal};

const BATCH: &str = "/upload/parts/product/batch";

fn id_of(answer: &Answer) -> String {
    let body = answer.json();
    body["upload_id"].as_str().expect("an id").to_owned()
}

fn parts() -> Value {
    json!([{"name": "Bolt"}, {"n": 2}, {"name": "Bolt"}])
}

#[tokio::test]
async fn every_path_takes_the_file_that_the_portal_takes() {
    let app = TestApp::new(upload::router()).await;
    let portal = app.tenant(Plan::Free).await;
    let client = app.with_key(&portal.tenant, &[Scope::Upload]).await;
    for (path, expected) in [
        ("/upload/parts/product/upload", [2, 2, 0, 0]),
        ("/upload/parts/product/file", [2, 0, 0, 2]),
        ("/ingest/upload/parts/product", [2, 0, 0, 2]),
    ] {
        let form = Form::new().file("a.csv", "name,price\nBolt,1\nNut,2\n");
        assert_eq!(taken(&client.upload(path, form).await), expected, "{path}");
    }
    let records = recounted(&app, &portal.tenant).await;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].source_type, SourceType::FileUpload);
}

#[tokio::test]
async fn an_upload_is_shown_to_a_key_as_to_the_portal() {
    let app = TestApp::new(upload::router()).await;
    let portal = app.tenant(Plan::Free).await;
    let client = app.with_key(&portal.tenant, &[Scope::Upload]).await;
    let answer = client.post(BATCH, parts()).await;
    assert_eq!(taken(&answer), [3, 1, 1, 1]);
    let id = id_of(&answer);

    let shown = client.get(&format!("/uploads/{id}")).await;

    assert_eq!(shown.status, StatusCode::OK);
    let bytes = parts().to_string().len();
    assert_eq!(
        shown.json(),
        json!({
            "upload_id": id,
            "status": "complete",
            "collection": "parts",
            "record_type": "product",
            "file_name": "batch.json",
            "source_name": null,
            "summary": {"submitted": 3, "accepted": 1, "rejected": 1, "dedup_skipped": 1},
            "progress": {
                "rows": 3, "total_rows": 3, "accepted": 1, "rejected": 1,
                "bytes": bytes, "total_bytes": bytes,
            },
            "metadata": {
                "file_hash": answer.json()["metadata"]["file_hash"],
                "format": "json",
                "encoding": "utf-8",
                "delimiter": null,
                "processing_time_ms": 0,
                "errors": 1,
            },
            "detail": null,
            "created_at": testkit::NOW,
            "started_at": testkit::NOW,
            "finished_at": testkit::NOW,
            "expires_at": null,
        })
    );
    let in_portal = portal.get(&format!("/portal/uploads/{id}")).await;
    assert_eq!(in_portal.json(), shown.json());
}

#[tokio::test]
async fn another_tenants_upload_is_as_unknown_as_one_that_never_was() {
    let app = TestApp::new(upload::router()).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let tenant = app.tenant(Plan::Free).await.tenant;
        clients.push(app.with_key(&tenant, &[Scope::Upload]).await);
    }
    let id = id_of(&clients[0].post(BATCH, parts()).await);
    let never = "01890a5d-ac96-774b-bcce-b302099a8057";
    for tail in ["", "/dlq"] {
        let foreign = clients[1].get(&format!("/uploads/{id}{tail}")).await;
        let unknown = clients[1].get(&format!("/uploads/{never}{tail}")).await;
        assert_refusal(&foreign, StatusCode::NOT_FOUND, "Upload not found");
        assert_indistinguishable(&foreign, &unknown);
        let malformed = clients[1].get(&format!("/uploads/7{tail}")).await;
        assert_refusal(&malformed, StatusCode::NOT_FOUND, "Upload not found");
    }
}
