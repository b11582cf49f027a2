//! Markers: what the search index has not taken in yet, told apart, whole, and removed only as it
//! was read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::collection::Lease;
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::index::Pointer;
use model::period::Period;
use model::plan::Plan;
use model::record::{Record, SourceType, Visibility};
use model::time::Moment;
use serde_json::Map;
use table::cap::{Hold, Request, Reserved, Tally};
use table::marker::{Batch, BatchMarker, Generation, MarkerId, Markers, Version};
use table::record::{Added, Place};
use table::{Error, Table};
use testkit::{Fault, Faults, Item, NOW, TABLE, dynamodb, faulty_engine, items};
use tokio::time::Instant;
use uuid::Uuid;

/// The generation that the uploads of these tests write to.
const OF: Generation = Generation {
    number: 1,
    generation: 1,
};

type ByGeneration = BTreeMap<CollectionName, BTreeMap<Generation, Vec<RecordId>>>;

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

    async fn reserve(&self, upload: UploadId) -> Hold {
        let (collection, record_type) = (parts(), "product".parse().expect("a record type"));
        let request = Request {
            upload,
            collection: &collection,
            record_type: &record_type,
            rows: 1,
            since: now(),
            until: end(),
            format: 1,
        };
        let summary = self.table.summary(&tenant(), Period::of(now())).await;
        let (summary, limits) = (summary.expect("a summary"), Plan::Scale.limits());
        let reserved = self
            .table
            .reserve(&tenant(), &summary, limits, &request)
            .await;
        match reserved.expect("an answer") {
            Reserved::Yes(_, hold) => hold,
            refused => panic!("{refused:?}"),
        }
    }

    async fn settle(&self, upload: UploadId, hold: &Hold, tally: &Tally) -> bool {
        let settled = self
            .table
            .settle(&tenant(), upload, hold, tally, now())
            .await;
        settled.expect("an answer")
    }

    /// An upload from its reservation to its end.
    async fn upload(&self, n: u128, tally: &Tally) {
        let hold = self.reserve(upload(n)).await;
        assert!(self.settle(upload(n), &hold, tally).await);
    }

    async fn make(&self, record: &Record) {
        let made = self.table.create_record(&place(), record).await;
        assert!(made.expect("an answer"));
    }

    async fn markers(&self) -> Markers {
        let markers = self.table.markers(&tenant(), &parts()).await;
        markers.expect("markers").remove(&OF).unwrap_or_default()
    }

    async fn batch(&self, upload: UploadId, marker: &BatchMarker) -> Option<Batch> {
        let batch = self.table.batch(&tenant(), upload, marker).await;
        batch.expect("an answer")
    }

    /// The items that hold the ids of uploads.
    async fn ids_kept(&self) -> Vec<Item> {
        let mut items = items(&self.endpoint).await;
        items.retain(|item| item["pk"].as_s().is_ok_and(|pk| pk.contains("#BATCH#")));
        items
    }

    /// Publishes that version of the collection's pointer.
    async fn publish(&self, version: u64) {
        let (tenant, parts) = (tenant(), parts());
        let taken = self.table.take_lease(&tenant, &parts, (now(), end()), None);
        let (collection, lease) = taken.await.expect("an answer").expect("a lease");
        let next = Pointer::empty(1, 1, version);
        let published = self.table.publish(&tenant, &collection, 1, &lease, &next);
        assert!(published.await.expect("an answer"));
        let given = self.table.give_back_lease(&tenant, &parts, &lease);
        given.await.expect("an answer");
    }

    async fn remove(&self, read: &Markers) {
        let versions: Vec<_> = read.versions().collect();
        let removed = self
            .table
            .remove_markers(&tenant(), &parts(), OF, versions, &read.batches)
            .await;
        removed.expect("an answer");
    }
}

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn parts() -> CollectionName {
    "parts".parse().expect("a name")
}

