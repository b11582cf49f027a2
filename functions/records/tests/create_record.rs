//! `POST /records`: makes a record, and its collection if there is none.

use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::TenantId;
use model::key::Scope;
use model::period::Period;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{TestApp, assert_bad_key, assert_faults, assert_refusal, insist};

fn bolt() -> Value {
    json!({
        "collection": "parts", "record_type": "bolt", "name": "Bolt M8",
        "data": {"sku": "B-8", "price_eur": 0.12},
    })
}

fn numbered(number: u32) -> Value {
    json!({
        "collection": "parts", "record_type": "bolt", "name": format!("Bolt {number}"),
        "source_id": number,
    })
}

/// Live records and public ones, as they are counted.
async fn counted(app: &TestApp, tenant: &TenantId) -> (u64, u64) {
    let period = Period::of(app.app.clock.now());
    let summary = app.app.table.summary(tenant, period).await;
    let counts = summary.expect("a summary").collections.remove(0).1;
    (counts.total, counts.public)
}

#[tokio::test]
async fn a_number_that_cannot_be_kept_is_refused_where_it_stands() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app
        .with_key(&client.tenant, &[Scope::Records, Scope::Search])
        .await;
    for number in [
        "1e-400",
        "123456789012345678901234",
        "0.1234567890123456789",
    ] {
        let body = format!(
            r#"{{"collection": "parts", "record_type": "bolt", "name": "Bolt",
                "data": {{"size": [{number}]}}}}"#
        );
        let request = key.request(Method::POST, "/records").body(body.into());
        let answer = app.send(request.expect("a request")).await;
        assert_faults(
            &answer,
            &[(&["body", "data", "size", "0"], "number_precision")],
        );
    }
    let records = key.get("/records").await.json();
    assert_eq!(records["records"], json!([]));
}

#[tokio::test]
async fn a_record_is_made_with_its_collection_and_found_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app
        .with_key(&client.tenant, &[Scope::Records, Scope::Search])
        .await;

    let answer = key.post("/records", bolt()).await;

    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let made = answer.json();
    assert_eq!(
        made,
        json!({
            "id": made["id"],
            "name": "Bolt M8",
            "description": null,
            "collection": "parts",
            "record_type": "bolt",
            "indexing_status": "pending",
            "collection_data": {"sku": "B-8", "price_eur": 0.12},
            "data": {"sku": "B-8", "price_eur": 0.12},
            "visibility": "private",
            "generation": 1,
            "source_type": "api",
            "source_name": null,
            "source_id": null,
            "created_at": "2026-03-08T12:00:00Z",
            "updated_at": "2026-03-08T12:00:00Z",
        })
    );
    let id = made["id"].as_str().expect("an id");
    assert_eq!(key.get(&format!("/records/{id}")).await.json(), made);
    let found = client
        .post("/portal/search/parts", json!({"query": "B-8"}))
        .await
        .json();
    assert_eq!(found["results"][0]["record_id"], made["id"]);
    assert_eq!(found["results"][0]["source_type"], "api");
    let collections = client.get("/portal/collections").await.json();
    assert_eq!(collections["collections"][0]["name"], "parts");
    assert_eq!(
        collections["collections"][0]["record_types"],
        json!(["bolt"])
    );
    assert_eq!(collections["collections"][0]["total_records"], 1);
}

#[tokio::test]
async fn each_call_makes_a_record_of_its_own_unless_its_source_names_one() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;

    let (first, second) = (
        key.post("/records", bolt()).await,
        key.post("/records", bolt()).await,
    );
    assert_eq!(second.status, StatusCode::CREATED);
    assert_ne!(first.json()["id"], second.json()["id"]);

    let named = |record_type: &str, name: &str| {
        json!({
            "collection": "parts", "record_type": record_type, "name": name, "source_id": "s-1",
        })
    };
    for (record_type, status) in [
        ("bolt", StatusCode::CREATED),
        ("nut", StatusCode::CREATED),
        ("bolt", StatusCode::CONFLICT),
    ] {
        let answer = key.post("/records", named(record_type, record_type)).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    let answer = key.post("/records", named("nut", "other")).await;
    let detail = "The collection has a record of this type with this source_id already";
    assert_refusal(&answer, StatusCode::CONFLICT, detail);
    assert_eq!(counted(&app, &client.tenant).await, (4, 0));
}

#[tokio::test]
async fn an_upload_and_a_call_mean_the_same_record_by_its_source_id() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let row = json!({"name": "Bolt", "source_id": "7"});
    app.add(&client.tenant, ("parts", "bolt"), &[row]).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;

    let answer = key.post("/records", numbered(7)).await;

    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
}

#[tokio::test]
async fn a_record_that_does_not_say_it_is_as_visible_as_its_collection_says() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;
    key.post("/records", bolt()).await;
    let patch = json!({"default_visibility": "public"});
    let answer = key.patch("/collections/parts", patch).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);

    let answer = key.post("/records", bolt()).await;
    assert_eq!(answer.json()["visibility"], "public", "{}", answer.text);
    let mut private = bolt();
    private["visibility"] = json!("private");
    let answer = key.post("/records", private).await;
    assert_eq!(answer.json()["visibility"], "private", "{}", answer.text);
    assert_eq!(counted(&app, &client.tenant).await, (3, 1));
    assert!(app.dump().await.contains("OPEN#COLLECTIONS"));
}

