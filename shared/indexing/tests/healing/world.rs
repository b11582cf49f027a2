//! A collection, and the table and the store that its index is kept by.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use indexing::{Effort, Folded, Found, Indexes, Own, Progress};
use model::collection::Collection;
use model::fault::Fields;
use model::id::{CollectionName, RecordId, RecordType, TenantId, UploadId};
use model::index::Pointer;
use model::period::Period;
use model::plan::Plan;
use model::record::{Identity, Record, SourceType, Visibility};
use search::{Request, Store};
use serde_json::{Map, Value, json};
use table::Table;
use table::cap::{self, Reserved, Tally};
use table::marker::{Generation, Markers};
use table::record::{Added, Place};
use testkit::{Objects, TABLE, engine};
use tokio::time::Instant;
use uuid::Uuid;

use crate::common::Clock;

/// Work that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the collection of every test lies: it is the first of its tenant and never replaced.
pub(crate) const OF: Generation = Generation {
    number: 1,
    generation: 1,
};

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

pub(crate) fn ids(records: &[Record]) -> BTreeSet<RecordId> {
    records.iter().map(|record| record.id).collect()
}

/// Nothing but these waits for the index.
pub(crate) fn pending(records: u64) -> Progress {
    Progress {
        pending: records,
        ..Progress::default()
    }
}

/// Nothing but these is missing in the index.
pub(crate) fn failed(records: u64) -> Progress {
    Progress {
        failed: records,
        ..Progress::default()
    }
}

/// A tenant's collection, and the table and the store that its index is kept by.
pub(crate) struct World {
    pub(crate) endpoint: String,
    pub(crate) table: Table,
    pub(crate) objects: Objects,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) tenant: TenantId,
    pub(crate) name: CollectionName,
}

impl World {
    /// A collection to come, whose packs will lie in memory.
    pub(crate) async fn new() -> Self {
        let objects = Objects::default();
        let store = objects.store();
        Self::over(objects, store).await
    }

    /// The same with its packs on a store of its own.
    pub(crate) async fn over(objects: Objects, store: Store) -> Self {
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
    pub(crate) fn process(&self) -> Indexes {
        let table = Table::at_endpoint(&self.endpoint, TABLE);
        Indexes::new(table, self.store.clone(), self.clock.teller(), None)
    }

    // Records, written as calls write them.

    fn place(&self) -> Place {
        Place::new(&self.tenant, OF.number, OF.generation)
    }

    /// Uploads a record of each name and leaves them marked.
    pub(crate) async fn upload(&self, names: &[&str]) -> (UploadId, Vec<Record>) {
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
    pub(crate) async fn add(&self, indexes: &Indexes, names: &[&str]) -> Vec<Record> {
        let (upload, records) = self.upload(names).await;
        let folded = self.fold_own(indexes, upload).await;
        assert_eq!(folded.expect("a fold"), Folded::Yes(names.len()));
        records
    }

    /// Gives a record another name, as one call does.
    pub(crate) async fn rename(&self, old: &Record, name: &str) -> Record {
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
    pub(crate) async fn delete(&self, record: &Record) {
        let (place, now) = (self.place(), self.clock.now());
        let done = self.table.delete_record(&place, record, now).await;
        assert!(done.expect("an answer"), "{} is another", record.name);
    }

    // The index.

    pub(crate) async fn fold(&self, indexes: &Indexes) -> indexing::Result<Folded> {
        let (own, effort) = (Own::default(), Effort::Background);
        indexes
            .fold(&self.tenant, &self.name, OF.generation, own, effort)
            .await
    }

    /// The fold of an upload at the end of its call.
    pub(crate) async fn fold_own(
        &self,
        indexes: &Indexes,
        upload: UploadId,
    ) -> indexing::Result<Folded> {
        let own = Own {
            upload: Some(upload),
            ahead: None,
        };
        indexes
            .fold(&self.tenant, &self.name, OF.generation, own, Effort::Call)
            .await
    }

    pub(crate) async fn search(&self, indexes: &Indexes, word: &str) -> indexing::Result<Found> {
        let view = self.table.view(&self.tenant, &self.name).await?;
        let collection = view.collection.as_ref().expect("a live collection");
        let request = request(word);
        indexes
            .search(&self.tenant, collection, &view.markers, &request)
            .await
    }

    pub(crate) async fn found(&self, indexes: &Indexes, word: &str) -> BTreeSet<RecordId> {
        let page = self.search(indexes, word).await.expect("a page").page;
        let found: BTreeSet<RecordId> = page.hits.iter().map(|hit| hit.id).collect();
        assert_eq!(found.len(), page.hits.len(), "a record is found twice");
        assert_eq!(found.len(), page.total);
        found
    }

    /// Checks that a process finds these records and no others, and each of them by its name.
    pub(crate) async fn assert_finds(&self, indexes: &Indexes, records: &[Record]) {
        assert_eq!(self.found(indexes, "").await, ids(records));
        for record in records {
            let found = self.found(indexes, &record.name).await;
            assert_eq!(found, BTreeSet::from([record.id]), "{}", record.name);
        }
    }

    pub(crate) async fn progress(&self, indexes: &Indexes) -> Progress {
        let view = self.table.view(&self.tenant, &self.name).await;
        let view = view.expect("a view");
        let collection = view.collection.as_ref().expect("a live collection");
        let progress = indexes.progress(&self.tenant, collection, &view.markers);
        progress.await.expect("progress")
    }

    pub(crate) async fn collection(&self) -> Collection {
        let view = self.table.index_view(&self.tenant, &self.name).await;
        view.expect("an answer").expect("a collection").collection
    }

    pub(crate) async fn pointer(&self) -> Pointer {
        let collection = self.collection().await;
        collection.index().expect("an index").clone()
    }

    pub(crate) async fn markers(&self) -> Markers {
        let markers = self.table.markers(&self.tenant, &self.name).await;
        markers.expect("markers").remove(&OF).unwrap_or_default()
    }

    /// Where the packs of this index are.
    pub(crate) fn prefix(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.tenant, self.name, OF.number, OF.generation
        )
    }

    pub(crate) fn packs(&self, pointer: &Pointer) -> Vec<String> {
        let (prefix, packs) = (self.prefix(), pointer.packs.iter());
        packs
            .map(|pack| search::pack_path(&prefix, pointer.build, &pack.name))
            .collect()
    }

    /// Deletes the packs of an index behind its back.
    pub(crate) async fn lose(&self, pointer: &Pointer) {
        for path in self.packs(pointer) {
            self.store.delete(&path).await.expect("no object");
        }
    }

    pub(crate) async fn listed(&self) -> BTreeSet<String> {
        let listed = self.store.list("").await.expect("a list");
        listed.into_iter().map(|object| object.path).collect()
    }

    /// Checks that the index was built anew, and once, since its pointer was `before`; that it
    /// holds so many records and nothing is left to fold.
    pub(crate) async fn assert_rebuilt(&self, before: &Pointer, records: usize) {
        let after = self.pointer().await;
        assert_eq!(after.build, before.build + 1, "the builds");
        assert_eq!(after.version, before.version + 1, "the versions");
        assert_eq!(after.format, search::FORMAT);
        let documents: u32 = after.segments.iter().map(|segment| segment.docs).sum();
        assert_eq!(u64::from(documents), records as u64);
        assert!(self.markers().await.is_empty());
        assert_eq!(self.collection().await.lease, None);
    }
}
