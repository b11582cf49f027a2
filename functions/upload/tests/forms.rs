//! The multipart form: what it has to be, and that a broken one writes nothing.

mod common;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use common::{PATH, assert_untouched, post_file, recounted, taken};
use model::plan::Plan;
use serde_json::json;
use testkit::{Answer, Client, Form, TestApp, assert_faults};

const CSV: &str = "name,price\nBolt,1\n";

const MB: usize = 1024 * 1024;

/// The type of a form whose boundary is `b`.
const BY_B: &str = "multipart/form-data; boundary=b";

/// A whole form whose boundary is `b`.
const WHOLE: &str = "--b\r\n\
                     Content-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n\
                     name,price\nBolt,1\n\r\n\
                     --b--\r\n";

/// Sends a body under headers of its own.
async fn send(
    app: &TestApp,
    client: &Client<'_>,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = client.request(Method::POST, PATH);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(body.into()).expect("a request"))
        .await
}

#[track_caller]
fn assert_unsupported(answer: &Answer) {
    assert_eq!(
        answer.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "{}",
        answer.text
    );
    assert!(answer.detail().is_string(), "{}", answer.text);
}

#[track_caller]
fn assert_too_large(answer: &Answer, most: &str) {
    assert_eq!(
        answer.status,
        StatusCode::PAYLOAD_TOO_LARGE,
        "{}",
        answer.text
    );
    let detail = answer.detail();
    assert!(
        detail.as_str().is_some_and(|text| text.contains(most)),
        "{detail}"
    );
}

/// A JSON list without rows that takes so many bytes.
fn blank(bytes: usize) -> String {
    format!("[{}]", " ".repeat(bytes - 2))
}

#[tokio::test]
async fn a_whole_form_is_taken() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = send(&app, &client, &[("content-type", BY_B)], WHOLE).await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}

