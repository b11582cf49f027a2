//! The formats of an answer.

use axum::http::StatusCode;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::TestApp;

use crate::common::{PRODUCTS, SEARCH, bearing, names};

#[tokio::test]
async fn the_compact_format_is_a_table() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let rows = [
        bearing(),
        json!({"name": "a|b\nc\\d", "note": "x|y", "sku": "B-1000"}),
    ];
    app.add(&client.tenant, PRODUCTS, &rows).await;

    for (query, row) in [
        (
            "LM16UU",
            "| 1 | Linear Bearing LM16UU | 1.00 | price_eur: 12.5, sku: LM16UU |\n",
        ),
        (
            "B-1000",
            "| 1 | a\\|b c\\\\d | 1.00 | note: x\\|y, sku: B-1000 |\n",
        ),
        ("helicopter", ""),
    ] {
        let body = json!({"query": query, "format": "compact"});
        let answer = client.post(SEARCH, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(
            answer.text,
            format!("| # | Name | Score | Key Data |\n|---|---|---|---|\n{row}")
        );
    }
}

#[tokio::test]
async fn the_yaml_format_lists_the_same_results() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let odd = json!({
        "name": "- a: \"b\" #c",
        "description": "one\ntwo: three\n",
        "code": "007",
        "flag": "no",
        "nothing": "null",
        "number": "1e5",
        "nested": {"list": [1, "2", true, [], {}], "empty": ""},
    });
    app.add(&client.tenant, PRODUCTS, &[bearing(), odd]).await;

    for query in ["", "LM16UU", "helicopter"] {
        let json = client.post(SEARCH, json!({"query": query})).await;
        let body = json!({"query": query, "format": "yaml"});
        let yaml = client.post(SEARCH, body).await;
        assert_eq!(yaml.status, StatusCode::OK, "{query}");
        assert_eq!(
            yaml.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        let read: Value = serde_saphyr::from_str(&yaml.text).unwrap();
        assert_eq!(read, json.json()["results"], "{query}");
    }
}

#[tokio::test]
async fn json_is_a_format_too() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bearing()]).await;

    let answer = client.post(SEARCH, json!({"format": "json"})).await;

    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(names(&answer), ["Linear Bearing LM16UU"]);
}
