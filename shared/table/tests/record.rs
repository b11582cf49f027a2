//! Records: added once, changed on the version that was read, read back whole.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use model::collection::Collection;
use model::id::{CollectionName, RecordId, RecordType, SHARDS, TenantId, UploadId};
use model::period::Period;
use model::plan::Plan;
use model::record::{Identity, Record, SourceType, Visibility};
use model::time::Moment;
use serde_json::{Map, Value, json};
use table::Table;
use table::cap::{Hold, Request, Reserved, Tally};
use table::record::{Added, Additions, Existing, Place};
use testkit::{Fault, Faults, NOW, TABLE, engine};
use tokio::time::Instant;
use uuid::Uuid;

const INSERT: &str = "BatchExecuteStatement";
const UPDATE: &str = "UpdateItem";
const TRANSACTION: &str = "TransactWriteItems";

/// One table, reached by a client that always works and by one that meets faults.
struct World {
    table: Table,
    faulty: Table,
    faults: Faults,
}

impl World {
    async fn new() -> Self {
        let endpoint = engine().await;
        let table = Table::at_endpoint(&endpoint, TABLE);
        table.create().await.expect("a table");
        let faults = Faults::default();
        Self {
            faulty: faults.table(&endpoint, TABLE),
            table,
            faults,
        }
    }

    /// How often the client that meets faults called an operation since the last time of asking.
    fn calls(&self, operation: &str) -> usize {
        let calls = self.faults.calls().into_iter();
        calls.filter(|call| call == operation).count()
    }

    /// Every record, by the number in its source id.
    async fn all(&self) -> HashMap<u32, Record> {
        let mut all = HashMap::new();
        for shard in 0..SHARDS {
            let found = testkit::shard_records(&self.table, &place(), &parts(), shard).await;
            for record in found.expect("a shard") {
                let number = record.source_id.as_deref().expect("a source id");
                let before = all.insert(number.parse().expect("a number"), record);
                assert_eq!(before, None);
            }
        }
        all
    }

    /// A live collection with one record, which an upload made and settled.
    async fn with(&self, record: &Record) {
        let product = product();
        let parts = parts();
        let request = Request {
            upload: record.upload,
            collection: &parts,
            record_type: &product,
            rows: 1,
            since: now(),
            until: now() + TimeDelta::minutes(15),
            format: 1,
        };
        let period = Period::of(now());
        let summary = self.table.summary(&tenant(), period).await;
        let limits = Plan::Free.limits();
        let reserved = self
            .table
            .reserve(&tenant(), &summary.expect("a summary"), limits, &request)
            .await;
        let hold = hold(reserved.expect("an answer"));
        let added = add(&self.table, std::slice::from_ref(record)).await;
        assert_eq!(added.rows, [Some(Added::Yes)]);
        let mut tally = Tally::default();
        tally.add(record.id, record.visibility);
        let settled = self
            .table
            .settle(&tenant(), record.upload, &hold, &tally, now())
            .await;
        assert!(settled.expect("an answer"));
    }

    /// How many public records the collection's counters say there are.
    async fn public(&self) -> u64 {
        let period = Period::of(now());
        let summary = self.table.summary(&tenant(), period).await;
        summary.expect("a summary").collections[0].1.public
    }
}

fn hold(reserved: Reserved) -> Hold {
    match reserved {
        Reserved::Yes(Collection { number: 1, .. }, hold) => hold,
        other => panic!("{other:?}"),
    }
}

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn parts() -> CollectionName {
    "parts".parse().expect("a name")
}

