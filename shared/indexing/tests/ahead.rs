//! What an upload takes in while it writes is what its fold publishes, unless the index has moved on
//! meanwhile: then the records are read of the table, and nothing is left of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use api::Router;
use chrono::TimeDelta;
use indexing::{Ahead, Effort, Folded, Own};
use model::collection::Collection;
use model::fault::Fields;
use model::id::{CollectionName, RecordId, TenantId};
use model::index::{Pointer, Segment};
use model::plan::Plan;
use model::record::Record;
use search::Request;
use serde_json::{Value, json};
use table::cap::Tally;
use table::marker::Generation;
use testkit::{Objects, TestApp, Upload, engine};
use tokio::time::timeout;
use uuid::Uuid;

/// Where rows go.
const PARTS: (&str, &str) = ("parts", "product");

/// More than one pack takes that is made while somebody waits.
const MANY: u32 = 26_000;

fn row(name: &str) -> Value {
    json!({"name": name})
}

fn parts() -> CollectionName {
    PARTS.0.parse().expect("a collection")
}

fn ids(records: &[Record]) -> BTreeSet<RecordId> {
    records.iter().map(|record| record.id).collect()
}

/// Records that the table does not have, more than one pack takes.
fn strange(record: &Record) -> Vec<Record> {
    let ids = (0..MANY).map(|number| RecordId(Uuid::from_u128(number.into())));
    let records = ids.map(|id| Record {
        id,
        ..record.clone()
    });
    records.collect()
}

/// A service, and its objects.
struct World {
    app: TestApp,
    objects: Objects,
    tenant: TenantId,
}

impl World {
    async fn new() -> Self {
        let (endpoint, objects) = (engine().await, Objects::default());
        let store = objects.store();
        let app = TestApp::at((&endpoint, &store), Router::new(), &[], None).await;
        let tenant = app.tenant(Plan::Scale).await.tenant;
        Self {
            app,
            objects,
            tenant,
        }
    }

    /// An upload of two rows that are written.
    async fn written(&self) -> (Upload<'_>, Vec<Record>) {
        let upload = self.app.reserve(&self.tenant, PARTS, 2).await;
        let records = upload.write([row("Bolt"), row("Nut")]).await;
        (upload, records)
    }

    async fn collection(&self) -> Collection {
        let table = &self.app.app.table;
        let collection = table.find_collection(&self.tenant, &parts()).await;
        collection.expect("an answer").expect("a collection")
    }

    async fn pointer(&self) -> Pointer {
        let collection = self.collection().await;
        collection.index().expect("a pointer").clone()
    }

    /// The packs on the store, and how many of them no pointer names.
    async fn packs(&self) -> (usize, usize) {
        let listed = self.app.store.list("").await.expect("a list");
        let named = self.pointer().await.packs;
        let is_named = |path: &str| named.iter().any(|pack| path.contains(&pack.name));
        let unnamed = listed.iter().filter(|object| !is_named(&object.path));
        (listed.len(), unnamed.count())
    }

