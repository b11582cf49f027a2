//! Requests that are wrong or unusual: methods, bodies, paths, and names in them.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use model::key::Scope;
use model::plan::Plan;
use serde_json::json;
use testkit::Form;

use crate::common::app;
use crate::routes::{Access, both, by_key, called, filled, method};

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    let paths: BTreeSet<String> = both().map(|(_, path)| path).collect();
    for path in paths.iter().map(String::as_str).chain(["/health"]) {
        let answer = client.call(Method::TRACE, path, None).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.detail(), "Method not allowed");
        let allowed = answer.header("allow").unwrap().to_owned();
        for (method, of) in both().filter(|(_, of)| of == path) {
            assert!(allowed.contains(method.as_str()), "{of}: {allowed}");
        }
    }
}

#[tokio::test]
async fn garbage_is_a_clear_error_and_changes_nothing() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    let key = app.with_key(&client.tenant, &[Scope::Admin]).await;
    let before = client.get("/portal/usage").await.text;
    let bodies: [&[u8]; 9] = [
        b"",
        b"null",
        b"[]",
        b"\"text\"",
        b"{",
        b"{\"name\": 1, \"name\": 2}",
        b"\xff\xfe",
        b"\0",
        b"--x\r\n\r\n--x--",
    ];
    let types = [
        None,
        Some("application/json"),
        Some("application/json; charset=utf-16"),
        Some("text/html"),
        Some("multipart/form-data"),
        Some("multipart/form-data; boundary=x"),
        Some("\u{7f}"),
    ];
    let of_portal = called().map(|(method, path, access)| {
        let changes = access == Access::Change;
        (&client, method, path, changes)
    });
    let of_keys = by_key().map(|(name, path, _)| {
        // A list of no records is a batch.
        let changes = name != "GET" && !path.contains("/batch");
        (&key, method(name), filled(path), changes)
    });
    for (client, method, path, changes) in of_portal.chain(of_keys) {
        // Rotate takes no body, and reading takes none either.
        let bodiless =
            method == Method::GET || method == Method::DELETE || path.ends_with("rotate");
        for body in bodies {
            for content_type in types {
                let mut request = client.request(method.clone(), &path);
                if let Some(content_type) = content_type {
                    let bytes = content_type.as_bytes().to_vec();
                    let Ok(value) = header::HeaderValue::from_bytes(&bytes) else {
                        continue;
                    };
                    request = request.header(header::CONTENT_TYPE, value);
                }
                let answer = app
                    .send(request.body(Body::from(body.to_vec())).unwrap())
                    .await;
                assert!(
                    !answer.status.is_server_error(),
                    "{method} {path} {answer:?}"
                );
                if !bodiless && changes {
                    assert!(
                        answer.status.is_client_error(),
                        "{method} {path} {body:?} {answer:?}"
                    );
                }
            }
        }
    }
    assert_eq!(client.get("/portal/usage").await.text, before);
    let keys = client.get("/portal/keys").await.json();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn strange_paths_are_not_found() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    let long = format!("/portal/keys/{}", "x".repeat(10_000));
    for path in [
        "/",
        "/portal",
        "/portal/",
        "/portal/keys/",
        "//portal/keys",
        "/portal//keys",
        "/portal/keys/a/b",
        "/portal/keys/%2e%2e",
        "/portal/keys/..%2Faccount",
        "/portal/keys/t%23KEY%23x",
        "/portal/keys/%00",
        "/portal/keys/%ff",
        "/PORTAL/keys",
        &long,
    ] {
        for method in [Method::GET, Method::DELETE] {
            let answer = client.call(method.clone(), path, None).await;
            let expected: &[StatusCode] = if method == Method::GET && path.len() > 14 {
                &[StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED]
            } else {
                &[StatusCode::NOT_FOUND]
            };
            assert!(
                expected.contains(&answer.status),
                "{method} {path} {answer:?}"
            );
        }
    }
    let request = axum::http::Request::get("/portal/keys")
        .body(Body::empty())
        .unwrap();
    assert_eq!(app.send(request).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_upload_form_reaches_the_same_collection_that_search_and_list_read() {
    let app = app().await;
    let client = app.tenant(Plan::Pro).await;
    let form = Form::new().file(
        "x.ndjson",
        "{\"name\": \"Bolt\", \"visibility\": \"public\"}\n",
    );
    let answer = client
        .upload("/portal/upload/a.b-c_d/Part-1/upload", form)
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let found = client
        .post("/portal/search/a.b-c_d", json!({"query": "bolt"}))
        .await
        .json();
    let listed = client
        .get("/portal/records?collection=a.b-c_d")
        .await
        .json();
    assert_eq!(found["results"][0]["record_id"], listed["items"][0]["id"]);
    let analytics = client.get("/portal/analytics").await.json();
    assert_eq!(analytics["collections"][0]["public_count"], 1);
    assert_eq!(
        analytics["collections"][0]["last_updated"],
        "2026-03-08T12:00:00Z"
    );
}
