//! `GET /open/v1/records/{id}`: a public record.

#[expect(dead_code, reason = "searches are in other files")]
mod common;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use common::{delete, public, show, unlimited};
use model::id::RecordId;
use model::plan::Plan;
use model::record::Visibility;
use serde_json::json;
use testkit::{Answer, TestApp, assert_indistinguishable, assert_refusal};

async fn get(app: &TestApp, id: RecordId) -> Answer {
    app.anybody().get(&format!("/records/{id}")).await
}

#[tokio::test]
async fn a_public_record_tells_what_it_is_and_not_whose() {
    let app = unlimited().await;
    // Their collections have the same number.
    let other = app.tenant(Plan::Pro).await;
    let rows = [public(json!({"name": "Nut"}))];
    app.add(&other.tenant, ("fasteners", "product"), &rows)
        .await;
    let client = app.tenant(Plan::Pro).await;
    let row = json!({"name": "Bolt", "description": "steel", "source_id": "secret", "size": 8});
    let ids = app
        .add(&client.tenant, ("fasteners", "product"), &[public(row)])
        .await;

    let answer = get(&app, ids[0]).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({
            "id": ids[0],
            "name": "Bolt",
            "description": "steel",
            "collection": "fasteners",
            "record_type": "product",
            "collection_data": {"size": 8},
            "data": {"size": 8},
            "created_at": "2026-03-08T12:00:00Z",
            "updated_at": "2026-03-08T12:00:00Z",
        })
    );
}

#[tokio::test]
async fn what_is_private_or_gone_is_not_told_from_what_never_was() {
    let app = unlimited().await;
    let client = app.tenant(Plan::Pro).await;
    let place = ("fasteners", "product");
    let rows = [
        json!({"name": "Secret"}),
        public(json!({"name": "Bolt"})),
        public(json!({"name": "Nut"})),
    ];
    let ids = app.add(&client.tenant, place, &rows).await;
    show(
        &app,
        &client.tenant,
        "fasteners",
        (ids[1], Visibility::Private),
    )
    .await;
    delete(&app, &client.tenant, "fasteners", ids[2]).await;

    let unknown = app.anybody().get("/records/nothing").await;
    assert_refusal(&unknown, StatusCode::NOT_FOUND, "Record not found");
    for id in ids {
        assert_indistinguishable(&get(&app, id).await, &unknown);
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_tenants_collection_hides_nothing_of_others() {
    let app = unlimited().await;
    let (one, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let (place, bolt) = (("fasteners", "product"), public(json!({"name": "Bolt"})));
    let ids = app
        .add(&one.tenant, place, std::slice::from_ref(&bolt))
        .await;
    app.add(&other.tenant, place, &[bolt]).await;
    let broken = [("number", AttributeValue::S("one".to_owned()))];
    app.plant(&other.tenant, "COLL#fasteners", broken).await;
    let record = format!("/records/{}", ids[0]);
    for path in [
        "/collections",
        "/collections/fasteners/schema",
        "/search?q=bolt",
        "/search/fasteners?q=bolt",
        &record,
    ] {
        let answer = app.anybody().get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        assert!(answer.text.contains("fasteners"), "{path}: {}", answer.text);
    }
}
