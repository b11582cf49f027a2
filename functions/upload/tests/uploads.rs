//! `GET /portal/uploads`, `/portal/uploads/{id}` and `/portal/uploads/{id}/errors`: what is known of
//! uploads.

#[expect(dead_code, reason = "other tests need more of it")]
mod common;

use std::fmt::Write;

use axum::http::StatusCode;
use chrono::TimeDelta;
use common::{post_file, taken};
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Answer, TestApp, assert_faults, assert_indistinguishable, assert_refusal};

fn id_of(answer: &Answer) -> String {
    let body = answer.json();
    body["upload_id"].as_str().expect("an id").to_owned()
}

/// A file with so many good rows, each followed by so many without a name.
fn file(good: usize, bad: usize) -> String {
    let mut file = "name,n\n".to_owned();
    for row in 0..good {
        writeln!(file, "Part {row},{row}").expect("a good one");
        for _ in 0..bad {
            file.push_str(",1\n");
        }
    }
    file
}

/// Every page of a list, by its cursors.
async fn walk(client: &testkit::Client<'_>, path: &str, list: &str, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let mut query = format!("?limit={limit}");
    loop {
        let answer = client.get(&format!("{path}{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let body = answer.json();
        let page = body[list].as_array().expect("a list");
        assert!(page.len() <= limit);
        all.extend(page.iter().cloned());
        let Some(cursor) = body["cursor"].as_str() else {
            assert_eq!(body["has_more"], json!(false));
            return all;
        };
        query = format!("?limit={limit}&cursor={cursor}");
        assert_eq!(body["has_more"], json!(true));
    }
}

#[tokio::test]
async fn an_upload_is_shown_as_it_ended() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let answer = post_file(&client, "catalog.csv", "name;n\nBolt;1\n;2\nBolt;1\n").await;
    assert_eq!(taken(&answer), [3, 1, 1, 1]);
    let id = id_of(&answer);

    let shown = client.get(&format!("/portal/uploads/{id}")).await;

    assert_eq!(shown.status, StatusCode::OK);
    let summary = json!({"submitted": 3, "accepted": 1, "rejected": 1, "dedup_skipped": 1});
    assert_eq!(
        shown.json(),
        json!({
            "upload_id": id,
            "status": "complete",
            "collection": "parts",
            "record_type": "product",
            "file_name": "catalog.csv",
            "source_name": null,
            "summary": summary,
            "progress": {
                "rows": 3, "total_rows": 3, "accepted": 1, "rejected": 1,
                "bytes": 24, "total_bytes": 24,
            },
            "metadata": {
                "file_hash": answer.json()["metadata"]["file_hash"],
                "format": "csv",
                "encoding": "utf-8",
                "delimiter": ";",
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
    let listed = client.get("/portal/uploads").await.json();
    assert_eq!(
        listed,
        json!({"uploads": [shown.json()], "cursor": null, "has_more": false})
    );
}

#[tokio::test]
async fn uploads_are_listed_newest_first_page_by_page() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let answer = post_file(&client, &format!("{n}.csv"), &format!("name\nPart {n}\n")).await;
        ids.push(id_of(&answer));
        app.advance(TimeDelta::seconds(1));
    }
    ids.reverse();

    for limit in [1, 3, 7, 100] {
        let listed = walk(&client, "/portal/uploads", "uploads", limit).await;
        let listed: Vec<&str> = listed
            .iter()
            .map(|job| job["upload_id"].as_str().expect("an id"))
            .collect();
        assert_eq!(listed, ids, "{limit}");
    }
    let other = app.tenant(Plan::Pro).await;
    assert!(
        walk(&other, "/portal/uploads", "uploads", 10)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn every_row_error_is_kept_however_many_there_are() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let answer = post_file(&client, "catalog.csv", &file(400, 3)).await;
    assert_eq!(taken(&answer), [1_600, 400, 1_200, 0]);
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 100);
    let path = format!("/portal/uploads/{}/errors", id_of(&answer));

    let expected: Vec<Value> = (0..1_600_u64)
        .filter(|row| row % 4 != 0)
        .map(|row| {
            json!({
                "row": row + 1,
                "field": "name",
                "error_type": "missing",
                "message": "Field required",
            })
        })
        .collect();
    for limit in [7, 100] {
        assert_eq!(
            walk(&client, &path, "errors", limit).await,
            expected,
            "{limit}"
        );
    }
    let first = client.get(&path).await.json();
    assert_eq!(first["errors"].as_array().unwrap().len(), 20);
    assert_eq!(
        answer.json()["errors"],
        Value::from(expected[..100].to_vec())
    );
}

#[tokio::test]
async fn a_file_without_a_good_row_is_kept_as_a_failed_upload() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let answer = post_file(&client, "catalog.csv", "name,n\n,1\n,2\n").await;
    assert_eq!(answer.json()["status"], json!("failed"));

    let id = id_of(&answer);
    let shown = client.get(&format!("/portal/uploads/{id}")).await.json();

    assert_eq!(shown["status"], json!("failed"));
    let summary = json!({"submitted": 2, "accepted": 0, "rejected": 2, "dedup_skipped": 0});
    assert_eq!(shown["summary"], summary);
    let path = format!("/portal/uploads/{id}/errors");
    assert_eq!(walk(&client, &path, "errors", 1).await.len(), 2);
}

#[tokio::test]
async fn a_file_that_is_refused_leaves_no_upload() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for (name, content, status) in [
        (
            "a.csv",
            "name,a\nx,\"open\n".to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "a.gz",
            "\u{1f}\u{8b}".to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        ("a.csv", file(51, 0), StatusCode::PAYMENT_REQUIRED),
    ] {
        let answer = post_file(&client, name, &content).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
    }
    assert!(
        walk(&client, "/portal/uploads", "uploads", 10)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn another_tenants_upload_is_as_unknown_as_one_that_never_was() {
    let app = TestApp::new(upload::router()).await;
    let (client, other) = (app.tenant(Plan::Free).await, app.tenant(Plan::Free).await);
    let id = id_of(&client.upload_csv("parts", "name\nBolt\n").await);
    let never = "01890a5d-ac96-774b-bcce-b302099a8057";
    for tail in ["", "/errors"] {
        let foreign = other.get(&format!("/portal/uploads/{id}{tail}")).await;
        let unknown = other.get(&format!("/portal/uploads/{never}{tail}")).await;
        assert_refusal(&foreign, StatusCode::NOT_FOUND, "Upload not found");
        assert_indistinguishable(&foreign, &unknown);
    }
    let malformed = client.get("/portal/uploads/7").await;
    assert_refusal(&malformed, StatusCode::NOT_FOUND, "Upload not found");
}

#[tokio::test]
async fn a_cursor_of_another_list_or_tenant_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let (client, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let mut last = String::new();
    for n in 0..2 {
        last = id_of(&post_file(&client, "a.csv", &format!("name,n\nPart {n},1\n,2\n,3\n")).await);
    }
    let cursor = |body: Value| body["cursor"].as_str().expect("a cursor").to_owned();
    let errors = format!("/portal/uploads/{last}/errors");
    let of_uploads = cursor(client.get("/portal/uploads?limit=1").await.json());
    let of_errors = cursor(client.get(&format!("{errors}?limit=1")).await.json());

    for (client, path, cursor) in [
        (&client, "/portal/uploads", of_errors.as_str()),
        (&client, errors.as_str(), of_uploads.as_str()),
        (&other, "/portal/uploads", of_uploads.as_str()),
        (&client, "/portal/uploads", "x"),
    ] {
        let answer = client.get(&format!("{path}?cursor={cursor}")).await;
        assert_faults(&answer, &[(&["query", "cursor"], "value_error")]);
    }
    for limit in ["0", "101", "x"] {
        let answer = client.get(&format!("/portal/uploads?limit={limit}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{limit}");
    }
}
