//! Replacing a collection: what was there is shown until the swap, what the file has from then on,
//! never both, and what is left behind leaves no trace.

#[expect(dead_code, reason = "every test here begins with records")]
mod common;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use common::{post_file, recounted, taken};
use indexing::RETIRED_FOR;
use model::fault::Fields;
use model::id::{CollectionName, RecordId, TenantId};
use model::plan::Plan;
use search::Request;
use serde_json::{Value, json};
use table::record::Place;
use testkit::{Answer, Client, Form, TestApp, assert_faults, assert_refusal, items};

const REPLACE: &str = "/portal/collections/parts/replace?record_type=service";
const STATUS: &str = "/portal/collections/parts/replace-status";
const SWAP: &str = "/portal/collections/parts/swap";
const CANCEL: &str = "/portal/collections/parts/cancel-replace";

const NONE: &str = "No replace of the collection is under way";

fn parts() -> CollectionName {
    "parts".parse().expect("a collection")
}

/// A file of so many records, each known by its content.
fn file(kind: &str, numbers: Range<u32>) -> String {
    let rows: Vec<String> = numbers.map(|n| format!("{kind} {n:03},{n}")).collect();
    format!("name,n\n{}\n", rows.join("\n"))
}

fn names(kind: &str, numbers: Range<u32>) -> BTreeSet<String> {
    numbers.map(|n| format!("{kind} {n:03}")).collect()
}

/// A tenant's collection of so many old records.
async fn filled(app: &TestApp, plan: Plan, records: u32) -> Client<'_> {
    let client = app.tenant(plan).await;
    let answer = post_file(&client, "old.csv", file("Old", 0..records)).await;
    assert_eq!(taken(&answer)[1], u64::from(records));
    client
}

async fn replace(client: &Client<'_>, content: &str) -> Answer {
    let form = Form::new().file("new.csv", content);
    client.upload(REPLACE, form).await
}

/// Fills a replace with so many new records.
async fn staged(client: &Client<'_>, records: u32) -> Value {
    let answer = replace(client, &file("New", 0..records)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["summary"]["accepted"], records);
    body
}

async fn status(client: &Client<'_>) -> Value {
    let answer = client.get(STATUS).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn post(client: &Client<'_>, path: &str) -> Answer {
    client.post(path, json!({})).await
}

#[track_caller]
fn assert_conflict(answer: &Answer, part: &str) {
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    let detail = answer.detail();
    let detail = detail.as_str().expect("a sentence");
    assert!(detail.contains(part), "{detail}");
}

/// The names of what a search for everything shows.
async fn shown(app: &TestApp, tenant: &TenantId) -> BTreeSet<String> {
    let body = json!({"limit": search::MAX_LIMIT});
    let mut fields = Fields::of(&body).expect("an object");
    let request = Request::read(&mut fields).expect("a good request");
    let view = app.app.view(tenant, &parts()).await.expect("a view");
    let collection = view.collection.expect("a live collection");
    let indexes = app.app.indexes().expect("indexes");
    let found = indexes.search(tenant, &collection, &view.markers, &request);
    let found = found.await.expect("a page");
    let ids: Vec<RecordId> = found.page.hits.iter().map(|hit| hit.id).collect();
    let place = Place::new(tenant, found.of.number, found.of.generation);
    let records = app.app.table.records(&place, &parts(), &ids).await;
    let records = records.expect("records");
    assert_eq!((records.len(), found.page.total), (ids.len(), ids.len()));
    records.into_values().map(|record| record.name).collect()
}

/// The keys of every item but those of uploads themselves.
async fn keys(app: &TestApp) -> BTreeSet<(String, String)> {
    let text = |item: &testkit::Item, name: &str| item[name].as_s().expect("text").clone();
    let items = items(&app.endpoint).await;
    let keys = items
        .iter()
        .map(|item| (text(item, "pk"), text(item, "sk")));
    keys.filter(|(pk, _)| !pk.contains("#UPLOAD")).collect()
}

/// Deletes what a replace has left behind long enough ago.
async fn retire(app: &TestApp, tenant: &TenantId) {
    app.advance(RETIRED_FOR);
    let indexes = app.app.indexes().expect("indexes");
    let retired = indexes.retire(tenant, &parts()).await;
    assert!(retired.expect("an answer"));
}

#[tokio::test]
async fn the_old_records_are_shown_until_the_swap_and_the_new_ones_from_then_on() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 5).await;
    let tenant = &client.tenant;

    let upload = staged(&client, 3).await;

    assert_eq!(shown(&app, tenant).await, names("Old", 0..5));
    assert_eq!(recounted(&app, tenant).await.len(), 5);
    let expected = json!({
        "collection": "parts",
        "status": "ready",
        "upload_id": upload["upload_id"],
        "record_type": "service",
        "started_at": "2026-03-08T12:00:00Z",
        "total_records": 3,
        "indexed": 3,
        "pending": 0,
        "processing": 0,
        "failed": 0,
    });
    assert_eq!(status(&client).await, expected);

    let swapped = post(&client, SWAP).await;

    assert_eq!(swapped.status, StatusCode::OK, "{}", swapped.text);
    let expected = json!({"collection": "parts", "status": "swapped", "total_records": 3});
    assert_eq!(swapped.json(), expected);
    assert_eq!(shown(&app, tenant).await, names("New", 0..3));
    assert_eq!(recounted(&app, tenant).await.len(), 3);
    let found = app.app.table.find_collection(tenant, &parts()).await;
    let collection = found.expect("an answer").expect("a collection");
    let types: Vec<&str> = collection
        .record_types
        .iter()
        .map(model::id::RecordType::as_str)
        .collect();
    assert_eq!(types, ["service"]);
    assert_conflict(&post(&client, SWAP).await, NONE);
}

