//! How far the index is: the list, the counts and a search agree while records are pending, being
//! folded, indexed or failed, and whichever process is asked.

use std::collections::{BTreeMap, BTreeSet};

use auth::Role;
use axum::http::StatusCode;
use chrono::TimeDelta;
use indexing::{Effort, Folded, Own};
use model::collection::Lease;
use model::id::{CollectionName, TenantId};
use model::plan::Plan;
use model::record::Record;
use serde_json::{Value, json};
use table::cap::Tally;
use table::marker::{Generation, Markers, Version};
use table::record::Place;
use testkit::{Client, Item, TABLE, TestApp, Upload, dynamodb, items};

/// The collection and record type of these tests.
const PARTS: (&str, &str) = ("parts", "product");
const LIST: &str = "/portal/records?collection=parts&limit=100";
const COLLECTIONS: &str = "/portal/collections";
const SEARCH: &str = "/portal/search/parts";

fn parts() -> CollectionName {
    PARTS.0.parse().expect("a collection")
}

fn of(upload: &Upload<'_>) -> Generation {
    Generation {
        number: upload.hold.number,
        generation: upload.hold.generation,
    }
}

/// Where the records of an upload's collection lie.
fn place(tenant: &TenantId, upload: &Upload<'_>) -> Place {
    let Generation { number, generation } = of(upload);
    Place::new(tenant, number, generation)
}

/// Uploads a record of each name as a call does, but for its fold.
async fn uploaded<'a>(
    app: &'a TestApp,
    tenant: &TenantId,
    names: &[&str],
) -> (Upload<'a>, Vec<Record>) {
    let upload = app.reserve(tenant, PARTS, names.len() as u64).await;
    let rows = names.iter().map(|name| json!({"name": name}));
    let records = upload.write(rows).await;
    let mut tally = Tally::default();
    for record in &records {
        tally.add(record.id, record.visibility);
    }
    upload.settle(&tally).await;
    (upload, records)
}

/// The same with its fold.
async fn indexed<'a>(
    app: &'a TestApp,
    tenant: &TenantId,
    names: &[&str],
) -> (Upload<'a>, Vec<Record>) {
    let (upload, records) = uploaded(app, tenant, names).await;
    upload.fold().await;
    (upload, records)
}

/// The next version of a record, by another name.
fn renamed(app: &TestApp, old: &Record, name: &str) -> Record {
    Record {
        name: name.to_owned(),
        updated_at: app.app.clock.now(),
        version: old.version + 1,
        ..old.clone()
    }
}

/// Gives a record another name, as one call does.
async fn rename(app: &TestApp, place: &Place, old: &Record, name: &str) -> Record {
    let new = renamed(app, old, name);
    let done = app.app.table.update_record(place, old, &new).await;
    assert!(done.expect("an answer"), "{} is another", old.name);
    new
}

/// Deletes a record, as one call does.
async fn delete(app: &TestApp, place: &Place, record: &Record) {
    let now = app.app.clock.now();
    let done = app.app.table.delete_record(place, record, now).await;
    assert!(done.expect("an answer"), "{} is another", record.name);
}

/// Folds what is free, as whoever is next does.
async fn fold(app: &TestApp, tenant: &TenantId, of: Generation) -> Folded {
    let indexes = app.app.indexes().expect("indexes");
    let (own, effort) = (Own::default(), Effort::Background);
    let parts = parts();
    let folded = indexes.fold(tenant, &parts, of.generation, own, effort);
    folded.await.expect("a fold")
}

async fn markers(app: &TestApp, tenant: &TenantId, of: Generation) -> Markers {
    let markers = app.app.table.markers(tenant, &parts()).await;
    markers.expect("markers").remove(&of).unwrap_or_default()
}

/// Takes the lease for so long, as somebody does who is about to fold.
async fn take_lease(app: &TestApp, tenant: &TenantId, time: TimeDelta) -> Lease {
    let now = app.app.clock.now();
    let times = (now, now + time);
    let parts = parts();
    let taken = app.app.table.take_lease(tenant, &parts, times, None);
    let (_, lease) = taken.await.expect("an answer").expect("a lease");
    lease
}