fn place() -> Place {
    Place::new(&tenant(), OF.number, OF.generation)
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

/// When the reservations of these tests end.
fn end() -> Moment {
    now() + TimeDelta::minutes(15)
}

fn upload(n: u128) -> UploadId {
    UploadId(Uuid::from_u128(n))
}

fn id(n: u128) -> RecordId {
    RecordId(Uuid::from_u128(n))
}

fn ids(numbers: Range<u128>) -> Vec<RecordId> {
    numbers.map(id).collect()
}

fn sorted(mut ids: Vec<RecordId>) -> Vec<RecordId> {
    ids.sort_unstable();
    ids
}

fn tally(added: Range<u128>, changed: Range<u128>) -> Tally {
    let mut tally = Tally::default();
    for id in ids(added) {
        tally.add(id, Visibility::Private);
    }
    for id in ids(changed) {
        tally.change(id);
    }
    tally
}

fn added(numbers: Range<u128>) -> Tally {
    tally(numbers, 0..0)
}

/// A record that upload 1 made.
fn record(n: u128) -> Record {
    Record {
        id: id(n),
        collection: parts(),
        record_type: "product".parse().expect("a record type"),
        name: format!("Bolt {n}"),
        description: None,
        data: Map::new(),
        visibility: Visibility::Private,
        source_type: SourceType::FileUpload,
        source_name: None,
        source_id: Some(n.to_string()),
        created_at: now(),
        updated_at: now(),
        version: 1,
        upload: upload(1),
        row: 1,
    }
}

#[tokio::test]
async fn a_batch_of_45001_ids_comes_back_whole_from_its_parts_or_not_at_all() {
    let world = World::new().await;

    // Record 25,000 was added and changed.
    world.upload(1, &tally(0..25_001, 25_000..45_001)).await;

    let marker = world.markers().await.batches[&upload(1)].clone();
    assert_eq!((marker.count, marker.parts), (45_001, 4));
    let batch = world.batch(upload(1), &marker).await.unwrap();
    assert_eq!(batch.ids().len(), 45_001);
    assert_eq!(sorted(batch.added), ids(0..25_001));
    assert_eq!(sorted(batch.changed), ids(25_000..45_001));

    let (upload, token) = (upload(1), format!("{:016x}", marker.token));
    let pk = format!("TENANT#t_abc123#BATCH#{upload}#000002");
    let delete = dynamodb(&world.endpoint).delete_item().table_name(TABLE);
    let delete = delete.key("pk", AttributeValue::S(pk));
    let delete = delete.key("sk", AttributeValue::S(token));
    delete.send().await.unwrap();
    assert_eq!(world.batch(upload, &marker).await, None);
}

#[tokio::test]
async fn of_8_attempts_to_settle_for_an_upload_the_ids_of_one_are_kept() {
    let world = World::new().await;
    let hold = world.reserve(upload(1)).await;
    let tallies: Vec<Tally> = (0..8)
        .map(|n| tally(n * 100..n * 100 + 50, n * 100 + 50..n * 100 + 60))
        .collect();

    let attempts = tallies.iter().map(|it| world.settle(upload(1), &hold, it));
    let settled = join_all(attempts).await;

    let winners: Vec<u128> = (0..)
        .zip(settled)
        .filter_map(|(n, settled)| settled.then_some(n))
        .collect();
    let [winner] = &winners[..] else {
        panic!("{winners:?}")
    };
    let first = winner * 100;
    let marker = world.markers().await.batches[&upload(1)].clone();
    assert_eq!((marker.count, marker.parts), (60, 2));
    let batch = world.batch(upload(1), &marker).await.unwrap();
    assert_eq!(batch.added, ids(first..first + 50));
    assert_eq!(batch.changed, ids(first + 50..first + 60));
    let token = AttributeValue::S(format!("{:016x}", marker.token));
    let kept = world.ids_kept().await;
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|item| item["sk"] == token));
}

