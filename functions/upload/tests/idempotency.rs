//! `Idempotency-Key` on uploads: a file is taken once, however often it is sent, and whoever sends it
//! again is told what became of it.

mod calling;
#[expect(dead_code, reason = "other tests need more of it")]
mod common;

use auth::Role;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use calling::{
    CALL, CSV, UPLOADS, announced, assert_replay, calls, file, is_replay, member, post_csv, uploads,
};
use chrono::TimeDelta;
use common::{PATH, post_file, recounted, taken};
use futures_util::future::join_all;
use model::key::Scope;
use model::plan::Plan;
use serde_json::json;
use testkit::{Answer, Form, TestApp, assert_faults, assert_reused};

const BY_KEY: &str = "/upload/parts/product/upload";
const BATCH: &str = "/upload/parts/product/batch";

#[tokio::test]
async fn a_file_is_taken_once_and_the_repetition_is_answered_the_same() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Free).await;
    let first = post_csv(&client).await;
    assert_eq!(taken(&first), [2, 2, 0, 0]);

    for _ in 0..2 {
        assert_replay(&post_csv(&client).await, &first);
    }

    assert_eq!(recounted(&app, &client.tenant).await.len(), 2);
    assert_eq!(uploads(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn without_a_key_every_call_is_a_new_one() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for summary in [[2, 2, 0, 0], [2, 0, 0, 2]] {
        let answer = post_csv(&client).await;
        assert_eq!(taken(&answer), summary);
        assert_eq!(answer.header("idempotent-replayed"), None);
    }
    assert!(calls(&app, &client.tenant).await.is_empty());
}

#[tokio::test]
async fn rows_that_were_rejected_are_told_again() {
    let app = TestApp::new(upload::router()).await;
    let many = format!("name,n\nBolt,1\n{}", ",2\n".repeat(150));
    for (content, status) in [
        ("name,n\nBolt,1\n,2\nNut,3\n", "complete"),
        ("name,n\n,1\n,2\n", "failed"),
        (many.as_str(), "complete"),
    ] {
        let client = member(&app, Plan::Free).await;
        let first = post_file(&client, "a.csv", content).await;
        assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
        let body = first.json();
        assert_eq!(body["status"], status);
        assert!(!body["errors"].as_array().expect("a list").is_empty());

        assert_replay(&post_file(&client, "a.csv", content).await, &first);
        assert_eq!(uploads(&app, &client.tenant).await, 1);
    }
}

#[tokio::test]
async fn the_same_file_in_a_form_with_another_boundary_is_the_same() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Free).await;
    let send = async |boundary: &str| {
        let disposition = "form-data; name=\"file\"; filename=\"a.csv\"";
        let head = format!("--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n");
        let request = client.request(Method::POST, PATH).header(
            header::CONTENT_TYPE,
            format!("multipart/form-data; boundary={boundary}"),
        );
        let body = Body::from(format!("{head}{CSV}\r\n--{boundary}--\r\n"));
        app.send(request.body(body).expect("a request")).await
    };
    let first = send("boundary-of-the-first").await;
    assert_eq!(taken(&first), [2, 2, 0, 0]);

    assert_replay(&send("and-another-one").await, &first);

    assert_eq!(recounted(&app, &client.tenant).await.len(), 2);
}

#[tokio::test]
async fn another_file_name_or_field_is_another_body() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Free).await;
    let first = post_csv(&client).await;
    assert_eq!(taken(&first), [2, 2, 0, 0]);
    let same = || Form::new().file("a.csv", CSV);

    for form in [
        Form::new().file("a.csv", "name,price\nBolt,1\nNut,3\n"),
        Form::new().file("b.csv", CSV),
        same().text("source_name", "ERP"),
        same().text("name_column", "name"),
        same().text("record_tag", "name"),
    ] {
        assert_reused(&client.upload(PATH, form).await);
    }
    let path = format!("{PATH}?record_tag=name");
    let tagged = client.upload(&path, same());
    assert_reused(&tagged.await);

    assert_eq!(recounted(&app, &client.tenant).await.len(), 2);
    assert_eq!(uploads(&app, &client.tenant).await, 1);
    assert_replay(&client.upload(PATH, same()).await, &first);
}

