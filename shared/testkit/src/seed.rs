//! Records by the verbs of the table, written as an upload writes them.

use std::time::Duration;

use chrono::TimeDelta;
use model::collection::Collection;
use model::id::{RecordId, TenantId, UploadId};
use model::period::Period;
use model::record::{Draft, Record, SourceType, Visibility};
use serde_json::Value;
use table::cap::{Hold, Request, Reserved, Tally};
use table::record::{Added, Place};
use tokio::time::Instant;

use crate::TestApp;

/// An upload that has room for its rows. Until it is settled it is in flight.
#[derive(Clone)]
pub struct Upload<'a> {
    app: &'a TestApp,
    tenant: TenantId,
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
        let (table, now) = (&self.app.table, self.app.clock.now());
        let summary = table.summary(tenant, Period::of(now)).await;
        let summary = summary.expect("a summary");
        let plan = summary.plan(tenant).expect("a plan");
        let request = Request {
            upload: self.app.ids.upload(now),
            collection: &collection.parse().expect("a collection"),
            record_type: &record_type.parse().expect("a record type"),
            rows,
            since: now,
            until: now + TimeDelta::minutes(15),
        };
        let reserved = table
            .reserve(tenant, &summary, plan.limits(), &request)
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

    /// Adds rows to a collection and record type, and returns their ids in the order of the rows.
    pub async fn add(
        &self,
        tenant: &TenantId,
        place: (&str, &str),
        rows: &[Value],
    ) -> Vec<RecordId> {
        let upload = self.reserve(tenant, place, rows.len() as u64).await;
        let records = upload.write(rows.iter().cloned()).await;
        let mut tally = Tally::new();
        for record in &records {
            let shard = tally.entry(record.id.shard()).or_default();
            shard.added += 1;
            shard.public += u64::from(record.visibility == Visibility::Public);
        }
        upload.settle(&tally).await;
        let ids = records.iter().map(|record| record.id).collect();
        let written = self.app.written(tenant, &upload.collection, records).await;
        written.expect("an index");
        ids
    }
}

impl Upload<'_> {
    /// Writes the first rows of the file and returns their records.
    pub async fn write(&self, rows: impl IntoIterator<Item = Value>) -> Vec<Record> {
        let records: Vec<Record> = rows
            .into_iter()
            .zip(1..)
            .map(|(row, number)| self.record(row, number))
            .collect();
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
        Record {
            id,
            collection: hold.collection.clone(),
            record_type: hold.record_type.clone(),
            name: draft.name,
            description: draft.description,
            data: draft.data,
            visibility: draft.visibility.unwrap_or_default(),
            source_type: SourceType::FileUpload,
            source_name: None,
            source_id: draft.source_id,
            created_at: hold.since,
            updated_at: hold.since,
            version: 1,
            upload: self.id,
            row: number,
        }
    }
}