/// Notes that everything that is marked is being folded.
async fn note_all(app: &TestApp, tenant: &TenantId, of: Generation, lease: &Lease) {
    let marked = markers(app, tenant, of).await;
    let takes: Vec<Version> = marked.versions().map(|(_, version)| version).collect();
    let noted = app
        .app
        .table
        .note_folding(tenant, &parts(), of, takes, lease)
        .await;
    noted.expect("an answer");
}

/// How many records there are in all, and how many are indexed, pending, processing and failed,
/// which has to be all of them.
async fn counts(client: &Client<'_>) -> [u64; 5] {
    let answer = client.get(COLLECTIONS).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    let rows = body["collections"].as_array().expect("collections");
    assert_eq!(rows.len(), 1, "{body}");
    let fields = [
        "total_records",
        "indexed",
        "pending",
        "processing",
        "failed",
    ];
    let counts = fields.map(|field| rows[0][field].as_u64().expect("a count"));
    assert_eq!(counts[0], counts[1..].iter().sum::<u64>(), "{body}");
    assert_eq!(body["total_records"], counts[0]);
    counts
}

/// The names of the records that a search finds.
async fn found(client: &Client<'_>, mut body: Value) -> BTreeSet<String> {
    body["limit"] = json!(100);
    let answer = client.post(SEARCH, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    let results = body["results"].as_array().expect("results");
    assert_eq!(body["metadata"]["total_estimate"], results.len());
    let names = results.iter().map(|row| row["name"].as_str());
    names.map(|name| name.expect("a name").to_owned()).collect()
}

async fn found_by(client: &Client<'_>, word: &str) -> BTreeSet<String> {
    found(client, json!({"query": word})).await
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The names of the records in the list, each with its status.
async fn listed(client: &Client<'_>) -> BTreeMap<String, String> {
    let answer = client.get(LIST).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    let items = body["items"].as_array().expect("items");
    assert_eq!(body["total"], items.len());
    let text = |item: &Value, field: &str| item[field].as_str().expect("a text").to_owned();
    items
        .iter()
        .map(|item| (text(item, "name"), text(item, "indexing_status")))
        .collect()
}

/// Checks that the list, the counts and a search agree on these records and their statuses, and
/// that so many more have failed, which none but the counts know.
async fn assert_state(client: &Client<'_>, expected: &[(&str, &str)], failed: u64) {
    let statuses: BTreeMap<String, String> = expected
        .iter()
        .map(|(name, status)| ((*name).to_owned(), (*status).to_owned()))
        .collect();
    assert_eq!(listed(client).await, statuses);
    let of = |status: &str| expected.iter().filter(|(_, it)| *it == status).count() as u64;
    let total = expected.len() as u64 + failed;
    let (pending, processing) = (of("pending"), of("processing"));
    assert_eq!(
        counts(client).await,
        [total, of("indexed"), pending, processing, failed],
        "total, indexed, pending, processing, failed"
    );
    let names: BTreeSet<String> = statuses.into_keys().collect();
    assert_eq!(found(client, json!({})).await, names);
}

#[tokio::test]
async fn what_an_upload_has_settled_is_pending_and_found_until_it_is_folded() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;

    let (first, _) = uploaded(&app, &client.tenant, &["Anchor", "Bolt"]).await;
    let expected = [("Anchor", "pending"), ("Bolt", "pending")];
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "anchor").await, set(&["Anchor"]));
    first.fold().await;
    let expected = [("Anchor", "indexed"), ("Bolt", "indexed")];
    assert_state(&client, &expected, 0).await;

    let (second, _) = uploaded(&app, &client.tenant, &["Gasket", "Rivet"]).await;
    let expected = [
        ("Anchor", "indexed"),
        ("Bolt", "indexed"),
        ("Gasket", "pending"),
        ("Rivet", "pending"),
    ];
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "gasket").await, set(&["Gasket"]));
    assert_eq!(found_by(&client, "bolt").await, set(&["Bolt"]));
    second.fold().await;
    let expected = expected.map(|(name, _)| (name, "indexed"));
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "gasket").await, set(&["Gasket"]));
}