#[tokio::test]
async fn without_a_replace_there_is_nothing_to_show_swap_or_cancel() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 1).await;

    let expected = json!({
        "collection": "parts",
        "status": "none",
        "upload_id": null,
        "record_type": null,
        "started_at": null,
        "total_records": 0,
        "indexed": 0,
        "pending": 0,
        "processing": 0,
        "failed": 0,
    });
    assert_eq!(status(&client).await, expected);
    for path in [SWAP, CANCEL] {
        assert_refusal(&post(&client, path).await, StatusCode::CONFLICT, NONE);
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_replaced() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let answers = [
        replace(&client, &file("New", 0..1)).await,
        client.get(STATUS).await,
        post(&client, SWAP).await,
        post(&client, CANCEL).await,
    ];
    for answer in answers {
        let detail = "Collection not found";
        assert_refusal(&answer, StatusCode::NOT_FOUND, detail);
    }
    for path in ["swap", "cancel-replace"] {
        let answer = post(&client, &format!("/portal/collections/-/{path}")).await;
        let fault = "string_pattern_mismatch";
        assert_faults(&answer, &[(&["path", "name"], fault)]);
    }
}

#[tokio::test]
async fn there_is_one_replace_at_a_time() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 2).await;
    staged(&client, 3).await;
    let before = status(&client).await;

    let answer = replace(&client, &file("Other", 0..4)).await;

    assert_conflict(&answer, "under way");
    assert_eq!(status(&client).await, before);
    assert_eq!(post(&client, SWAP).await.status, StatusCode::OK);
    assert_eq!(shown(&app, &client.tenant).await, names("New", 0..3));
    staged(&client, 1).await;
}

#[tokio::test]
async fn a_cancelled_replace_leaves_no_trace() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 4).await;
    let tenant = &client.tenant;
    let before = keys(&app).await;
    let packs = app.store.list("").await.expect("a list").len();
    staged(&client, 3).await;

    let answer = post(&client, CANCEL).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let expected = json!({"collection": "parts", "status": "cancelled"});
    assert_eq!(answer.json(), expected);
    assert_eq!(shown(&app, tenant).await, names("Old", 0..4));
    assert_conflict(&post(&client, SWAP).await, NONE);
    assert_conflict(&post(&client, CANCEL).await, NONE);
    retire(&app, tenant).await;
    assert_eq!(keys(&app).await, before);
    assert_eq!(app.store.list("").await.expect("a list").len(), packs);
    // Another begins anew.
    staged(&client, 2).await;
    assert_eq!(status(&client).await["total_records"], 2);
}

#[tokio::test]
async fn what_was_replaced_leaves_no_trace() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 40).await;
    let tenant = &client.tenant;
    staged(&client, 30).await;
    assert_eq!(post(&client, SWAP).await.status, StatusCode::OK);

    retire(&app, tenant).await;

    let first = "#0000000001#000001#";
    for (pk, sk) in keys(&app).await {
        assert!(!pk.contains(first) && !sk.contains(first), "{pk} {sk}");
        let counter = sk.strip_prefix("COUNT#0000000001#");
        assert!(counter.is_none_or(|rest| rest.ends_with("#000002")), "{sk}");
    }
    for pack in app.store.list("").await.expect("a list") {
        assert!(pack.path.contains("/parts/1/2/"), "{}", pack.path);
    }
    assert_eq!(shown(&app, tenant).await, names("New", 0..30));
    assert_eq!(recounted(&app, tenant).await.len(), 30);
}

#[tokio::test]
async fn the_same_file_replaces_a_collection_as_any_other() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 6).await;
    let path = "/portal/collections/parts/replace?record_type=product";
    let form = Form::new().file("old.csv", file("Old", 0..6));

    let answer = client.upload(path, form).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    let summary = &body["summary"];
    assert_eq!(
        (&summary["accepted"], &summary["dedup_skipped"]),
        (&json!(6), &json!(0))
    );
    assert_eq!(post(&client, SWAP).await.status, StatusCode::OK);
    retire(&app, &client.tenant).await;
    assert_eq!(shown(&app, &client.tenant).await, names("Old", 0..6));
}

