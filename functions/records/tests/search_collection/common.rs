//! What the tests share.

use axum::http::StatusCode;
use model::id::{RecordId, TenantId};
use model::period::Period;
use serde_json::{Value, json};
use testkit::{Answer, TestApp};

/// The collection and record type of most of these tests.
pub(crate) const PRODUCTS: (&str, &str) = ("manufacturing", "product");
pub(crate) const SEARCH: &str = "/portal/search/manufacturing";

pub(crate) fn bearing() -> Value {
    json!({
        "name": "Linear Bearing LM16UU",
        "description": "16mm linear motion bearing",
        "price_eur": 12.5,
        "sku": "LM16UU",
    })
}

pub(crate) fn bolt(number: u32) -> Value {
    json!({"name": format!("Bolt {number}"), "price_eur": number})
}

pub(crate) fn bolts(count: u32) -> Vec<Value> {
    (1..=count).map(bolt).collect()
}

#[track_caller]
pub(crate) fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["results"]
        .as_array()
        .expect("results")
        .clone()
}

#[track_caller]
pub(crate) fn names(answer: &Answer) -> Vec<String> {
    let name = |row: &Value| row["name"].as_str().expect("a name").to_owned();
    results(answer).iter().map(name).collect()
}

#[track_caller]
pub(crate) fn ids(answer: &Answer) -> Vec<RecordId> {
    results(answer)
        .iter()
        .map(|row| row["record_id"].as_str().expect("an id"))
        .map(|id| id.parse().expect("an id"))
        .collect()
}

/// How many searches are counted this month.
pub(crate) async fn counted(app: &TestApp, tenant: &TenantId) -> u64 {
    let period = Period::of(app.app.clock.now());
    let summary = app.app.table.summary(tenant, period).await;
    summary.expect("a summary").searches
}
