//! `PATCH /portal/records/{id}`, `PATCH /records/{id}` and `PATCH /records/{id}/visibility`.

use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{RecordId, TenantId};
use model::key::Scope;
use model::period::Period;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{TestApp, assert_faults, assert_refusal, assert_unauthorized, insist};

const PRODUCTS: (&str, &str) = ("manufacturing", "product");
const SEARCH: &str = "/portal/search/manufacturing";

fn bolt() -> Value {
    json!({
        "name": "Bolt", "description": "steel", "source_id": "b-1",
        "sku": "B-1", "price_eur": 1.5, "size": {"inner": 8, "outer": 10},
    })
}

async fn add(app: &TestApp, tenant: &TenantId) -> String {
    let ids = app.add(tenant, PRODUCTS, &[bolt()]).await;
    format!("/portal/records/{}", ids[0])
}

/// Live records and public ones, as they are counted.
async fn counted(app: &TestApp, tenant: &TenantId) -> (u64, u64) {
    let period = Period::of(app.app.clock.now());
    let summary = app.app.table.summary(tenant, period).await;
    let counts = summary.expect("a summary").collections.remove(0).1;
    (counts.total, counts.public)
}

#[tokio::test]
async fn what_the_body_names_is_changed_and_the_rest_stays() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let path = add(&app, &client.tenant).await;
    let before = client.get(&path).await.json();
    app.advance(TimeDelta::seconds(1));

    let answer = client
        .patch(
            &path,
            json!({
                "name": " Nut ",
                "description": null,
                "collection_data": {"price_eur": null, "size": {"inner": 9}, "new": [1.0]},
                "visibility": "public",
                "source_name": "catalog",
                "id": "x", "record_type": "x", "source_id": "x", "unknown": 1,
            }),
        )
        .await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let mut expected = before;
    let data = json!({"sku": "B-1", "size": {"inner": 9}, "new": [1]});
    for (field, value) in [
        ("name", json!("Nut")),
        ("description", json!(null)),
        ("collection_data", data.clone()),
        ("data", data),
        ("visibility", json!("public")),
        ("source_name", json!("catalog")),
        ("indexing_status", json!("pending")),
        ("updated_at", json!("2026-03-08T12:00:01Z")),
    ] {
        expected[field] = value;
    }
    assert_eq!(answer.json(), expected);
    assert_eq!(client.get(&path).await.json(), expected);
}

#[tokio::test]
async fn a_change_shows_in_search_and_list_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let path = add(&app, &client.tenant).await;

    let data = json!({"collection_data": {"sku": "ZX-77"}});
    client.patch(&path, data).await;

    for (sku, total) in [("ZX-77", 1), ("B-1", 0)] {
        let filters = json!({"filters": {"sku": sku}});
        let found = client.post(SEARCH, filters).await.json();
        assert_eq!(found["metadata"]["total_estimate"], total, "{sku}");
    }
    let list = "/portal/records?collection=manufacturing";
    let listed = client.get(list).await.json();
    assert_eq!(listed["items"][0]["collection_data"]["sku"], "ZX-77");
    assert_eq!(listed["total"], 1);
}

#[tokio::test]
async fn the_data_goes_by_both_its_names_for_a_key() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let path = add(&app, &client.tenant).await.replace("/portal", "");
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;

    for (body, price) in [
        (json!({"data": {"price_eur": 2}}), 2),
        (json!({"collection_data": {"price_eur": 3}}), 3),
        (
            json!({"data": {"price_eur": 3}, "collection_data": {"price_eur": 4}}),
            4,
        ),
    ] {
        let answer = key.patch(&path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json()["data"]["price_eur"], price);
        assert_eq!(answer.json()["collection_data"]["price_eur"], price);
    }
}

#[tokio::test]
async fn public_records_are_counted_as_they_become_and_cease_to_be() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let path = add(&app, &client.tenant).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;
    let visibility = format!("{}/visibility", path.replace("/portal", ""));

    for (visible, public) in [("public", 1), ("public", 1), ("private", 0), ("public", 1)] {
        let answer = key.patch(&visibility, json!({"visibility": visible})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json()["visibility"], visible);
        assert_eq!(counted(&app, &client.tenant).await, (1, public));
    }
    let answer = key.patch(&visibility, json!({"name": "x"})).await;
    assert_faults(&answer, &[(&["body", "visibility"], "missing")]);
}

