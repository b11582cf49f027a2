//! What a replace leaves behind stays for whoever is still at it, and is then deleted without a trace
//! in the table or on the store, however often that is cut short.

#[expect(dead_code, reason = "nothing here is left to chance")]
mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use api::Router;
use chrono::TimeDelta;
use common::{Fate, run};
use futures_util::FutureExt;
use indexing::{Effort, Folded, Found, Indexes, Own, RETIRED_FOR};
use model::collection::Collection;
use model::fault::Fields;
use model::id::{CollectionName, RecordId, TenantId};
use model::plan::Plan;
use model::time::Moment;
use search::Request;
use serde_json::{Value, json};
use table::cap::Tally;
use table::marker::Generation;
use table::replace::Swapped;
use testkit::{Objects, TestApp, Upload, engine, items};

/// Where rows go.
const PARTS: (&str, &str) = ("parts", "product");

/// Work that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The keys of an item.
type Keys = BTreeSet<(String, String)>;

/// A service, and a collection of four records of which one is not folded.
struct World {
    objects: Objects,
    app: TestApp,
    tenant: TenantId,
    name: CollectionName,
}

fn row(name: &str) -> Value {
    json!({"name": name})
}

/// Another process of a service.
async fn process(endpoint: &str, objects: &Objects, alone_since: Option<Moment>) -> TestApp {
    let store = objects.store();
    TestApp::at((endpoint, &store), Router::new(), &[], alone_since).await
}

impl World {
    async fn new() -> Self {
        let (endpoint, objects) = (engine().await, Objects::default());
        let app = process(&endpoint, &objects, None).await;
        let tenant = app.tenant(Plan::Pro).await.tenant;
        let old = [row("Old bolt"), row("Old nut"), row("Old washer")];
        app.add(&tenant, PARTS, &old).await;
        let unfolded = app.reserve(&tenant, PARTS, 1).await;
        let mut tally = Tally::default();
        for record in unfolded.write([row("Old rivet")]).await {
            tally.add(record.id, record.visibility);
        }
        unfolded.settle(&tally).await;
        Self {
            objects,
            app,
            tenant,
            name: PARTS.0.parse().expect("a collection"),
        }
    }

    fn indexes(&self) -> &Indexes {
        self.app.app.indexes().expect("indexes")
    }

    async fn collection(&self) -> Collection {
        let table = &self.app.app.table;
        let found = table.find_collection(&self.tenant, &self.name).await;
        found.expect("an answer").expect("a collection")
    }

