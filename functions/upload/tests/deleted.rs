//! Uploads that meet the deletion of their collection, and what is said of one for its new records.

#[expect(dead_code, reason = "every test here begins with records")]
mod common;

use axum::http::StatusCode;
use common::{PATH, post_file, recounted, taken};
use model::collection::CollectionPatch;
use model::id::{CollectionName, TenantId};
use model::plan::Plan;
use model::record::Visibility;
use serde_json::json;
use testkit::{Client, Form, Objects, TestApp, assert_refusal, engine};

const DELETED: &str = "The collection was deleted meanwhile";

fn parts() -> CollectionName {
    "parts".parse().expect("a collection")
}

/// A service whose packs can be held up.
async fn app(objects: &Objects) -> TestApp {
    let settings = [("RATE_LIMIT_ENABLED", "false")];
    let place = (engine().await, objects.store());
    TestApp::at((&place.0, &place.1), upload::router(), &settings, None).await
}

/// A tenant's collection of two records.
async fn filled(app: &TestApp) -> Client<'_> {
    let client = app.tenant(Plan::Pro).await;
    let answer = post_file(&client, "old.csv", "name\nBolt\nNut\n").await;
    assert_eq!(taken(&answer), [2, 2, 0, 0]);
    client
}

async fn delete(app: &TestApp, tenant: &TenantId) {
    let now = app.app.clock.now();
    let deleted = app.app.table.delete_collection(tenant, &parts(), now).await;
    assert!(deleted.expect("an answer").is_some());
}

/// The names and visibilities of a tenant's records.
async fn shown(app: &TestApp, tenant: &TenantId) -> Vec<(String, Visibility)> {
    let records = recounted(app, tenant).await.into_iter();
    records
        .map(|record| (record.name, record.visibility))
        .collect()
}

#[tokio::test]
async fn an_upload_whose_collection_is_deleted_meanwhile_is_a_conflict() {
    let objects = Objects::default();
    let app = app(&objects).await;
    let client = filled(&app).await;
    let tenant = &client.tenant;
    let gate = objects.close().await;
    let deleting = async {
        objects.stopped().await;
        delete(&app, tenant).await;
        drop(gate);
    };

    let uploading = post_file(&client, "new.csv", "name\nScrew\n");
    let (answer, ()) = tokio::join!(uploading, deleting);

    assert_refusal(&answer, StatusCode::CONFLICT, DELETED);
    assert_eq!(shown(&app, tenant).await, []);
    let listed = client.get("/portal/uploads").await.json();
    let uploads = listed["uploads"].as_array().expect("a list");
    let failed = uploads.iter().filter(|upload| upload["status"] == "failed");
    assert_eq!((uploads.len(), failed.count()), (2, 1));
}

#[tokio::test]
async fn it_does_not_go_on_in_another_collection_of_the_name() {
    let objects = Objects::default();
    let app = app(&objects).await;
    let client = filled(&app).await;
    let tenant = &client.tenant;
    let gate = objects.close().await;
    let renewing = async {
        objects.stopped().await;
        delete(&app, tenant).await;
        // Not folded: packs are held up.
        let new = app.reserve(tenant, ("parts", "product"), 1).await;
        new.write([json!({"name": "Washer"})]).await;
        drop(gate);
    };

    let uploading = post_file(&client, "new.csv", "name\nScrew\n");
    let (answer, ()) = tokio::join!(uploading, renewing);

    assert_refusal(&answer, StatusCode::CONFLICT, DELETED);
    app.travel("2026-03-08T12:15:00Z");
    let expected = [("Washer".to_owned(), Visibility::Private)];
    assert_eq!(shown(&app, tenant).await, expected);
}

#[tokio::test]
async fn a_replace_whose_collection_is_deleted_meanwhile_is_a_conflict() {
    let objects = Objects::default();
    let app = app(&objects).await;
    let client = filled(&app).await;
    let tenant = &client.tenant;
    let gate = objects.close().await;
    let deleting = async {
        objects.stopped().await;
        delete(&app, tenant).await;
        drop(gate);
    };

    let path = "/portal/collections/parts/replace?record_type=product";
    let form = Form::new().file("new.csv", "name\nScrew\n");
    let (answer, ()) = tokio::join!(client.upload(path, form), deleting);

    assert_refusal(&answer, StatusCode::CONFLICT, DELETED);
    let status = client.get("/portal/collections/parts/replace-status");
    let missing = "Collection not found";
    assert_refusal(&status.await, StatusCode::NOT_FOUND, missing);
}

#[tokio::test]
async fn the_same_file_makes_a_deleted_collection_anew() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app).await;
    let tenant = &client.tenant;
    let before = recounted(&app, tenant).await;
    delete(&app, tenant).await;

    let answer = post_file(&client, "old.csv", "name\nBolt\nNut\n").await;

    assert_eq!(taken(&answer), [2, 2, 0, 0]);
    let after = recounted(&app, tenant).await;
    assert_eq!(after.len(), 2);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old.name, new.name);
        assert_ne!(old.id, new.id);
    }
}

#[tokio::test]
async fn new_records_are_what_their_collection_says_where_their_rows_do_not() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app).await;
    let tenant = &client.tenant;
    let patch = CollectionPatch {
        default_visibility: Some(Visibility::Public),
        ..CollectionPatch::default()
    };
    let updated = app
        .app
        .table
        .update_collection(tenant, &parts(), &patch)
        .await;
    assert!(updated.expect("an answer").is_some());

    let file = "source_id,name,visibility\n1,Screw,\n2,Washer,private\n3,Rivet,public\n";
    let form = Form::new().file("new.csv", file);
    let answer = client.upload(PATH, form).await;
    assert_eq!(taken(&answer), [3, 3, 0, 0]);

    let (private, public) = (Visibility::Private, Visibility::Public);
    let named = |name: &str, visibility| (name.to_owned(), visibility);
    let mut expected = [
        named("Bolt", private),
        named("Nut", private),
        named("Rivet", public),
        named("Screw", public),
        named("Washer", private),
    ];
    assert_eq!(shown(&app, tenant).await, expected);

    // A record that is there keeps what it is.
    let file = "source_id,name\n2,Washer M8\n";
    let form = Form::new().file("changed.csv", file);
    assert_eq!(taken(&client.upload(PATH, form).await), [1, 1, 0, 0]);
    expected[4] = named("Washer M8", private);
    assert_eq!(shown(&app, tenant).await, expected);
}
