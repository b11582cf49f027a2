//! What these tests share: a file is sent and worked on, and what became of it is looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use files::Received;
use futures_util::stream;
use ingestion::background::{Progress, run};
use model::id::{SHARDS, TenantId, UploadId};
use model::record::Record;
use model::upload::{Job, RowError, Way};
use table::record::Place;
use table::upload::{Announced, ErrorPlace};
use testkit::TestApp;

pub(crate) const SETTINGS: [(&str, &str); 1] = [("RATE_LIMIT_ENABLED", "false")];
pub(crate) const LONG: Duration = Duration::from_mins(10);

pub(crate) fn job(app: &TestApp, name: &str, size: usize) -> Job {
    let now = app.app.clock.now();
    let (collection, record_type) = ("parts", "product");
    Job {
        file_name: name.to_owned(),
        size_bytes: size as u64,
        until: now + TimeDelta::minutes(15),
        ..Job::new(
            app.app.ids.upload(now),
            collection.parse().expect("a collection"),
            record_type.parse().expect("a record type"),
            Way::File,
            now,
        )
    }
}

/// Announces a file and sends it.
pub(crate) async fn send(app: &TestApp, tenant: &TenantId, name: &str, file: &str) -> UploadId {
    let job = job(app, name, file.len());
    let announced = app.app.table.create_upload(tenant, &job, None).await;
    assert_eq!(announced.expect("a good one"), Announced::Yes);
    let body = stream::iter([Ok::<_, std::io::Error>(file.to_owned().into())]);
    let received = app.files.receive(tenant, job.id, file.len() as u64, body);
    assert_eq!(received.await.expect("a good one"), Received::Stored);
    job.id
}

pub(crate) async fn found(app: &TestApp, tenant: &TenantId, id: UploadId) -> Job {
    let job = app.app.table.find_upload(tenant, id).await;
    job.expect("an answer").expect("an upload")
}

pub(crate) async fn errors(app: &TestApp, tenant: &TenantId, id: UploadId) -> Vec<RowError> {
    let first = ErrorPlace::default();
    let listed = app.app.table.list_errors(tenant, id, &first, usize::MAX);
    listed.await.expect("errors").0
}

/// The records by name, after a check that the counters say what a recount says and that nothing is
/// reserved.
pub(crate) async fn records(app: &TestApp, tenant: &TenantId) -> BTreeMap<String, Record> {
    let summary = app.app.summary(tenant).await.expect("a summary");
    let later = app.app.clock.now() + TimeDelta::days(1);
    assert_eq!(summary.caps.abandoned(later, None), []);
    let mut all = BTreeMap::new();
    for (collection, counts) in &summary.collections {
        let place = Place::new(tenant, collection.number, collection.generation);
        for shard in 0..SHARDS {
            let table = &app.app.table;
            let found = testkit::shard_records(table, &place, &collection.name, shard).await;
            for record in found.expect("a shard") {
                all.insert(record.name.clone(), record);
            }
        }
        assert_eq!(counts.total, all.len() as u64);
    }
    all
}

/// Step by step to the end.
pub(crate) async fn whole(app: &TestApp, tenant: &TenantId, id: UploadId) {
    while run(&app.app, tenant, id, Duration::ZERO)
        .await
        .expect("a step")
        == Progress::More
    {}
}