#[tokio::test]
async fn an_empty_body_is_missing_whatever_its_type() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for content_type in [BY_B, "multipart/form-data", "application/json", "text/csv"] {
        let headers = [("content-type", content_type)];
        let answer = send(&app, &client, &headers, Body::empty()).await;
        assert_faults(&answer, &[(&["body"], "missing")]);
    }
    let answer = send(&app, &client, &[], Body::empty()).await;
    assert_faults(&answer, &[(&["body"], "missing")]);
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for content_type in [
        "application/json",
        "text/csv",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "multipart/mixed; boundary=b",
        "nonsense",
    ] {
        let answer = send(&app, &client, &[("content-type", content_type)], WHOLE).await;
        assert_unsupported(&answer);
    }
    // Without a type it would be JSON.
    assert_unsupported(&send(&app, &client, &[], WHOLE).await);
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_compressed_body_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, identity"] {
        let headers = [("content-type", BY_B), ("content-encoding", encoding)];
        assert_unsupported(&send(&app, &client, &headers, WHOLE).await);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_type_without_boundary_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for content_type in ["multipart/form-data", "multipart/form-data; charset=utf-8"] {
        let answer = send(&app, &client, &[("content-type", content_type)], WHOLE).await;
        assert_faults(&answer, &[(&["body"], "multipart_invalid")]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_form_without_its_end_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let form = Form::new().file("a.csv", CSV);
    let content_type = form.content_type();
    let headers = [("content-type", content_type.as_str())];

    let answer = send(&app, &client, &headers, form.unfinished()).await;

    assert_faults(&answer, &[(&["body"], "multipart_invalid")]);
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_form_cut_anywhere_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    // Up to its last boundary; the two dashes after it end the form.
    let ended = WHOLE.len() - "\r\n".len();
    for length in 1..ended {
        let headers = [("content-type", BY_B)];
        let answer = send(&app, &client, &headers, &WHOLE[..length]).await;
        assert_faults(&answer, &[(&["body"], "multipart_invalid")]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for body in [
        "hello",
        CSV,
        // Other line ends than the form's.
        "--b\nContent-Disposition: form-data; name=\"file\"\n\nname\nBolt\n--b--\n",
        // Another boundary.
        "--c\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nname\nBolt\r\n--c--\r\n",
        // No headers.
        "--b\r\n\r\nname\nBolt\r\n--b--\r\n",
        // A NUL in a header.
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\0.csv\"\r\n\r\n\
         name\nBolt\r\n--b--\r\n",
    ] {
        let answer = send(&app, &client, &[("content-type", BY_B)], body).await;
        assert_faults(&answer, &[(&["body"], "multipart_invalid")]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_part_without_a_name_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for disposition in ["form-data", "form-data; filename=\"b.csv\"", "attachment"] {
        let form = Form::new().file("a.csv", CSV).part(disposition, CSV);
        let answer = client.upload(PATH, form).await;
        assert_faults(&answer, &[(&["body"], "multipart_invalid")]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_thousand_parts_are_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let parts = (0..1_000).fold(Form::new(), |form, n| form.text(&format!("part_{n}"), "x"));

    let answer = client.upload(PATH, parts.file("a.csv", CSV)).await;

    assert_faults(&answer, &[(&["body"], "multipart_invalid")]);
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn exactly_one_file_is_needed() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for (form, kind) in [
        (Form::new(), "missing"),
        (Form::new().text("name_column", "name"), "missing"),
        (Form::new().text("other", CSV), "missing"),
        (
            Form::new().file("a.csv", CSV).file("b.csv", CSV),
            "value_error",
        ),
        (
            Form::new().file("a.csv", CSV).text("file", CSV),
            "value_error",
        ),
    ] {
        let answer = client.upload(PATH, form).await;
        assert_faults(&answer, &[(&["body", "file"], kind)]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn the_texts_of_the_form_are_short_and_stand_once() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for name in ["name_column", "source_name"] {
        let file = Form::new().file("a.csv", CSV);
        for (form, kind) in [
            (file.clone().text(name, ""), "string_too_short"),
            (file.clone().text(name, " \t "), "string_too_short"),
            (file.clone().text(name, &"x".repeat(201)), "string_too_long"),
            (
                file.clone().text(name, &"x".repeat(100_000)),
                "string_too_long",
            ),
            (
                file.clone().text(name, "name").text(name, "name"),
                "value_error",
            ),
        ] {
            let answer = client.upload(PATH, form).await;
            assert_faults(&answer, &[(&["body", name], kind)]);
        }
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn parts_that_nobody_asked_for_are_ignored() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let form = Form::new()
        .text("tenant_id", "t_other")
        .text("collection", "other")
        .file("a.csv", CSV)
        .text("visibility", "public");

    let answer = client.upload(PATH, form).await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].collection.as_str(), "parts");
    assert_eq!(json!(records[0].visibility), json!("private"));
}

#[tokio::test]
async fn a_form_in_a_form_is_a_file_without_a_name_column() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let disposition = "form-data; name=\"file\"\r\nContent-Type: multipart/mixed; boundary=inner";
    let inner = "--inner\r\nContent-Disposition: file; filename=\"a.csv\"\r\n\r\nname\nBolt\r\n\
                 --inner--\r\n";

    let answer = client
        .upload(PATH, Form::new().part(disposition, inner))
        .await;

    assert_faults(&answer, &[(&["body", "name_column"], "missing")]);
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn what_may_stand_around_the_parts_is_passed_over() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let long = "b".repeat(70);
    let by_long = format!("multipart/form-data; boundary={long}");
    let mut expected = [1, 1, 0, 0];
    for (content_type, body) in [
        (BY_B, format!("{WHOLE}an epilogue\r\n")),
        (BY_B, WHOLE.replacen("--b\r\n", "--b \t\r\n", 1)),
        (
            BY_B,
            WHOLE.replace("Content-Disposition", "content-disposition"),
        ),
        (BY_B, WHOLE.replace("name=\"file\"", "name=file")),
        ("Multipart/Form-Data; Boundary=\"b\"", WHOLE.to_owned()),
        (by_long.as_str(), WHOLE.replace("--b", &format!("--{long}"))),
    ] {
        let answer = send(&app, &client, &[("content-type", content_type)], body).await;
        assert_eq!(taken(&answer), expected, "{content_type}");
        expected = [1, 0, 0, 1];
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}

#[tokio::test]
async fn a_boundary_without_end_and_a_preamble_are_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let long = "b".repeat(71);
    let by_long = format!("multipart/form-data; boundary={long}");
    for (content_type, body) in [
        (by_long.as_str(), WHOLE.replace("--b", &format!("--{long}"))),
        (BY_B, format!("a preamble\r\n{WHOLE}")),
    ] {
        let answer = send(&app, &client, &[("content-type", content_type)], body).await;
        assert_faults(&answer, &[(&["body"], "multipart_invalid")]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn the_name_of_the_file_leads_nowhere() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let long = format!("{}.csv", "x".repeat(10 * 1024));
    let mut expected = [1, 1, 0, 0];
    for name in [
        "../../x",
        "../../../../etc/passwd.csv",
        "C:\\temp\\x.csv",
        "con.csv",
        ".",
        "",
        "\u{202e}vsc.csv",
        "a%00.csv",
        "a;b=c.csv",
        long.as_str(),
    ] {
        let answer = post_file(&client, name, CSV).await;
        assert_eq!(taken(&answer), expected, "{name}");
        assert!(!answer.text.contains("passwd"), "{}", answer.text);
        expected = [1, 0, 0, 1];
    }
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].source_name, None);
}

#[tokio::test]
async fn a_file_as_large_as_the_plan_allows_is_read() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = post_file(&client, "a.json", blank(10 * MB)).await;

    assert_eq!(taken(&answer), [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_file_larger_than_the_plan_allows_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for bytes in [10 * MB + 1, 12 * MB] {
        let answer = post_file(&client, "a.json", blank(bytes)).await;
        assert_too_large(&answer, "10 MB");
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_file_larger_than_a_request_may_carry_is_refused_on_every_plan() {
    let app = TestApp::new(upload::router()).await;
    for plan in [Plan::Pro, Plan::Enterprise] {
        let client = app.tenant(plan).await;
        let answer = post_file(&client, "a.json", blank(50 * MB + 1)).await;
        assert_too_large(&answer, "50 MB");
        assert_untouched(&app, &client.tenant).await;
    }
}

#[tokio::test]
async fn what_is_announced_as_too_large_is_not_waited_for() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let headers = [("content-type", BY_B), ("content-length", "104857600")];

    let answer = send(&app, &client, &headers, WHOLE).await;

    assert_too_large(&answer, "10 MB");
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_large_part_that_nobody_asked_for_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let form = Form::new()
        .part("form-data; name=\"other\"", blank(10 * MB + 1))
        .file("a.csv", CSV);

    let answer = client.upload(PATH, form).await;

    assert_too_large(&answer, "10 MB");
    assert_untouched(&app, &client.tenant).await;
}
