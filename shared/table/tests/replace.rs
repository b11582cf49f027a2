//! Replaces: one at a time, swapped or cancelled by one write, and what they leave behind is deleted
//! without a trace.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use model::collection::{Collection, Replace, Retired};
use model::id::{CollectionName, RecordId, RecordType, TenantId, UploadId};
use model::index::Pointer;
use model::period::Period;
use model::plan::Plan;
use model::record::{Record, SourceType, Visibility};
use model::time::Moment;
use serde_json::Map;
use table::Table;
use table::cap::{Hold, Request, Reserved, Tally};
use table::marker::Generation;
use table::record::{Added, Place};
use table::replace::{Begun, Swapped};
use table::summary::Summary;
use testkit::{Fault, Faults, NOW, faulty_engine, items};
use tokio::time::Instant;
use uuid::Uuid;

const UPDATE: &str = "UpdateItem";

/// The format of the indexes of these tests.
const FORMAT: u32 = 7;

/// The keys of an item.
type Keys = BTreeSet<(String, String)>;

struct World {
    endpoint: String,
    table: Table,
    faults: Faults,
}

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn parts() -> CollectionName {
    "parts".parse().expect("a name")
}

fn kind(name: &str) -> RecordType {
    name.parse().expect("a record type")
}

fn upload(n: u128) -> UploadId {
    UploadId(Uuid::from_u128(n))
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

fn of(generation: u32) -> Generation {
    Generation {
        number: 1,
        generation,
    }
}

fn record(n: u128, hold: &Hold, by: UploadId) -> Record {
    Record {
        id: RecordId(Uuid::from_u128(n)),
        collection: hold.collection.clone(),
        record_type: hold.record_type.clone(),
        name: format!("Bolt {n}"),
        description: None,
        data: Map::new(),
        visibility: Visibility::Private,
        source_type: SourceType::FileUpload,
        source_name: None,
        source_id: None,
        created_at: now(),
        updated_at: now(),
        version: 1,
        upload: by,
        row: 1,
    }
}

impl World {
    /// A table with a collection of so many records.
    async fn of(records: u64) -> Self {
        let (endpoint, table, faults) = faulty_engine().await;
        let world = Self {
            endpoint,
            table,
            faults,
        };
        world.fill((1, "product"), None, records).await;
        world
    }

    async fn summary(&self) -> Summary {
        let summary = self.table.summary(&tenant(), Period::of(now())).await;
        summary.expect("a summary")
    }

    /// Reserves for an upload of so many rows.
    async fn reserve(
        &self,
        (by, record_type): (u128, &str),
        staging: Option<u32>,
        rows: u64,
    ) -> Hold {
        let (collection, record_type) = (parts(), kind(record_type));
        let request = Request {
            upload: upload(by),
            collection: &collection,
            record_type: &record_type,
            rows,
            since: now(),
            until: now() + TimeDelta::minutes(15),
            format: FORMAT,
        };
        let summary = self.summary().await;
        let limits = Plan::Scale.limits();
        let reserved = self
            .table
            .reserve_for(&tenant(), &summary, limits, &request, (staging, None))
            .await;
        match reserved.expect("an answer") {
            Reserved::Yes(_, hold) => hold,
            refused => panic!("{refused:?}"),
        }
    }

    /// Writes the records of an upload, and says what it did.
    async fn write(&self, by: u128, hold: &Hold, rows: u64) -> Tally {
        let place = Place::new(&tenant(), hold.number, hold.generation);
        let ids = 1..=u128::from(rows);
        let records: Vec<Record> = ids.map(|n| record(n, hold, upload(by))).collect();
        let all: Vec<&Record> = records.iter().collect();
        let deadline = Instant::now() + Duration::from_mins(1);
        let added = self.table.add_records(&place, &all, deadline).await;
        let mut added = added.rows.into_iter();
        assert!(added.all(|row| row == Some(Added::Yes)));
        let mut tally = Tally::default();
        for record in &records {
            tally.add(record.id, record.visibility);
        }
        tally
    }

    async fn settle(&self, by: u128, hold: &Hold, tally: &Tally) {
        let settled = self
            .table
            .settle(&tenant(), upload(by), hold, tally, now())
            .await;
        assert!(settled.expect("an answer"));
    }

    /// A whole upload, whose records are not folded.
    async fn fill(&self, by: (u128, &str), staging: Option<u32>, rows: u64) {
        let hold = self.reserve(by, staging, rows).await;
        let tally = self.write(by.0, &hold, rows).await;
        self.settle(by.0, &hold, &tally).await;
    }

    async fn begin(&self, by: u128) -> Begun {
        let begun = self
            .table
            .begin_replace(
                &tenant(),
                &parts(),
                upload(by),
                &kind("service"),
                now(),
                FORMAT,
            )
            .await;
        begun.expect("an answer")
    }

    /// The collection once a replace has begun, and the generation that it fills.
    async fn begun(&self, by: u128) -> (Collection, u32) {
        match self.begin(by).await {
            Begun::Yes(collection, generation) => (collection, generation),
            refused => panic!("{refused:?}"),
        }
    }

    async fn swap(&self, read: &Collection) -> Swapped {
        let swapped = self.table.swap(&tenant(), read, now()).await;
        swapped.expect("an answer")
    }

    async fn cancel(&self, by: Option<u128>) -> bool {
        let cancelled = self
            .table
            .cancel_replace(&tenant(), &parts(), by.map(upload), now())
            .await;
        cancelled.expect("an answer")
    }

    async fn delete(&self, generation: u32) -> bool {
        let deleted = self
            .table
            .delete_generation(&tenant(), &parts(), of(generation))
            .await;
        deleted.expect("an answer")
    }

    async fn collection(&self) -> Collection {
        let found = self.table.find_collection(&tenant(), &parts()).await;
        found.expect("an answer").expect("a collection")
    }

    /// The keys of every item.
    async fn keys(&self) -> Keys {
        let text = |item: &testkit::Item, name: &str| item[name].as_s().expect("text").clone();
        let items = items(&self.endpoint).await;
        let keys = items
            .iter()
            .map(|item| (text(item, "pk"), text(item, "sk")));
        keys.collect()
    }
}

/// The keys of what there is of records: they and their counters, markers and the ids of uploads.
fn of_records(keys: &Keys) -> Keys {
    let kinds = ["#RECORDS#", "#MARKERS", "#BATCH#"];
    let is = |(pk, sk): &&(String, String)| {
        kinds.iter().any(|kind| pk.contains(kind)) || sk.starts_with("COUNT#")
    };
    keys.iter().filter(is).cloned().collect()
}

fn retired(generations: &[u32]) -> Vec<Retired> {
    let of = |generation: &u32| Retired {
        generation: *generation,
        at: now(),
    };
    generations.iter().map(of).collect()
}

/// Does work for so many polls, and drops it if it is not done by then.
async fn cut<T>(work: impl Future<Output = T>, mut polls: u32) -> Option<T> {
    let mut work = Box::pin(work);
    let done = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if polls == 0 => Poll::Ready(None),
        Poll::Pending => {
            polls -= 1;
            Poll::Pending
        }
    });
    done.await
}