#[tokio::test]
async fn an_upload_and_those_that_settle_for_it_keep_its_ids_once() {
    let world = World::new().await;
    let hold = world.reserve(upload(1)).await;
    let records: Vec<Record> = (0..30).map(record).collect();
    let rows: Vec<&Record> = records.iter().collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    let written = world.table.add_records(&place(), &rows, deadline).await;
    assert!(written.rows.iter().all(|row| *row == Some(Added::Yes)));
    let (tenant, own) = (tenant(), added(0..30));

    let others = (0..4).map(|_| world.table.settle_abandoned(&tenant, upload(1), &hold));
    let own = (0..4).map(|_| world.settle(upload(1), &hold, &own));
    let (others, own) = tokio::join!(join_all(others), join_all(own));

    assert!(others.iter().all(Result::is_ok), "{others:?}");
    assert!(own.iter().filter(|settled| **settled).count() <= 1);
    let marker = world.markers().await.batches[&upload(1)].clone();
    let batch = world.batch(upload(1), &marker).await.unwrap();
    assert_eq!((marker.count, sorted(batch.added)), (30, ids(0..30)));
    assert_eq!((batch.changed, world.ids_kept().await.len()), (vec![], 1));
}

#[tokio::test]
async fn an_attempt_to_settle_that_failed_leaves_its_ids_to_no_marker() {
    let world = World::new().await;
    let (hold, other) = (world.reserve(upload(1)).await, added(50..60));
    world
        .faults
        .inject("TransactWriteItems", Fault::Conflict, 10);
    let failed = world
        .table
        .settle(&tenant(), upload(1), &hold, &other, now())
        .await;
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    assert!(world.markers().await.is_empty());

    assert!(world.settle(upload(1), &hold, &added(0..10)).await);

    let marker = world.markers().await.batches[&upload(1)].clone();
    let batch = world.batch(upload(1), &marker).await.unwrap();
    assert_eq!((batch.added, batch.changed), (ids(0..10), vec![]));
}

#[tokio::test]
async fn a_marker_says_how_many_from_which_version_on_and_until_when() {
    let world = World::new().await;
    world.upload(1, &added(0..1)).await;
    world.publish(3).await;
    let hold = world.reserve(upload(2)).await;
    world.publish(4).await;

    assert!(world.settle(upload(2), &hold, &tally(1..4, 0..1)).await);
    world.upload(3, &Tally::default()).await;

    let markers = world.markers().await.batches;
    assert_eq!(markers.len(), 2);
    let marker = &markers[&upload(2)];
    let expected = BatchMarker {
        count: 4,
        parts: 2,
        token: marker.token,
        base: 3,
        since: now(),
        until: end(),
    };
    assert_eq!(*marker, expected);
    assert_eq!(markers[&upload(1)].base, 0);
    assert_eq!(world.ids_kept().await.len(), 3);
}

#[tokio::test]
async fn markers_are_told_apart_by_collection_number_and_generation() {
    let world = World::new().await;
    let (mut expected, mut found) = (ByGeneration::new(), ByGeneration::new());
    let names = ["a", "a-b", "a.b"].map(|name| name.parse::<CollectionName>().unwrap());
    let places = [(1, 1), (1, 2), (1, 11), (2, 1), (11, 1)];
    let all = names.iter().flat_map(|name| places.map(|of| (name, of)));
    for ((name, (number, generation)), n) in all.zip(0..) {
        let record = Record {
            collection: name.clone(),
            ..record(n)
        };
        let place = Place::new(&tenant(), number, generation);
        assert!(world.table.create_record(&place, &record).await.unwrap());
        let of = Generation { number, generation };
        expected
            .entry(name.clone())
            .or_default()
            .insert(of, vec![id(n)]);
    }

    let all = world.table.all_markers(&tenant()).await.unwrap();
    for name in names {
        let markers = world.table.markers(&tenant(), &name).await.unwrap();
        assert_eq!(all[&name], markers);
        let markers = markers.into_iter();
        let ids = markers.map(|(of, it)| (of, it.records.into_keys().collect()));
        found.insert(name, ids.collect());
    }

    assert_eq!(found, expected);
    assert_eq!(all.len(), 3);
    let other: TenantId = "t_abc".parse().unwrap();
    assert!(world.table.all_markers(&other).await.unwrap().is_empty());
}

