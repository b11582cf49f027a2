//! `POST|GET /search/{collection}`: the search of the portal, by API key.

use axum::http::StatusCode;
use model::key::Scope;
use model::period::Period;
use model::plan::Plan;
use serde_json::{Value, json};
use table::usage::KeyCalls;
use testkit::{Answer, TestApp, assert_bad_key, assert_faults, assert_refusal};

const PRODUCTS: (&str, &str) = ("manufacturing", "product");
const SEARCH: &str = "/search/manufacturing";

#[track_caller]
fn results(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["results"].clone()
}

#[tokio::test]
async fn a_key_finds_what_a_token_finds_in_both_forms() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let rows = [
        json!({"name": "Hex bolt", "visibility": "public"}),
        json!({"name": "Square bolt"}),
        json!({"name": "Nut"}),
    ];
    app.add(&client.tenant, PRODUCTS, &rows).await;
    let key = app.with_key(&client.tenant, &[Scope::Search]).await;

    let body = json!({"query": "bolt", "limit": 1, "offset": 1});
    let portal = client.post("/portal/search/manufacturing", body.clone());
    let portal = results(&portal.await);
    assert_eq!(portal.as_array().map(Vec::len), Some(1));
    assert_eq!(results(&key.post(SEARCH, body).await), portal);
    let short = key.get("/search/manufacturing?q=bolt&limit=1&offset=1");
    assert_eq!(results(&short.await), portal);

    let period = Period::of(app.app.clock.now());
    let summary = app.app.table.summary(&client.tenant, period).await;
    assert_eq!(summary.expect("a summary").searches, 3);
}

#[tokio::test]
async fn a_search_that_is_not_answered_is_a_request_of_its_key_and_no_search() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[json!({"name": "Bolt"})])
        .await;
    let key = app.with_key(&client.tenant, &[Scope::Search]).await;

    for (path, status) in [
        ("/search/manufacturing?q=bolt", StatusCode::OK),
        ("/search/nowhere?q=bolt", StatusCode::NOT_FOUND),
        (
            "/search/manufacturing?limit=0",
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        assert_eq!(key.get(path).await.status, status, "{path}");
    }

    let period = Period::of(app.app.clock.now());
    let calls = app.app.table.key_calls(&client.tenant, period).await;
    let calls: Vec<_> = calls.expect("calls").into_values().collect();
    let expected = KeyCalls {
        requests: 3,
        searches: 1,
    };
    assert_eq!(calls, [expected]);
}

#[tokio::test]
async fn a_token_and_a_narrow_key_are_refused() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[json!({"name": "Bolt"})])
        .await;
    assert_bad_key(&client.get(SEARCH).await);
    assert_bad_key(&client.post(SEARCH, json!({})).await);
    let scopes = [Scope::Upload, Scope::Records];
    let narrow = app.with_key(&client.tenant, &scopes).await;
    for answer in [
        narrow.get(SEARCH).await,
        narrow.post(SEARCH, json!({})).await,
    ] {
        assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_short_form_is_told() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app.with_key(&client.tenant, &[Scope::Search]).await;
    let answer = key.get("/search/manufacturing").await;
    assert_refusal(&answer, StatusCode::NOT_FOUND, "Collection not found");
    let answer = key.get("/search/-x?limit=0").await;
    assert_faults(
        &answer,
        &[(&["path", "collection"], "string_pattern_mismatch")],
    );
    let answer = key.get("/search/manufacturing?limit=101&offset=x").await;
    let faults: [(&[&str], &str); 2] = [
        (&["query", "limit"], "less_than_equal"),
        (&["query", "offset"], "int_parsing"),
    ];
    assert_faults(&answer, &faults);
}
