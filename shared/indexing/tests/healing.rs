//! What becomes of an index when packs are lost, the store is down, a lease is taken over or a
//! record cannot be read: searches answer right, what is lost is built anew, and what is left over
//! is swept up.

#[expect(dead_code, reason = "nothing here is left to chance")]
mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use common::Clock;
use futures_util::future::join_all;
use indexing::{Effort, Error, Folded, Found, Indexes, Own, Progress};
use model::collection::Collection;
use model::fault::Fields;
use model::id::{CollectionName, RecordId, RecordType, TenantId, UploadId};
use model::index::{IndexingStatus, Pointer};
use model::period::Period;
use model::plan::Plan;
use model::record::{Identity, Record, SourceType, Visibility};
use search::{Caches, Request, Store, StoreError};
use serde_json::{Map, Value, json};
use table::Table;
use table::cap::{self, Reserved, Tally};
use table::marker::{Generation, Markers};
use table::record::{Added, Place};
use testkit::{Objects, TABLE, dynamodb, engine, items};
use tokio::time::Instant;
use uuid::Uuid;

/// Work that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the collection of every test lies: it is the first of its tenant and never replaced.
const OF: Generation = Generation {
    number: 1,
    generation: 1,
};

/// The name of a pack that no index has.
const ORPHAN: &str = "0123456789abcdef0123456789abcdef.pack";

fn product() -> RecordType {
    "product".parse().expect("a record type")
}

fn next_upload() -> UploadId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    UploadId(Uuid::from_u128(u128::from(number)))
}

/// What asks for the records with a word; for all, if it is none.
fn request(word: &str) -> Request {
    let body = json!({"query": word, "limit": search::MAX_LIMIT});
    let mut fields = Fields::of(&body).expect("an object");
    Request::read(&mut fields).expect("a good request")
}

fn ids(records: &[Record]) -> BTreeSet<RecordId> {
    records.iter().map(|record| record.id).collect()
}

/// Nothing but these waits for the index.
fn pending(records: u64) -> Progress {
    Progress {
        pending: records,
        ..Progress::default()
    }
}

/// Nothing but these is missing in the index.
fn failed(records: u64) -> Progress {
    Progress {
        failed: records,
        ..Progress::default()
    }
}

/// Whether the store failed, which no rebuild mends.
fn is_down<T>(result: &indexing::Result<T>) -> bool {
    use search::Error as Search;
    matches!(
        result,
        Err(Error::Search(Search::Store(StoreError::Failed(_))))
    )
}

/// A tenant's collection, and the table and the store that its index is kept by.
struct World {
    endpoint: String,
    table: Table,
    objects: Objects,
    store: Store,
    clock: Clock,
    tenant: TenantId,
    name: CollectionName,
}

impl World {
    /// A collection to come, whose packs will lie in memory.
    async fn new() -> Self {
        let objects = Objects::default();
        let store = objects.store();
        Self::over(objects, store).await
    }

    /// The same with its packs on a store of its own.
    async fn over(objects: Objects, store: Store) -> Self {
        let (endpoint, clock) = (engine().await, Clock::default());
        let table = Table::at_endpoint(&endpoint, TABLE);
        table.create().await.expect("a table");
        let tenant: TenantId = "t_abc123".parse().expect("a tenant");
        let planned = table.set_plan(&tenant, Plan::Scale, clock.now()).await;
        planned.expect("a plan");
        Self {
            endpoint,
            table,
            objects,
            store,
            clock,
            tenant,
            name: "things".parse().expect("a collection"),
        }
    }

    /// A process that begins: it has no index open.
    fn process(&self) -> Indexes {
        let table = Table::at_endpoint(&self.endpoint, TABLE);
        Indexes::new(table, self.store.clone(), self.clock.teller(), None)
    }

    // Records, written as calls write them.

    fn place(&self) -> Place {
        Place::new(&self.tenant, OF.number, OF.generation)
    }

    /// Uploads a record of each name and leaves them marked.
    async fn upload(&self, names: &[&str]) -> (UploadId, Vec<Record>) {
        let (upload, now) = (next_upload(), self.clock.now());
        let summary = self.table.summary(&self.tenant, Period::of(now)).await;
        let summary = summary.expect("a summary");
        let record_type = product();
        let request = cap::Request {
            upload,
            collection: &self.name,
            record_type: &record_type,
            rows: names.len() as u64,
            since: now,
            until: now + TimeDelta::minutes(15),
            format: search::FORMAT,
        };
        let limits = Plan::Scale.limits();
        let reserved = self
            .table
            .reserve(&self.tenant, &summary, limits, &request)
            .await;
        let Reserved::Yes(_, hold) = reserved.expect("an answer") else {
            panic!("an upload is not let in");
        };
        assert_eq!((hold.number, hold.generation), (OF.number, OF.generation));
        let records: Vec<Record> = names
            .iter()
            .zip(1..)
            .map(|(name, row)| self.record(name, upload, row))
            .collect();
        let all: Vec<&Record> = records.iter().collect();
        let deadline = Instant::now() + PATIENCE;
        let additions = self.table.add_records(&self.place(), &all, deadline).await;
        let mut tally = Tally::default();
        for (record, added) in records.iter().zip(additions.rows) {
            assert_eq!(added, Some(Added::Yes));
            tally.add(record.id, record.visibility);
        }
        let settled = self
            .table
            .settle(&self.tenant, upload, &hold, &tally, now)
            .await;
        assert!(settled.expect("an end"), "it was settled already");
        (upload, records)
    }