#[tokio::test]
async fn markers_are_removed_with_their_ids_but_those_that_changed_since() {
    let world = World::new().await;
    world.upload(1, &added(100..120)).await;
    for n in 1..=3 {
        world.make(&record(n)).await;
    }
    let read = world.markers().await;
    let next = Record {
        version: 2,
        ..record(1)
    };
    let (place, table) = (place(), &world.table);
    let changed = table.update_record(&place, &record(1), &next).await;
    assert!(changed.unwrap());
    let gone = table.delete_record(&place, &record(2), now()).await;
    assert!(gone.unwrap());
    world.make(&record(4)).await;
    world.upload(2, &added(120..130)).await;

    world.remove(&read).await;
    world.remove(&read).await;

    let left = world.markers().await;
    assert!(left.records.keys().eq(&[id(1), id(2), id(4)]));
    assert_eq!(left.records[&id(1)].version, 2);
    assert!(left.records[&id(2)].gone);
    assert!(left.batches.keys().eq(&[upload(2)]));
    let batch = world.batch(upload(2), &left.batches[&upload(2)]).await;
    assert_eq!(batch.unwrap().added, ids(120..130));
    assert_eq!(world.ids_kept().await.len(), 1);
    assert_eq!(
        world.batch(upload(1), &read.batches[&upload(1)]).await,
        None
    );
}

#[tokio::test]
async fn what_is_being_folded_is_told_under_its_lease_before_its_end_and_as_it_was() {
    let world = World::new().await;
    world.upload(1, &added(100..101)).await;
    for n in 1..=3 {
        world.make(&record(n)).await;
    }
    let lease = |token: &str| Lease {
        token: token.to_owned(),
        since: now(),
        until: end(),
    };
    let (ours, theirs) = (lease("ours"), lease("theirs"));
    let (tenant, parts, table) = (tenant(), parts(), &world.table);
    let [first, second, third] = [1, 2, 3].map(|n| MarkerId::Record(id(n)));
    let batch = MarkerId::Batch(upload(1));
    let read = world.markers().await;
    let takes: Vec<Version> = read
        .versions()
        .filter_map(|(of, version)| (of != third).then_some(version))
        .collect();
    assert!(!read.is_folding(first, Some(&ours), now()));

    let noted = table.note_folding(&tenant, &parts, OF, takes, &ours).await;
    noted.unwrap();

    let read = world.markers().await;
    let folding = |read: &Markers, lease, at| {
        let all = [first, second, third, batch];
        all.map(|of| read.is_folding(of, lease, at))
    };
    let (some, none) = ([true, true, false, true], [false; 4]);
    let last = end() - TimeDelta::microseconds(1);
    assert_eq!(folding(&read, Some(&ours), last), some);
    assert_eq!(folding(&read, Some(&ours), end()), none);
    assert_eq!(folding(&read, Some(&theirs), last), none);
    assert_eq!(folding(&read, None, last), none);

    let next = Record {
        version: 2,
        ..record(1)
    };
    let changed = table.update_record(&place(), &record(1), &next).await;
    assert!(changed.unwrap());
    let forgotten = table.forget_folding(&tenant, &parts, OF, &theirs).await;
    forgotten.unwrap();
    let read = world.markers().await;
    let still = [false, true, false, true];
    assert_eq!(folding(&read, Some(&ours), last), still);

    let forgotten = table.forget_folding(&tenant, &parts, OF, &ours).await;
    forgotten.unwrap();
    let read = world.markers().await;
    assert_eq!(folding(&read, Some(&ours), last), none);
    assert_eq!((read.records.len(), read.batches.len()), (3, 1));
}

#[tokio::test]
async fn a_batch_that_is_left_to_others_is_theirs_at_once_and_not_brought_back() {
    let world = World::new().await;
    world.upload(1, &added(0..5)).await;
    let before = world.markers().await.batches[&upload(1)].clone();
    let (tenant, parts, table) = (tenant(), parts(), &world.table);
    let later = now() + TimeDelta::seconds(2);

    let left = table.leave_batch(&tenant, &parts, OF, upload(1), later);
    left.await.unwrap();

    let read = world.markers().await;
    let expected = BatchMarker {
        until: later,
        ..before
    };
    assert_eq!(read.batches, BTreeMap::from([(upload(1), expected)]));
    world.remove(&read).await;
    let left = table.leave_batch(&tenant, &parts, OF, upload(1), later);
    left.await.unwrap();
    let mut left = items(&world.endpoint).await.into_iter();
    let summary = AttributeValue::S("TENANT#t_abc123#SUMMARY".to_owned());
    assert!(left.all(|item| item["pk"] == summary));
}
