//! A table with a tenant's collection, its uploads and its schemas.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use model::collection::{Collection, CollectionPatch};
use model::id::{CollectionName, RecordId, RecordType, TenantId, UploadId};
use model::period::Period;
use model::plan::{Limits, Plan};
use model::record::{Record, SourceType, Visibility};
use model::time::Moment;
use serde_json::{Map, Value};
use table::Table;
use table::cap::{Hold, Request, Reserved, Tally};
use table::gone::Gone;
use table::record::{Added, Place};
use table::replace::Begun;
use table::schema::{NewSchema, Put, Schema};
use table::summary::Summary;
use testkit::{Faults, NOW, TABLE, dynamodb, faulty_engine, items};
use tokio::time::Instant;
use uuid::Uuid;

/// The format of the indexes of these tests.
const FORMAT: u32 = 7;

/// The keys of an item.
pub(crate) type Keys = BTreeSet<(String, String)>;

pub(crate) struct World {
    endpoint: String,
    pub(crate) table: Table,
    pub(crate) faults: Faults,
}

pub(crate) fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

pub(crate) fn parts() -> CollectionName {
    "parts".parse().expect("a name")
}

pub(crate) fn product() -> RecordType {
    "product".parse().expect("a record type")
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn upload(n: u128) -> UploadId {
    UploadId(Uuid::from_u128(n))
}

pub(crate) fn now() -> Moment {
    NOW.parse().expect("a moment")
}

pub(crate) fn until() -> Moment {
    now() + TimeDelta::minutes(15)
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
    pub(crate) async fn new() -> Self {
        let (endpoint, table, faults) = faulty_engine().await;
        Self {
            endpoint,
            table,
            faults,
        }
    }

    /// A table with a collection of so many records.
    pub(crate) async fn of(records: u64) -> Self {
        let world = Self::new().await;
        world.fill(1, None, records).await;
        world
    }

    pub(crate) async fn summary(&self) -> Summary {
        let summary = self.table.summary(&tenant(), Period::of(now())).await;
        summary.expect("a summary")
    }

    pub(crate) async fn try_reserve(
        &self,
        (by, collection): (u128, &CollectionName),
        staging: Option<u32>,
        (rows, limits): (u64, &Limits),
    ) -> Reserved {
        let record_type = product();
        let request = Request {
            upload: upload(by),
            collection,
            record_type: &record_type,
            rows,
            since: now(),
            until: until(),
            format: FORMAT,
        };
        let summary = self.summary().await;
        let reserved = self
            .table
            .reserve_for(&tenant(), &summary, limits, &request, (staging, None))
            .await;
        reserved.expect("an answer")
    }

    /// Reserves for an upload of so many rows.
    pub(crate) async fn reserve(&self, by: u128, staging: Option<u32>, rows: u64) -> Hold {
        let limits = Plan::Scale.limits();
        let reserved = self
            .try_reserve((by, &parts()), staging, (rows, limits))
            .await;
        match reserved {
            Reserved::Yes(_, hold) => hold,
            refused => panic!("{refused:?}"),
        }
    }

    /// Writes the records of an upload, and says what it did.
    pub(crate) async fn write(&self, by: u128, hold: &Hold, rows: u64) -> Tally {
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

    pub(crate) async fn settle(&self, by: u128, hold: &Hold, tally: &Tally) -> bool {
        let settled = self
            .table
            .settle(&tenant(), upload(by), hold, tally, now())
            .await;
        settled.expect("an answer")
    }

    /// A whole upload, whose records are not folded.
    pub(crate) async fn fill(&self, by: u128, staging: Option<u32>, rows: u64) {
        let hold = self.reserve(by, staging, rows).await;
        let tally = self.write(by, &hold, rows).await;
        assert!(self.settle(by, &hold, &tally).await);
    }

    /// Begins a replace and fills it: the collection as it was read, with so many new records.
    pub(crate) async fn staged(&self, by: u128, rows: u64) -> Collection {
        let begun = self
            .table
            .begin_replace(&tenant(), &parts(), upload(by), &product(), now(), FORMAT)
            .await;
        let Begun::Yes(collection, generation) = begun.expect("an answer") else {
            panic!("no replace")
        };
        self.fill(by, Some(generation), rows).await;
        collection
    }

    pub(crate) async fn put_schema(
        &self,
        known: &Summary,
        record_type: &str,
        schema: &Value,
    ) -> Put {
        let new = NewSchema {
            collection: &parts(),
            record_type: &record_type.parse().expect("a record type"),
            schema,
            at: now(),
            format: FORMAT,
        };
        let limits = Plan::Scale.limits();
        let put = self.table.put_schema(&tenant(), known, limits, &new).await;
        put.expect("an outcome")
    }

    pub(crate) async fn schema(&self, record_type: &str, schema: &Value) -> u64 {
        let known = self.summary().await;
        match self.put_schema(&known, record_type, schema).await {
            Put::Yes(schema) => schema.version,
            refused => panic!("{refused:?}"),
        }
    }

    pub(crate) async fn schemas(&self) -> usize {
        let listed = self.table.list_schemas(&tenant(), None, usize::MAX).await;
        listed.expect("schemas").len()
    }

    pub(crate) async fn current(&self) -> Option<Schema> {
        let found = self
            .table
            .find_schema(&tenant(), &parts(), &product())
            .await;
        found.expect("an answer")
    }

    pub(crate) async fn version(&self, version: u64) -> Option<Schema> {
        let found = self
            .table
            .find_schema_version(&tenant(), &parts(), &product(), version)
            .await;
        found.expect("an answer")
    }

    pub(crate) async fn update(&self, patch: &CollectionPatch) -> Option<Collection> {
        let updated = self
            .table
            .update_collection(&tenant(), &parts(), patch)
            .await;
        updated.expect("an answer")
    }

    pub(crate) async fn delete(&self) -> Option<Gone> {
        let deleted = self
            .table
            .delete_collection(&tenant(), &parts(), now())
            .await;
        deleted.expect("an answer")
    }

    pub(crate) async fn deleted(&self) -> Gone {
        self.delete().await.expect("a deleted collection")
    }

    pub(crate) async fn erase(&self, gone: &Gone) {
        let erased = self.table.erase_collection(gone).await;
        erased.expect("an answer");
    }

    pub(crate) async fn collection(&self) -> Option<Collection> {
        let found = self.table.find_collection(&tenant(), &parts()).await;
        found.expect("an answer")
    }

    pub(crate) async fn left(&self) -> Vec<Gone> {
        read(self.table.gone_collections().await)
    }

    pub(crate) async fn erase_schemas(&self, gone: &Gone) {
        let erased = self.table.erase_schemas(gone).await;
        erased.expect("an answer");
    }

    /// Puts a deleted collection that cannot be read.
    pub(crate) async fn plant_unreadable(&self, sk: &str) {
        let put = dynamodb(&self.endpoint)
            .put_item()
            .table_name(TABLE)
            .item("pk", text("GONE#COLLECTIONS"))
            .item("sk", text(sk));
        put.send().await.expect("an item");
    }

    /// Makes schemas what they were before the collection's number was kept with them.
    pub(crate) async fn forget_numbers(&self) {
        let client = dynamodb(&self.endpoint);
        for mut item in items(&self.endpoint).await {
            let (pk, sk) = (item["pk"].clone(), item["sk"].clone());
            let is_version = pk.as_s().expect("text").contains("#SCHEMA#");
            let is_current = pk.as_s().expect("text").ends_with("#SCHEMAS");
            if !is_version && !is_current {
                continue;
            }
            assert!(item.remove("number").is_some());
            if is_version {
                let (_, version) = sk.as_s().expect("text").split_once('#').expect("a number");
                item.insert("sk".to_owned(), text(version));
            }
            let delete = client.delete_item().table_name(TABLE);
            let deleted = delete.key("pk", pk).key("sk", sk).send().await;
            deleted.expect("a deletion");
            let put = client.put_item().table_name(TABLE).set_item(Some(item));
            put.send().await.expect("an item");
        }
    }

    /// Leaves a schema in use that was taken from use.
    pub(crate) async fn leave_in_use(&self, record_type: &str, schema: &Value) {
        let update = dynamodb(&self.endpoint)
            .update_item()
            .table_name(TABLE)
            .key("pk", text(format!("TENANT#{}#SCHEMAS", tenant())))
            .key("sk", text(format!("{}#{record_type}", parts())))
            .update_expression("SET #schema = :schema REMOVE #deleted")
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_names("#deleted", "deleted")
            .expression_attribute_values(":schema", text(schema.to_string()));
        update.send().await.expect("an item");
    }

    /// The keys of every item.
    pub(crate) async fn keys(&self) -> Keys {
        let text = |item: &testkit::Item, name: &str| item[name].as_s().expect("text").clone();
        let items = items(&self.endpoint).await;
        let keys = items
            .iter()
            .map(|item| (text(item, "pk"), text(item, "sk")));
        keys.collect()
    }
}

/// Deleted collections that can all be read.
#[track_caller]
pub(crate) fn read(gone: table::Result<Vec<table::Result<Gone>>>) -> Vec<Gone> {
    let gone = gone.expect("a list").into_iter();
    gone.map(|gone| gone.expect("an item")).collect()
}

/// What stays of a tenant that had one collection: its reservations, and the quickstart's stamps.
pub(crate) fn bare() -> Keys {
    let pk = format!("TENANT#{}#SUMMARY", tenant());
    let sks = ["CAPS", "QUICKSTART"];
    sks.map(|sk| (pk.clone(), sk.to_owned())).into()
}

/// Does work for so many polls, and drops it if it is not done by then.
pub(crate) async fn cut<T>(work: impl Future<Output = T>, mut polls: u32) -> Option<T> {
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