    fn record(&self, name: &str, upload: UploadId, row: u64) -> Record {
        let (record_type, identity) = (product(), Identity::Source(name));
        let (now, data) = (self.clock.now(), [("size".to_owned(), json!(row))]);
        Record {
            id: RecordId::derive(&self.tenant, &self.name, OF.number, &record_type, &identity),
            collection: self.name.clone(),
            record_type,
            name: name.to_owned(),
            description: None,
            data: data.into_iter().collect::<Map<String, Value>>(),
            visibility: Visibility::Private,
            source_type: SourceType::FileUpload,
            source_name: None,
            source_id: Some(name.to_owned()),
            created_at: now,
            updated_at: now,
            version: 1,
            upload,
            row,
        }
    }

    /// Uploads a record of each name and folds them, as a call does on a quiet collection.
    async fn add(&self, indexes: &Indexes, names: &[&str]) -> Vec<Record> {
        let (upload, records) = self.upload(names).await;
        let folded = self.fold_own(indexes, upload).await;
        assert_eq!(folded.expect("a fold"), Folded::Yes(names.len()));
        records
    }

    /// Gives a record another name, as one call does.
    async fn rename(&self, old: &Record, name: &str) -> Record {
        let new = Record {
            name: name.to_owned(),
            updated_at: self.clock.now(),
            version: old.version + 1,
            ..old.clone()
        };
        let done = self.table.update_record(&self.place(), old, &new).await;
        assert!(done.expect("an answer"), "{} is another", old.name);
        new
    }

    /// Deletes a record, as one call does.
    async fn delete(&self, record: &Record) {
        let (place, now) = (self.place(), self.clock.now());
        let done = self.table.delete_record(&place, record, now).await;
        assert!(done.expect("an answer"), "{} is another", record.name);
    }

    // The index.

    async fn fold(&self, indexes: &Indexes) -> indexing::Result<Folded> {
        let (own, effort) = (Own::default(), Effort::Background);
        indexes
            .fold(&self.tenant, &self.name, OF.generation, own, effort)
            .await
    }

    /// The fold of an upload at the end of its call.
    async fn fold_own(&self, indexes: &Indexes, upload: UploadId) -> indexing::Result<Folded> {
        let own = Own {
            upload: Some(upload),
            ahead: None,
        };
        indexes
            .fold(&self.tenant, &self.name, OF.generation, own, Effort::Call)
            .await
    }

    async fn search(&self, indexes: &Indexes, word: &str) -> indexing::Result<Found> {
        let view = self.table.view(&self.tenant, &self.name).await?;
        let collection = view.collection.as_ref().expect("a live collection");
        let request = request(word);
        indexes
            .search(&self.tenant, collection, &view.markers, &request)
            .await
    }

    async fn found(&self, indexes: &Indexes, word: &str) -> BTreeSet<RecordId> {
        let page = self.search(indexes, word).await.expect("a page").page;
        let found: BTreeSet<RecordId> = page.hits.iter().map(|hit| hit.id).collect();
        assert_eq!(found.len(), page.hits.len(), "a record is found twice");
        assert_eq!(found.len(), page.total);
        found
    }

    /// Checks that a process finds these records and no others, and each of them by its name.
    async fn assert_finds(&self, indexes: &Indexes, records: &[Record]) {
        assert_eq!(self.found(indexes, "").await, ids(records));
        for record in records {
            let found = self.found(indexes, &record.name).await;
            assert_eq!(found, BTreeSet::from([record.id]), "{}", record.name);
        }
    }

    async fn progress(&self, indexes: &Indexes) -> Progress {
        let view = self.table.view(&self.tenant, &self.name).await;
        let view = view.expect("a view");
        let collection = view.collection.as_ref().expect("a live collection");
        let progress = indexes.progress(&self.tenant, collection, &view.markers);
        progress.await.expect("progress")
    }

    async fn collection(&self) -> Collection {
        let view = self.table.index_view(&self.tenant, &self.name).await;
        view.expect("an answer").expect("a collection").collection
    }

    async fn pointer(&self) -> Pointer {
        let collection = self.collection().await;
        collection.index().expect("an index").clone()
    }

