//! `GET /portal/records`: the records of a collection, newest first.

use axum::http::StatusCode;
use chrono::TimeDelta;
use model::id::RecordId;
use model::period::Period;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Answer, Client, TestApp, assert_faults, assert_unauthorized};

/// The collection and record type of most of these tests.
const BOLTS: (&str, &str) = ("manufacturing", "bolt");
const RECORDS: &str = "/portal/records?collection=manufacturing";

fn bolt(number: u32) -> Value {
    json!({"name": "Bolt", "number": number})
}

fn bolts(count: u32) -> Vec<Value> {
    (1..=count).map(bolt).collect()
}

fn sorted(mut ids: Vec<RecordId>) -> Vec<RecordId> {
    ids.sort_unstable();
    ids
}

#[track_caller]
fn ids(answer: &Answer) -> Vec<RecordId> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    let items = body["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["id"].as_str().expect("an id"))
        .map(|id| id.parse().expect("an id"))
        .collect()
}

async fn page(client: &Client<'_>, parameters: &str) -> Answer {
    client.get(&format!("{RECORDS}&{parameters}")).await
}

#[tokio::test]
async fn a_record_is_shown_with_all_of_its_fields() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let row = json!({
        "name": " Linear Bearing LM16UU ",
        "description": "16mm linear motion bearing",
        "source_id": "p-040",
        "sku": "LM16UU",
        "price_eur": 12.50,
        "size": {"inner": 16, "outer": 28.0},
        "tags": ["linear", "sealed"],
        "in_stock": true,
    });
    let ids = app
        .add(&client.tenant, ("manufacturing", "product"), &[row])
        .await;

    let answer = client.get(RECORDS).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({
            "items": [{
                "id": ids[0],
                "name": "Linear Bearing LM16UU",
                "description": "16mm linear motion bearing",
                "collection": "manufacturing",
                "record_type": "product",
                "indexing_status": "indexed",
                "collection_data": {
                    "sku": "LM16UU",
                    "price_eur": 12.5,
                    "size": {"inner": 16, "outer": 28},
                    "tags": ["linear", "sealed"],
                    "in_stock": true,
                },
                "created_at": "2026-03-08T12:00:00Z",
                "updated_at": "2026-03-08T12:00:00Z",
            }],
            "total": 1,
        })
    );
}

#[tokio::test]
async fn what_a_record_lacks_is_null_or_empty() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.advance(TimeDelta::milliseconds(250));
    let ids = app
        .add(&client.tenant, BOLTS, &[json!({"name": "Bolt"})])
        .await;

    let answer = client.get(RECORDS).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({
            "items": [{
                "id": ids[0],
                "name": "Bolt",
                "description": null,
                "collection": "manufacturing",
                "record_type": "bolt",
                "indexing_status": "indexed",
                "collection_data": {},
                "created_at": "2026-03-08T12:00:00.250Z",
                "updated_at": "2026-03-08T12:00:00.250Z",
            }],
            "total": 1,
        })
    );
}

#[tokio::test]
async fn the_newest_come_first_and_ties_are_ordered_by_id() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let old = app
        .add(&client.tenant, BOLTS, &[bolt(1), bolt(2), bolt(3)])
        .await;
    app.advance(TimeDelta::microseconds(1));
    let new = app
        .add(&client.tenant, BOLTS, &[bolt(4), bolt(5), bolt(6)])
        .await;

    let answer = client.get(RECORDS).await;

    assert_eq!(ids(&answer), [sorted(new), sorted(old)].concat());
}

#[tokio::test]
async fn what_is_written_later_is_listed_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let mut expected = app.add(&client.tenant, BOLTS, &[bolt(1)]).await;
    assert_eq!(ids(&client.get(RECORDS).await), expected);

    for number in 2..=5 {
        app.advance(TimeDelta::seconds(1));
        let new = app.add(&client.tenant, BOLTS, &[bolt(number)]).await;
        expected.splice(0..0, new);
        assert_eq!(ids(&client.get(RECORDS).await), expected);
    }
}

#[tokio::test]
async fn records_of_one_type_are_listed_alone() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let bolts = app.add(&client.tenant, BOLTS, &bolts(3)).await;
    let nuts = app
        .add(&client.tenant, ("manufacturing", "nut"), &[bolt(1)])
        .await;

    for (record_type, expected) in [("bolt", sorted(bolts)), ("nut", nuts), ("washer", vec![])] {
        let answer = page(&client, &format!("record_type={record_type}")).await;
        assert_eq!(ids(&answer), expected, "{record_type}");
        assert_eq!(answer.json()["total"], expected.len(), "{record_type}");
    }
    assert_eq!(client.get(RECORDS).await.json()["total"], 4);
}

#[tokio::test]
async fn pages_cover_every_record_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let all = sorted(app.add(&client.tenant, BOLTS, &bolts(45)).await);

    for limit in [1, 20, 44, 45, 100] {
        let mut walked = Vec::new();
        for offset in (0..45).step_by(limit) {
            let answer = page(&client, &format!("limit={limit}&offset={offset}")).await;
            assert_eq!(answer.json()["total"], 45);
            walked.extend(ids(&answer));
        }
        assert_eq!(walked, all, "{limit} a page");
    }
}