    /// A replace that is under way, whose records are written and folded.
    async fn staged(&self) -> Upload<'_> {
        let replace = self.app.begin_replace(&self.tenant, PARTS, 2).await;
        replace.run(&[row("New bolt"), row("New nut")]).await;
        replace
    }

    async fn swap(&self) {
        let (table, now) = (&self.app.app.table, self.app.app.clock.now());
        let read = self.collection().await;
        let swapped = table.swap(&self.tenant, &read, now).await;
        assert_eq!(swapped.expect("an answer"), Swapped::Yes);
    }

    async fn cancel(&self) {
        let (table, now) = (&self.app.app.table, self.app.app.clock.now());
        let cancelled = table.cancel_replace(&self.tenant, &self.name, None, now);
        assert!(cancelled.await.expect("an answer"));
    }

    async fn retire(&self) -> bool {
        let retired = self.indexes().retire(&self.tenant, &self.name).await;
        retired.expect("an answer")
    }

    /// The keys of every item.
    async fn keys(&self) -> Keys {
        let text = |item: &testkit::Item, name: &str| item[name].as_s().expect("text").clone();
        let items = items(&self.app.endpoint).await;
        let keys = items
            .iter()
            .map(|item| (text(item, "pk"), text(item, "sk")));
        keys.collect()
    }

    /// How many packs there are of each generation up to the third.
    async fn packs(&self) -> [usize; 3] {
        let listed = self.app.store.list("").await.expect("a list");
        [1, 2, 3].map(|generation| {
            let prefix = format!("{}/{}/1/{generation}/", self.tenant, self.name);
            let of = listed.iter().filter(|it| it.path.starts_with(&prefix));
            of.count()
        })
    }

    /// What a process finds in a collection as it was read.
    async fn found(&self, app: &TestApp, read: &Collection) -> (Found, BTreeSet<RecordId>) {
        let body = json!({"query": "", "limit": search::MAX_LIMIT});
        let mut fields = Fields::of(&body).expect("an object");
        let request = Request::read(&mut fields).expect("a good request");
        let markers = app.app.table.markers(&self.tenant, &self.name).await;
        let markers = markers.expect("markers").remove(&Generation::served(read));
        let indexes = app.app.indexes().expect("indexes");
        let found = indexes
            .search(&self.tenant, read, &markers.unwrap_or_default(), &request)
            .await
            .expect("a page");
        let ids = found.page.hits.iter().map(|hit| hit.id).collect();
        (found, ids)
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

#[tokio::test]
async fn what_was_served_is_found_until_its_time_is_over_and_then_leaves_no_trace() {
    let world = World::new().await;
    let old = of_records(&world.keys().await);
    let read = world.collection().await;
    let (_, before) = world.found(&world.app, &read).await;
    assert_eq!(before.len(), 4);
    world.staged().await;
    world.swap().await;
    let keys = world.keys().await;
    assert_eq!(world.packs().await, [1, 1, 0]);

    world.app.advance(RETIRED_FOR - TimeDelta::seconds(1));
    assert!(!world.retire().await);
    assert_eq!(world.keys().await, keys);
    let (found, ids) = world.found(&world.app, &read).await;
    assert_eq!((found.of, ids), (Generation::served(&read), before));
    world.app.advance(TimeDelta::seconds(1));
    assert!(world.retire().await);

    assert_eq!(world.keys().await, keys.difference(&old).cloned().collect());
    assert_eq!(world.packs().await, [0, 1, 0]);
    let served = world.collection().await;
    assert!(served.retired.is_empty());
    let (_, ids) = world.found(&world.app, &served).await;
    assert_eq!(ids.len(), 2);
    assert!(world.retire().await);
}

#[tokio::test]
async fn who_read_the_collection_long_before_finds_what_is_served_now() {
    let world = World::new().await;
    let read = world.collection().await;
    world.staged().await;
    world.swap().await;
    world.app.advance(RETIRED_FOR);
    assert!(world.retire().await);
    let another = process(&world.app.endpoint, &world.objects, None).await;

    let (found, ids) = world.found(&another, &read).await;

    let served = world.collection().await;
    assert_eq!(found.of, Generation::served(&served));
    assert_eq!(ids, world.found(&world.app, &served).await.1);
    assert_eq!(ids.len(), 2);
}

#[tokio::test]
async fn a_cancelled_replace_leaves_no_trace() {
    let world = World::new().await;
    let keys = world.keys().await;
    world.staged().await;
    world.cancel().await;
    assert_eq!(world.packs().await, [1, 1, 0]);
    assert!(!world.retire().await);

    world.app.advance(RETIRED_FOR);
    assert!(world.retire().await);

    assert_eq!(world.keys().await, keys);
    assert_eq!(world.packs().await, [1, 0, 0]);
    let served = world.collection().await;
    assert!(served.retired.is_empty());
    assert_eq!(world.found(&world.app, &served).await.1.len(), 4);
}

#[tokio::test]
async fn a_generation_stays_as_long_as_an_upload_may_write_to_it() {
    let world = World::new().await;
    let keys = world.keys().await;
    let replace = world.app.begin_replace(&world.tenant, PARTS, 2).await;
    let records = replace.write([row("New bolt"), row("New nut")]).await;
    world.cancel().await;
    world.app.advance(RETIRED_FOR);
    assert!(!world.retire().await);

    let mut tally = Tally::default();
    for record in records {
        tally.add(record.id, record.visibility);
    }
    replace.settle(&tally).await;
    replace.fold().await;

    assert_eq!(world.packs().await, [1, 0, 0]);
    assert!(world.retire().await);
    assert_eq!(world.keys().await, keys);
}

#[tokio::test]
async fn a_generation_stays_as_long_as_a_fold_that_began_before_may_write() {
    let world = World::new().await;
    world.staged().await;
    let (table, now) = (&world.app.app.table, world.app.app.clock.now());
    let until = now + RETIRED_FOR + TimeDelta::seconds(1);
    let take = |now, until| table.take_lease(&world.tenant, &world.name, (now, until), None);
    assert!(take(now, until).await.expect("an answer").is_some());
    world.cancel().await;
    world.app.advance(RETIRED_FOR);
    assert!(!world.retire().await);

    // A fold that begins later is not at it.
    world.app.advance(TimeDelta::seconds(1));
    let later = take(until, until + TimeDelta::hours(1)).await;
    assert!(later.expect("an answer").is_some());
    assert!(world.retire().await);

    assert_eq!(world.packs().await, [1, 0, 0]);
}

#[tokio::test]
async fn a_fold_whose_replace_is_cancelled_meanwhile_publishes_nothing() {
    let world = World::new().await;
    let keys = world.keys().await;
    let replace = world.app.begin_replace(&world.tenant, PARTS, 1).await;
    let mut tally = Tally::default();
    for record in replace.write([row("New bolt")]).await {
        tally.add(record.id, record.visibility);
    }
    replace.settle(&tally).await;
    let (indexes, tenant, name) = (world.indexes(), &world.tenant, &world.name);
    let own = Own {
        upload: Some(replace.id),
        ahead: None,
    };
    let gate = world.objects.close().await;
    let folding = indexes.fold(tenant, name, 2, own, Effort::Call);
    let cancelling = async {
        world.objects.stopped().await;
        world.cancel().await;
        drop(gate);
    };
    let (folded, ()) = tokio::join!(folding, cancelling);

    assert_eq!(folded.expect("an end"), Folded::Busy);
    let pointer = world.collection().await.indexes[&2].clone();
    assert_eq!((pointer.version, pointer.packs.len()), (0, 0));
    assert_eq!(world.packs().await, [1, 1, 0]);
    world.app.advance(RETIRED_FOR);
    assert!(world.retire().await);
    assert_eq!(world.packs().await, [1, 0, 0]);
    assert_eq!(world.keys().await, keys);
}

#[tokio::test]
async fn a_process_that_is_alone_need_not_wait() {
    let world = World::new().await;
    world.staged().await;
    world.swap().await;
    let since = world.app.app.clock.now() + TimeDelta::seconds(1);

    let alone = process(&world.app.endpoint, &world.objects, Some(since)).await;
    let indexes = alone.app.indexes().expect("indexes");
    let retired = indexes.retire(&world.tenant, &world.name).await;

    assert!(retired.expect("an answer"));
    assert_eq!(world.packs().await, [0, 1, 0]);
}

#[tokio::test]
async fn whoever_folds_or_sweeps_deletes_what_has_had_its_time() {
    let world = World::new().await;
    for (round, sweeps) in [(1, false), (2, true)] {
        let replace = world.app.begin_replace(&world.tenant, PARTS, 1).await;
        replace.run(&[row(&format!("Round {round}"))]).await;
        world.swap().await;
        let again = async || {
            if sweeps {
                let swept = world.indexes().sweep(false, world.app.app.clock.now());
                swept.await.expect("a sweep");
            } else {
                let tended = world.indexes().tend(&world.tenant, &world.name).await;
                assert!(tended.expect("an answer"));
            }
            world.collection().await.retired.len()
        };
        assert_eq!(again().await, 1);
        world.app.advance(RETIRED_FOR);
        assert_eq!(again().await, 0);
    }
    assert_eq!(world.packs().await, [0, 0, 1]);
}

#[tokio::test]
async fn the_worker_waits_for_its_time() {
    let world = World::new().await;
    let working = {
        let indexes = world.indexes().clone();
        tokio::spawn(async move { indexes.work().await })
    };
    world.staged().await;
    world.swap().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.indexes().touched(&world.tenant, &world.name);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.collection().await.retired.len(), 1);

    world.app.advance(RETIRED_FOR);

    let gone = async {
        while !world.collection().await.retired.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let gone = tokio::time::timeout(PATIENCE, gone).await;
    gone.expect("a worker that looks again");
    assert_eq!(world.packs().await, [0, 1, 0]);
    working.abort();
}

#[tokio::test]
async fn a_deletion_that_is_cut_short_anywhere_is_continued_and_searches_go_on() {
    let world = World::new().await;
    let old = of_records(&world.keys().await);
    world.staged().await;
    world.swap().await;
    let expected: Keys = world.keys().await.difference(&old).cloned().collect();
    world.app.advance(RETIRED_FOR);

    for polls in 0.. {
        let fate = Fate::Cut {
            polls,
            linger: Duration::from_millis(1),
        };
        let retiring = world.indexes().retire(&world.tenant, &world.name);
        let done = run(retiring.boxed(), fate).await;
        let served = world.collection().await;
        assert_eq!(world.found(&world.app, &served).await.1.len(), 2);
        if served.retired.is_empty() {
            assert_eq!(world.keys().await, expected);
            assert_eq!(world.packs().await, [0, 1, 0]);
        }
        if let Some(done) = done {
            assert!(done.expect("an answer"));
            break;
        }
    }

    assert_eq!(world.keys().await, expected);
    assert_eq!(world.packs().await, [0, 1, 0]);
}
