//! Records by the verbs of the table, written as an upload writes them.

use std::time::Duration;

use chrono::TimeDelta;
use model::collection::Collection;
use model::id::{CollectionName, RecordId, RecordType, TenantId, UploadId};
use model::period::Period;
use model::record::{Draft, Record, SourceType, Visibility};
use serde_json::Value;
use table::cap::{Hold, Request, Reserved, Tally};
use table::record::{Added, Place};
use testkit::TestApp;
use tokio::time::Instant;

/// Rows that are written and not settled yet.
pub(crate) struct Written {
    upload: UploadId,
    hold: Hold,
    collection: Collection,
    records: Vec<Record>,
}

/// Reserves and writes rows of a collection and record type, and stops there. The reservation
/// lasts 15 minutes.
pub(crate) async fn write(
    app: &TestApp,
    tenant: &TenantId,
    (collection, record_type): (&str, &str),
    rows: &[Value],
) -> Written {
    let (table, now) = (&app.app.table, app.app.clock.now());
    let name: CollectionName = collection.parse().expect("a collection");
    let kind: RecordType = record_type.parse().expect("a record type");
    let upload = app.app.ids.upload(now);

    let summary = table.summary(tenant, Period::of(now)).await;
    let summary = summary.expect("a summary");
    let plan = summary.plan(tenant).expect("a plan");
    let request = Request {
        upload,
        collection: &name,
        record_type: &kind,
        rows: rows.len() as u64,
        since: now,
        until: now + TimeDelta::minutes(15),
    };
    let reserved = table
        .reserve(tenant, &summary, plan.limits(), &request)
        .await;
    let Ok(Reserved::Yes(collection, hold)) = reserved else {
        panic!("the plan has room for it");
    };

    let record = |row: &Value| {
        let draft = Draft::parse(row.clone()).expect("a good row");
        let identity = draft.identity();
        let id = RecordId::derive(tenant, &name, collection.number, &kind, &identity);
        Record {
            id,
            collection: name.clone(),
            record_type: kind.clone(),
            name: draft.name,
            description: draft.description,
            data: draft.data,
            visibility: draft.visibility.unwrap_or_default(),
            source_type: SourceType::FileUpload,
            source_name: None,
            source_id: draft.source_id,
            created_at: now,
            updated_at: now,
            version: 1,
            upload,
            row: 1,
        }
    };
    let records: Vec<Record> = rows.iter().map(record).collect();
    let place = Place::new(tenant, collection.number, collection.generation);
    let all: Vec<&Record> = records.iter().collect();
    let deadline = Instant::now() + Duration::from_mins(1);
    let additions = table.add_records(&place, &all, deadline).await;
    for added in additions.rows {
        assert_eq!(added, Some(Added::Yes));
    }
    Written {
        upload,
        hold,
        collection,
        records,
    }
}

/// Adds rows to a collection and record type, and returns their ids in the order of the rows.
pub(crate) async fn add(
    app: &TestApp,
    tenant: &TenantId,
    place: (&str, &str),
    rows: &[Value],
) -> Vec<RecordId> {
    let Written {
        upload,
        hold,
        collection,
        records,
    } = write(app, tenant, place, rows).await;
    let mut tally = Tally::new();
    for record in &records {
        let shard = tally.entry(record.id.shard()).or_default();
        shard.added += 1;
        shard.public += u64::from(record.visibility == Visibility::Public);
    }
    let (table, now) = (&app.app.table, app.app.clock.now());
    let settled = table.settle(tenant, upload, &hold, &tally, now).await;
    assert!(settled.expect("an end"), "the upload was settled already");
    let ids = records.iter().map(|record| record.id).collect();
    let written = app.app.written(tenant, &collection, records).await;
    written.expect("an index");
    ids
}