#[tokio::test]
async fn a_replace_fills_the_next_generation_which_has_an_empty_index() {
    let world = World::of(1).await;
    let before = world.collection().await;

    let (collection, generation) = world.begun(2).await;

    assert_eq!(generation, 2);
    assert_eq!(collection, world.collection().await);
    let replace = Replace {
        generation: 2,
        upload: upload(2),
        record_type: kind("service"),
        started_at: now(),
    };
    let mut expected = before;
    expected.last_generation = 2;
    expected.replace = Some(replace);
    expected.indexes.insert(2, Pointer::empty(FORMAT, 1, 0));
    assert_eq!(collection, expected);
}

#[tokio::test]
async fn a_collection_has_one_replace_at_a_time() {
    let world = World::of(1).await;

    let begun = join_all((2..10).map(|by| world.begin(by))).await;

    let done = begun.iter().filter(|begun| matches!(begun, Begun::Yes(..)));
    assert_eq!(done.count(), 1);
    let busy = begun.iter().filter(|begun| **begun == Begun::Busy);
    assert_eq!(busy.count(), 7);
    assert_eq!(world.collection().await.last_generation, 2);
    assert_eq!(world.begin(20).await, Begun::Busy);
    assert!(world.cancel(None).await);
    assert_eq!(world.begun(20).await.1, 3);
}