#[tokio::test]
async fn each_row_of_a_page_has_its_own_status() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    indexed(&app, &client.tenant, &["Anchor", "Bolt"]).await;
    uploaded(&app, &client.tenant, &["Gasket", "Rivet"]).await;
    let all = listed(&client).await;

    let mut walked = BTreeMap::new();
    for offset in 0..4 {
        let path = format!("/portal/records?collection=parts&limit=1&offset={offset}");
        let body = client.get(&path).await.json();
        assert_eq!(body["total"], 4);
        let item = &body["items"][0];
        let text = |field: &str| item[field].as_str().expect("a text").to_owned();
        walked.insert(text("name"), text("indexing_status"));
    }

    assert_eq!(walked, all);
    let pending = all.values().filter(|status| *status == "pending").count();
    assert_eq!(pending, 2);
}

#[tokio::test]
async fn what_is_noted_as_being_folded_is_processing_as_long_as_the_lease_lasts() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let (first, old) = indexed(&app, tenant, &["Anchor", "Bolt"]).await;
    let (place, of) = (place(tenant, &first), of(&first));
    let (second, new) = uploaded(&app, tenant, &["Gasket", "Washer"]).await;
    let rivet = rename(&app, &place, &old[0], "Rivet").await;
    let mut expected = [
        ("Rivet", "pending"),
        ("Bolt", "indexed"),
        ("Gasket", "pending"),
        ("Washer", "pending"),
    ];
    assert_state(&client, &expected, 0).await;

    // A lease alone folds nothing yet.
    let lease = take_lease(&app, tenant, TimeDelta::minutes(1)).await;
    assert_state(&client, &expected, 0).await;
    note_all(&app, tenant, of, &lease).await;
    for row in [0, 2, 3] {
        expected[row].1 = "processing";
    }
    assert_state(&client, &expected, 0).await;

    // What changes meanwhile is not what is being folded.
    rename(&app, &place, &rivet, "Spring").await;
    expected[0] = ("Spring", "pending");
    assert_state(&client, &expected, 0).await;
    rename(&app, &place, &new[0], "Screw").await;
    expected[2] = ("Screw", "pending");
    assert_state(&client, &expected, 0).await;
    let (third, _) = uploaded(&app, tenant, &["Clamp"]).await;
    let more = ("Clamp", "pending");
    let mut expected: Vec<(&str, &str)> = expected.into_iter().chain([more]).collect();
    assert_state(&client, &expected, 0).await;

    app.advance(TimeDelta::minutes(1) - TimeDelta::milliseconds(1));
    assert_state(&client, &expected, 0).await;
    // A fold whose lease is over is dead.
    app.advance(TimeDelta::milliseconds(1));
    expected[3].1 = "pending";
    assert_state(&client, &expected, 0).await;

    second.fold().await;
    for row in [0, 2, 3] {
        expected[row].1 = "indexed";
    }
    assert_state(&client, &expected, 0).await;
    third.fold().await;
    expected[4].1 = "indexed";
    assert_state(&client, &expected, 0).await;
}

#[tokio::test]
async fn a_note_of_a_lease_that_was_given_back_is_not_believed() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let (upload, _) = uploaded(&app, tenant, &["Anchor"]).await;
    let lease = take_lease(&app, tenant, TimeDelta::minutes(1)).await;
    note_all(&app, tenant, of(&upload), &lease).await;
    assert_state(&client, &[("Anchor", "processing")], 0).await;

    let table = &app.app.table;
    let given_back = table.give_back_lease(tenant, &parts(), &lease).await;
    given_back.expect("an answer");
    assert_state(&client, &[("Anchor", "pending")], 0).await;

    // Whoever has it now has noted nothing.
    take_lease(&app, tenant, TimeDelta::minutes(1)).await;
    assert_state(&client, &[("Anchor", "pending")], 0).await;
}

