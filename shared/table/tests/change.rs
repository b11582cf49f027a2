//! Single records: the record, its shard's counter and its marker change together or not at all,
//! and writers of different shards share no item.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::record::{Record, SourceType, Visibility};
use model::time::Moment;
use serde_json::{Map, Value};
use table::marker::{Generation, RecordMarker};
use table::record::Place;
use table::{Error, Table, local_config};
use testkit::{Fault, Faults, Item, NOW, TABLE, dynamodb, faulty_engine, items};
use uuid::Uuid;

const TRANSACTION: &str = "TransactWriteItems";
const BATCH: &str = "BatchGetItem";
const TOGETHER: &str = "TransactGetItems";

/// One verb on one record.
enum Step<'a> {
    Create(&'a Record),
    Update(&'a Record, &'a Record),
    Delete(&'a Record, Moment),
}

async fn take(table: &Table, step: &Step<'_>) -> table::Result<bool> {
    match step {
        Step::Create(record) => table.create_record(&place(), record).await,
        Step::Update(old, new) => table.update_record(&place(), old, new).await,
        Step::Delete(old, at) => table.delete_record(&place(), old, *at).await,
    }
}

struct World {
    endpoint: String,
    table: Table,
    faults: Faults,
}

impl World {
    async fn new() -> Self {
        let (endpoint, table, faults) = faulty_engine().await;
        Self {
            endpoint,
            table,
            faults,
        }
    }

    async fn take(&self, step: Step<'_>) -> bool {
        take(&self.table, &step).await.expect("an answer")
    }

    /// Every item by its key.
    async fn dump(&self) -> BTreeMap<(String, String), Item> {
        let text = |item: &Item, name: &str| item[name].as_s().expect("a key").clone();
        let items = items(&self.endpoint).await.into_iter();
        items
            .map(|item| ((text(&item, "pk"), text(&item, "sk")), item))
            .collect()
    }

    /// What a shard's counter says: total, public and the date.
    async fn counter(&self, shard: u8) -> (i64, i64, Moment) {
        let dump = self.dump().await;
        let counter = &dump[&counter_key(shard)];
        let count = |name: &str| {
            let count = counter[name].as_n().expect("a number");
            count.parse().expect("a whole number")
        };
        let date = counter["last_updated"].as_s().expect("a text");
        let date = date.parse().expect("a moment");
        (count("total"), count("public"), date)
    }

    async fn markers(&self) -> BTreeMap<RecordId, RecordMarker> {
        let markers = self.table.markers(&tenant(), &parts()).await;
        let of = Generation {
            number: 1,
            generation: 1,
        };
        markers.expect("markers").remove(&of).expect("some").records
    }

    /// Checks that the table holds what one step leaves and nothing else; returns the marker's
    /// state.
    async fn assert_left(&self, step: &Step<'_>, (total, public): (i64, i64)) -> u64 {
        let (record, gone, at) = match *step {
            Step::Create(new) | Step::Update(_, new) => (new, false, new.updated_at),
            Step::Delete(old, at) => (old, true, at),
        };
        let found = self.table.records(&place(), &parts(), &[record.id]).await;
        let found = found.expect("records").remove(&record.id);
        assert_eq!(found.as_ref(), (!gone).then_some(record));
        let counter = self.counter(record.id.shard()).await;
        assert_eq!(counter, (total, public, at));
        let marker = self.markers().await.remove(&record.id).expect("a marker");
        let expected = RecordMarker {
            ver: marker.ver,
            gone,
            version: record.version,
            upload: record.upload,
            row: record.row,
            at,
        };
        assert_eq!(marker, expected);
        assert_eq!(self.dump().await.len(), 3 - usize::from(gone));
        marker.ver
    }

    /// The item of a record.
    async fn item(&self, id: RecordId) -> Item {
        let sk = AttributeValue::S(id.to_string());
        let mut items = items(&self.endpoint).await.into_iter();
        items.find(|item| item["sk"] == sk).expect("a record")
    }

    /// Puts an item past the verbs.
    async fn plant(&self, item: Item) {
        let put = dynamodb(&self.endpoint).put_item().table_name(TABLE);
        put.set_item(Some(item)).send().await.expect("an item");
    }

    /// Removes an item past the verbs.
    async fn uproot(&self, item: &Item) {
        let delete = dynamodb(&self.endpoint).delete_item().table_name(TABLE);
        let delete = delete.key("pk", item["pk"].clone());
        let delete = delete.key("sk", item["sk"].clone());
        delete.send().await.expect("a removal");
    }
}

/// The keys of the items that a client's transactions name. Clones share them.
#[derive(Debug, Clone, Default)]
struct Spy(Arc<Mutex<BTreeSet<(String, String)>>>);

impl Intercept for Spy {
    fn name(&self) -> &'static str {
        "spy"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request().body().bytes().unwrap_or_default();
        let body: Value = serde_json::from_slice(body)?;
        let actions = body["TransactItems"].as_array().expect("a transaction");
        let actions = actions.iter().filter_map(Value::as_object);
        let keys = actions.flat_map(Map::values).map(|action| {
            let key = action.get("Key").unwrap_or(&action["Item"]);
            let text = |name: &str| key[name]["S"].as_str().expect("a text").to_owned();
            (text("pk"), text("sk"))
        });
        self.0.lock().expect("a lock").extend(keys);
        Ok(())
    }
}