    async fn markers(&self) -> Markers {
        let markers = self.table.markers(&self.tenant, &self.name).await;
        markers.expect("markers").remove(&OF).unwrap_or_default()
    }

    /// Where the packs of this index are.
    fn prefix(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.tenant, self.name, OF.number, OF.generation
        )
    }

    fn packs(&self, pointer: &Pointer) -> Vec<String> {
        let (prefix, packs) = (self.prefix(), pointer.packs.iter());
        packs
            .map(|pack| search::pack_path(&prefix, pointer.build, &pack.name))
            .collect()
    }

    /// Deletes the packs of an index behind its back.
    async fn lose(&self, pointer: &Pointer) {
        for path in self.packs(pointer) {
            self.store.delete(&path).await.expect("no object");
        }
    }

    async fn listed(&self) -> BTreeSet<String> {
        let listed = self.store.list("").await.expect("a list");
        listed.into_iter().map(|object| object.path).collect()
    }

    /// Checks that the index was built anew, and once, since its pointer was `before`; that it
    /// holds so many records and nothing is left to fold.
    async fn assert_rebuilt(&self, before: &Pointer, records: usize) {
        let after = self.pointer().await;
        assert_eq!(after.build, before.build + 1, "the builds");
        assert_eq!(after.version, before.version + 1, "the versions");
        assert_eq!(after.format, search::FORMAT);
        let documents: u32 = after.segments.iter().map(|segment| segment.docs).sum();
        assert_eq!(u64::from(documents), records as u64);
        assert!(self.markers().await.is_empty());
        assert_eq!(self.collection().await.lease, None);
    }

    // The table past its verbs.

    fn tamper(&self, pk: String, sk: String) -> UpdateItemFluentBuilder {
        dynamodb(&self.endpoint)
            .update_item()
            .table_name(TABLE)
            .key("pk", AttributeValue::S(pk))
            .key("sk", AttributeValue::S(sk))
            .condition_expression("attribute_exists(pk)")
    }

    fn tamper_with_collection(&self) -> UpdateItemFluentBuilder {
        let (pk, sk) = (
            format!("TENANT#{}#SUMMARY", self.tenant),
            format!("COLL#{}", self.name),
        );
        self.tamper(pk, sk)
            .expression_attribute_names("#index", "index")
    }

    /// Lets the pointer say another format.
    async fn set_format(&self, format: u32) {
        let value = AttributeValue::N(format.to_string());
        let set = self
            .tamper_with_collection()
            .update_expression("SET #index.#generation.#format = :format")
            .expression_attribute_names("#generation", OF.generation.to_string())
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":format", value);
        set.send().await.expect("a change");
    }

    /// Lets a record's data be this text.
    async fn set_data(&self, id: RecordId, text: &str) {
        let pk = format!(
            "TENANT#{}#RECORDS#{:010}#{:06}#{:02}",
            self.tenant,
            OF.number,
            OF.generation,
            id.shard()
        );
        let set = self
            .tamper(pk, id.to_string())
            .update_expression("SET #data = :data")
            .expression_attribute_names("#data", "data")
            .expression_attribute_values(":data", AttributeValue::S(text.to_owned()));
        set.send().await.expect("a change");
    }

    /// Lets a record's data be what they were.
    async fn mend(&self, record: &Record) {
        let text = Value::Object(record.data.clone()).to_string();
        self.set_data(record.id, &text).await;
    }

    /// Deletes the items that hold the ids of uploads' records.
    async fn lose_batches(&self) {
        for item in items(&self.endpoint).await {
            let (pk, sk) = (item["pk"].clone(), item["sk"].clone());
            if pk.as_s().is_ok_and(|pk| pk.contains("#BATCH#")) {
                let delete = dynamodb(&self.endpoint)
                    .delete_item()
                    .table_name(TABLE)
                    .key("pk", pk)
                    .key("sk", sk);
                delete.send().await.expect("no item");
            }
        }
    }
}

// What is lost is built anew.

#[tokio::test]
async fn an_index_that_lost_a_pack_is_built_anew_by_the_first_search() {
    for lost in 0..2 {
        let world = World::new().await;
        let process = world.process();
        let mut records = world.add(&process, &["anchor", "bolt", "gasket"]).await;
        records.extend(world.add(&process, &["nut", "rivet"]).await);
        // What waits for a fold is not lost with the index.
        records[3] = world.rename(&records[3], "washer").await;
        let before = world.pointer().await;
        let packs = world.packs(&before);
        assert_eq!(packs.len(), 2);
        world.store.delete(&packs[lost]).await.expect("no object");

        world.assert_finds(&world.process(), &records).await;

        world.assert_rebuilt(&before, 5).await;
        let after = world.pointer().await;
        world.assert_finds(&world.process(), &records).await;
        world.assert_finds(&process, &records).await;
        assert_eq!(world.pointer().await, after, "it was built once more");
    }
}

