//! Calls under an `Idempotency-Key`: how they are sent, what is kept of them, and what a repetition is
//! answered.

use std::ops::Range;

use auth::Role;
use aws_sdk_dynamodb::types::AttributeValue;
use model::id::TenantId;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Answer, Client, Item, TestApp, items};

use crate::common::post_file;

/// What a call is called.
pub(crate) const CALL: &str = "0001-call-of-a-test";

pub(crate) const UPLOADS: &str = "/portal/uploads";

pub(crate) const CSV: &str = "name,price\nBolt,1\nNut,2\n";

pub(crate) fn row(n: usize) -> Value {
    json!({"name": format!("Part {n:02}"), "n": n, "visibility": "private"})
}

pub(crate) fn file(rows: Range<usize>) -> String {
    Value::from(rows.map(row).collect::<Vec<_>>()).to_string()
}

pub(crate) fn announced(size: u64) -> Value {
    json!({
        "collection": "parts",
        "record_type": "product",
        "file_name": "large.csv",
        "size_bytes": size,
    })
}

/// A member of a new tenant, whose calls have the name.
pub(crate) async fn member(app: &TestApp, plan: Plan) -> Client<'_> {
    app.tenant(plan).await.under(CALL)
}

pub(crate) async fn post_csv(client: &Client<'_>) -> Answer {
    post_file(client, "a.csv", CSV).await
}

/// How many uploads a tenant has.
pub(crate) async fn uploads(app: &TestApp, tenant: &TenantId) -> usize {
    let client = app.client(tenant.as_str(), Role::Member);
    let listed = client.get(UPLOADS).await.json();
    listed["uploads"].as_array().expect("a list").len()
}

/// What is kept of the calls of a tenant.
pub(crate) async fn calls(app: &TestApp, tenant: &TenantId) -> Vec<Item> {
    let partition = AttributeValue::S(format!("TENANT#{tenant}#CALLS"));
    let mut kept = items(&app.endpoint).await;
    kept.retain(|item| item.get("pk") == Some(&partition));
    kept
}

pub(crate) fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

/// Checks that an answer is that to an earlier call.
#[track_caller]
pub(crate) fn assert_replay(answer: &Answer, first: &Answer) {
    assert_eq!(answer.status, first.status, "{}", answer.text);
    assert_eq!(answer.text, first.text);
    assert!(is_replay(answer));
    assert_eq!(first.header("idempotent-replayed"), None);
}