#[tokio::test]
async fn what_is_still_being_filled_cannot_be_swapped() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 2).await;
    let tenant = &client.tenant;
    let replace = app.begin_replace(tenant, ("parts", "service"), 2).await;
    replace.write([json!({"name": "New 000"})]).await;

    assert_eq!(status(&client).await["status"], "filling");
    assert_conflict(&post(&client, SWAP).await, "filled");

    // Its call is over, and nobody has written down how it ended.
    app.travel("2026-03-08T18:00:00Z");
    assert_eq!(status(&client).await["status"], "failed");
    assert_conflict(&post(&client, SWAP).await, "failed");
    assert_eq!(post(&client, CANCEL).await.status, StatusCode::OK);
    assert_eq!(shown(&app, tenant).await, names("Old", 0..2));
}

#[tokio::test]
async fn what_is_not_indexed_cannot_be_swapped_until_it_is() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 2).await;
    let (tenant, table) = (&client.tenant, &app.app.table);
    let now = app.app.clock.now();
    let until = now + RETIRED_FOR;
    let taken = table.take_lease(tenant, &parts(), (now, until), None).await;
    let (_, lease) = taken.expect("an answer").expect("a lease");
    staged(&client, 3).await;

    let waiting = status(&client).await;
    assert_eq!(waiting["status"], "indexing");
    assert_eq!(
        (&waiting["indexed"], &waiting["pending"]),
        (&json!(0), &json!(3))
    );
    let answer = post(&client, SWAP).await;
    assert_conflict(&answer, "until every staged record is indexed");
    assert_eq!(shown(&app, tenant).await, names("Old", 0..2));

    // It is indexed by the swap, if nobody else is at it.
    let given = table.give_back_lease(tenant, &parts(), &lease).await;
    given.expect("an answer");
    assert_eq!(post(&client, SWAP).await.status, StatusCode::OK);
    assert_eq!(shown(&app, tenant).await, names("New", 0..3));
}

#[tokio::test]
async fn a_file_that_fills_nothing_leaves_no_replace() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 2).await;

    let answer = replace(&client, "name,n\n,1\n,2\n").await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json()["status"], "failed");
    assert_eq!(status(&client).await["status"], "none");
    assert_eq!(shown(&app, &client.tenant).await, names("Old", 0..2));
}

#[tokio::test]
async fn a_plan_has_room_for_the_larger_of_the_two_and_not_for_both() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Free, 50).await;
    let tenant = &client.tenant;

    let over = replace(&client, &file("New", 0..51)).await;
    assert_eq!(over.status, StatusCode::PAYMENT_REQUIRED, "{}", over.text);
    assert_eq!(status(&client).await["status"], "none");
    staged(&client, 50).await;

    let more = post_file(&client, "more.csv", file("More", 0..1)).await;
    assert_eq!(more.status, StatusCode::PAYMENT_REQUIRED, "{}", more.text);
    assert_eq!(shown(&app, tenant).await, names("Old", 0..50));
    assert_eq!(post(&client, SWAP).await.status, StatusCode::OK);
    assert_eq!(shown(&app, tenant).await, names("New", 0..50));
    let more = post_file(&client, "more.csv", file("More", 0..1)).await;
    assert_eq!(more.status, StatusCode::PAYMENT_REQUIRED, "{}", more.text);
}

#[tokio::test]
async fn room_that_a_replace_frees_is_there_from_the_swap_on() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Free, 50).await;
    staged(&client, 20).await;
    let more = async || {
        let answer = post_file(&client, "more.csv", file("More", 0..30)).await;
        answer.status
    };
    assert_eq!(more().await, StatusCode::PAYMENT_REQUIRED);

    assert_eq!(post(&client, SWAP).await.status, StatusCode::OK);

    assert_eq!(more().await, StatusCode::CREATED);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 50);
}

#[tokio::test]
async fn searches_see_the_old_records_or_the_new_ones_and_never_both() {
    let app = TestApp::new(upload::router()).await;
    let client = filled(&app, Plan::Pro, 60).await;
    let (old, new) = (names("Old", 0..60), names("New", 0..40));
    let over = AtomicBool::new(false);
    let search = async || {
        let mut swapped = false;
        let mut searches = 0;
        while !over.load(Ordering::SeqCst) {
            let shown = shown(&app, &client.tenant).await;
            assert!(shown == new || shown == old && !swapped, "{shown:?}");
            swapped = shown == new;
            searches += 1;
            tokio::task::yield_now().await;
        }
        assert!(swapped && searches > 2, "{searches} searches");
    };
    let work = async {
        staged(&client, 40).await;
        assert_eq!(post(&client, SWAP).await.status, StatusCode::OK);
        assert_eq!(shown(&app, &client.tenant).await, new);
        tokio::time::sleep(Duration::from_millis(200)).await;
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(search(), search(), search(), search(), work);
}