#[tokio::test]
async fn what_is_not_shown_cannot_be_replaced() {
    let (endpoint, table, faults) = faulty_engine().await;
    let world = World {
        endpoint,
        table,
        faults,
    };
    assert_eq!(world.begin(2).await, Begun::NotFound);
    assert!(!world.cancel(None).await);
    assert_eq!(world.keys().await, Keys::new());

    world.reserve((1, "product"), None, 1).await;
    assert_eq!(world.begin(2).await, Begun::NotFound);
}

#[tokio::test]
async fn what_is_staged_is_counted_apart_until_the_swap() {
    let world = World::of(3).await;
    assert_eq!(world.summary().await.staged(&parts()), None);
    let (read, generation) = world.begun(2).await;
    assert_eq!(world.summary().await.staged(&parts()), Some(0));
    world.fill((2, "service"), Some(generation), 5).await;

    let summary = world.summary().await;
    assert_eq!((summary.records(), summary.staged(&parts())), (3, Some(5)));
    let types = |collection: &Collection| collection.record_types.clone();
    assert_eq!(types(&world.collection().await), [kind("product")].into());

    assert_eq!(world.swap(&read).await, Swapped::Yes);

    let summary = world.summary().await;
    assert_eq!((summary.records(), summary.staged(&parts())), (5, None));
    let collection = world.collection().await;
    assert_eq!(types(&collection), [kind("service")].into());
    assert_eq!((collection.generation, &collection.replace), (2, &None));
    assert_eq!(collection.retired, retired(&[1]));
}

#[tokio::test]
async fn a_replace_is_swapped_only_as_it_was_read() {
    let world = World::of(1).await;
    let unread = world.collection().await;
    let (first, _) = world.begun(2).await;
    assert_eq!(world.swap(&unread).await, Swapped::Moved);
    assert!(world.cancel(None).await);
    assert_eq!(world.swap(&first).await, Swapped::Moved);
    let (second, _) = world.begun(3).await;
    assert_eq!(world.swap(&first).await, Swapped::Moved);
    assert_eq!(world.collection().await, second);

    assert_eq!(world.swap(&second).await, Swapped::Yes);

    let collection = world.collection().await;
    assert_eq!((collection.generation, &collection.replace), (3, &None));
    assert_eq!(collection.retired, retired(&[1, 2]));
}

#[tokio::test]
async fn a_replace_is_cancelled_by_its_upload_or_by_who_does_not_ask_which() {
    let world = World::of(2).await;
    assert!(!world.cancel(None).await);
    let (_, generation) = world.begun(2).await;
    world.fill((2, "service"), Some(generation), 4).await;
    assert!(!world.cancel(Some(3)).await);
    assert_eq!(world.summary().await.staged(&parts()), Some(4));

    assert!(world.cancel(Some(2)).await);

    assert!(!world.cancel(Some(2)).await);
    let collection = world.collection().await;
    assert_eq!((collection.generation, &collection.replace), (1, &None));
    assert_eq!(collection.retired, retired(&[2]));
    let summary = world.summary().await;
    assert_eq!((summary.records(), summary.staged(&parts())), (2, None));
}

#[tokio::test]
async fn an_upload_that_ends_after_its_replace_was_cancelled_shows_nothing() {
    let world = World::of(2).await;
    let (_, generation) = world.begun(2).await;
    let hold = world.reserve((2, "service"), Some(generation), 4).await;
    let tally = world.write(2, &hold, 4).await;
    assert!(world.cancel(None).await);
    let held = world.table.is_held(&tenant(), of(generation)).await;
    assert!(held.expect("an answer"));

    world.settle(2, &hold, &tally).await;

    let held = world.table.is_held(&tenant(), of(generation)).await;
    assert!(!held.expect("an answer"));
    let summary = world.summary().await;
    assert_eq!((summary.records(), summary.staged(&parts())), (2, None));
    let types = world.collection().await.record_types;
    assert_eq!(types, [kind("product")].into());
}

