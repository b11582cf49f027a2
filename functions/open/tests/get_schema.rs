//! `GET /open/v1/collections/{collection}/schema`: what public records are made of.

#[expect(dead_code, reason = "searches are in other files")]
mod common;

use axum::http::StatusCode;
use common::{public, unlimited};
use model::plan::Plan;
use serde_json::json;
use testkit::{assert_faults, assert_indistinguishable, assert_refusal};

#[tokio::test]
async fn the_fields_of_public_records_have_types_and_samples() {
    let app = unlimited().await;
    let (one, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let rows = [
        public(json!({"name": "Bolt", "price": 1.5, "size": {"unit": "mm"}})),
        json!({"name": "Secret", "price": 99, "margin": 50}),
    ];
    app.add(&one.tenant, ("fasteners", "product"), &rows).await;
    let rows = [public(json!({"name": "Nut", "in_stock": true}))];
    app.add(&other.tenant, ("fasteners", "nut"), &rows).await;

    let answer = app.anybody().get("/collections/fasteners/schema").await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({
            "collection": "fasteners",
            "record_types": ["nut", "product"],
            "record_count": 2,
            "fields": [
                {"name": "in_stock", "type": "boolean", "sample_values": [true]},
                {"name": "price", "type": "number", "sample_values": [1.5]},
                {"name": "size.unit", "type": "string", "sample_values": ["mm"]},
            ],
        })
    );
}

#[tokio::test]
async fn a_collection_without_public_records_is_not_told_from_none() {
    let app = unlimited().await;
    let client = app.tenant(Plan::Pro).await;
    let rows = [json!({"name": "Secret"})];
    app.add(&client.tenant, ("fasteners", "product"), &rows)
        .await;
    let private = app.anybody().get("/collections/fasteners/schema").await;
    assert_refusal(&private, StatusCode::NOT_FOUND, "Collection not found");
    let unknown = app.anybody().get("/collections/nowhere/schema").await;
    assert_indistinguishable(&private, &unknown);
    let bad = app.anybody().get("/collections/-x/schema").await;
    assert_faults(
        &bad,
        &[(&["path", "collection"], "string_pattern_mismatch")],
    );
}
