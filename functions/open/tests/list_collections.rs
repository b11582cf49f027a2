//! `GET /open/v1/collections`: what there is in public.

#[expect(dead_code, reason = "searches are in other files")]
mod common;

use axum::http::StatusCode;
use common::{public, show, unlimited};
use model::collection::CollectionPatch;
use model::plan::Plan;
use model::record::Visibility;
use serde_json::{Value, json};
use testkit::TestApp;

async fn listed(app: &TestApp) -> Value {
    let answer = app.anybody().get("/collections").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_collection_is_listed_as_long_as_it_has_public_records() {
    let app = unlimited().await;
    let client = app.tenant(Plan::Pro).await;
    let place = ("fasteners", "product");
    let ids = app
        .add(&client.tenant, place, &[json!({"name": "Bolt"})])
        .await;
    assert_eq!(listed(&app).await, json!([]));
    show(
        &app,
        &client.tenant,
        "fasteners",
        (ids[0], Visibility::Public),
    )
    .await;
    assert_eq!(
        listed(&app).await,
        json!([{
            "collection": "fasteners",
            "description": null,
            "category": null,
            "record_types": ["product"],
            "record_count": 1,
            "has_schema": false,
        }])
    );
    show(
        &app,
        &client.tenant,
        "fasteners",
        (ids[0], Visibility::Private),
    )
    .await;
    assert_eq!(listed(&app).await, json!([]));
}

#[tokio::test]
async fn collections_of_one_name_are_merged_and_what_is_private_does_not_show() {
    let app = unlimited().await;
    let (small, large) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let bolt = || public(json!({"name": "Bolt"}));
    app.add(&small.tenant, ("fasteners", "bolt"), &[bolt()])
        .await;
    let two = [
        bolt(),
        public(json!({"name": "Nut"})),
        json!({"name": "Secret"}),
    ];
    app.add(&large.tenant, ("fasteners", "product"), &two).await;
    app.add(
        &large.tenant,
        ("fasteners", "plan"),
        &[json!({"name": "Secret"})],
    )
    .await;
    app.add(
        &large.tenant,
        ("secrets", "plan"),
        &[json!({"name": "Secret"})],
    )
    .await;
    let name = "fasteners".parse().expect("a collection");
    for (client, description, category) in [(&small, "Few", Some("parts")), (&large, "Many", None)]
    {
        let patch = CollectionPatch {
            description: Some(Some(description.to_owned())),
            category: category.map(|category| Some(category.to_owned())),
            default_visibility: None,
        };
        let table = &app.app.table;
        let updated = table.update_collection(&client.tenant, &name, &patch).await;
        assert!(updated.expect("an answer").is_some());
    }
    assert_eq!(
        listed(&app).await,
        json!([{
            "collection": "fasteners",
            "description": "Many",
            "category": "parts",
            "record_types": ["bolt", "product"],
            "record_count": 3,
            "has_schema": false,
        }])
    );
}

#[tokio::test]
async fn a_deleted_collection_is_not_listed_nor_is_a_new_one_of_its_name() {
    let app = unlimited().await;
    let client = app.tenant(Plan::Pro).await;
    let place = ("fasteners", "product");
    app.add(&client.tenant, place, &[public(json!({"name": "Bolt"}))])
        .await;
    let (table, now) = (&app.app.table, app.app.clock.now());
    let name = "fasteners".parse().expect("a collection");
    let gone = table.delete_collection(&client.tenant, &name, now).await;
    assert!(gone.expect("an answer").is_some());
    assert_eq!(listed(&app).await, json!([]));
    let directory = table.listed_openly(None).await.expect("a list");
    assert!(directory.is_empty(), "{directory:?}");
    app.add(&client.tenant, place, &[json!({"name": "Secret"})])
        .await;
    assert_eq!(listed(&app).await, json!([]));
    let directory = table.listed_openly(None).await.expect("a list");
    assert!(directory.is_empty(), "{directory:?}");
}