#[tokio::test]
async fn a_changed_record_is_pending_again_and_found_by_its_new_words_only() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let (upload, records) = indexed(&app, tenant, &["Anchor", "Bolt"]).await;
    let place = place(tenant, &upload);
    assert_eq!(found_by(&client, "anchor").await, set(&["Anchor"]));

    let rivet = rename(&app, &place, &records[0], "Rivet").await;

    let expected = [("Rivet", "pending"), ("Bolt", "indexed")];
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "rivet").await, set(&["Rivet"]));
    assert_eq!(found_by(&client, "anchor").await, set(&[]));

    rename(&app, &place, &rivet, "Spring").await;
    let expected = [("Spring", "pending"), ("Bolt", "indexed")];
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "spring").await, set(&["Spring"]));
    for word in ["anchor", "rivet"] {
        assert_eq!(found_by(&client, word).await, set(&[]), "{word}");
    }

    assert_eq!(fold(&app, tenant, of(&upload)).await, Folded::Yes(1));
    let expected = [("Spring", "indexed"), ("Bolt", "indexed")];
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "spring").await, set(&["Spring"]));
    assert_eq!(found_by(&client, "rivet").await, set(&[]));
}

#[tokio::test]
async fn a_deleted_record_is_gone_from_list_search_and_counts_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let (upload, records) = indexed(&app, tenant, &["Anchor", "Bolt", "Gasket"]).await;
    let (place, of) = (place(tenant, &upload), of(&upload));

    // One that is indexed.
    delete(&app, &place, &records[0]).await;
    let expected = [("Bolt", "indexed"), ("Gasket", "indexed")];
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "anchor").await, set(&[]));

    // One that is pending, and would be by its former name, too.
    let rivet = rename(&app, &place, &records[1], "Rivet").await;
    delete(&app, &place, &rivet).await;
    let expected = [("Gasket", "indexed")];
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "bolt").await, set(&[]));
    assert_eq!(found_by(&client, "rivet").await, set(&[]));

    // One of an upload that is not folded.
    let (second, added) = uploaded(&app, tenant, &["Washer", "Spring"]).await;
    delete(&app, &place, &added[0]).await;
    let expected = [("Gasket", "indexed"), ("Spring", "pending")];
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "washer").await, set(&[]));

    // One that is being folded.
    let lease = take_lease(&app, tenant, TimeDelta::minutes(1)).await;
    note_all(&app, tenant, of, &lease).await;
    let expected = [("Gasket", "indexed"), ("Spring", "processing")];
    assert_state(&client, &expected, 0).await;
    delete(&app, &place, &added[1]).await;
    assert_state(&client, &[("Gasket", "indexed")], 0).await;
    let table = &app.app.table;
    let given_back = table.give_back_lease(tenant, &parts(), &lease).await;
    given_back.expect("an answer");

    second.fold().await;
    assert!(markers(&app, tenant, of).await.is_empty());
    assert_state(&client, &[("Gasket", "indexed")], 0).await;
    for word in ["anchor", "bolt", "rivet", "washer", "spring"] {
        assert_eq!(found_by(&client, word).await, set(&[]), "{word}");
    }
}

#[tokio::test]
async fn a_record_that_several_changes_name_is_counted_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    indexed(&app, tenant, &["Clamp"]).await;
    let (first, records) = uploaded(&app, tenant, &["Anchor", "Bolt", "Gasket"]).await;
    let place = place(tenant, &first);

    // By its upload and by a call.
    let rivet = rename(&app, &place, &records[0], "Rivet").await;
    let mut expected = [
        ("Clamp", "indexed"),
        ("Rivet", "pending"),
        ("Bolt", "pending"),
        ("Gasket", "pending"),
    ];
    assert_state(&client, &expected, 0).await;

    // By another upload, too.
    let second = app.reserve(tenant, PARTS, 0).await;
    let mut tally = Tally::default();
    for (old, name) in [(&rivet, "Spring"), (&records[1], "Screw")] {
        let new = renamed(&app, old, name);
        let table = &app.app.table;
        let done = table.change_record(&place, old, &new, second.id).await;
        assert!(done.expect("an answer"));
        tally.change(new.id);
    }
    second.settle(&tally).await;
    expected[1].0 = "Spring";
    expected[2].0 = "Screw";
    assert_state(&client, &expected, 0).await;
    assert_eq!(markers(&app, tenant, of(&first)).await.batches.len(), 2);

    // A fold of the second leaves what the first names.
    second.fold().await;
    assert_state(&client, &expected, 0).await;
    assert_eq!(found_by(&client, "spring").await, set(&["Spring"]));
    assert_eq!(found_by(&client, "anchor").await, set(&[]));
    first.fold().await;
    let expected = expected.map(|(name, _)| (name, "indexed"));
    assert_state(&client, &expected, 0).await;
}