#[tokio::test]
async fn by_key_a_file_is_taken_once_too() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let client = app.with_key(&tenant, &[Scope::Upload]).await.under(CALL);
    let form = || Form::new().file("a.csv", CSV);
    for (path, summary) in [
        (BY_KEY, [2, 2, 0, 0]),
        ("/upload/parts/product/file", [2, 0, 0, 2]),
        ("/ingest/upload/parts/product", [2, 0, 0, 2]),
    ] {
        let first = client.upload(path, form()).await;
        assert_eq!(taken(&first), summary, "{path}");

        assert_replay(&client.upload(path, form()).await, &first);
    }
    let other = Form::new().file("a.csv", "name\nScrew\n");
    assert_reused(&client.upload(BY_KEY, other).await);
    assert_eq!(recounted(&app, &tenant).await.len(), 2);
}

#[tokio::test]
async fn a_batch_is_taken_once() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let client = app.with_key(&tenant, &[Scope::Upload]).await.under(CALL);
    let rows = json!([{"name": "Bolt"}, {"n": 2}]);
    for (path, summary) in [
        (BATCH, [2, 1, 1, 0]),
        ("/ingest/batch/parts/product", [2, 0, 1, 1]),
    ] {
        let first = client.post(path, rows.clone()).await;
        assert_eq!(taken(&first), summary, "{path}");

        assert_replay(&client.post(path, rows.clone()).await, &first);
        assert_reused(&client.post(path, json!([{"name": "Nut"}])).await);
    }
    assert_eq!(recounted(&app, &tenant).await.len(), 1);
    assert_eq!(uploads(&app, &tenant).await, 2);
}

#[tokio::test]
async fn a_file_is_announced_once_and_has_one_address() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Free).await;
    let first = client.post(UPLOADS, announced(100)).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    app.advance(TimeDelta::seconds(90));

    let again = client.post(UPLOADS, announced(100)).await;

    assert_replay(&again, &first);
    assert_eq!(again.json()["url"], first.json()["url"]);
    assert_eq!(again.header("cache-control"), Some("no-store"));
    assert_reused(&client.post(UPLOADS, announced(101)).await);
    assert_eq!(uploads(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn of_20_announcements_at_once_there_is_one_upload() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Free).await;

    let answers = join_all((0..20).map(|_| client.post(UPLOADS, announced(100)))).await;

    let (first, others): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| !is_replay(answer));
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].status, StatusCode::CREATED, "{}", first[0].text);
    for answer in &others {
        assert_replay(answer, &first[0]);
    }
    assert_eq!(uploads(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn a_token_or_a_key_may_be_another_when_the_file_is_sent_again() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let user = app.client(tenant.as_str(), Role::Member).under(CALL);
    let uploader = app.with_key(&tenant, &[Scope::Upload]).await.under(CALL);
    let form = || Form::new().file("a.csv", CSV);
    let by_user = post_csv(&user).await;
    let by_key = uploader.upload(BY_KEY, form()).await;
    assert_eq!(
        (taken(&by_user), taken(&by_key)),
        ([2, 2, 0, 0], [2, 0, 0, 2])
    );
    app.advance(TimeDelta::hours(1));

    let user = app.client(tenant.as_str(), Role::Member).under(CALL);
    let uploader = app.with_key(&tenant, &[Scope::Upload]).await.under(CALL);

    assert_replay(&post_csv(&user).await, &by_user);
    assert_replay(&uploader.upload(BY_KEY, form()).await, &by_key);
}

#[tokio::test]
async fn calls_of_other_tenants_and_paths_are_others() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Pro).await;
    let other = member(&app, Plan::Pro).await;
    let tools = "/portal/upload/tools/product/upload";
    let form = || Form::new().file("a.csv", CSV);
    for (client, path) in [(&client, PATH), (&other, PATH), (&client, tools)] {
        let answer = client.upload(path, form()).await;
        assert_eq!(taken(&answer), [2, 2, 0, 0], "{path}");
        assert!(!is_replay(&answer));
    }
    let next = client.under("0002-call-of-a-test");
    assert_eq!(taken(&post_csv(&next).await), [2, 0, 0, 2]);
}

