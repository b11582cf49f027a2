//! The open routes over an empty table, and records that are public or not.

use axum::http::StatusCode;
use model::id::{CollectionName, RecordId, TenantId};
use model::period::{Day, Period};
use model::record::{Record, Visibility};
use serde_json::Value;
use table::record::Place;
use testkit::{Answer, TestApp};

/// The service with the open routes alone.
pub(crate) async fn service(settings: &[(&str, &str)]) -> TestApp {
    TestApp::with_open(api::Router::new(), open::router(), settings).await
}

/// The same without a rate limit.
pub(crate) async fn unlimited() -> TestApp {
    service(&[("RATE_LIMIT_ENABLED", "false")]).await
}

/// A row that everybody may find.
pub(crate) fn public(mut row: Value) -> Value {
    row["visibility"] = "public".into();
    row
}

/// Where the records of a collection lie.
async fn place(app: &TestApp, tenant: &TenantId, name: &CollectionName) -> (Place, u32) {
    let collection = app.app.table.find_collection(tenant, name).await;
    let collection = collection.expect("an answer").expect("a collection");
    let place = Place::new(tenant, collection.number, collection.generation);
    (place, collection.number)
}

/// A record of a collection as it is, and the place where it lies.
async fn record(
    app: &TestApp,
    tenant: &TenantId,
    name: &CollectionName,
    id: RecordId,
) -> (Place, Record) {
    let (place, _) = place(app, tenant, name).await;
    let records = app.app.table.records(&place, name, &[id]).await;
    let record = records.expect("records").remove(&id);
    (place, record.expect("a record"))
}

/// Makes a record public or private, as the main API does.
pub(crate) async fn show(
    app: &TestApp,
    tenant: &TenantId,
    collection: &str,
    (id, visibility): (RecordId, Visibility),
) {
    let name = collection.parse().expect("a collection");
    let (place, old) = record(app, tenant, &name, id).await;
    let new = Record {
        visibility,
        version: old.version + 1,
        updated_at: app.app.clock.now(),
        ..old.clone()
    };
    let table = &app.app.table;
    if visibility == Visibility::Public {
        let listed = table.list_openly(tenant, &name, id.collection_number());
        listed.await.expect("a listed collection");
    }
    let updated = table.update_record(&place, &old, &new).await;
    assert!(updated.expect("an answer"), "it was another by then");
}

/// Deletes a record, as the main API does.
pub(crate) async fn delete(app: &TestApp, tenant: &TenantId, collection: &str, id: RecordId) {
    let name = collection.parse().expect("a collection");
    let (place, old) = record(app, tenant, &name, id).await;
    let now = app.app.clock.now();
    let deleted = app.app.table.delete_record(&place, &old, now).await;
    assert!(deleted.expect("an answer"), "it was another by then");
}

/// The results of a search.
#[track_caller]
pub(crate) fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let results = answer.json()["results"].as_array().cloned();
    results.expect("results")
}

/// Their names.
#[track_caller]
pub(crate) fn names(answer: &Answer) -> Vec<String> {
    let name = |row: &Value| row["name"].as_str().expect("a name").to_owned();
    results(answer).iter().map(name).collect()
}

/// How many hits there are in all.
#[track_caller]
pub(crate) fn total(answer: &Answer) -> u64 {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let total = answer.json()["metadata"]["total_estimate"].as_u64();
    total.expect("a total")
}

/// How many open searches are counted today for a tenant's collection.
pub(crate) async fn counted(app: &TestApp, tenant: &TenantId, collection: &str) -> u64 {
    let name = collection.parse().expect("a collection");
    let (_, number) = place(app, tenant, &name).await;
    let day = Day::of(app.app.clock.now());
    let searches = app.app.table.open_searches(tenant, day.period()).await;
    let searches = searches.expect("counters");
    searches.get(&number).map_or(0, |daily| daily.on(day))
}

/// How many of an agent's searches are counted this month for a tenant.
pub(crate) async fn counted_of(app: &TestApp, tenant: &TenantId, agent: &str) -> u64 {
    let period = Period::of(app.app.clock.now());
    let agents = app.app.table.agents(tenant, period).await;
    let agents = agents.expect("counters").named;
    agents.get(agent).map_or(0, |daily| daily.total)
}