/// The item of a record.
async fn item_of(app: &TestApp, record: &Record) -> Item {
    let id = record.id.to_string();
    let all = items(&app.endpoint).await;
    let mut all = all.into_iter();
    let item = all.find(|item| item["sk"].as_s().is_ok_and(|sk| *sk == id));
    item.expect("a record's item")
}

/// Puts an item past the verbs of the table.
async fn put(app: &TestApp, item: Item) {
    let put = dynamodb(&app.endpoint).put_item().table_name(TABLE);
    put.set_item(Some(item)).send().await.expect("an item");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_counted_as_failed_until_it_is_mended() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let tenant = &client.tenant;
    let (upload, records) = indexed(&app, tenant, &["Anchor", "Bolt", "Gasket"]).await;
    let (place, of) = (place(tenant, &upload), of(&upload));
    let rivet = rename(&app, &place, &records[0], "Rivet").await;
    let good = item_of(&app, &rivet).await;
    let mut broken = good.clone();
    // A name is no JSON.
    broken.insert("data".to_owned(), good["name"].clone());
    put(&app, broken).await;

    let rest = [("Bolt", "indexed"), ("Gasket", "indexed")];
    assert_eq!(counts(&client).await, [3, 2, 1, 0, 0]);
    assert_eq!(found(&client, json!({})).await, set(&["Bolt", "Gasket"]));
    assert_eq!(fold(&app, tenant, of).await, Folded::Yes(1));
    assert_state(&client, &rest, 1).await;
    // It stays so whatever else is folded.
    let (more, _) = uploaded(&app, tenant, &["Washer"]).await;
    more.fold().await;
    let [bolt, gasket] = rest;
    let rest = [bolt, gasket, ("Washer", "indexed")];
    assert_state(&client, &rest, 1).await;

    put(&app, good).await;
    let screw = rename(&app, &place, &rivet, "Screw").await;
    let [bolt, gasket, washer] = rest;
    let expected = [bolt, gasket, washer, ("Screw", "pending")];
    assert_state(&client, &expected, 0).await;
    assert_eq!(fold(&app, tenant, of).await, Folded::Yes(1));
    let expected = [bolt, gasket, washer, ("Screw", "indexed")];
    assert_state(&client, &expected, 0).await;

    delete(&app, &place, &screw).await;
    assert_state(&client, &rest, 0).await;
}

/// How many segments make one, as `search` has it: so many are never left by a fold that nobody
/// waits for.
const CROWD: usize = 8;

async fn segments(app: &TestApp, tenant: &TenantId) -> usize {
    let view = app.app.table.index_view(tenant, &parts()).await;
    let collection = view.expect("an answer").expect("a collection").collection;
    collection.index().expect("an index").segments.len()
}