#[tokio::test]
async fn a_page_has_what_is_left_from_its_offset_on() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, BOLTS, &bolts(25)).await;

    for (parameters, count) in [
        ("", 20),
        ("limit=1", 1),
        ("limit=100", 25),
        ("offset=0", 20),
        ("offset=5", 20),
        ("offset=6", 19),
        ("offset=24", 1),
        ("offset=25", 0),
        ("offset=100000", 0),
        ("offset=100000&limit=100", 0),
        ("limit=007", 7),
        ("limit=20&unknown=1", 20),
    ] {
        let answer = page(&client, parameters).await;
        assert_eq!(ids(&answer).len(), count, "{parameters}");
        assert_eq!(answer.json()["total"], 25, "{parameters}");
    }
}

#[tokio::test]
async fn a_faulty_parameter_is_named() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, BOLTS, &[bolt(1)]).await;

    for (parameters, name, kind) in [
        ("limit=0", "limit", "greater_than_equal"),
        ("limit=-1", "limit", "greater_than_equal"),
        ("limit=101", "limit", "less_than_equal"),
        ("limit=99999999999999999999", "limit", "less_than_equal"),
        ("limit=1e2", "limit", "int_parsing"),
        ("limit=1.0", "limit", "int_parsing"),
        ("limit=%205", "limit", "int_parsing"),
        ("limit=+5", "limit", "int_parsing"),
        ("limit=", "limit", "int_parsing"),
        ("limit=5&limit=6", "limit", "value_error"),
        ("offset=-1", "offset", "greater_than_equal"),
        ("offset=100001", "offset", "less_than_equal"),
        ("offset=x", "offset", "int_parsing"),
        ("record_type=", "record_type", "string_pattern_mismatch"),
        (
            "record_type=a%2Fb",
            "record_type",
            "string_pattern_mismatch",
        ),
        ("record_type=%00", "record_type", "string_pattern_mismatch"),
        ("collection=hotels", "collection", "value_error"),
    ] {
        let answer = page(&client, parameters).await;
        assert_faults(&answer, &[(&["query", name], kind)]);
    }
}

#[tokio::test]
async fn the_collection_is_required_and_well_formed() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;

    for (parameters, kind) in [
        ("", "missing"),
        ("?limit=5", "missing"),
        ("?collection=", "string_pattern_mismatch"),
        ("?collection=-a", "string_pattern_mismatch"),
        ("?collection=a%2Fb", "string_pattern_mismatch"),
        ("?collection=a%23KEY", "string_pattern_mismatch"),
        ("?collection=%C3%A9", "string_pattern_mismatch"),
        ("?collection=a%00", "string_pattern_mismatch"),
    ] {
        let answer = client.get(&format!("/portal/records{parameters}")).await;
        assert_faults(&answer, &[(&["query", "collection"], kind)]);
    }
    let long = format!("/portal/records?collection={}", "a".repeat(65));
    let answer = client.get(&long).await;
    assert_faults(
        &answer,
        &[(&["query", "collection"], "string_pattern_mismatch")],
    );
}

#[tokio::test]
async fn a_missing_collection_is_told_in_full() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;

    let answer = client.get("/portal/records").await;

    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer.json(),
        json!({"detail": [
            {"loc": ["query", "collection"], "msg": "Field required", "type": "missing"},
        ]})
    );
}

#[tokio::test]
async fn every_faulty_parameter_is_named_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;

    let answer = client
        .get("/portal/records?record_type=%2F&limit=0&offset=-1")
        .await;

    assert_faults(
        &answer,
        &[
            (&["query", "collection"], "missing"),
            (&["query", "record_type"], "string_pattern_mismatch"),
            (&["query", "limit"], "greater_than_equal"),
            (&["query", "offset"], "greater_than_equal"),
        ],
    );
}

#[tokio::test]
async fn an_unknown_collection_and_anothers_are_the_same_404() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    app.add(&owner.tenant, BOLTS, &[bolt(1)]).await;
    assert_eq!(owner.get(RECORDS).await.status, StatusCode::OK);

    let theirs = other.get(RECORDS).await;
    let nobodys = other.get("/portal/records?collection=nowhere").await;

    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    assert_eq!(theirs.json(), json!({"detail": "Collection not found"}));
    assert_eq!((nobodys.status, nobodys.text), (theirs.status, theirs.text));
}

#[tokio::test]
async fn tenants_with_collections_of_one_name_list_their_own() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let own = app.add(&owner.tenant, BOLTS, &bolts(3)).await;
    let theirs = app.add(&other.tenant, BOLTS, &bolts(2)).await;

    let query = format!("tenant_id={}", owner.tenant);
    assert_eq!(ids(&owner.get(RECORDS).await), sorted(own));
    assert_eq!(ids(&page(&other, &query).await), sorted(theirs));
}

#[tokio::test]
async fn a_list_is_not_counted_as_a_search() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, BOLTS, &[bolt(1)]).await;

    for _ in 0..3 {
        assert_eq!(client.get(RECORDS).await.status, StatusCode::OK);
    }

    let period = Period::of(app.app.clock.now());
    let summary = app.app.table.summary(&client.tenant, period).await.unwrap();
    assert_eq!(summary.searches, 0);
}

#[tokio::test]
async fn a_viewer_may_list_records() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let added = app.add(&client.tenant, BOLTS, &[bolt(1)]).await;

    let answer = client.viewer().get(RECORDS).await;

    assert_eq!(ids(&answer), added);
}

#[tokio::test]
async fn a_stranger_may_not_list_records() {
    let app = TestApp::new(records::router()).await;

    let answer = app.stranger().get(RECORDS).await;

    assert_unauthorized(&answer);
}
