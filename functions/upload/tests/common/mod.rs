//! What the tests of this family share: a file goes in, and what is there is counted again.

use axum::http::StatusCode;
use model::id::{SHARDS, TenantId};
use model::quickstart::Step;
use model::record::{Record, Visibility};
use table::cap::Caps;
use table::record::Place;
use testkit::{Answer, Client, Form, TestApp};

/// Where a file goes that has no reason to go elsewhere.
pub(crate) const PATH: &str = "/portal/upload/parts/product/upload";

/// Uploads `content` as a file of that name.
pub(crate) async fn post_file(
    client: &Client<'_>,
    name: &str,
    content: impl AsRef<[u8]>,
) -> Answer {
    client.upload(PATH, Form::new().file(name, content)).await
}

/// The summary of an upload that was taken: submitted, accepted, rejected, skipped as known.
#[track_caller]
pub(crate) fn taken(answer: &Answer) -> [u64; 4] {
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let body = answer.json();
    ["submitted", "accepted", "rejected", "dedup_skipped"]
        .map(|part| body["summary"][part].as_u64().expect("a count"))
}

/// Every record of a tenant in the order of the names, after a check that the counters say what a
/// recount says.
pub(crate) async fn recounted(app: &TestApp, tenant: &TenantId) -> Vec<Record> {
    let summary = app.app.summary(tenant).await.expect("a summary");
    let live = summary
        .collections
        .iter()
        .map(|(collection, counts)| (collection, counts.total, counts.public));
    let reserved = summary.reserved.iter().map(|collection| (collection, 0, 0));
    let mut all = Vec::new();
    for (collection, total, public) in live.chain(reserved) {
        let place = Place::new(tenant, collection.number, collection.generation);
        let mut records = Vec::new();
        for shard in 0..SHARDS {
            let name = &collection.name;
            let found = testkit::shard_records(&app.app.table, &place, name, shard).await;
            records.extend(found.expect("a shard"));
        }
        let found_public = records
            .iter()
            .filter(|record| record.visibility == Visibility::Public)
            .count();
        assert_eq!(total, records.len() as u64, "total of {collection:?}");
        assert_eq!(public, found_public as u64, "public of {collection:?}");
        all.extend(records);
    }
    all.sort_by(|left, right| (&left.name, left.id).cmp(&(&right.name, right.id)));
    all
}

/// Checks that no upload has left anything: no collection, not even a reserved one, nothing held
/// and no step of the quickstart.
pub(crate) async fn assert_untouched(app: &TestApp, tenant: &TenantId) {
    let summary = app.app.summary(tenant).await.expect("a summary");
    assert!(summary.collections.is_empty(), "{:?}", summary.collections);
    assert!(summary.reserved.is_empty(), "{:?}", summary.reserved);
    assert_eq!(summary.caps, Caps::default());
    assert_eq!(summary.checklist.completed_at(Step::UploadData), None);
}