/// Two processes, of which one after the other writes, changes and folds; `first` is the first to
/// fold.
async fn assert_processes_agree(first: usize) {
    const NAMES: [&str; 12] = [
        "Anchor", "Bolt", "Clamp", "Dowel", "Eyelet", "Flange", "Gasket", "Hinge", "Insert",
        "Joint", "Knob", "Latch",
    ];
    const LATER_NAMES: [&str; 4] = ["Axle", "Bracket", "Chain", "Drill"];
    let one = TestApp::new(records::router()).await;
    let tenant = one.tenant(Plan::Pro).await.tenant;
    let settings = [("RATE_LIMIT_ENABLED", "false")];
    let shared = (one.endpoint.as_str(), &one.store);
    let two = TestApp::at(shared, records::router(), &settings, None).await;
    let apps = [&one, &two];
    let clients = apps.map(|app| app.client(tenant.as_str(), Role::Member));
    let mut later_names = LATER_NAMES.into_iter();
    let mut there: BTreeMap<&str, Record> = BTreeMap::new();
    let names = |there: &BTreeMap<&str, Record>| -> BTreeSet<String> {
        there.keys().map(|name| (*name).to_owned()).collect()
    };

    for (round, name) in NAMES.into_iter().enumerate() {
        let (writer, reader) = (round % 2, (round + 1) % 2);
        let folder = (round / 2 + first) % 2;

        // One writes,
        let (upload, records) = uploaded(apps[writer], &tenant, &[name]).await;
        let (place, of) = (place(&tenant, &upload), of(&upload));
        there.extend(records.into_iter().map(|record| (name, record)));
        for client in [&clients[reader], &clients[writer]] {
            assert_eq!(found(client, json!({})).await, names(&there), "{round}");
            assert_eq!(found_by(client, name).await, set(&[name]), "{round}");
        }

        // and the other changes and deletes.
        if round >= CROWD {
            let (old, record) = there.pop_first().expect("a record");
            let later_name = later_names.next().expect("a name");
            let new = rename(apps[reader], &place, &record, later_name).await;
            let (gone, record) = there.pop_first().expect("a record");
            delete(apps[reader], &place, &record).await;
            there.insert(later_name, new);
            for client in [&clients[writer], &clients[reader]] {
                let found = found_by(client, later_name).await;
                assert_eq!(found, set(&[later_name]), "{round}");
                assert_eq!(found_by(client, old).await, set(&[]), "{round}");
                assert_eq!(found_by(client, gone).await, set(&[]), "{round}");
            }
        }
        let (table, now) = (&apps[writer].app.table, apps[writer].app.clock.now());
        let left = table
            .leave_batch(&tenant, &parts(), of, upload.id, now)
            .await;
        left.expect("an answer");

        for is_folded in [false, true] {
            if is_folded {
                let folded = fold(apps[folder], &tenant, of).await;
                assert!(matches!(folded, Folded::Yes(_)), "{round}: {folded:?}");
                assert!(segments(&one, &tenant).await < CROWD, "{round}");
            }
            for client in &clients {
                let listed: BTreeSet<String> = listed(client).await.into_keys().collect();
                assert_eq!(listed, names(&there), "{round}");
                assert_eq!(found(client, json!({})).await, listed, "{round}");
                let [total, indexed, ..] = counts(client).await;
                assert_eq!(total, there.len() as u64, "{round}");
                assert_eq!(indexed == total, is_folded, "{round}");
            }
        }
    }
}

#[tokio::test]
async fn what_one_process_writes_the_other_finds_at_once_after_folds_and_merges_of_either() {
    for first in 0..2 {
        assert_processes_agree(first).await;
    }
}

#[tokio::test]
async fn a_page_costs_two_small_reads_and_one_batch_and_what_is_marked_is_read_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Scale).await;
    let (upload, records) = indexed(&app, &client.tenant, &["Bolt", "Nut"]).await;
    let find = || client.post(SEARCH, json!({"query": "bolt"}));
    let calls = || {
        let mut calls = app.faults.calls();
        calls.sort();
        calls
    };
    // The first search opens the index and stamps the checklist.
    find().await;
    calls();

    find().await;
    let page = ["BatchGetItem", "BatchGetItem", "Query", "UpdateItem"];
    assert_eq!(calls(), page);
    client.get(LIST).await;
    assert_eq!(calls(), ["BatchGetItem", "BatchGetItem", "Query"]);

    let place = place(&client.tenant, &upload);
    rename(&app, &place, &records[1], "Bolt").await;
    calls();
    assert_eq!(find().await.json()["metadata"]["total_estimate"], 2);
    let marked = [
        "BatchGetItem",
        "BatchGetItem",
        "BatchGetItem",
        "Query",
        "UpdateItem",
    ];
    assert_eq!(calls(), marked);
    assert_eq!(find().await.json()["metadata"]["total_estimate"], 2);
    assert_eq!(calls(), page);
}