/// Makes, changes and deletes a record, and returns the keys of the items that it takes.
async fn keys_of_a_life(endpoint: &str, first: Record) -> BTreeSet<(String, String)> {
    let spy = Spy::default();
    let config = local_config(endpoint).interceptor(spy.clone()).build();
    let table = Table::new(Client::from_conf(config), TABLE);
    let second = next(&first);
    for step in [
        Step::Create(&first),
        Step::Update(&first, &second),
        Step::Delete(&second, second.updated_at),
    ] {
        assert!(take(&table, &step).await.expect("an answer"));
    }
    spy.0.lock().expect("a lock").clone()
}

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn parts() -> CollectionName {
    "parts".parse().expect("a name")
}

fn place() -> Place {
    Place::new(&tenant(), 1, 1)
}

fn counter_key(shard: u8) -> (String, String) {
    let pk = "TENANT#t_abc123#SUMMARY".to_owned();
    (pk, format!("COUNT#0000000001#{shard:02}"))
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

/// A record that upload 1 made, in shard `n % 16`.
fn record(n: u128) -> Record {
    Record {
        id: RecordId(Uuid::from_u128(n)),
        collection: parts(),
        record_type: "product".parse().expect("a record type"),
        name: format!("Bolt {n}"),
        description: None,
        data: Map::new(),
        visibility: Visibility::Private,
        source_type: SourceType::Api,
        source_name: None,
        source_id: Some(n.to_string()),
        created_at: now(),
        updated_at: now(),
        version: 1,
        upload: UploadId(Uuid::from_u128(1)),
        row: 1,
    }
}

/// The next version of a record, a second later.
fn next(old: &Record) -> Record {
    Record {
        name: format!("{}, changed", old.name),
        updated_at: old.updated_at + TimeDelta::seconds(1),
        version: old.version + 1,
        ..old.clone()
    }
}

/// Makes a record, changes its visibility to and fro and deletes it; each call meets so many of
/// these faults and is done once.
async fn assert_done_once(fault: Fault, times: usize) {
    let world = World::new().await;
    world.faults.calls();
    let mut versions = vec![record(5)];
    for visibility in [Visibility::Public, Visibility::Private, Visibility::Public] {
        let version = next(&versions[versions.len() - 1]);
        versions.push(Record {
            visibility,
            ..version
        });
    }
    let end = versions[3].updated_at;
    let mut states = BTreeSet::new();
    for (step, counts) in [
        (Step::Create(&versions[0]), (1, 0)),
        (Step::Update(&versions[0], &versions[1]), (1, 1)),
        (Step::Update(&versions[1], &versions[2]), (1, 0)),
        (Step::Update(&versions[2], &versions[3]), (1, 1)),
        (Step::Delete(&versions[3], end), (0, 0)),
    ] {
        world.faults.inject(TRANSACTION, fault, times);
        assert!(take(&world.table, &step).await.expect("an answer"));
        assert_eq!(world.faults.calls(), vec![TRANSACTION; times + 1]);
        assert!(states.insert(world.assert_left(&step, counts).await));
        world.faults.calls();
    }
}

#[tokio::test]
async fn each_change_is_one_transaction_of_the_record_its_count_and_its_marker() {
    assert_done_once(Fault::Lost, 0).await;
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_told_as_done_and_done_once() {
    assert_done_once(Fault::Lost, 1).await;
}

#[tokio::test]
async fn a_change_that_meets_other_transactions_is_tried_again_and_done_once() {
    assert_done_once(Fault::Conflict, 3).await;
}

#[tokio::test]
async fn a_change_that_always_meets_other_transactions_is_given_up_and_changes_nothing() {
    let world = World::new().await;
    let (old, other) = (record(5), record(6));
    let new = next(&old);
    assert!(world.take(Step::Create(&old)).await);
    let before = world.dump().await;
    world.faults.inject(TRANSACTION, Fault::Conflict, 100);

    let steps = [
        Step::Create(&other),
        Step::Update(&old, &new),
        Step::Delete(&old, now()),
    ];
    let taken = join_all(steps.iter().map(|step| take(&world.table, step))).await;

    for taken in taken {
        assert!(matches!(taken, Err(Error::Unavailable(_))), "{taken:?}");
    }
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn what_is_not_as_it_was_read_is_not_changed_nor_counted_nor_marked() {
    let world = World::new().await;
    let (first, missing) = (record(5), record(6));
    let (second, appeared) = (next(&first), next(&missing));
    let third = next(&second);
    assert!(world.take(Step::Create(&first)).await);
    assert!(world.take(Step::Update(&first, &second)).await);
    let before = world.dump().await;

    for step in [
        Step::Create(&first),
        Step::Update(&first, &third),
        Step::Delete(&first, third.updated_at),
        Step::Update(&missing, &appeared),
        Step::Delete(&missing, appeared.updated_at),
    ] {
        assert!(!world.take(step).await);
    }

    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_record_that_was_made_anew_is_not_that_of_who_read_the_first_one() {
    for (made_by, row) in [(2, 1), (1, 2)] {
        let world = World::new().await;
        let first = record(5);
        let second = next(&first);
        let upload = UploadId(Uuid::from_u128(made_by));
        let anew = Record {
            upload,
            row,
            ..record(5)
        };
        assert!(world.take(Step::Create(&first)).await);
        assert!(world.take(Step::Delete(&first, now())).await);
        assert!(world.take(Step::Create(&anew)).await);

        assert!(!world.take(Step::Update(&first, &second)).await);
        assert!(!world.take(Step::Delete(&first, now())).await);

        world.assert_left(&Step::Create(&anew), (1, 0)).await;
    }
}

#[tokio::test]
async fn an_older_clock_changes_the_record_and_leaves_the_date() {
    let world = World::new().await;
    let ahead = now() + TimeDelta::hours(1);
    let first = Record {
        updated_at: ahead,
        ..record(5)
    };
    let second = record(21);
    let third = next(&second);

    for (step, done, total) in [
        (Step::Create(&first), true, 1),
        (Step::Create(&second), true, 2),
        (Step::Update(&second, &third), true, 2),
        (Step::Update(&second, &third), false, 2),
        (Step::Delete(&third, third.updated_at), true, 1),
        (Step::Delete(&third, third.updated_at), false, 1),
    ] {
        assert_eq!(world.take(step).await, done);
        assert_eq!(world.counter(5).await, (total, 0, ahead));
    }

    let markers = world.markers().await;
    let marker = &markers[&second.id];
    assert_eq!((marker.gone, marker.at), (true, third.updated_at));
}

#[tokio::test]
async fn writers_of_different_shards_name_no_item_in_common() {
    let world = World::new().await;

    let lives = (0..8).map(|n| keys_of_a_life(&world.endpoint, record(n)));
    let keys = join_all(lives).await;

    assert!(keys.iter().all(|keys| keys.len() == 3), "{keys:?}");
    let all: BTreeSet<_> = keys.iter().flatten().collect();
    assert_eq!(all.len(), 24);
}

#[tokio::test]
async fn writers_of_one_shard_name_its_counter_and_nothing_else_in_common() {
    let world = World::new().await;

    let left = keys_of_a_life(&world.endpoint, record(5)).await;
    let right = keys_of_a_life(&world.endpoint, record(21)).await;

    let common: Vec<_> = left.intersection(&right).cloned().collect();
    assert_eq!(common, [counter_key(5)]);
}

#[tokio::test]
async fn records_that_are_what_their_markers_say_or_newer_are_read_once() {
    let world = World::new().await;
    let [changed, gone, anew] = [1, 2, 3].map(record);
    let second = next(&changed);
    let third = next(&second);
    let again = Record {
        row: 2,
        ..anew.clone()
    };
    for step in [
        Step::Create(&changed),
        Step::Update(&changed, &second),
        Step::Create(&gone),
        Step::Delete(&gone, now()),
        Step::Create(&anew),
        Step::Delete(&anew, now()),
    ] {
        assert!(world.take(step).await);
    }
    let markers = world.markers().await;
    assert!(world.take(Step::Update(&second, &third)).await);
    assert!(world.take(Step::Create(&again)).await);
    world.faults.calls();

    let ids = [1, 2, 3].map(|n| record(n).id);
    let (place, parts) = (place(), parts());
    let read = world.table.marked_records(&place, &parts, &ids, &markers);
    let read = read.await.unwrap();

    let expected = HashMap::from([(third.id, third), (again.id, again)]);
    assert_eq!(read.records, expected);
    assert_eq!(world.faults.calls(), [BATCH]);
}

/// A world where records 1 to 3 are not what their markers say: an older version, one that should
/// be gone, one that should be there. With the right item of the first, the wrong one of the second
/// and the missing one of the third.
async fn half_seen() -> (World, [Item; 3]) {
    let world = World::new().await;
    let mut items = Vec::new();
    for n in 1..=3 {
        assert!(world.take(Step::Create(&record(n))).await);
        items.push(world.item(record(n).id).await);
    }
    let [older, undead, missing]: [Item; 3] = items.try_into().expect("three");
    let old = record(1);
    assert!(world.take(Step::Update(&old, &next(&old))).await);
    assert!(world.take(Step::Delete(&record(2), now())).await);
    let newer = world.item(old.id).await;
    world.plant(older).await;
    world.plant(undead.clone()).await;
    world.uproot(&missing).await;
    (world, [newer, undead, missing])
}

#[tokio::test]
async fn a_record_that_is_not_what_its_marker_says_is_read_with_it_once_and_returned_as_it_is() {
    let (world, _) = half_seen().await;
    let (ids, markers) = ([1, 2, 3].map(|n| record(n).id), world.markers().await);
    let (place, parts) = (place(), parts());
    world.faults.calls();

    let read = world.table.marked_records(&place, &parts, &ids, &markers);
    let read = read.await.unwrap();

    let expected = [1, 2].map(|n| (record(n).id, record(n)));
    assert_eq!(read.records, HashMap::from(expected));
    assert_eq!(world.faults.calls(), [BATCH, TOGETHER, TOGETHER, TOGETHER]);
}

#[tokio::test]
async fn a_transaction_that_a_batch_saw_half_is_seen_whole() {
    let (world, [newer, undead, missing]) = half_seen().await;
    let (ids, markers) = ([1, 2, 3].map(|n| record(n).id), world.markers().await);
    let (place, parts) = (place(), parts());
    world.faults.inject(TOGETHER, Fault::Conflict, 9);

    // The batch has been read; the rest becomes visible before anything is read with its marker.
    let read = world.table.marked_records(&place, &parts, &ids, &markers);
    let rest = async {
        while !world.faults.calls().iter().any(|call| call == TOGETHER) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.plant(newer).await;
        world.uproot(&undead).await;
        world.plant(missing).await;
        world.faults.clear();
    };
    let (read, ()) = tokio::join!(read, rest);

    let expected = [next(&record(1)), record(3)].map(|record| (record.id, record));
    assert_eq!(read.unwrap().records, HashMap::from(expected));
}