/// What happens to a pack.
#[derive(Debug, Clone, Copy)]
enum Damage {
    FirstBit,
    LastBit,
    Cut,
    Zeros,
    Replaced,
    Emptied,
}

impl Damage {
    fn done(self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::FirstBit => bytes[0] ^= 1,
            Self::LastBit => {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            }
            Self::Cut => bytes.truncate(bytes.len() / 2),
            Self::Zeros => bytes.fill(0),
            Self::Replaced => bytes = b"not a pack".to_vec(),
            Self::Emptied => bytes.clear(),
        }
        bytes
    }
}

async fn assert_built_anew_after(damage: Damage) {
    let world = World::new().await;
    let names = ["anchor", "bolt", "gasket"];
    let records = world.add(&world.process(), &names).await;
    let before = world.pointer().await;
    for path in world.packs(&before) {
        let bytes = world.objects.read(&path).await;
        world.objects.write(&path, damage.done(bytes)).await;
    }

    let process = world.process();
    let searched = world.search(&process, "").await;

    assert!(searched.is_ok(), "{damage:?}: {searched:?}");
    world.assert_finds(&process, &records).await;
    world.assert_finds(&world.process(), &records).await;
    world.assert_rebuilt(&before, names.len()).await;
}

#[tokio::test]
async fn an_index_with_a_corrupt_pack_is_built_anew_by_the_first_search() {
    for damage in [
        Damage::FirstBit,
        Damage::LastBit,
        Damage::Cut,
        Damage::Zeros,
        Damage::Replaced,
    ] {
        assert_built_anew_after(damage).await;
    }
}

#[tokio::test]
async fn an_index_with_an_empty_pack_is_built_anew_by_the_first_search() {
    assert_built_anew_after(Damage::Emptied).await;
}

#[tokio::test]
async fn an_index_of_an_older_format_is_built_anew_by_the_first_search() {
    let world = World::new().await;
    let records = world.add(&world.process(), &["anchor", "bolt"]).await;
    let before = world.pointer().await;
    world.set_format(search::FORMAT - 1).await;

    world.assert_finds(&world.process(), &records).await;

    world.assert_rebuilt(&before, 2).await;
}

#[tokio::test]
async fn a_collection_without_a_pointer_gets_an_index_by_the_first_search() {
    for expression in ["REMOVE #index", "REMOVE #index.#generation"] {
        let world = World::new().await;
        let mut records = world.add(&world.process(), &["anchor", "bolt"]).await;
        records.extend(world.upload(&["gasket"]).await.1);
        let mut remove = world.tamper_with_collection().update_expression(expression);
        if expression.contains("#generation") {
            let generation = OF.generation.to_string();
            remove = remove.expression_attribute_names("#generation", generation);
        }
        remove.send().await.expect("a change");
        assert_eq!(world.collection().await.index(), None, "{expression}");

        world.assert_finds(&world.process(), &records).await;

        let nothing = Pointer::empty(search::FORMAT, 0, 0);
        world.assert_rebuilt(&nothing, 3).await;
        world.assert_finds(&world.process(), &records).await;
    }
}

#[tokio::test]
async fn an_upload_whose_ids_are_gone_is_found_by_an_index_that_is_built_anew() {
    let world = World::new().await;
    let process = world.process();
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    world.assert_finds(&process, &records).await;
    records.extend(world.upload(&["gasket", "nut"]).await.1);
    let before = world.pointer().await;
    world.lose_batches().await;

    world.assert_finds(&process, &records).await;

    world.assert_rebuilt(&before, 4).await;
}

