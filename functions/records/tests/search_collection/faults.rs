//! Faulty requests, and texts that are odd but no faults.

use axum::http::{Method, StatusCode};
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{TestApp, assert_faults};

use crate::common::{PRODUCTS, SEARCH, bearing, bolt, ids};

#[tokio::test]
async fn a_malformed_name_of_a_collection_is_a_fault_of_the_path() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    for name in [
        "-a",
        "_a",
        ".a",
        "a%20b",
        "a%23KEY",
        "a%2Fb",
        "a%00",
        "%C3%A9",
        &"a".repeat(65),
        &"a".repeat(10_000),
    ] {
        let answer = client
            .post(&format!("/portal/search/{name}"), json!({}))
            .await;
        assert_faults(
            &answer,
            &[(&["path", "collection"], "string_pattern_mismatch")],
        );
    }
}

#[tokio::test]
async fn a_faulty_field_is_named() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    for (field, value, kind) in [
        ("query", json!("x".repeat(501)), "string_too_long"),
        ("query", json!("\u{1f600}".repeat(501)), "string_too_long"),
        ("query", json!(7), "string_type"),
        ("query", json!(["bolt"]), "string_type"),
        ("limit", json!(0), "greater_than_equal"),
        ("limit", json!(-1), "greater_than_equal"),
        ("limit", json!(101), "less_than_equal"),
        ("limit", json!(1e2), "int_from_float"),
        ("limit", json!(1.5), "int_from_float"),
        ("limit", json!("5"), "int_type"),
        ("limit", json!(" 5"), "int_type"),
        ("limit", json!(true), "int_type"),
        ("offset", json!(-1), "greater_than_equal"),
        ("offset", json!(100_001), "less_than_equal"),
        ("offset", json!("0"), "int_type"),
        ("sort", json!(""), "string_too_short"),
        ("sort", json!("-"), "string_too_short"),
        ("sort", json!("x".repeat(501)), "string_too_long"),
        ("sort", json!(["name"]), "string_type"),
        ("format", json!("xml"), "enum"),
        ("format", json!("JSON"), "enum"),
        ("format", json!(1), "string_type"),
        ("filters", json!([]), "dict_type"),
        ("filters", json!("size=8"), "dict_type"),
    ] {
        let answer = client.post(SEARCH, json!({field: value})).await;
        assert_faults(&answer, &[(&["body", field], kind)]);
    }
}

#[tokio::test]
async fn a_faulty_filter_is_named() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    for (filter, value) in [
        ("price_eur", json!(null)),
        ("price_eur", json!({"min": 1})),
        ("unknown", json!(null)),
        ("price_eur_min", json!([1, 2])),
    ] {
        let body = json!({"filters": {filter: value}});
        let answer = client.post(SEARCH, body).await;
        assert_faults(&answer, &[(&["body", "filters", filter], "value_error")]);
    }
    let body = json!({"filters": {"price_eur_in": [1, null]}});
    let answer = client.post(SEARCH, body).await;
    assert_faults(
        &answer,
        &[(&["body", "filters", "price_eur_in", "1"], "value_error")],
    );
}

#[tokio::test]
async fn more_than_20_filters_are_too_many() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    let filters = |count: u32| -> Value {
        (0..count)
            .map(|number| (format!("price_eur_{number}"), json!(1)))
            .collect()
    };

    let answer = client.post(SEARCH, json!({"filters": filters(20)})).await;
    assert!(ids(&answer).is_empty());

    let answer = client.post(SEARCH, json!({"filters": filters(21)})).await;
    assert_faults(&answer, &[(&["body", "filters"], "too_long")]);
}

#[tokio::test]
async fn every_faulty_field_is_named_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let body = json!({
        "query": 7, "limit": 0, "offset": -1, "sort": "", "filters": [], "format": "xml",
    });
    let answer = client.post(SEARCH, body).await;

    assert_faults(
        &answer,
        &[
            (&["body", "query"], "string_type"),
            (&["body", "limit"], "greater_than_equal"),
            (&["body", "offset"], "greater_than_equal"),
            (&["body", "sort"], "string_too_short"),
            (&["body", "filters"], "dict_type"),
            (&["body", "format"], "enum"),
        ],
    );
}

#[tokio::test]
async fn the_body_has_to_be_an_object() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let answer = client.call(Method::POST, SEARCH, None).await;
    assert_faults(&answer, &[(&["body"], "missing")]);
    for body in [json!(null), json!([]), json!("bolt"), json!(7)] {
        let answer = client.post(SEARCH, body).await;
        assert_faults(&answer, &[(&["body"], "model_attributes_type")]);
    }
}

#[tokio::test]
async fn no_text_makes_a_search_fail() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bearing(), bolt(1)])
        .await;

    for query in [
        "\"".repeat(500),
        "a ".repeat(250),
        "\u{e9}".repeat(500),
        "\u{1f600}".repeat(500),
        "the of and".to_owned(),
        "\u{1f600}".to_owned(),
        "\u{202e}tlob \u{5d1}\u{5d5}\u{5e8}\u{5d2} \u{628}\u{631}\u{63a}\u{64a}".to_owned(),
        "bo\0lt".to_owned(),
        "\0".to_owned(),
        "\" OR *".to_owned(),
        "+bolt -hex name:bolt^9 bolt~2 [a TO z] {} \\ / ?".to_owned(),
        "t#KEY#x".to_owned(),
    ] {
        let answer = client.post(SEARCH, json!({"query": query})).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    }
    for query in [
        "\"".repeat(1_000),
        "bolt ".repeat(1_000),
        "x".repeat(10_240),
    ] {
        let answer = client.post(SEARCH, json!({"query": query})).await;
        assert_faults(&answer, &[(&["body", "query"], "string_too_long")]);
    }
}