fn product() -> RecordType {
    "product".parse().expect("a record type")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

fn upload(n: u128) -> UploadId {
    UploadId(Uuid::from_u128(n))
}

/// Where the first generation of the first collection lies.
fn place() -> Place {
    Place::new(&tenant(), 1, 1)
}

/// A record that upload 1 made.
fn record(n: u32) -> Record {
    let source_id = n.to_string();
    let identity = Identity::Source(&source_id);
    Record {
        id: RecordId::derive(&tenant(), &parts(), 1, &product(), &identity),
        collection: parts(),
        record_type: product(),
        name: format!("Bolt {n}"),
        description: None,
        data: Map::new(),
        visibility: Visibility::Private,
        source_type: SourceType::FileUpload,
        source_name: None,
        source_id: Some(source_id),
        created_at: now(),
        updated_at: now(),
        version: 1,
        upload: upload(1),
        row: 1,
    }
}

fn records(numbers: std::ops::Range<u32>) -> Vec<Record> {
    numbers.map(record).collect()
}

/// The next version of a record, a second later.
fn changed(old: &Record, name: &str) -> Record {
    Record {
        name: name.to_owned(),
        updated_at: old.updated_at + TimeDelta::seconds(1),
        version: old.version + 1,
        ..old.clone()
    }
}

async fn add_until(table: &Table, records: &[Record], deadline: Instant) -> Additions {
    let records: Vec<&Record> = records.iter().collect();
    table.add_records(&place(), &records, deadline).await
}

async fn add(table: &Table, records: &[Record]) -> Additions {
    add_until(table, records, Instant::now() + Duration::from_secs(90)).await
}

/// Changes a record as upload 2.
async fn change(table: &Table, old: &Record, new: &Record) -> bool {
    let changed = table.change_record(&place(), old, new, upload(2)).await;
    changed.expect("an answer")
}

#[track_caller]
fn assert_all_added(additions: &Additions, count: usize) {
    assert_eq!(additions.rows.len(), count);
    assert!(additions.rows.iter().all(|row| *row == Some(Added::Yes)));
}

fn exists(record: Record) -> Added {
    let changed_by = None;
    Added::Exists(Box::new(Existing { record, changed_by }))
}

#[tokio::test]
async fn a_record_comes_back_as_it_was_added() {
    let world = World::new().await;
    let data = json!({
        "sku": "LM16UU",
        "price_eur": 12.5,
        "tiny": 1e-20,
        "large": 9_007_199_254_740_993_u64,
        "precise": 0.1,
        "empty": "",
        "list": [],
        "object": {},
        "nested": {"a": [1, {"b": [true, null]}]},
        "PK": "x",
        "tenant_id": "y",
        "\u{fc}": "\u{1f511} \"quoted\" \u{0}",
    });
    let Value::Object(data) = data else {
        unreachable!("an object")
    };
    let whole = Record {
        description: Some("16mm linear motion bearing".to_owned()),
        data,
        visibility: Visibility::Public,
        source_type: SourceType::Api,
        source_name: Some("catalog.csv".to_owned()),
        created_at: now() + TimeDelta::microseconds(1),
        updated_at: now() + TimeDelta::microseconds(2),
        ..record(1)
    };
    let plain = Record {
        source_id: None,
        ..record(2)
    };

    let added = add(&world.table, &[whole.clone(), plain.clone()]).await;

    assert_all_added(&added, 2);
    let ids = [whole.id, plain.id, record(3).id];
    let found = world.table.records(&place(), &parts(), &ids).await;
    let expected = HashMap::from([(whole.id, whole), (plain.id, plain)]);
    assert_eq!(found.unwrap(), expected);
}

#[tokio::test]
async fn a_record_that_exists_is_not_overwritten_and_is_handed_back() {
    let world = World::new().await;
    add(&world.table, &[record(1)]).await;

    let row = Record {
        name: "Nut".to_owned(),
        upload: upload(2),
        ..record(1)
    };
    let added = add(&world.table, &[row]).await;

    let existing = Some(exists(record(1)));
    assert_eq!(added.rows, [existing]);
    assert_eq!(world.all().await, HashMap::from([(1, record(1))]));
}

#[tokio::test]
async fn rows_are_told_apart_in_their_order_over_many_batches() {
    let world = World::new().await;
    assert_all_added(&add(&world.table, &records(40..60)).await, 20);

    let rows: Vec<Record> = (0..110)
        .map(|n| Record {
            upload: upload(2),
            ..record(n)
        })
        .collect();
    let added = add(&world.table, &rows).await;

    assert_eq!(added.rows.len(), 110);
    for (n, row) in (0..).zip(added.rows) {
        let expected = if (40..60).contains(&n) {
            exists(record(n))
        } else {
            Added::Yes
        };
        assert_eq!(row, Some(expected), "row {n}");
    }
    assert_eq!(world.all().await.len(), 110);
}

#[tokio::test]
async fn a_row_that_the_same_upload_added_before_counts_as_added() {
    let world = World::new().await;
    assert_all_added(&add(&world.table, &records(0..30)).await, 30);

    assert_all_added(&add(&world.table, &records(0..30)).await, 30);

    assert_eq!(world.all().await.len(), 30);
}

#[tokio::test]
async fn of_many_uploads_of_one_record_at_once_one_adds_it() {
    let world = World::new().await;
    let rows: Vec<[Record; 1]> = (1..=20)
        .map(|n| {
            [Record {
                upload: upload(n),
                ..record(1)
            }]
        })
        .collect();

    let added = join_all(rows.iter().map(|row| add(&world.table, row))).await;

    let winner = world.all().await.remove(&1).unwrap();
    for (row, added) in rows.iter().zip(added) {
        let expected = if row[0].upload == winner.upload {
            Added::Yes
        } else {
            exists(winner.clone())
        };
        assert_eq!(added.rows, [Some(expected)]);
    }
}

#[tokio::test]
async fn no_rows_need_no_call() {
    let world = World::new().await;

    let added = add(&world.faulty, &[]).await;

    assert!(added.rows.is_empty() && !added.slowed);
    assert_eq!(world.calls(INSERT), 0);
}

#[tokio::test]
async fn rows_whose_answer_was_lost_are_reported_as_added_and_added_once() {
    let world = World::new().await;
    world.faults.inject(INSERT, Fault::Lost, 3);

    let added = add(&world.faulty, &records(0..60)).await;

    assert_all_added(&added, 60);
    assert_eq!(world.calls(INSERT), 6);
    let all = world.all().await;
    assert_eq!(all.len(), 60);
    assert!(all.iter().all(|(n, found)| *found == record(*n)));
}

#[tokio::test]
async fn throttled_rows_are_tried_again() {
    let world = World::new().await;
    world.faults.inject(INSERT, Fault::Throttled, 2);

    let added = add(&world.faulty, &records(0..10)).await;

    assert_all_added(&added, 10);
    assert_eq!(world.calls(INSERT), 3);
    assert_eq!(world.all().await.len(), 10);
}

#[tokio::test]
async fn rows_that_are_throttled_past_the_clients_retries_are_still_added_and_said_to_be_slow() {
    let world = World::new().await;
    world.faults.inject(INSERT, Fault::Throttled, 5);

    let added = add(&world.faulty, &records(0..10)).await;

    assert_all_added(&added, 10);
    assert!(added.slowed);
    assert_eq!(world.calls(INSERT), 6);
}

#[tokio::test]
async fn rows_that_are_throttled_past_the_deadline_are_said_not_to_be_written() {
    let world = World::new().await;
    assert_all_added(&add(&world.table, &records(0..1)).await, 1);
    world.faults.inject(INSERT, Fault::Throttled, 1_000);

    let deadline = Instant::now() + Duration::from_millis(500);
    let added = add_until(&world.faulty, &records(1..11), deadline).await;

    assert_eq!(added.rows.len(), 10);
    let mut rows = added.rows.into_iter();
    assert!(rows.all(|row| row == Some(Added::NotWritten)));
    assert!(added.slowed);
    assert_eq!(world.all().await.len(), 1);
}

#[tokio::test]
async fn a_change_is_made_on_the_version_that_was_read_and_on_no_other() {
    let world = World::new().await;
    let first = record(1);
    add(&world.table, std::slice::from_ref(&first)).await;
    let second = Record {
        description: Some("steel".to_owned()),
        data: Map::from_iter([("size".to_owned(), json!(8))]),
        source_name: Some("second.csv".to_owned()),
        ..changed(&first, "Nut")
    };

    assert!(change(&world.table, &first, &second).await);
    assert_eq!(world.all().await[&1], second);

    let stale = changed(&first, "Screw");
    assert!(!change(&world.table, &first, &stale).await);
    assert_eq!(world.all().await[&1], second);

    let third = Record {
        description: None,
        source_name: None,
        ..changed(&second, "Screw")
    };
    assert!(change(&world.table, &second, &third).await);
    assert_eq!(world.all().await[&1], third);
}

#[tokio::test]
async fn a_record_that_does_not_exist_is_not_made_by_a_change() {
    let world = World::new().await;
    let old = record(1);

    for visibility in [Visibility::Private, Visibility::Public] {
        let new = Record {
            visibility,
            ..changed(&old, "Nut")
        };
        assert!(!change(&world.table, &old, &new).await);
    }

    assert!(world.all().await.is_empty());
}

#[tokio::test]
async fn of_many_changes_of_one_version_one_is_made() {
    let world = World::new().await;
    let old = record(1);
    add(&world.table, std::slice::from_ref(&old)).await;
    let versions: Vec<Record> = (0..20).map(|n| changed(&old, &format!("{n}"))).collect();

    let changes = versions.iter().map(|new| change(&world.table, &old, new));
    let made = join_all(changes).await;

    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    let winner = made.iter().position(|made| *made).unwrap();
    assert_eq!(world.all().await[&1], versions[winner]);
}

#[tokio::test]
async fn a_change_of_visibility_moves_the_counter_with_it() {
    let world = World::new().await;
    let old = record(1);
    world.with(&old).await;
    assert_eq!(world.public().await, 0);

    let versions: Vec<Record> = (0..10)
        .map(|n| Record {
            visibility: Visibility::Public,
            ..changed(&old, &format!("Bolt {n}"))
        })
        .collect();
    let changes = versions.iter().map(|new| change(&world.table, &old, new));
    let made = join_all(changes).await;
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    assert_eq!(world.public().await, 1);
    let winner = made.iter().position(|made| *made).unwrap();
    let public = versions[winner].clone();

    let private = Record {
        visibility: Visibility::Private,
        ..changed(&public, "Bolt")
    };
    assert!(change(&world.table, &public, &private).await);
    assert_eq!(world.public().await, 0);
    assert_eq!(world.all().await[&1], private);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_reported_as_made() {
    let world = World::new().await;
    let old = record(1);
    add(&world.table, std::slice::from_ref(&old)).await;
    let new = changed(&old, "Nut");
    world.faults.inject(UPDATE, Fault::Lost, 1);

    let made = change(&world.faulty, &old, &new).await;

    assert_eq!(world.all().await[&1], new);
    assert!(made);
}

#[tokio::test]
async fn a_change_of_visibility_whose_answer_was_lost_is_reported_as_made_and_counted_once() {
    let world = World::new().await;
    let old = record(1);
    world.with(&old).await;
    let new = Record {
        visibility: Visibility::Public,
        ..changed(&old, "Nut")
    };
    world.faults.inject(TRANSACTION, Fault::Lost, 1);

    let made = change(&world.faulty, &old, &new).await;

    assert!(made);
    assert_eq!(world.public().await, 1);
    assert_eq!(world.all().await[&1], new);
}

#[tokio::test]
async fn a_change_that_is_throttled_or_in_conflict_is_tried_again() {
    let world = World::new().await;
    let old = record(1);
    world.with(&old).await;
    let named = changed(&old, "Nut");
    let public = Record {
        visibility: Visibility::Public,
        ..changed(&named, "Nut")
    };
    world.faults.inject(UPDATE, Fault::Throttled, 1);
    world.faults.inject(TRANSACTION, Fault::Conflict, 3);

    for (old, new) in [(&old, &named), (&named, &public)] {
        assert!(change(&world.faulty, old, new).await);
    }

    assert_eq!(world.all().await[&1], public);
    assert_eq!(world.public().await, 1);
}

#[tokio::test]
async fn more_records_than_one_call_reads_are_all_found() {
    let world = World::new().await;
    assert_all_added(&add(&world.table, &records(0..250)).await, 250);
    let ids: Vec<RecordId> = (0..300).map(|n| record(n).id).collect();

    let existing = world.table.existing_records(&place(), &ids).await.unwrap();
    let found = world.table.records(&place(), &parts(), &ids).await.unwrap();

    assert_eq!((existing.len(), found.len()), (250, 250));
    for n in 0..250 {
        let record = record(n);
        assert!(existing.contains(&record.id));
        assert_eq!(found[&record.id], record);
    }
}

#[tokio::test]
async fn a_shard_that_is_longer_than_a_page_is_read_to_its_end() {
    let world = World::new().await;
    let large = Map::from_iter([("text".to_owned(), json!("x".repeat(45_000)))]);
    let rows: Vec<Record> = (0..)
        .map(record)
        .filter(|record| record.id.shard() == 3)
        .take(60)
        .map(|record| Record {
            data: large.clone(),
            ..record
        })
        .collect();
    assert_all_added(&add(&world.table, &rows).await, 60);

    let found = testkit::shard_records(&world.faulty, &place(), &parts(), 3).await;

    assert_eq!(found.unwrap().len(), 60);
    assert!(world.calls("Query") > 2);
    let ids: Vec<RecordId> = rows.iter().map(|row| row.id).collect();
    let found = world.table.records(&place(), &parts(), &ids).await.unwrap();
    assert!(rows.iter().all(|row| found[&row.id] == *row));
}

#[tokio::test]
async fn another_place_holds_none_of_a_collections_records() {
    let world = World::new().await;
    assert_all_added(&add(&world.table, &records(0..5)).await, 5);
    let ids: Vec<RecordId> = (0..5).map(|n| record(n).id).collect();
    let other: TenantId = "t_other".parse().unwrap();
    for place in [
        Place::new(&other, 1, 1),
        Place::new(&tenant(), 2, 1),
        Place::new(&tenant(), 1, 2),
        Place::new(&tenant(), 11, 1),
    ] {
        let found = world.table.records(&place, &parts(), &ids).await;
        assert!(found.unwrap().is_empty());
        let existing = world.table.existing_records(&place, &ids).await;
        assert!(existing.unwrap().is_empty());
    }
}