#[tokio::test]
async fn a_fold_of_a_lost_index_builds_it_anew() {
    let world = World::new().await;
    let process = world.process();
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    let (upload, added) = world.upload(&["gasket"]).await;
    records.extend(added);
    let before = world.pointer().await;
    world.lose(&before).await;

    let folded = world.fold_own(&world.process(), upload).await;

    assert_eq!(folded.expect("a fold"), Folded::Yes(3));
    world.assert_rebuilt(&before, 3).await;
    world.assert_finds(&world.process(), &records).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_that_meet_a_lost_index_at_once_build_it_once() {
    for one_process in [true, false] {
        let world = World::new().await;
        let names = ["anchor", "bolt", "gasket", "nut", "rivet"];
        let records = world.add(&world.process(), &names).await;
        let before = world.pointer().await;
        world.lose(&before).await;
        let process = world.process();
        let processes: Vec<Indexes> = (0..8)
            .map(|_| {
                if one_process {
                    process.clone()
                } else {
                    world.process()
                }
            })
            .collect();

        let searches = processes.iter().map(|process| world.found(process, ""));
        for found in join_all(searches).await {
            assert_eq!(found, ids(&records));
        }

        world.assert_rebuilt(&before, names.len()).await;
    }
}

#[tokio::test]
async fn an_index_that_moved_on_or_is_being_built_is_not_built_anew() {
    let world = World::new().await;
    let process = world.process();
    world.add(&process, &["anchor"]).await;
    world.add(&process, &["bolt"]).await;
    let before = world.pointer().await;
    let (tenant, name) = (&world.tenant, &world.name);

    let outdated = Some(before.version - 1);
    let rebuilt = process.rebuild(tenant, name, outdated).await;
    assert!(rebuilt.expect("an answer"));
    assert_eq!(world.pointer().await, before);

    let now = world.clock.now();
    let until = now + TimeDelta::minutes(1);
    let taken = world.table.take_lease(tenant, name, (now, until), None);
    assert!(taken.await.expect("an answer").is_some());
    let rebuilt = process.rebuild(tenant, name, Some(before.version)).await;
    assert!(!rebuilt.expect("an answer"));
    assert_eq!(world.pointer().await, before);
}

#[tokio::test]
async fn an_index_of_a_newer_format_is_an_error_and_left_as_it_is() {
    let world = World::new().await;
    let process = world.process();
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    let (upload, added) = world.upload(&["gasket"]).await;
    records.extend(added);
    world.set_format(search::FORMAT + 1).await;
    let (pointer, markers) = (world.pointer().await, world.markers().await);

    for process in [&process, &world.process()] {
        let searched = world.search(process, "").await;
        assert!(matches!(searched, Err(Error::Newer)), "{searched:?}");
        let folded = world.fold_own(process, upload).await;
        assert!(matches!(folded, Err(Error::Newer)), "{folded:?}");
    }

    assert_eq!(world.pointer().await, pointer);
    assert_eq!(world.markers().await, markers);
    assert_eq!(world.collection().await.lease, None);
    world.set_format(search::FORMAT).await;
    world.assert_finds(&process, &records).await;
    world.assert_finds(&world.process(), &records).await;
    let after = world.pointer().await;
    assert_eq!(
        (after.build, after.version),
        (pointer.build, pointer.version)
    );
}

#[tokio::test]
async fn a_rebuild_keeps_what_changes_before_it_is_published() {
    let world = World::new().await;
    let (process, other) = (world.process(), world.process());
    let records = world
        .add(&process, &["anchor", "bolt", "gasket", "nut"])
        .await;
    world.assert_finds(&other, &records).await;
    // One is marked already when the rebuild begins.
    let renamed = world.rename(&records[0], "rivet").await;
    let before = world.pointer().await;

    let gate = world.objects.close().await;
    let rebuilding = process.rebuild(&world.tenant, &world.name, Some(before.version));
    let changing = async {
        world.objects.stopped().await;
        let mut expected = vec![
            world.rename(&renamed, "screw").await,
            world.rename(&records[1], "spring").await,
            records[3].clone(),
        ];
        world.delete(&records[2]).await;
        let (upload, added) = world.upload(&["washer"]).await;
        expected.extend(added);
        world.assert_finds(&other, &expected).await;
        drop(gate);
        (upload, expected)
    };
    let (rebuilt, (upload, expected)) = tokio::join!(rebuilding, changing);

    assert!(rebuilt.expect("a rebuild"));
    let after = world.pointer().await;
    assert_eq!(
        (after.build, after.version),
        (before.build + 1, before.version + 1)
    );
    let markers = world.markers().await;
    let marked: BTreeSet<RecordId> = markers.records.keys().copied().collect();
    assert_eq!(marked, ids(&records[..3]));
    assert!(markers.batches.contains_key(&upload));
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &expected).await;
    }
    let folded = world.fold_own(&other, upload).await;
    assert_eq!(folded.expect("a fold"), Folded::Yes(4));
    assert!(world.markers().await.is_empty());
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &expected).await;
    }
}

// Records that cannot be read.

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_out_and_listed_until_it_is_mended() {
    for garbage in ["{", "[1]", "anchor"] {
        let world = World::new().await;
        let process = world.process();
        let records = world.add(&process, &["anchor", "bolt", "gasket"]).await;
        let renamed = world.rename(&records[0], "rivet").await;
        let rest = &records[1..];
        world.set_data(renamed.id, garbage).await;

        world.assert_finds(&process, rest).await;
        assert_eq!(world.progress(&process).await, pending(1), "{garbage}");
        let folded = world.fold(&process).await;
        assert_eq!(folded.expect("a fold"), Folded::Yes(1), "{garbage}");
        let listed = world.pointer().await.failed;
        assert_eq!(listed, BTreeSet::from([renamed.id]), "{garbage}");
        assert!(world.markers().await.is_empty());
        for process in [&process, &world.process()] {
            world.assert_finds(process, rest).await;
            assert_eq!(world.progress(process).await, failed(1), "{garbage}");
            let found = world.search(process, "").await.expect("a page");
            assert!(found.statuses.is_empty(), "{:?}", found.statuses);
        }

        world.mend(&renamed).await;
        let mut all = vec![world.rename(&renamed, "screw").await];
        all.extend_from_slice(rest);
        world.assert_finds(&process, &all).await;
        assert_eq!(world.progress(&process).await, pending(1), "{garbage}");
        let found = world.search(&process, "screw").await.expect("a page");
        let status = found.statuses.get(&renamed.id).copied();
        assert_eq!(status, Some(IndexingStatus::Pending));
        let folded = world.fold(&process).await;
        assert_eq!(folded.expect("a fold"), Folded::Yes(1), "{garbage}");
        assert!(world.pointer().await.failed.is_empty());
        assert_eq!(world.progress(&process).await, Progress::default());
        world.assert_finds(&world.process(), &all).await;
    }
}