#[tokio::test]
async fn a_collection_is_listed_openly_before_its_first_record_is_public() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let path = add(&app, &client.tenant).await;
    client.get(&path).await;
    assert!(!app.dump().await.contains("OPEN#COLLECTIONS"));

    app.faults.calls();
    client.patch(&path, json!({"visibility": "public"})).await;

    assert!(app.dump().await.contains("OPEN#COLLECTIONS"));
    let transactions = app.faults.calls();
    let transactions = transactions.iter().filter(|it| *it == "TransactWriteItems");
    assert_eq!(transactions.count(), 2);
}

#[tokio::test]
async fn what_changes_nothing_is_not_written() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let path = add(&app, &client.tenant).await;
    let (before, dump) = (client.get(&path).await.json(), app.dump().await);
    app.advance(TimeDelta::seconds(1));

    for body in [
        json!({}),
        json!({"unknown": 1}),
        json!({"name": "Bolt", "collection_data": {"price_eur": 1.50, "none": null}}),
    ] {
        let answer = client.patch(&path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json(), before);
    }
    assert_eq!(app.dump().await, dump);
}

#[tokio::test]
async fn changes_at_once_are_all_done() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let path = add(&app, &client.tenant).await;

    let changes = (0..8).map(|field| {
        let data = json!({"collection_data": {format!("f{field}"): field}});
        let (client, path) = (&client, &path);
        insist(move || client.patch(path, data.clone()))
    });
    for answer in join_all(changes).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }

    let data = client.get(&path).await.json()["data"].clone();
    for field in 0..8 {
        assert_eq!(data[format!("f{field}")], field);
    }
    assert_eq!(counted(&app, &client.tenant).await, (1, 0));
}

#[tokio::test]
async fn a_faulty_field_is_named_and_nothing_is_changed() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let path = add(&app, &client.tenant).await;
    client.get(&path).await;
    let dump = app.dump().await;

    for (field, value, kind) in [
        ("name", json!(null), "missing"),
        ("name", json!(" "), "missing"),
        ("name", json!(7), "string_type"),
        ("name", json!("x".repeat(1_001)), "string_too_long"),
        ("description", json!(7), "string_type"),
        ("collection_data", json!([]), "dict_type"),
        ("data", json!("x"), "dict_type"),
        ("visibility", json!("secret"), "enum"),
        ("visibility", json!(null), "string_type"),
        ("source_name", json!(""), "string_too_short"),
        ("source_name", json!("x".repeat(201)), "string_too_long"),
    ] {
        let answer = client.patch(&path, json!({field: value})).await;
        assert_faults(&answer, &[(&["body", field], kind)]);
    }
    let large = json!({"collection_data": {"a": "x".repeat(50_000)}});
    let answer = client.patch(&path, large).await;
    assert_faults(&answer, &[(&["body"], "too_large")]);
    let answer = client.call(Method::PATCH, &path, None).await;
    assert_faults(&answer, &[(&["body"], "missing")]);
    let answer = client.patch(&path, json!([])).await;
    assert_faults(&answer, &[(&["body"], "model_attributes_type")]);
    assert_eq!(app.dump().await, dump);
}

#[tokio::test]
async fn who_may_not_change_a_record_does_not() {
    let app = TestApp::new(records::router()).await;
    let (client, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let path = add(&app, &client.tenant).await;
    add(&app, &other.tenant).await;
    let narrow = app
        .with_key(&client.tenant, &[Scope::Search, Scope::Upload])
        .await;
    let theirs = app.with_key(&other.tenant, &[Scope::Admin]).await;
    let id = path.rsplit('/').next().expect("an id");
    let id: RecordId = id.parse().expect("an id");
    let before = client.get(&path).await.text;

    let (body, status) = (json!({"name": "x"}), StatusCode::FORBIDDEN);
    let denied = "Insufficient permissions";
    let answer = client.viewer().patch(&path, body.clone()).await;
    assert_refusal(&answer, status, denied);
    let answer = narrow.patch(&format!("/records/{id}"), body.clone()).await;
    assert_refusal(&answer, status, denied);
    assert_unauthorized(&app.stranger().patch(&path, body.clone()).await);
    let (status, missing) = (StatusCode::NOT_FOUND, "Record not found");
    assert_refusal(&other.patch(&path, body.clone()).await, status, missing);
    let answer = theirs.patch(&format!("/records/{id}"), body).await;
    assert_refusal(&answer, status, missing);

    assert_eq!(client.get(&path).await.text, before);
}
