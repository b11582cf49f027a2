//! `GET /records`: the tenant's records, page by page.

use std::collections::HashSet;

use axum::http::StatusCode;
use chrono::TimeDelta;
use model::id::RecordId;
use model::key::Scope;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{
    Answer, Client, Objects, TestApp, assert_bad_key, assert_faults, assert_refusal, engine,
};

fn bolts(numbers: std::ops::Range<u32>) -> Vec<Value> {
    let bolt = |number| json!({"name": "Bolt", "number": number});
    numbers.map(bolt).collect()
}

fn sorted(mut ids: Vec<RecordId>) -> Vec<RecordId> {
    ids.sort_unstable();
    ids
}

#[track_caller]
fn ids(answer: &Answer) -> Vec<RecordId> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    let records = body["records"].as_array().expect("records");
    let id = |record: &Value| record["id"].as_str()?.parse().ok();
    records.iter().filter_map(id).collect()
}

/// The cursor of an answer, which has one if it has more.
#[track_caller]
fn cursor(answer: &Answer) -> Option<String> {
    let body = answer.json();
    let cursor = body["cursor"].as_str().map(str::to_owned);
    assert_eq!(body["has_more"], cursor.is_some());
    cursor
}

/// Every record, so many a page.
async fn walk(client: &Client<'_>, parameters: &str, limit: usize) -> Vec<RecordId> {
    let path = format!("/records?limit={limit}{parameters}");
    let (mut all, mut next) = (Vec::new(), path.clone());
    loop {
        let answer = client.get(&next).await;
        let page = ids(&answer);
        assert!(page.len() <= limit, "{}", answer.text);
        all.extend(page);
        match cursor(&answer) {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return all,
        }
    }
}

#[tokio::test]
async fn a_page_shows_records_in_full() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app.with_key(&client.tenant, &[Scope::Search]).await;
    let ids = app
        .add(&client.tenant, ("bolts", "bolt"), &bolts(1..2))
        .await;

    let answer = key.get("/records").await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let shown = key.get(&format!("/records/{}", ids[0])).await.json();
    assert_eq!(
        answer.json(),
        json!({"records": [shown], "cursor": null, "has_more": false})
    );
}

#[tokio::test]
async fn collections_follow_each_other_by_name_and_records_the_newest_first() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let (tenant, bolt, nut) = (&client.tenant, ("bolts", "bolt"), ("nuts", "nut"));
    let key = app.with_key(tenant, &[Scope::Search]).await;
    let nuts = sorted(app.add(tenant, nut, &bolts(0..4)).await);
    let old = sorted(app.add(tenant, bolt, &bolts(0..3)).await);
    app.advance(TimeDelta::microseconds(1));
    let new = sorted(app.add(tenant, bolt, &bolts(3..6)).await);
    let screws = app.add(tenant, ("bolts", "screw"), &bolts(0..1)).await;
    let new = sorted([new, screws.clone()].concat());
    let of_bolts = [new, old].concat();
    let all = [of_bolts.clone(), nuts.clone()].concat();

    for limit in [1, 2, 7, 10, 11, 12, 100] {
        assert_eq!(walk(&key, "", limit).await, all, "{limit}");
        let walked = walk(&key, "&collection=bolts", limit).await;
        assert_eq!(walked, of_bolts, "{limit}");
        assert_eq!(walk(&key, "&record_type=nut", limit).await, nuts);
        assert_eq!(walk(&key, "&record_type=screw", limit).await, screws);
        assert!(walk(&key, "&record_type=none", limit).await.is_empty());
    }
}

#[tokio::test]
async fn a_walk_neither_repeats_nor_leaves_out_what_stays() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let key = app.with_key(tenant, &[Scope::Search, Scope::Records]).await;
    let mut stable = Vec::new();
    for round in 0..6 {
        app.advance(TimeDelta::seconds(1));
        let rows = bolts(10 * round..10 * round + 5);
        stable.extend(app.add(tenant, ("bolts", "bolt"), &rows).await);
    }
    let mut deleted = stable.split_off(25);

    let path = "/records?limit=4&collection=bolts";
    let (mut walked, mut next) = (Vec::new(), path.to_owned());
    for round in 0.. {
        let answer = key.get(&next).await;
        walked.extend(ids(&answer));
        let Some(cursor) = cursor(&answer) else { break };
        next = format!("{path}&cursor={cursor}");
        app.advance(TimeDelta::seconds(1));
        let new = json!({
            "collection": "bolts", "record_type": "bolt", "name": format!("New {round}"),
        });
        assert_eq!(key.post("/records", new).await.status, StatusCode::CREATED);
        if let Some(id) = deleted.pop() {
            key.delete(&format!("/records/{id}")).await;
        }
    }

    let known: HashSet<RecordId> = walked.iter().copied().collect();
    assert_eq!(known.len(), walked.len(), "a record is repeated");
    assert!(
        stable.iter().all(|id| known.contains(id)),
        "one is left out"
    );
}