    /// Waits until no pointer names so many packs.
    async fn until_unnamed(&self, count: usize) {
        for _ in 0..600 {
            if self.packs().await.1 == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("there are not {count} packs that nobody names");
    }

    /// Folds what an upload wrote, and checks that so many records are changed; says how often records
    /// were read of the table for it.
    async fn fold(&self, upload: &Upload<'_>, ahead: Ahead, records: usize) -> usize {
        let own = Own {
            upload: Some(upload.id),
            ahead: Some(ahead),
        };
        let (name, generation) = (parts(), upload.hold.generation);
        let indexes = self.app.app.indexes().expect("indexes");
        self.app.calls.record();
        let folded = indexes.fold(&self.tenant, &name, generation, own, Effort::Call);
        assert_eq!(folded.await.expect("a fold"), Folded::Yes(records));
        let calls = self.app.calls.take();
        let reads = calls.iter().filter(|call| {
            let of_records = |key: &str| key.contains("#RECORDS#");
            call.is_read() && call.accesses.iter().any(|it| of_records(&it.key))
        });
        reads.count()
    }

    /// Checks that everything is folded, and what is found by a process that has nothing in memory.
    async fn assert_found(&self, records: &[Record]) {
        let (endpoint, store) = (&self.app.endpoint, self.objects.store());
        let other = TestApp::at((endpoint, &store), Router::new(), &[], None).await;
        let view = other.app.table.view(&self.tenant, &parts()).await;
        let view = view.expect("a view");
        let collection = view.collection.expect("a collection");
        assert!(view.markers.is_empty(), "{:?}", view.markers);
        let body = json!({"query": "", "limit": search::MAX_LIMIT});
        let mut fields = Fields::of(&body).expect("an object");
        let request = Request::read(&mut fields).expect("a good request");
        let indexes = other.app.indexes().expect("indexes");
        let found = indexes.search(&self.tenant, &collection, &view.markers, &request);
        let found = found.await.expect("a page");
        assert_eq!(found.of, Generation::served(&collection));
        assert_eq!(found.page.total, records.len());
        let page: BTreeSet<RecordId> = found.page.hits.iter().map(|hit| hit.id).collect();
        assert_eq!(page.len(), records.len().min(search::MAX_LIMIT as usize));
        assert!(page.is_subset(&ids(records)), "others are found");
    }
}

async fn settle(upload: &Upload<'_>, records: &[Record]) {
    let mut tally = Tally::default();
    for record in records {
        tally.add(record.id, record.visibility);
    }
    upload.settle(&tally).await;
}

#[tokio::test]
async fn what_was_taken_in_meanwhile_is_not_read_again() {
    let world = World::new().await;
    let (upload, records) = world.written().await;
    let ahead = upload.ahead();
    for record in &records {
        ahead.take(vec![record.clone()]).await;
    }
    settle(&upload, &records).await;

    assert_eq!(world.fold(&upload, ahead, 2).await, 0);

    world.assert_found(&records).await;
}

#[tokio::test]
async fn several_packs_are_published_together() {
    let world = World::new().await;
    let upload = world.app.reserve(&world.tenant, PARTS, MANY.into()).await;
    let rows = (0..MANY).map(|number| row(&format!("Bolt {number}")));
    let records = upload.write(rows).await;
    let ahead = upload.ahead();
    for lot in records.chunks(1_000) {
        ahead.take(lot.to_vec()).await;
    }
    settle(&upload, &records).await;

    assert_eq!(world.fold(&upload, ahead, records.len()).await, 0);

    assert_eq!(world.packs().await, (2, 0));
    world.assert_found(&records).await;
}

#[tokio::test]
async fn what_was_left_out_is_read_of_the_table() {
    let world = World::new().await;
    let (upload, records) = world.written().await;
    let ahead = upload.ahead();
    ahead.take(vec![records[0].clone()]).await;
    settle(&upload, &records).await;

    assert_eq!(world.fold(&upload, ahead, 2).await, 1);

    world.assert_found(&records).await;
}

#[tokio::test]
async fn an_index_that_moved_on_meanwhile_takes_everything_from_the_table() {
    let world = World::new().await;
    let (upload, mut records) = world.written().await;
    let ahead = upload.ahead();
    ahead.take(records.clone()).await;
    settle(&upload, &records).await;
    let other = world.app.reserve(&world.tenant, PARTS, 1).await;
    records.extend(other.write([row("Washer")]).await);
    settle(&other, &records[2..]).await;
    other.fold().await;

    assert_eq!(world.fold(&upload, ahead, 2).await, 1);

    world.assert_found(&records).await;
}

#[tokio::test]
async fn packs_that_a_fold_has_no_use_for_are_deleted() {
    let world = World::new().await;
    let (upload, records) = world.written().await;
    let ahead = upload.ahead();
    ahead.take(strange(&records[0])).await;
    settle(&upload, &records).await;
    world.until_unnamed(1).await;

    assert_eq!(world.fold(&upload, ahead, 2).await, 1);

    world.until_unnamed(0).await;
    world.assert_found(&records).await;
}

#[tokio::test]
async fn packs_of_an_upload_that_ends_without_a_fold_are_deleted() {
    let world = World::new().await;
    let (upload, records) = world.written().await;
    settle(&upload, &records).await;
    let ahead = upload.ahead();
    ahead.take(strange(&records[0])).await;
    world.until_unnamed(1).await;

    drop(ahead);

    world.until_unnamed(0).await;
}

#[tokio::test]
async fn a_store_that_hangs_holds_up_the_rows_once_and_for_seconds() {
    let world = World::new().await;
    let (upload, records) = world.written().await;
    let ahead = upload.ahead();
    let gate = world.objects.close().await;
    ahead.take(strange(&records[0])).await;
    world.objects.stopped().await;

    let started = Instant::now();
    for _ in 0..10 {
        ahead.take(records.clone()).await;
    }

    let took = started.elapsed();
    // If each lot waited for itself, it would be 50 seconds.
    let bounds = Duration::from_secs(5)..Duration::from_secs(40);
    assert!(bounds.contains(&took), "{took:?}");
    settle(&upload, &records).await;
    drop(gate);
    assert_eq!(world.fold(&upload, ahead, 2).await, 1);
    world.assert_found(&records).await;
}

/// Records wait for a pack that is being made as far as there is room for them in memory, which has little
/// to do with their number or their text.
#[tokio::test]
async fn records_that_take_much_memory_do_not_wait_in_numbers() {
    let world = World::new().await;
    let (upload, records) = world.written().await;
    let ahead = upload.ahead();
    let _gate = world.objects.close().await;
    let mut pack = strange(&records[0]);
    pack.truncate(15_000);
    ahead.take(pack).await;
    world.objects.stopped().await;

    // Shorter than it takes to give up.
    let soon = Duration::from_secs(2);
    for _ in 0..20 {
        let taken = timeout(soon, ahead.take(records.clone())).await;
        taken.expect("two small records have to wait");
    }
    let mut heavy = records[0].clone();
    let objects = vec![json!({"number": 1}); 4_000];
    heavy.data.insert("objects".to_owned(), json!(objects));
    let taken = timeout(soon, ahead.take(vec![heavy])).await;

    taken.expect_err("there is room for some megabytes more");
}

#[tokio::test]
async fn large_merges_wait_until_no_upload_writes() {
    let (world, name) = (World::new().await, parts());
    let (first, records) = world.written().await;
    settle(&first, &records).await;
    first.fold().await;
    // Segments that are due to be merged, and not there: whoever merges finds the index lost.
    let (table, collection) = (&world.app.app.table, world.collection().await);
    let now = world.app.app.clock.now();
    let times = (now, now + TimeDelta::minutes(1));
    let leased = table.take_lease(&world.tenant, &name, times, None).await;
    let (_, lease) = leased.expect("an answer").expect("the lease");
    let mut lost = world.pointer().await;
    lost.version += 1;
    lost.segments = (0..8)
        .map(|number| Segment {
            id: format!("{number:032x}"),
            docs: 15_000,
            deleted: 0,
            deleted_by: 0,
        })
        .collect();
    let generation = collection.generation;
    let published = table.publish(&world.tenant, &collection, generation, &lease, &lost);
    assert!(published.await.expect("an answer"));
    let given_back = table.give_back_lease(&world.tenant, &name, &lease);
    given_back.await.expect("an answer");
    let indexes = world.app.app.indexes().expect("indexes");
    let second = world.app.reserve(&world.tenant, PARTS, 1).await;

    assert!(indexes.tend(&world.tenant, &name).await.expect("done"));
    assert_eq!(world.pointer().await, lost);

    settle(&second, &[]).await;
    assert!(indexes.tend(&world.tenant, &name).await.expect("done"));
    assert_eq!(world.pointer().await.build, lost.build + 1);
    world.assert_found(&records).await;
}
