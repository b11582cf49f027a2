//! Records by the verbs of the table, written as an upload writes them.

use std::time::Duration;

use chrono::TimeDelta;
use indexing::{Ahead, Effort, Own};
use model::collection::Collection;
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::period::Period;
use model::record::{Draft, Origin, Record, SourceType, Visibility};
use serde_json::Value;
use table::Table;
use table::cap::{Hold, Request, Reserved, Tally};
use table::record::{Added, Place};
use table::replace::Begun;
use tokio::time::Instant;
use uuid::Uuid;

use crate::TestApp;

/// An upload that has room for its rows. Until it is settled it is in flight.
#[derive(Clone)]
pub struct Upload<'a> {
    app: &'a TestApp,
    /// The tenant.
    pub tenant: TenantId,
    /// The upload.
    pub id: UploadId,
    /// The collection that it writes to.
    pub collection: Collection,
    /// What it has reserved.
    pub hold: Hold,
}

impl TestApp {
    /// Reserves room for rows of a collection and record type, as an upload does before it writes
    /// them. The reservation lasts 15 minutes.
    pub async fn reserve(
        &self,
        tenant: &TenantId,
        (collection, record_type): (&str, &str),
        rows: u64,
    ) -> Upload<'_> {
        let upload = self.app.ids.upload(self.app.clock.now());
        self.reserve_as(tenant, (collection, record_type), rows, (upload, None))
            .await
    }

    async fn reserve_as(
        &self,
        tenant: &TenantId,
        (collection, record_type): (&str, &str),
        rows: u64,
        (upload, staging): (UploadId, Option<u32>),
    ) -> Upload<'_> {
        let (table, now) = (&self.app.table, self.app.clock.now());
        let summary = table.summary(tenant, Period::of(now)).await;
        let summary = summary.expect("a summary");
        let plan = summary.plan(tenant).expect("a plan");
        let request = Request {
            upload,
            collection: &collection.parse().expect("a collection"),
            record_type: &record_type.parse().expect("a record type"),
            rows,
            since: now,
            until: now + TimeDelta::minutes(15),
            format: search::FORMAT,
        };
        let limits = plan.limits();
        let reserved = table
            .reserve_for(tenant, &summary, limits, &request, (staging, None))
            .await;
        match reserved.expect("an outcome") {
            Reserved::Yes(collection, hold) => Upload {
                app: self,
                tenant: tenant.clone(),
                id: request.upload,
                collection,
                hold,
            },
            refused => panic!("refused: {refused:?}"),
        }
    }

    /// Begins a replace of a collection and reserves room for its rows, as an upload does.
    pub async fn begin_replace(
        &self,
        tenant: &TenantId,
        (collection, record_type): (&str, &str),
        rows: u64,
    ) -> Upload<'_> {
        let now = self.app.clock.now();
        let upload = self.app.ids.upload(now);
        let name = collection.parse().expect("a collection");
        let kind = record_type.parse().expect("a record type");
        let table = &self.app.table;
        let begun = table.begin_replace(tenant, &name, upload, &kind, now, search::FORMAT);
        let generation = match begun.await.expect("an answer") {
            Begun::Yes(_, generation) => generation,
            refused => panic!("refused: {refused:?}"),
        };
        let staging = (upload, Some(generation));
        self.reserve_as(tenant, (collection, record_type), rows, staging)
            .await
    }

    /// Adds rows to a collection and record type, and returns their ids in the order of the rows.
    pub async fn add(
        &self,
        tenant: &TenantId,
        place: (&str, &str),
        rows: &[Value],
    ) -> Vec<RecordId> {
        let upload = self.reserve(tenant, place, rows.len() as u64).await;
        upload.run(rows).await
    }
}