#[tokio::test]
async fn what_was_done_and_not_answered_is_done() {
    let world = World::of(1).await;
    let lose = || world.faults.inject(UPDATE, Fault::Lost, 1);

    lose();
    assert_eq!(world.begun(2).await.1, 2);
    lose();
    assert!(world.cancel(None).await);
    let (read, generation) = world.begun(3).await;
    assert_eq!(generation, 3);
    lose();
    assert_eq!(world.swap(&read).await, Swapped::Yes);

    let collection = world.collection().await;
    assert_eq!((collection.generation, collection.last_generation), (3, 3));
    assert_eq!(collection.retired, retired(&[1, 2]));
}

#[tokio::test]
async fn a_swapped_generation_is_deleted_without_a_trace() {
    let world = World::of(500).await;
    let old = of_records(&world.keys().await);
    let (read, generation) = world.begun(2).await;
    world.fill((2, "service"), Some(generation), 300).await;
    assert_eq!(world.swap(&read).await, Swapped::Yes);
    let before = world.keys().await;
    world.faults.inject("BatchWriteItem", Fault::Lost, 3);
    world.faults.inject(UPDATE, Fault::Lost, 1);

    assert!(world.delete(1).await);

    let after = world.keys().await;
    assert_eq!(after, before.difference(&old).cloned().collect());
    let collection = world.collection().await;
    assert!(collection.retired.is_empty());
    assert!(collection.indexes.keys().eq([&2_u32]));
    assert_eq!(world.summary().await.records(), 300);
    assert!(!world.delete(1).await);
    assert_eq!(world.keys().await, after);
}

#[tokio::test]
async fn a_cancelled_generation_is_deleted_without_a_trace() {
    let world = World::of(30).await;
    let before = world.keys().await;
    let (_, generation) = world.begun(2).await;
    world.fill((2, "service"), Some(generation), 40).await;
    assert!(world.cancel(None).await);

    assert!(world.delete(2).await);

    assert_eq!(world.keys().await, before);
    let collection = world.collection().await;
    assert!(collection.retired.is_empty());
    assert_eq!(collection.last_generation, 2);
    assert!(collection.indexes.keys().eq([&1_u32]));
    assert_eq!(world.summary().await.records(), 30);
}

#[tokio::test]
async fn a_deletion_that_is_cut_short_anywhere_is_continued_by_the_next() {
    let world = World::of(200).await;
    let old = of_records(&world.keys().await);
    let (read, generation) = world.begun(2).await;
    world.fill((2, "service"), Some(generation), 60).await;
    assert_eq!(world.swap(&read).await, Swapped::Yes);
    let expected: Keys = world.keys().await.difference(&old).cloned().collect();

    let (tenant, parts) = (tenant(), parts());
    for polls in 0.. {
        let deleting = world.table.delete_generation(&tenant, &parts, of(1));
        let done = cut(deleting, polls).await;
        // What was asked for is carried out a moment later, if at all.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let keys = world.keys().await;
        assert!(keys.is_superset(&expected));
        if world.collection().await.retired.is_empty() {
            assert_eq!(keys, expected);
        }
        if let Some(done) = done {
            done.expect("an answer");
            break;
        }
    }

    assert_eq!(world.keys().await, expected);
    assert!(world.collection().await.retired.is_empty());
}

#[tokio::test]
async fn only_what_is_retired_is_deleted() {
    let world = World::of(3).await;
    let (_, generation) = world.begun(2).await;
    world.fill((2, "service"), Some(generation), 3).await;
    let before = world.keys().await;

    for generation in [1, 2, 3] {
        assert!(!world.delete(generation).await);
    }
    assert!(world.cancel(None).await);
    let another = Generation {
        number: 2,
        generation: 2,
    };
    let deleted = world
        .table
        .delete_generation(&tenant(), &parts(), another)
        .await;
    assert!(!deleted.expect("an answer"));

    assert_eq!(world.keys().await, before);
}
