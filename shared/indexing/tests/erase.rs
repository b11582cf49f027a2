//! What is left of a deleted collection stays for whoever is still at it, and is then erased without a
//! trace in the table or on the store, however often that is cut short and whoever comes next.

#[expect(dead_code, reason = "nothing here is left to chance")]
mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use api::Router;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use common::{Fate, run};
use futures_util::FutureExt;
use indexing::{Effort, Error, Folded, Found, Indexes, Own, RETIRED_FOR};
use model::collection::Collection;
use model::fault::Fields;
use model::id::{CollectionName, TenantId};
use model::plan::Plan;
use model::time::Moment;
use search::Request;
use serde_json::{Value, json};
use table::cap::Tally;
use table::gone::Gone;
use table::marker::Generation;
use testkit::{Objects, TABLE, TestApp, dynamodb, engine, items};

/// Where rows go.
const PARTS: (&str, &str) = ("parts", "product");

/// Work that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The keys of an item.
type Keys = BTreeSet<(String, String)>;

/// A service, and a collection of four records of which one is not folded.
struct World {
    endpoint: String,
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
        let rows = [row("Bolt"), row("Nut"), row("Washer")];
        app.add(&tenant, PARTS, &rows).await;
        let unfolded = app.reserve(&tenant, PARTS, 1).await;
        let mut tally = Tally::default();
        for record in unfolded.write([row("Rivet")]).await {
            tally.add(record.id, record.visibility);
        }
        unfolded.settle(&tally).await;
        Self {
            endpoint,
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

    async fn delete(&self) -> Gone {
        let (table, now) = (&self.app.app.table, self.app.app.clock.now());
        let deleted = table.delete_collection(&self.tenant, &self.name, now).await;
        deleted.expect("an answer").expect("a deleted collection")
    }

    async fn erase(&self) -> bool {
        let erased = self.indexes().erase(&self.tenant, &self.name).await;
        erased.expect("an answer")
    }

    /// How many deleted collections are not erased, of those that can be read.
    async fn left(&self) -> usize {
        let left = self.app.app.table.gone_collections().await;
        let left = left.expect("a list").into_iter();
        left.flatten().count()
    }

    /// Puts an item that says nothing.
    async fn plant(&self, pk: &str, sk: &str) {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let put = dynamodb(&self.endpoint)
            .put_item()
            .table_name(TABLE)
            .item("pk", text(pk))
            .item("sk", text(sk));
        put.send().await.expect("an item");
    }

    /// What can be erased of deleted collections no more: the marker of an upload says nothing.
    async fn plant_marker(&self, number: u32) {
        let upload = "00000000-0000-7000-8000-000000000000";
        let marker = format!("{}#{number:010}#000001#B#{upload}", self.name);
        self.plant(&format!("TENANT#{}#MARKERS", self.tenant), &marker)
            .await;
    }

    /// The keys of what there is of records: they and their counters, markers and the ids of uploads.
    async fn keys(&self) -> Keys {
        let text = |item: &testkit::Item, name: &str| item[name].as_s().expect("text").clone();
        let items = items(&self.endpoint).await;
        let kinds = ["#RECORDS#", "#MARKERS", "#BATCH#"];
        items
            .iter()
            .map(|item| (text(item, "pk"), text(item, "sk")))
            .filter(|(pk, sk)| {
                kinds.iter().any(|kind| pk.contains(kind)) || sk.starts_with("COUNT#")
            })
            .collect()
    }

    async fn packs(&self) -> usize {
        self.app.store.list("").await.expect("a list").len()
    }

    async fn assert_no_trace(&self) {
        assert_eq!(self.left().await, 0);
        assert_eq!(self.keys().await, Keys::new());
        assert_eq!(self.packs().await, 0);
    }

    /// What a process finds in a collection as it was read.
    async fn found(&self, app: &TestApp, read: &Collection) -> indexing::Result<Found> {
        let body = json!({"query": "", "limit": search::MAX_LIMIT});
        let mut fields = Fields::of(&body).expect("an object");
        let request = Request::read(&mut fields).expect("a good request");
        let markers = app.app.table.markers(&self.tenant, &self.name).await;
        let markers = markers.expect("markers").remove(&Generation::served(read));
        let indexes = app.app.indexes().expect("indexes");
        indexes
            .search(&self.tenant, read, &markers.unwrap_or_default(), &request)
            .await
    }
}

#[tokio::test]
async fn what_is_left_stays_until_its_time_is_over_and_is_then_erased_without_a_trace() {
    let world = World::new().await;
    let read = world.collection().await;
    let before = world.found(&world.app, &read).await.expect("a page");
    assert_eq!(before.page.total, 4);
    let keys = world.keys().await;
    world.delete().await;

    world.app.advance(RETIRED_FOR - TimeDelta::seconds(1));
    assert!(!world.erase().await);
    assert_eq!(world.keys().await, keys);
    let still = world.found(&world.app, &read).await.expect("a page");
    assert_eq!((still.of, still.page.total), (before.of, 4));
    world.app.advance(TimeDelta::seconds(1));
    assert!(world.erase().await);

    world.assert_no_trace().await;
    assert!(world.erase().await);
}

#[tokio::test]
async fn who_read_the_collection_long_before_is_told_that_it_is_gone() {
    let world = World::new().await;
    let read = world.collection().await;
    world.delete().await;
    world.app.advance(RETIRED_FOR);
    assert!(world.erase().await);
    let another = process(&world.endpoint, &world.objects, None).await;

    let found = world.found(&another, &read).await;

    assert!(matches!(found, Err(Error::Gone)), "{found:?}");
}

#[tokio::test]
async fn another_collection_of_the_name_is_not_touched() {
    let world = World::new().await;
    world.delete().await;
    world
        .app
        .add(&world.tenant, PARTS, &[row("Bolt"), row("Screw")])
        .await;
    let new = world.collection().await;
    assert_eq!((new.number, world.packs().await), (2, 2));
    world.app.advance(RETIRED_FOR);

    assert!(world.erase().await);

    assert_eq!((world.left().await, world.packs().await), (0, 1));
    for (pk, sk) in world.keys().await {
        let is_old = |key: &str| key.contains("#0000000001#");
        assert!(!is_old(&pk) && !is_old(&sk), "{pk} {sk}");
    }
    let another = process(&world.endpoint, &world.objects, None).await;
    let found = world.found(&another, &new).await.expect("a page");
    assert_eq!(found.page.total, 2);
}

#[tokio::test]
async fn it_stays_as_long_as_an_upload_may_write_to_it() {
    let world = World::new().await;
    let upload = world.app.reserve(&world.tenant, PARTS, 2).await;
    let gone = world.delete().await;
    assert_eq!(gone.until, upload.hold.until);
    upload.write([row("Late bolt"), row("Late nut")]).await;
    world.app.advance(RETIRED_FOR);
    assert!(!world.erase().await);

    world.app.travel("2026-03-08T12:15:00Z");

    assert!(world.erase().await);
    world.assert_no_trace().await;
}

#[tokio::test]
async fn a_fold_whose_collection_is_deleted_meanwhile_publishes_nothing() {
    let world = World::new().await;
    let (indexes, tenant, name) = (world.indexes(), &world.tenant, &world.name);
    let upload = world.app.reserve(tenant, PARTS, 1).await;
    let mut tally = Tally::default();
    for record in upload.write([row("Screw")]).await {
        tally.add(record.id, record.visibility);
    }
    upload.settle(&tally).await;
    let own = Own {
        upload: Some(upload.id),
        ahead: None,
    };
    let gate = world.objects.close().await;
    let folding = indexes.fold(tenant, name, 1, own, Effort::Call);
    let deleting = async {
        world.objects.stopped().await;
        world.delete().await;
        drop(gate);
    };
    let (folded, ()) = tokio::join!(folding, deleting);

    assert_eq!(folded.expect("an end"), Folded::Busy);
    world.app.advance(RETIRED_FOR);
    assert!(world.erase().await);
    world.assert_no_trace().await;
}

#[tokio::test]
async fn a_process_that_is_alone_need_not_wait() {
    let world = World::new().await;
    world.app.reserve(&world.tenant, PARTS, 2).await;
    world.delete().await;
    let since = world.app.app.clock.now() + TimeDelta::seconds(1);

    let alone = process(&world.endpoint, &world.objects, Some(since)).await;
    let indexes = alone.app.indexes().expect("indexes");
    let erased = indexes.erase(&world.tenant, &world.name).await;

    assert!(erased.expect("an answer"));
    world.assert_no_trace().await;
}

#[tokio::test]
async fn whoever_sweeps_erases_what_has_had_its_time() {
    let world = World::new().await;
    world.delete().await;
    let sweep = async || {
        let swept = world.indexes().sweep(false, world.app.app.clock.now());
        swept.await.expect("a sweep");
        world.left().await
    };
    assert_eq!(sweep().await, 1);
    world.app.advance(RETIRED_FOR);

    assert_eq!(sweep().await, 0);

    world.assert_no_trace().await;
}

#[tokio::test]
async fn one_that_cannot_be_erased_keeps_nobody_from_the_others_of_its_name() {
    let world = World::new().await;
    world.delete().await;
    world.app.add(&world.tenant, PARTS, &[row("Screw")]).await;
    world.delete().await;
    world.plant_marker(1).await;
    world.app.advance(RETIRED_FOR);

    let erased = world.indexes().erase(&world.tenant, &world.name).await;

    assert!(matches!(erased, Err(Error::Table(_))), "{erased:?}");
    assert_eq!((world.left().await, world.packs().await), (1, 0));
    for (pk, sk) in world.keys().await {
        let is_erased = |key: &str| key.contains("#0000000002#");
        assert!(!is_erased(&pk) && !is_erased(&sk), "{pk} {sk}");
    }
}

#[tokio::test]
async fn a_sweep_goes_on_whatever_cannot_be_erased() {
    let world = World::new().await;
    world.delete().await;
    world.plant_marker(1).await;
    let (nuts, tenant) = (("nuts", "product"), &world.tenant);
    world.app.add(tenant, nuts, &[row("Nut")]).await;
    let orphan = format!("{tenant}/nuts/2/1/7/0123456789abcdef0123456789abcdef.pack");
    world.objects.write(&orphan, b"left over".to_vec()).await;
    world.app.advance(RETIRED_FOR);
    let listed = world.app.store.list("").await.expect("a list");
    let newest = listed.iter().map(|object| object.written).max();
    let now = newest.expect("an object") + TimeDelta::days(1);

    let swept = world.indexes().sweep(false, now).await;

    assert_eq!(swept.expect("a sweep"), 1);
    // The packs of the one are erased, and the other's are in use.
    assert_eq!((world.left().await, world.packs().await), (1, 1));
}

#[tokio::test]
async fn one_that_cannot_be_read_hides_no_other() {
    let world = World::new().await;
    world.delete().await;
    world.plant("GONE#COLLECTIONS", "?").await;
    let sk = format!("{}#{}#0000000000", world.tenant, world.name);
    world.plant("GONE#COLLECTIONS", &sk).await;
    world.app.advance(RETIRED_FOR);

    let erased = world.indexes().erase(&world.tenant, &world.name).await;

    assert!(matches!(erased, Err(Error::Table(_))), "{erased:?}");
    world.assert_no_trace().await;

    world.app.add(&world.tenant, PARTS, &[row("Bolt")]).await;
    world.delete().await;
    world.app.advance(RETIRED_FOR);
    let swept = world.indexes().sweep(false, world.app.app.clock.now());
    swept.await.expect("a sweep");
    world.assert_no_trace().await;
}

#[tokio::test]
async fn a_new_process_goes_on_with_what_another_has_not_erased() {
    let world = World::new().await;
    world.delete().await;
    // It cannot tell what this is, and goes on with the rest all the same.
    world.plant("GONE#COLLECTIONS", "?").await;
    let another = process(&world.endpoint, &world.objects, None).await;
    let working = {
        let indexes = another.app.indexes().expect("indexes").clone();
        tokio::spawn(async move { indexes.work().await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.left().await, 1);

    another.advance(RETIRED_FOR);

    let gone = async {
        while world.left().await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let gone = tokio::time::timeout(PATIENCE, gone).await;
    gone.expect("a worker that looks again");
    world.assert_no_trace().await;
    working.abort();
}

#[tokio::test]
async fn an_erasure_that_is_cut_short_anywhere_is_continued_by_the_next() {
    let world = World::new().await;
    world.delete().await;
    world.app.advance(RETIRED_FOR);

    for polls in 0.. {
        let fate = Fate::Cut {
            polls,
            linger: Duration::from_millis(1),
        };
        let erasing = world.indexes().erase(&world.tenant, &world.name);
        let done = run(erasing.boxed(), fate).await;
        if world.left().await == 0 {
            world.assert_no_trace().await;
        }
        if let Some(done) = done {
            assert!(done.expect("an answer"));
            break;
        }
    }

    world.assert_no_trace().await;
}