#[tokio::test]
async fn a_record_of_an_upload_that_cannot_be_read_fails_alone() {
    let world = World::new().await;
    let process = world.process();
    let (upload, records) = world.upload(&["anchor", "bolt", "gasket"]).await;
    world.set_data(records[1].id, "{").await;
    let rest = [records[0].clone(), records[2].clone()];
    world.assert_finds(&process, &rest).await;
    assert_eq!(world.progress(&process).await, pending(3));

    let folded = world.fold_own(&process, upload).await;

    assert_eq!(folded.expect("a fold"), Folded::Yes(3));
    let listed = world.pointer().await.failed;
    assert_eq!(listed, BTreeSet::from([records[1].id]));
    for process in [&process, &world.process()] {
        assert_eq!(world.progress(process).await, failed(1));
        world.assert_finds(process, &rest).await;
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_fails_no_more_once_it_is_deleted() {
    let world = World::new().await;
    let process = world.process();
    let records = world.add(&process, &["anchor", "bolt"]).await;
    let renamed = world.rename(&records[0], "rivet").await;
    world.set_data(renamed.id, "{").await;
    world.fold(&process).await.expect("a fold");
    assert_eq!(world.progress(&process).await, failed(1));

    world.delete(&renamed).await;

    assert_eq!(world.progress(&process).await, Progress::default());
    let folded = world.fold(&process).await;
    assert_eq!(folded.expect("a fold"), Folded::Yes(1));
    assert!(world.pointer().await.failed.is_empty());
    assert_eq!(world.progress(&process).await, Progress::default());
    world.assert_finds(&process, &records[1..]).await;
}

#[tokio::test]
async fn a_rebuild_lists_what_cannot_be_read_and_nothing_that_can() {
    let world = World::new().await;
    let records = world
        .add(&world.process(), &["anchor", "bolt", "gasket"])
        .await;
    let rest = [records[0].clone(), records[2].clone()];
    world.set_data(records[1].id, "{").await;
    let before = world.pointer().await;
    world.lose(&before).await;

    let process = world.process();
    world.assert_finds(&process, &rest).await;
    world.assert_rebuilt(&before, 2).await;
    let broken = world.pointer().await;
    assert_eq!(broken.failed, BTreeSet::from([records[1].id]));
    assert_eq!(world.progress(&process).await, failed(1));

    world.mend(&records[1]).await;
    world.lose(&broken).await;
    let process = world.process();
    world.assert_finds(&process, &records).await;
    world.assert_rebuilt(&broken, 3).await;
    assert!(world.pointer().await.failed.is_empty());
    assert_eq!(world.progress(&process).await, Progress::default());
}

// Folds that are under way, that are overtaken and that fail.

#[tokio::test]
async fn what_a_fold_has_taken_is_processing_until_it_is_published() {
    let world = World::new().await;
    let (process, other) = (world.process(), world.process());
    let records = world.add(&process, &["anchor", "bolt"]).await;
    let (upload, added) = world.upload(&["gasket", "nut"]).await;
    let renamed = world.rename(&records[0], "rivet").await;
    assert_eq!(world.progress(&other).await, pending(3));

    let gate = world.objects.close().await;
    let folding = world.fold_own(&process, upload);
    let looking = async {
        world.objects.stopped().await;
        let processing = Progress {
            processing: 3,
            ..Progress::default()
        };
        assert_eq!(world.progress(&other).await, processing);
        // What changes meanwhile is not what is being folded.
        world.rename(&renamed, "screw").await;
        let mixed = Progress {
            pending: 1,
            processing: 2,
            failed: 0,
        };
        assert_eq!(world.progress(&other).await, mixed);
        let found = world.search(&other, "").await.expect("a page");
        for record in &added {
            let status = found.statuses.get(&record.id).copied();
            assert_eq!(status, Some(IndexingStatus::Processing));
        }
        let status = found.statuses.get(&renamed.id).copied();
        assert_eq!(status, Some(IndexingStatus::Pending));
        assert_eq!(found.statuses.get(&records[1].id), None);
        drop(gate);
    };
    let (folded, ()) = tokio::join!(folding, looking);

    assert_eq!(folded.expect("a fold"), Folded::Yes(3));
    assert_eq!(world.progress(&other).await, pending(1));
    let found = world.search(&other, "").await.expect("a page");
    let waiting: BTreeSet<RecordId> = found.statuses.keys().copied().collect();
    assert_eq!(waiting, BTreeSet::from([renamed.id]));
}

#[tokio::test]
async fn a_fold_whose_lease_is_taken_over_publishes_nothing() {
    let world = World::new().await;
    let (process, other) = (world.process(), world.process());
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    let (upload, added) = world.upload(&["gasket"]).await;
    records.extend(added);
    let (pointer, markers) = (world.pointer().await, world.markers().await);

    let gate = world.objects.close().await;
    let folding = world.fold_own(&process, upload);
    let taking = async {
        world.objects.stopped().await;
        // Somebody whose clock says that the fold's time is over.
        let later = world.clock.now() + TimeDelta::minutes(2);
        let until = later + TimeDelta::hours(1);
        let (tenant, name) = (&world.tenant, &world.name);
        let taken = world.table.take_lease(tenant, name, (later, until), None);
        let (_, lease) = taken.await.expect("an answer").expect("a lease");
        drop(gate);
        lease
    };
    let (folded, lease) = tokio::join!(folding, taking);

    assert_eq!(folded.expect("an answer"), Folded::Busy);
    assert_eq!(world.pointer().await, pointer);
    assert_eq!(world.markers().await, markers);
    assert_eq!(world.collection().await.lease.as_ref(), Some(&lease));
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
        assert_eq!(world.progress(process).await, pending(1));
        let folded = world.fold_own(process, upload).await;
        assert_eq!(folded.expect("an answer"), Folded::Busy);
    }

    let (tenant, name) = (&world.tenant, &world.name);
    let given_back = world.table.give_back_lease(tenant, name, &lease).await;
    given_back.expect("an answer");
    let folded = world.fold_own(&other, upload).await;
    assert_eq!(folded.expect("a fold"), Folded::Yes(1));
    assert_eq!(world.pointer().await.version, pointer.version + 1);
    assert!(world.markers().await.is_empty());
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
    }
    // The pack of the fold that was overtaken is nobody's.
    let swept = other.sweep(true, world.clock.now()).await;
    assert_eq!(swept.expect("a sweep"), 1);
    world.assert_finds(&world.process(), &records).await;
}

