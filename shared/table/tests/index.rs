//! Pointers of search indexes and the lease under which they change: one holder at a time, and no
//! write of one who is it no longer.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::collection::{Collection, Lease};
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::index::{Pack, Pointer, Retired, Segment};
use model::period::Period;
use model::plan::Plan;
use model::record::{Record, SourceType, Visibility};
use model::time::Moment;
use serde_json::Map;
use table::Table;
use table::cap::{Request, Reserved};
use table::index::IndexView;
use table::marker::{Generation, MarkerId};
use table::record::Place;
use table::replace::Begun;
use testkit::{Fault, Faults, Item, NOW, TABLE, dynamodb, faulty_engine, items};
use uuid::Uuid;

const UPDATE: &str = "UpdateItem";

/// How long the leases of these tests last.
const LEASE: TimeDelta = TimeDelta::minutes(1);

const MOMENT: TimeDelta = TimeDelta::microseconds(1);

/// One table, with a reserved collection unless it is empty.
struct World {
    endpoint: String,
    table: Table,
    faults: Faults,
}

impl World {
    async fn empty() -> Self {
        let (endpoint, table, faults) = faulty_engine().await;
        Self {
            endpoint,
            table,
            faults,
        }
    }

    async fn new() -> Self {
        let world = Self::empty().await;
        world.reserve(1, 1).await;
        world
    }

    /// The collection as an upload reserves it whose code writes that format.
    async fn reserve(&self, upload: u128, format: u32) -> Collection {
        let (collection, record_type) = (parts(), "product".parse().expect("a record type"));
        let request = Request {
            upload: UploadId(Uuid::from_u128(upload)),
            collection: &collection,
            record_type: &record_type,
            rows: 1,
            since: now(),
            until: now() + TimeDelta::minutes(15),
            format,
        };
        let summary = self.table.summary(&tenant(), Period::of(now())).await;
        let (summary, limits) = (summary.expect("a summary"), Plan::Scale.limits());
        let reserved = self
            .table
            .reserve(&tenant(), &summary, limits, &request)
            .await;
        match reserved.expect("an answer") {
            Reserved::Yes(collection, _) => collection,
            refused => panic!("{refused:?}"),
        }
    }

    async fn take(&self, at: Moment, alone_since: Option<Moment>) -> Option<(Collection, Lease)> {
        let taken = self
            .table
            .take_lease(&tenant(), &parts(), (at, at + LEASE), alone_since)
            .await;
        taken.expect("an answer")
    }

    async fn taken(&self, at: Moment) -> (Collection, Lease) {
        self.take(at, None).await.expect("a lease")
    }

    async fn extend(&self, lease: &Lease, until: Moment) -> bool {
        let extended = self
            .table
            .extend_lease(&tenant(), &parts(), lease, until)
            .await;
        extended.expect("an answer")
    }

    async fn give_back(&self, lease: &Lease) {
        let given = self.table.give_back_lease(&tenant(), &parts(), lease).await;
        given.expect("an answer");
    }

    /// Publishes a pointer of a generation of what was read under a lease.
    async fn publish(
        &self,
        (read, lease): &(Collection, Lease),
        generation: u32,
        next: &Pointer,
    ) -> bool {
        let published = self
            .table
            .publish(&tenant(), read, generation, lease, next)
            .await;
        published.expect("an answer")
    }

    /// Begins a replace of the collection, which is live from then on.
    async fn replace(&self, upload: u128) {
        let item = self.item().await;
        dynamodb(&self.endpoint)
            .update_item()
            .table_name(TABLE)
            .key("pk", item["pk"].clone())
            .key("sk", item["sk"].clone())
            .update_expression("SET live = :live")
            .expression_attribute_values(":live", AttributeValue::Bool(true))
            .send()
            .await
            .expect("a live collection");
        let upload = UploadId(Uuid::from_u128(upload));
        let record_type = "product".parse().expect("a record type");
        let begun = self
            .table
            .begin_replace(&tenant(), &parts(), upload, &record_type, now(), 1)
            .await;
        let begun = begun.expect("an answer");
        assert!(matches!(begun, Begun::Yes(..)), "{begun:?}");
    }

    async fn prepare(&self) {
        let prepared = self.table.prepare_pointers(&tenant(), &parts()).await;
        prepared.expect("an answer");
    }