impl Upload<'_> {
    /// Does all that is left of it, and returns the ids of the rows' records in the order of the rows.
    pub async fn run(&self, rows: &[Value]) -> Vec<RecordId> {
        let records = self.write(rows.iter().cloned()).await;
        let mut tally = Tally::default();
        for record in &records {
            tally.add(record.id, record.visibility);
        }
        self.settle(&tally).await;
        self.fold().await;
        records.iter().map(|record| record.id).collect()
    }

    /// Writes the first rows of the file and returns their records.
    pub async fn write(&self, rows: impl IntoIterator<Item = Value>) -> Vec<Record> {
        let records: Vec<Record> = rows
            .into_iter()
            .zip(1..)
            .map(|(row, number)| self.record(row, number))
            .collect();
        if records.iter().any(|it| it.visibility == Visibility::Public) {
            let (table, hold) = (&self.app.app.table, &self.hold);
            let listed = table.list_openly(&self.tenant, &hold.collection, hold.number);
            listed.await.expect("a listed collection");
        }
        let place = Place::new(&self.tenant, self.hold.number, self.hold.generation);
        let all: Vec<&Record> = records.iter().collect();
        let deadline = Instant::now() + Duration::from_mins(1);
        let additions = self.app.app.table.add_records(&place, &all, deadline).await;
        for added in additions.rows {
            assert_eq!(added, Some(Added::Yes));
        }
        records
    }

    /// Ends the upload; `tally` is what it did.
    pub async fn settle(&self, tally: &Tally) {
        let (table, now) = (&self.app.app.table, self.app.app.clock.now());
        let settled = table
            .settle(&self.tenant, self.id, &self.hold, tally, now)
            .await;
        assert!(settled.expect("an end"), "the upload was settled already");
    }

    /// Takes in what the upload adds, as its call does meanwhile.
    #[must_use]
    pub fn ahead(&self) -> Ahead {
        let (name, of) = (&self.hold.collection, self.hold.of());
        let base = self.collection.indexes[&self.hold.generation].clone();
        let indexes = self.app.app.indexes().expect("indexes");
        indexes.ahead(&self.tenant, name, of, base)
    }

    /// Folds what the upload wrote, as its call does at the end.
    pub async fn fold(&self) {
        let (name, generation) = (&self.hold.collection, self.hold.generation);
        let own = Own {
            upload: Some(self.id),
            ahead: None,
        };
        let indexes = self.app.app.indexes().expect("indexes");
        let folded = indexes.fold(&self.tenant, name, generation, own, Effort::Call);
        folded.await.expect("a fold");
    }

    /// The record that the upload makes of a row.
    fn record(&self, row: Value, number: u64) -> Record {
        let draft = Draft::parse(row).expect("a good row");
        let hold = &self.hold;
        let identity = draft.identity();
        let id = RecordId::derive(
            &self.tenant,
            &hold.collection,
            hold.number,
            &hold.record_type,
            &identity,
        );
        draft.into_record(Origin {
            id,
            collection: hold.collection.clone(),
            record_type: hold.record_type.clone(),
            source_type: SourceType::FileUpload,
            source_name: None,
            upload: self.id,
            row: number,
            at: hold.since,
        })
    }
}

/// What an upload did that added so many records to each shard, so many of them public; where it
/// added none, it changed one.
#[must_use]
pub fn tally(shards: &[(u8, u64, u64)]) -> Tally {
    let mut tally = Tally::default();
    for (shard, added, public) in shards {
        let id = |number: u64| {
            let bits = u128::from(number) << 80 | u128::from(*shard);
            RecordId(Uuid::from_u128(bits))
        };
        for number in 0..*added {
            let visibility = if number < *public {
                Visibility::Public
            } else {
                Visibility::Private
            };
            tally.add(id(number), visibility);
        }
        if *added == 0 {
            tally.change(id(0));
        }
    }
    tally
}

/// Every record of a shard, however many pages it has.
pub async fn shard_records(
    table: &Table,
    place: &Place,
    collection: &CollectionName,
    shard: u8,
) -> table::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut after = None;
    loop {
        let (page, next) = table.shard_records(place, collection, shard, after).await?;
        assert!(page.corrupt.is_empty(), "{:?}", page.corrupt);
        records.extend(page.records.into_values());
        after = next;
        if after.is_none() {
            return Ok(records);
        }
    }
}