#[tokio::test]
async fn a_call_is_remembered_for_a_day() {
    let app = TestApp::new(upload::router()).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    // A token lasts no longer.
    let client = || app.client(tenant.as_str(), Role::Member).under(CALL);
    let first = post_csv(&client()).await;
    let address = client().post(UPLOADS, announced(100)).await;

    app.advance(TimeDelta::days(1) - TimeDelta::milliseconds(1));
    assert_replay(&post_csv(&client()).await, &first);
    let again = client().post(UPLOADS, announced(100)).await;
    assert_replay(&again, &address);

    app.advance(TimeDelta::milliseconds(1));
    let next = post_csv(&client()).await;
    assert_eq!(taken(&next), [2, 0, 0, 2]);
    assert!(!is_replay(&next));
    assert_replay(&post_csv(&client()).await, &next);
    let next = client().post(UPLOADS, announced(100)).await;
    assert!(!is_replay(&next));
    assert_ne!(next.json()["upload_id"], address.json()["upload_id"]);
}

#[tokio::test]
async fn a_file_beyond_the_plan_is_taken_once_the_plan_has_room() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Free).await;
    for _ in 0..2 {
        let over = post_file(&client, "a.json", file(0..51)).await;
        assert_eq!(over.status, StatusCode::PAYMENT_REQUIRED, "{}", over.text);
        assert!(!is_replay(&over));
    }
    assert!(calls(&app, &client.tenant).await.is_empty());
    let (table, now) = (&app.app.table, app.app.clock.now());
    let planned = table.set_plan(&client.tenant, Plan::Pro, now).await;
    planned.expect("a plan");

    let answer = post_file(&client, "a.json", file(0..51)).await;

    assert_eq!(taken(&answer), [51, 51, 0, 0]);
    assert!(!is_replay(&answer));
    assert_eq!(recounted(&app, &client.tenant).await.len(), 51);
}

#[tokio::test]
async fn a_file_that_was_refused_may_be_mended_under_the_same_key() {
    let app = TestApp::new(upload::router()).await;
    let client = member(&app, Plan::Free).await;
    let refused = post_file(&client, "a.csv", "name,a\nx,\"open\n").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);

    let answer = post_csv(&client).await;

    assert_eq!(taken(&answer), [2, 2, 0, 0]);
    assert!(!is_replay(&answer));
}

#[tokio::test]
async fn what_is_no_idempotency_key_is_refused_and_takes_nothing() {
    let app = TestApp::new(upload::router()).await;
    let user = app.tenant(Plan::Free).await;
    let uploader = app.with_key(&user.tenant, &[Scope::Upload]).await;
    let longer = "x".repeat(1024);
    let cases: [(&[&str], &str); 4] = [
        (&["1234567"], "string_too_short"),
        (&[&longer], "string_too_long"),
        (&["schl\u{fc}ssel"], "string_pattern_mismatch"),
        (&[CALL, CALL], "value_error"),
    ];
    for (client, path) in [
        (&user, PATH),
        (&user, UPLOADS),
        (&uploader, BY_KEY),
        (&uploader, BATCH),
    ] {
        for (values, kind) in cases {
            let request = values
                .iter()
                .fold(client.request(Method::POST, path), |request, value| {
                    request.header("Idempotency-Key", value.as_bytes())
                });
            let answer = app.send(request.body(Body::empty()).expect("a request"));
            let place: &[&str] = &["header", "Idempotency-Key"];
            assert_faults(&answer.await, &[(place, kind)]);
        }
    }
    assert_eq!(uploads(&app, &user.tenant).await, 0);
    assert!(calls(&app, &user.tenant).await.is_empty());
}

#[tokio::test]
async fn what_is_kept_of_calls_tells_no_secret_no_body_and_not_what_they_were_called() {
    let app = TestApp::new(upload::router()).await;
    let user = member(&app, Plan::Free).await;
    let uploader = app.with_key(&user.tenant, &[Scope::Upload]).await;
    let uploader = uploader.under(CALL);
    taken(&post_csv(&user).await);
    taken(&uploader.post(BATCH, json!([{"name": "Bolt"}])).await);
    let address = user.post(UPLOADS, announced(100)).await.json();
    let address = address["url"].as_str().expect("an address");
    let (_, signature) = address.split_once('?').expect("a signature");

    let kept = calls(&app, &user.tenant).await;

    assert_eq!(kept.len(), 3);
    for item in kept {
        let item = format!("{item:?}");
        for text in [
            CALL,
            "sk_live_",
            "Bolt",
            "price",
            "a.csv",
            "batch.json",
            "large.csv",
            "parts",
            signature,
        ] {
            assert!(!item.contains(text), "{text} in {item}");
        }
    }
}