    async fn view(&self) -> Option<IndexView> {
        let view = self.table.index_view(&tenant(), &parts()).await;
        view.expect("an answer")
    }

    async fn collection(&self) -> Collection {
        self.view().await.expect("a collection").collection
    }

    /// The collection's item.
    async fn item(&self) -> Item {
        let mut items = items(&self.endpoint).await.into_iter();
        let sk = AttributeValue::S("COLL#parts".to_owned());
        items.find(|item| item["sk"] == sk).expect("a collection")
    }

    /// Makes a record of a generation of the first collection.
    async fn make(&self, n: u128, generation: u32) {
        let place = Place::new(&tenant(), 1, generation);
        let made = self.table.create_record(&place, &record(n)).await;
        assert!(made.expect("an answer"));
    }
}

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn parts() -> CollectionName {
    "parts".parse().expect("a name")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

fn id(n: u128) -> RecordId {
    RecordId(Uuid::from_u128(n))
}

fn record(n: u128) -> Record {
    Record {
        id: id(n),
        collection: parts(),
        record_type: "product".parse().expect("a record type"),
        name: format!("Bolt {n}"),
        description: None,
        data: Map::new(),
        visibility: Visibility::Private,
        source_type: SourceType::Api,
        source_name: None,
        source_id: None,
        created_at: now(),
        updated_at: now(),
        version: 1,
        upload: UploadId(Uuid::from_u128(1)),
        row: 1,
    }
}

/// A pointer of that version, told from others of it by its opstamp.
fn pointer(version: u64, opstamp: u64) -> Pointer {
    Pointer {
        opstamp,
        ..Pointer::empty(1, 1, version)
    }
}

#[tokio::test]
async fn a_new_collection_has_an_empty_pointer_of_the_format_it_was_reserved_with() {
    let world = World::empty().await;

    let reserved = world.reserve(1, 7).await;

    let empty = BTreeMap::from([(1, Pointer::empty(7, 1, 0))]);
    assert_eq!((&reserved.indexes, &reserved.lease), (&empty, &None));
    assert_eq!(world.collection().await, reserved);
    // The index stays what it is, whatever the code of the next upload writes.
    assert_eq!(world.reserve(2, 8).await, reserved);
}

#[tokio::test]
async fn of_8_that_take_a_lease_at_once_one_gets_it() {
    let world = World::new().await;

    let taken = join_all((0..8).map(|_| world.take(now(), None))).await;

    let mut taken: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
    let (read, lease) = taken.remove(0);
    assert_eq!((lease.since, lease.until), (now(), now() + LEASE));
    assert_eq!(read.lease, Some(lease));
    assert_eq!(world.collection().await, read);
}

#[tokio::test]
async fn a_lease_is_free_from_its_end_on_and_when_it_was_given_back() {
    let world = World::new().await;
    let (_, first) = world.taken(now()).await;
    assert_eq!(world.take(first.until - MOMENT, None).await, None);

    let (_, second) = world.taken(first.until).await;
    assert_ne!(first.token, second.token);
    world.give_back(&first).await;
    assert_eq!(world.collection().await.lease, Some(second.clone()));
    assert_eq!(world.take(second.since, None).await, None);

    world.give_back(&second).await;
    assert_eq!(world.collection().await.lease, None);
    world.taken(second.since).await;
}

#[tokio::test]
async fn a_lease_that_was_taken_before_a_process_was_alone_is_free_at_once() {
    let world = World::new().await;
    let (_, first) = world.taken(now()).await;

    assert_eq!(world.take(now(), Some(now())).await, None);
    let taken = world.take(now() + MOMENT, Some(now() + MOMENT)).await;

    let (_, second) = taken.unwrap();
    assert_ne!(first.token, second.token);
    assert!(!world.extend(&first, now() + LEASE).await);
}

#[tokio::test]
async fn a_collection_that_does_not_exist_has_no_lease_and_is_not_made_by_taking_it() {
    let world = World::empty().await;

    assert_eq!(world.take(now(), None).await, None);
    world.prepare().await;

    assert!(items(&world.endpoint).await.is_empty());
}

#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_taken() {
    let world = World::new().await;
    world.faults.inject(UPDATE, Fault::Lost, 1);

    let (read, lease) = world.taken(now()).await;

    assert_eq!(read.lease, Some(lease));
    assert_eq!(world.collection().await, read);
}