#[tokio::test]
async fn a_page_ends_early_at_5_mb() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app.with_key(&client.tenant, &[Scope::Search]).await;
    let row = |number: u32| json!({"name": "Bolt", "n": number, "text": "x".repeat(40_000)});
    let rows: Vec<Value> = (0..100).map(row).collect();
    let all = app.add(&client.tenant, ("bolts", "bolt"), &rows).await;

    let answer = key.get("/records?limit=100").await;

    assert!(answer.text.len() <= 5 * 1024 * 1024 + 1024);
    assert!((60..=65).contains(&ids(&answer).len()));
    assert_eq!(answer.json()["has_more"], true);
    assert_eq!(walk(&key, "", 100).await, sorted(all));
}

#[tokio::test]
async fn a_page_is_as_large_as_a_lambda_hands_it_on() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app.with_key(&client.tenant, &[Scope::Search]).await;
    let row = |number: u32| json!({"name": "Bolt", "n": number, "text": "\"".repeat(20_000)});
    let rows: Vec<Value> = (0..60).map(row).collect();
    let all = app.add(&client.tenant, ("bolts", "bolt"), &rows).await;

    let answer = key.get("/records?limit=100").await;

    let leaving = json!(answer.text).to_string().len();
    assert!(leaving <= 5 * 1024 * 1024 + 1024, "{leaving}");
    // Twice 80,000 bytes each.
    assert!((30..=33).contains(&ids(&answer).len()));
    assert_eq!(answer.json()["has_more"], true);
    assert_eq!(walk(&key, "", 100).await, sorted(all));
}

#[tokio::test]
async fn a_collection_that_is_deleted_while_it_is_searched_is_left_out() {
    let (endpoint, objects) = (engine().await, Objects::default());
    let start = async || {
        let settings = [("RATE_LIMIT_ENABLED", "false")];
        let store = objects.store();
        TestApp::at((&endpoint, &store), records::router(), &settings, None).await
    };
    let writer = start().await;
    let tenant = writer.tenant(Plan::Pro).await.tenant;
    let rows = bolts(0..2);
    writer.add(&tenant, ("bolts", "bolt"), &rows).await;
    let nuts = writer.add(&tenant, ("nuts", "nut"), &rows).await;
    let reader = start().await;
    let key = reader.with_key(&tenant, &[Scope::Search]).await;

    // Its index is lost, and the collection goes while it is built anew.
    objects.lose().await;
    let gate = objects.close().await;
    let deleting = async {
        objects.stopped().await;
        let (table, now) = (&writer.app.table, writer.app.clock.now());
        let name = "bolts".parse().expect("a collection");
        let deleted = table.delete_collection(&tenant, &name, now).await;
        assert!(deleted.expect("an answer").is_some());
        drop(gate);
    };
    let (answer, ()) = tokio::join!(key.get("/records"), deleting);

    assert_eq!(ids(&answer), sorted(nuts));
}

#[tokio::test]
async fn a_cursor_is_good_for_its_list_alone() {
    let app = TestApp::new(records::router()).await;
    let (client, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let key = app.with_key(&client.tenant, &[Scope::Search]).await;
    let theirs = app.with_key(&other.tenant, &[Scope::Search]).await;
    for tenant in [&client.tenant, &other.tenant] {
        app.add(tenant, ("bolts", "bolt"), &bolts(0..3)).await;
    }
    let answer = key.get("/records?limit=1").await;
    let cursor = cursor(&answer).expect("a cursor");

    let answer = key.get(&format!("/records?limit=2&cursor={cursor}")).await;
    assert_eq!(ids(&answer).len(), 2);
    for (client, parameters) in [
        (&theirs, format!("cursor={cursor}")),
        (&key, format!("collection=bolts&cursor={cursor}")),
        (&key, format!("record_type=bolt&cursor={cursor}")),
        (&key, format!("cursor={}", &cursor[1..])),
        (&key, "cursor=".to_owned()),
    ] {
        let answer = client.get(&format!("/records?{parameters}")).await;
        assert_faults(&answer, &[(&["query", "cursor"], "value_error")]);
    }
}

#[tokio::test]
async fn a_faulty_parameter_is_named() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app.with_key(&client.tenant, &[Scope::Search]).await;

    for (parameters, name, kind) in [
        ("limit=0", "limit", "greater_than_equal"),
        ("limit=101", "limit", "less_than_equal"),
        ("limit=x", "limit", "int_parsing"),
        ("collection=-", "collection", "string_pattern_mismatch"),
        ("record_type=", "record_type", "string_pattern_mismatch"),
    ] {
        let answer = key.get(&format!("/records?{parameters}")).await;
        assert_faults(&answer, &[(&["query", name], kind)]);
    }
}

#[tokio::test]
async fn an_unknown_collection_is_a_404_and_a_tenant_without_any_has_no_records() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    app.add(&owner.tenant, ("bolts", "bolt"), &bolts(0..1))
        .await;
    let key = app.with_key(&other.tenant, &[Scope::Search]).await;

    let answer = key.get("/records?collection=bolts").await;
    assert_refusal(&answer, StatusCode::NOT_FOUND, "Collection not found");
    let answer = key.get("/records").await;
    assert_eq!(
        answer.json(),
        json!({"records": [], "cursor": null, "has_more": false})
    );
}

#[tokio::test]
async fn a_page_is_for_keys_with_the_scope() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let key = app
        .with_key(&client.tenant, &[Scope::Upload, Scope::Records])
        .await;

    let answer = key.get("/records").await;
    assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
    assert_bad_key(&client.get("/records").await);
    assert_bad_key(&app.stranger().get("/records").await);
}