#[tokio::test]
async fn a_public_record_may_be_the_first_of_its_collection() {
    let app = TestApp::new(records::router()).await;
    for plan in [Plan::Free, Plan::Enterprise] {
        let client = app.tenant(plan).await;
        let key = app.with_key(&client.tenant, &[Scope::Records]).await;
        let mut public = bolt();
        public["visibility"] = json!("public");

        let answer = key.post("/records", public).await;

        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        assert_eq!(answer.json()["visibility"], "public");
        assert_eq!(counted(&app, &client.tenant).await, (1, 1));
        let listing = format!("parts#{}", client.tenant);
        assert!(app.dump().await.contains(&listing), "{plan}");
    }
}

#[tokio::test]
async fn the_free_plan_ends_with_50_records_and_one_collection() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;
    for number in 0..50 {
        let answer = key.post("/records", numbered(number)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }

    let detail = "The record would pass the 50 records of the free plan";
    let answer = key.post("/records", numbered(50)).await;
    assert_refusal(&answer, StatusCode::PAYMENT_REQUIRED, detail);
    assert_eq!(counted(&app, &client.tenant).await, (50, 0));

    let other = app.tenant(Plan::Free).await;
    let key = app.with_key(&other.tenant, &[Scope::Records]).await;
    key.post("/records", bolt()).await;
    let mut second = bolt();
    second["collection"] = json!("more");
    let answer = key.post("/records", second).await;
    let detail = "The record would pass the 1 collection of the free plan";
    assert_refusal(&answer, StatusCode::PAYMENT_REQUIRED, detail);
    assert_eq!(counted(&app, &other.tenant).await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_never_pass_the_cap() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    let rows: Vec<Value> = (0..45)
        .map(|number| json!({"name": "Bolt", "number": number}))
        .collect();
    app.add(&client.tenant, ("parts", "bolt"), &rows).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;

    let calls = (0..12).map(|_| insist(|| key.post("/records", bolt())));
    let answers = join_all(calls).await;

    let of = |status| answers.iter().filter(|it| it.status == status).count();
    let (made, refused) = (of(StatusCode::CREATED), of(StatusCode::PAYMENT_REQUIRED));
    assert_eq!((made, refused), (5, 7), "{answers:?}");
    assert_eq!(counted(&app, &client.tenant).await, (50, 0));
}

#[tokio::test]
async fn a_place_in_the_plan_that_a_call_did_not_give_back_is_free_after_a_minute() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    let rows: Vec<Value> = (0..47)
        .map(|number| json!({"name": "Bolt", "number": number}))
        .collect();
    app.add(&client.tenant, ("parts", "bolt"), &rows).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;
    // What is written of the key's use, and the end of the reservation: none of it is done.
    app.faults.inject("UpdateItem", testkit::Fault::Met, 100);
    let answer = key.post("/records", bolt()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    app.faults.clear();
    assert_eq!(counted(&app, &client.tenant).await, (48, 0));

    app.advance(TimeDelta::minutes(2));
    for _ in 0..2 {
        let answer = key.post("/records", bolt()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }
    let answer = key.post("/records", bolt()).await;
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(counted(&app, &client.tenant).await, (50, 0));
}

#[tokio::test]
async fn every_faulty_field_is_named_and_nothing_is_made() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;

    let answer = key
        .post(
            "/records",
            json!({"collection": "-", "name": "", "data": [], "visibility": "secret"}),
        )
        .await;
    assert_faults(
        &answer,
        &[
            (&["body", "collection"], "string_pattern_mismatch"),
            (&["body", "record_type"], "missing"),
            (&["body", "name"], "missing"),
            (&["body", "visibility"], "enum"),
            (&["body", "data"], "dict_type"),
        ],
    );
    let mut large = bolt();
    large["data"]["a"] = json!("x".repeat(50_000));
    let answer = key.post("/records", large).await;
    assert_faults(&answer, &[(&["body"], "too_large")]);
    let answer = key.call(Method::POST, "/records", None).await;
    assert_faults(&answer, &[(&["body"], "missing")]);

    let collections = client.get("/portal/collections").await.json();
    assert_eq!(collections["collections"], json!([]));
}

#[tokio::test]
async fn who_may_not_make_a_record_does_not() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let narrow = app
        .with_key(&client.tenant, &[Scope::Search, Scope::Upload])
        .await;

    let answer = narrow.post("/records", bolt()).await;
    assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
    assert_bad_key(&client.post("/records", bolt()).await);
    assert_bad_key(&app.stranger().post("/records", bolt()).await);

    let collections = client.get("/portal/collections").await.json();
    assert_eq!(collections["collections"], json!([]));
}