#[tokio::test]
async fn a_fold_that_fails_leaves_its_markers_and_the_next_one_succeeds() {
    let world = World::new().await;
    let (process, other) = (world.process(), world.process());
    let mut records = world.add(&process, &["anchor", "bolt", "gasket"]).await;
    world.assert_finds(&other, &records).await;
    let (upload, added) = world.upload(&["nut", "rivet"]).await;
    records.extend(added);
    records[0] = world.rename(&records[0], "screw").await;
    world.delete(&records.remove(1)).await;
    let (pointer, markers) = (world.pointer().await, world.markers().await);

    world.objects.set_down(true);
    for process in [&process, &other] {
        let folded = world.fold_own(process, upload).await;
        assert!(is_down(&folded), "{folded:?}");
    }
    assert_eq!(world.pointer().await, pointer);
    assert_eq!(world.markers().await, markers);
    assert_eq!(world.collection().await.lease, None);
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
        assert_eq!(world.progress(process).await, pending(3));
    }
    // Changes go on.
    records[0] = world.rename(&records[0], "spring").await;
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
    }

    world.objects.set_down(false);
    let folded = world.fold_own(&other, upload).await;
    assert_eq!(folded.expect("a fold"), Folded::Yes(4));
    let after = world.pointer().await;
    assert_eq!(
        (after.build, after.version),
        (pointer.build, pointer.version + 1)
    );
    assert!(world.markers().await.is_empty());
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
        assert_eq!(world.progress(process).await, Progress::default());
    }
}

#[tokio::test]
async fn an_index_that_is_lost_while_the_store_is_down_is_built_anew_once_it_is_up() {
    let world = World::new().await;
    let records = world.add(&world.process(), &["anchor", "bolt"]).await;
    let before = world.pointer().await;
    world.lose(&before).await;
    let process = world.process();

    world.objects.set_down(true);
    for _ in 0..2 {
        let searched = world.search(&process, "").await;
        assert!(is_down(&searched), "{searched:?}");
        assert_eq!(world.pointer().await, before);
        assert_eq!(world.collection().await.lease, None);
    }

    world.objects.set_down(false);
    world.assert_finds(&process, &records).await;
    world.assert_rebuilt(&before, 2).await;
}

// Sweeps.