#[tokio::test]
async fn a_lease_is_extended_by_its_holder_alone() {
    let world = World::new().await;
    let (_, first) = world.taken(now()).await;
    let later = first.until + LEASE;

    assert!(world.extend(&first, later).await);
    let extended = Lease {
        until: later,
        ..first.clone()
    };
    assert_eq!(world.collection().await.lease, Some(extended));
    assert_eq!(world.take(first.until, None).await, None);

    let (_, second) = world.taken(later).await;
    assert!(!world.extend(&first, later + LEASE + LEASE).await);
    assert_eq!(world.collection().await.lease, Some(second.clone()));
    world.give_back(&second).await;
    assert!(!world.extend(&second, later + LEASE).await);
    assert_eq!(world.collection().await.lease, None);
}

#[tokio::test]
async fn a_pointer_is_published_on_the_version_that_was_read() {
    let world = World::new().await;
    let held = world.taken(now()).await;

    assert!(world.publish(&held, 1, &pointer(1, 10)).await);
    assert!(!world.publish(&held, 1, &pointer(2, 20)).await);
    assert_eq!(world.collection().await.indexes[&1], pointer(1, 10));

    let held = (world.collection().await, held.1);
    let next = [2, 3, 4, 5].map(|opstamp| pointer(2, opstamp));
    let published = join_all(next.iter().map(|next| world.publish(&held, 1, next))).await;
    let done = next.iter().zip(published).filter(|(_, done)| *done);
    let done: Vec<&Pointer> = done.map(|(next, _)| next).collect();
    assert_eq!(done, [&world.collection().await.indexes[&1]]);
}

#[tokio::test]
async fn who_has_lost_the_lease_publishes_nothing() {
    let world = World::new().await;
    let late = world.taken(now()).await;
    let held = world.taken(late.1.until).await;

    assert!(!world.publish(&late, 1, &pointer(1, 10)).await);
    assert_eq!(world.collection().await.indexes[&1], pointer(0, 0));
    assert!(world.publish(&held, 1, &pointer(1, 20)).await);
    assert!(!world.publish(&late, 1, &pointer(1, 10)).await);

    // Nor with what the other has published.
    let late = (world.collection().await, late.1);
    assert!(!world.publish(&late, 1, &pointer(2, 30)).await);
    world.give_back(&held.1).await;
    let given = (world.collection().await, held.1);
    assert!(!world.publish(&given, 1, &pointer(2, 40)).await);
    assert_eq!(world.collection().await.indexes[&1], pointer(1, 20));
}

#[tokio::test]
async fn a_publication_whose_answer_was_lost_is_told_as_done_and_one_that_was_refused_is_not() {
    let world = World::new().await;
    let held = world.taken(now()).await;
    world.faults.inject(UPDATE, Fault::Lost, 1);
    world.faults.calls();

    assert!(world.publish(&held, 1, &pointer(1, 10)).await);
    assert_eq!(world.faults.calls(), [UPDATE, UPDATE, "GetItem"]);
    world.faults.inject(UPDATE, Fault::Lost, 1);
    assert!(!world.publish(&held, 1, &pointer(1, 20)).await);

    assert_eq!(world.collection().await.indexes[&1], pointer(1, 10));
}

#[tokio::test]
async fn the_pointers_of_two_generations_lie_side_by_side() {
    let world = World::new().await;
    world.replace(2).await;
    let held = world.taken(now()).await;

    assert!(world.publish(&held, 2, &pointer(1, 20)).await);
    assert!(world.publish(&held, 1, &pointer(1, 10)).await);
    // Who has not seen the second generation's pointer does not replace it.
    assert!(!world.publish(&held, 2, &pointer(1, 30)).await);

    let expected = BTreeMap::from([(1, pointer(1, 10)), (2, pointer(1, 20))]);
    let collection = world.collection().await;
    assert_eq!(collection.indexes, expected);
    assert_eq!(collection.index(), Some(&pointer(1, 10)));
    let item = world.item().await;
    let generations: BTreeSet<&String> = item["index"].as_m().unwrap().keys().collect();
    assert!(generations.into_iter().eq(["1", "2"]));
    let held = (collection, held.1);
    assert!(world.publish(&held, 2, &pointer(2, 40)).await);
    let expected = BTreeMap::from([(1, pointer(1, 10)), (2, pointer(2, 40))]);
    assert_eq!(world.collection().await.indexes, expected);
}

#[tokio::test]
async fn the_pointer_of_a_generation_that_is_not_in_use_is_not_published() {
    let world = World::new().await;
    assert!(
        !world
            .publish(&world.taken(now()).await, 2, &pointer(0, 20))
            .await
    );
    world.replace(2).await;
    let held = world.taken(now() + LEASE).await;

    let cancelled = world
        .table
        .cancel_replace(&tenant(), &parts(), None, now())
        .await;
    assert!(cancelled.expect("an answer"));
    assert!(!world.publish(&held, 2, &pointer(1, 20)).await);
    world.replace(3).await;

    let pointers = [(1, pointer(0, 0)), (2, pointer(0, 0)), (3, pointer(0, 0))];
    assert_eq!(world.collection().await.indexes, BTreeMap::from(pointers));
    assert!(world.publish(&held, 1, &pointer(1, 10)).await);
}

#[tokio::test]
async fn a_collection_of_before_there_were_pointers_is_prepared_for_them_once() {
    let world = World::new().await;
    let item = world.item().await;
    let update = dynamodb(&world.endpoint).update_item().table_name(TABLE);
    let update = update.key("pk", item["pk"].clone());
    let update = update.key("sk", item["sk"].clone());
    let update = update.update_expression("REMOVE #index");
    let update = update.expression_attribute_names("#index", "index");
    update.send().await.unwrap();
    let held = world.taken(now()).await;
    assert_eq!(held.0.indexes, BTreeMap::new());
    assert_eq!(world.collection().await.index(), None);

    world.prepare().await;
    assert_eq!(world.collection().await, held.0);
    assert!(world.publish(&held, 1, &pointer(1, 10)).await);
    world.prepare().await;

    let expected = BTreeMap::from([(1, pointer(1, 10))]);
    assert_eq!(world.collection().await.indexes, expected);
}

#[tokio::test]
async fn a_view_has_the_collection_and_the_markers_that_were_read_before_it() {
    let world = World::empty().await;
    for (n, generation) in [(1, 1), (2, 1), (3, 2)] {
        world.make(n, generation).await;
    }
    assert!(world.view().await.is_none());
    let reserved = world.reserve(1, 1).await;
    world.faults.calls();

    let view = world.view().await.unwrap();

    assert_eq!(world.faults.calls(), ["Query", "GetItem"]);
    assert_eq!(view.collection, reserved);
    let marked: BTreeMap<Generation, Vec<MarkerId>> = view
        .markers
        .iter()
        .map(|(of, markers)| (*of, markers.versions().map(|(id, _)| id).collect()))
        .collect();
    let of = |generation| Generation {
        number: 1,
        generation,
    };
    let marker = |n| MarkerId::Record(id(n));
    let expected = [
        (of(1), vec![marker(1), marker(2)]),
        (of(2), vec![marker(3)]),
    ];
    assert_eq!(marked, BTreeMap::from(expected));
}

#[tokio::test]
async fn a_pointer_comes_back_as_it_was_published() {
    let world = World::new().await;
    let held = world.taken(now()).await;
    let pack = |name: u128, len| Pack {
        name: format!("{name:032x}"),
        len,
        tail: 4_096,
    };
    let segment = |id: u128, deleted, deleted_by| Segment {
        id: format!("{id:032x}"),
        docs: u32::MAX,
        deleted,
        deleted_by,
    };
    let retired = |name: u128, at| Retired {
        build: 1,
        name: format!("{name:032x}"),
        at,
    };
    let whole = Pointer {
        format: 3,
        build: 2,
        version: u64::MAX,
        opstamp: u64::MAX - 1,
        packs: vec![pack(2, u64::MAX), pack(1, 0)],
        segments: vec![segment(2, 7, u64::MAX), segment(1, 0, 0)],
        retired: vec![retired(4, now() + MOMENT), retired(3, now())],
        failed: BTreeSet::from([id(1), id(u128::MAX)]),
    };

    assert!(world.publish(&held, 1, &whole).await);

    assert_eq!(world.collection().await.indexes[&1], whole);
    let held = (world.collection().await, held.1);
    assert!(world.publish(&held, 1, &pointer(1, 0)).await);
}