#[tokio::test]
async fn a_process_alone_sweeps_up_orphans_and_drafts_and_leaves_other_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = Store::address_of(folder.path()).expect("an address");
    let store = Store::open(&address, Caches::default(), None).expect("a store");
    let world = World::over(Objects::default(), store).await;
    let process = world.process();
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    records.extend(world.add(&process, &["gasket"]).await);
    let named = world.packs(&world.pointer().await);
    let (prefix, tenant) = (world.prefix(), &world.tenant);
    let litter = [
        format!("{prefix}/1/{ORPHAN}"),
        format!("{prefix}/1/{ORPHAN}#1"),
        format!("{prefix}/7/{ORPHAN}"),
        format!("{}#12", named[0]),
        format!("{tenant}/things/2/1/1/{ORPHAN}"),
        format!("{tenant}/gone/1/1/1/{ORPHAN}"),
        format!("t_gone/things/1/1/1/{ORPHAN}"),
    ];
    let others = [
        "notes.txt".to_owned(),
        "photos/2026/a.jpg".to_owned(),
        format!("{prefix}/1/report.pack"),
        format!("{prefix}/1/{ORPHAN}.bak"),
        format!("{prefix}/{ORPHAN}"),
    ];
    for path in litter.iter().chain(&others) {
        let path = folder.path().join(path);
        let parent = path.parent().expect("a folder");
        std::fs::create_dir_all(parent).expect("a folder");
        std::fs::write(path, "left over").expect("a file");
    }

    let swept = process.sweep(true, world.clock.now()).await;

    assert_eq!(swept.expect("a sweep"), litter.len());
    let expected: BTreeSet<String> = named.into_iter().chain(others).collect();
    assert_eq!(world.listed().await, expected);
    world.assert_finds(&world.process(), &records).await;
    let again = process.sweep(true, world.clock.now()).await;
    assert_eq!(again.expect("a sweep"), 0);
}

#[tokio::test]
async fn a_pack_that_went_out_of_use_is_swept_up_an_hour_later() {
    let world = World::new().await;
    let process = world.process();
    let records = world.add(&process, &["anchor", "bolt"]).await;
    let before = world.pointer().await;
    let rebuilt = process
        .rebuild(&world.tenant, &world.name, Some(before.version))
        .await;
    assert!(rebuilt.expect("a rebuild"));
    let after = world.pointer().await;
    let old: BTreeSet<String> = world.packs(&before).into_iter().collect();
    let new: BTreeSet<String> = world.packs(&after).into_iter().collect();

    world
        .clock
        .advance(search::RETIRED_FOR - TimeDelta::milliseconds(1));
    let swept = process.sweep(true, world.clock.now()).await;
    assert_eq!(swept.expect("a sweep"), 0);
    assert_eq!(world.listed().await, &old | &new);

    world.clock.advance(TimeDelta::milliseconds(1));
    let swept = process.sweep(true, world.clock.now()).await;
    assert_eq!(swept.expect("a sweep"), old.len());
    assert_eq!(world.listed().await, new);
    world.assert_finds(&world.process(), &records).await;
}

#[tokio::test]
async fn a_process_among_others_leaves_young_packs_and_those_of_unknown_collections() {
    let world = World::new().await;
    let process = world.process();
    let records = world.add(&process, &["anchor", "bolt"]).await;
    let (prefix, tenant) = (world.prefix(), &world.tenant);
    let orphans = [
        format!("{prefix}/1/{ORPHAN}"),
        format!("{prefix}/7/{ORPHAN}"),
    ];
    let others = [
        format!("{tenant}/unknown/1/1/1/{ORPHAN}"),
        format!("t_unknown/things/1/1/1/{ORPHAN}"),
        format!("{prefix}/1/report.pack"),
        "notes.txt".to_owned(),
    ];
    for path in orphans.iter().chain(&others) {
        world.objects.write(path, b"left over".to_vec()).await;
    }
    let all = world.listed().await;
    let listed = world.store.list("").await.expect("a list");
    let written = || listed.iter().map(|object| object.written);
    let (oldest, newest) = (written().min(), written().max());
    let (oldest, newest) = oldest.zip(newest).expect("objects");
    let day = TimeDelta::days(1);

    // To the store's clock the first of them is not a day old.
    let now = oldest + day - TimeDelta::seconds(1);
    let swept = process.sweep(false, now).await;
    assert_eq!(swept.expect("a sweep"), 0);
    assert_eq!(world.listed().await, all);

    let now = newest + day + TimeDelta::seconds(1);
    let swept = process.sweep(false, now).await;
    assert_eq!(swept.expect("a sweep"), orphans.len());
    let mut left = all;
    for orphan in &orphans {
        assert!(left.remove(orphan), "{orphan}");
    }
    assert_eq!(world.listed().await, left);
    world.assert_finds(&world.process(), &records).await;
}
