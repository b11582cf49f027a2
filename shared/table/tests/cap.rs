//! Caps and reservations: exact whatever runs at once, and settled whatever was cut short.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use model::collection::Collection;
use model::id::{CollectionName, RecordId, RecordType, TenantId, UploadId};
use model::period::Period;
use model::plan::Plan;
use model::quickstart::Step;
use model::record::{Identity, Record, SourceType, Visibility};
use model::time::Moment;
use serde_json::Map;
use table::cap::{Hold, Request, Reserved, Tally};
use table::record::{Added, Place};
use table::summary::Summary;
use table::{Error, Table};
use testkit::{Fault, Faults, NOW, TABLE, engine};
use tokio::time::Instant;
use uuid::Uuid;

const TRANSACTION: &str = "TransactWriteItems";

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

/// When the reservations of these tests end.
fn end() -> Moment {
    now() + TimeDelta::minutes(15)
}

fn upload(n: u128) -> UploadId {
    UploadId(Uuid::from_u128(n))
}

fn product() -> RecordType {
    "product".parse().expect("a record type")
}

async fn summary(table: &Table) -> Summary {
    let summary = table.summary(&tenant(), Period::of(now())).await;
    summary.expect("a summary")
}

async fn try_reserve(
    table: &Table,
    plan: Plan,
    upload: UploadId,
    collection: &str,
    rows: u64,
) -> table::Result<Reserved> {
    let collection: CollectionName = collection.parse().expect("a name");
    let record_type = product();
    let request = Request {
        upload,
        collection: &collection,
        record_type: &record_type,
        rows,
        since: now(),
        until: end(),
        format: 1,
    };
    let summary = summary(table).await;
    table
        .reserve(&tenant(), &summary, plan.limits(), &request)
        .await
}

async fn reserve(
    table: &Table,
    plan: Plan,
    upload: UploadId,
    collection: &str,
    rows: u64,
) -> Reserved {
    let reserved = try_reserve(table, plan, upload, collection, rows).await;
    reserved.expect("an answer")
}

#[track_caller]
fn held(reserved: Reserved) -> (Collection, Hold) {
    match reserved {
        Reserved::Yes(collection, hold) => (collection, hold),
        refused => panic!("{refused:?}"),
    }
}

/// What an upload did that added so many rows, all in one shard.
fn added(rows: u64) -> Tally {
    testkit::tally(&[(0, rows, 0)])
}

async fn settle(table: &Table, upload: UploadId, hold: &Hold, tally: &Tally) -> bool {
    let settled = table.settle(&tenant(), upload, hold, tally, now()).await;
    settled.expect("an answer")
}

/// An upload from its reservation, for which it waits as long as it has to, to its end.
async fn run(table: &Table, plan: Plan, upload: UploadId, collection: &str, rows: u64) -> Reserved {
    loop {
        match reserve(table, plan, upload, collection, rows).await {
            Reserved::Again => tokio::time::sleep(Duration::from_millis(2)).await,
            Reserved::Yes(collection, hold) => {
                assert!(settle(table, upload, &hold, &added(rows)).await);
                return Reserved::Yes(collection, hold);
            }
            refused => return refused,
        }
    }
}

fn record(collection: &Collection, n: u32, upload: UploadId, visibility: Visibility) -> Record {
    let source_id = n.to_string();
    let id = RecordId::derive(
        &tenant(),
        &collection.name,
        collection.number,
        &product(),
        &Identity::Source(&source_id),
    );
    Record {
        id,
        collection: collection.name.clone(),
        record_type: product(),
        name: format!("Bolt {n}"),
        description: None,
        data: Map::new(),
        visibility,
        source_type: SourceType::FileUpload,
        source_name: None,
        source_id: Some(source_id),
        created_at: now(),
        updated_at: now(),
        version: 1,
        upload,
        row: 1,
    }
}

fn place(collection: &Collection) -> Place {
    Place::new(&tenant(), collection.number, collection.generation)
}

async fn add(table: &Table, collection: &Collection, records: &[Record]) {
    let records: Vec<&Record> = records.iter().collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    let additions = table
        .add_records(&place(collection), &records, deadline)
        .await;
    assert!(additions.rows.iter().all(|row| *row == Some(Added::Yes)));
}

/// Whether any reservation is left, however old.
async fn anything_held(table: &Table) -> bool {
    let caps = summary(table).await.caps;
    !caps.abandoned(end(), None).is_empty()
}

#[tokio::test]
async fn a_reservation_holds_what_it_asked_for_until_it_is_settled() {
    let table = testkit::table().await;
    let (collection, hold) = held(reserve(&table, Plan::Free, upload(1), "parts", 30).await);
    assert_eq!(collection.name.as_str(), "parts");
    assert_eq!((collection.number, collection.generation), (1, 1));
    assert_eq!((hold.number, hold.generation, hold.rows), (1, 1, 30));
    assert_eq!((hold.since, hold.until), (now(), end()));

    // 20 of 50 are left; more depends on what becomes of the first upload.
    let second = reserve(&table, Plan::Free, upload(2), "parts", 21).await;
    assert_eq!(second, Reserved::Again);
    let (_, second) = held(reserve(&table, Plan::Free, upload(2), "parts", 20).await);
    assert!(settle(&table, upload(1), &hold, &Tally::default()).await);
    held(reserve(&table, Plan::Free, upload(3), "parts", 30).await);

    assert!(settle(&table, upload(2), &second, &added(20)).await);
    assert_eq!(summary(&table).await.records(), 20);
    let fourth = reserve(&table, Plan::Free, upload(4), "parts", 1).await;
    assert_eq!(fourth, Reserved::Again);
    let fifth = reserve(&table, Plan::Free, upload(5), "parts", 31).await;
    assert_eq!(fifth, Reserved::RecordCap);
}

#[tokio::test]
async fn a_full_plan_takes_no_more_records_but_changes_of_them() {
    let table = testkit::table().await;
    held(run(&table, Plan::Free, upload(1), "parts", 50).await);

    let one_more = reserve(&table, Plan::Free, upload(2), "parts", 1).await;
    assert_eq!(one_more, Reserved::RecordCap);
    let (_, hold) = held(reserve(&table, Plan::Free, upload(3), "parts", 0).await);
    assert!(settle(&table, upload(3), &hold, &added(0)).await);

    assert_eq!(summary(&table).await.records(), 50);
}

#[tokio::test]
async fn a_file_larger_than_the_plan_is_refused_and_holds_nothing() {
    let table = testkit::table().await;

    let reserved = reserve(&table, Plan::Free, upload(1), "parts", 51).await;

    assert_eq!(reserved, Reserved::RecordCap);
    let summary = summary(&table).await;
    assert!(summary.collections.is_empty() && summary.reserved.is_empty());
    assert!(!anything_held(&table).await);
}

#[tokio::test]
async fn a_plan_of_one_collection_has_one() {
    let table = testkit::table().await;
    let (_, hold) = held(reserve(&table, Plan::Free, upload(1), "parts", 1).await);

    // As long as the first is in flight nobody knows whether it becomes one.
    let other = reserve(&table, Plan::Free, upload(2), "hotels", 1).await;
    assert_eq!(other, Reserved::Again);
    assert!(settle(&table, upload(1), &hold, &added(1)).await);

    let other = reserve(&table, Plan::Free, upload(2), "hotels", 1).await;
    assert_eq!(other, Reserved::CollectionCap);
    held(reserve(&table, Plan::Free, upload(2), "parts", 1).await);
}

#[tokio::test]
async fn an_upload_that_added_nothing_leaves_no_collection_and_takes_none_away() {
    let table = testkit::table().await;
    let (_, hold) = held(reserve(&table, Plan::Free, upload(1), "parts", 1).await);
    assert!(settle(&table, upload(1), &hold, &Tally::default()).await);

    assert!(summary(&table).await.collections.is_empty());
    let (hotels, _) = held(reserve(&table, Plan::Free, upload(2), "hotels", 1).await);
    assert_eq!(hotels.number, 2);
}

#[tokio::test]
async fn of_20_uploads_at_once_exactly_as_many_pass_as_fit() {
    let table = testkit::table().await;

    let ended = join_all((0..20).map(|n| run(&table, Plan::Free, upload(n), "parts", 10))).await;

    let (passed, refused): (Vec<Reserved>, Vec<Reserved>) = ended
        .into_iter()
        .partition(|ended| matches!(ended, Reserved::Yes(..)));
    assert_eq!(passed.len(), 5);
    assert!(refused.iter().all(|ended| *ended == Reserved::RecordCap));
    let summary = summary(&table).await;
    assert_eq!(summary.records(), 50);
    assert_eq!(summary.collections.len(), 1);
    assert!(!anything_held(&table).await);
}

#[tokio::test]
async fn of_10_new_collections_at_once_a_plan_of_one_gets_one() {
    let table = testkit::table().await;
    let names: Vec<String> = (0..10).map(|n| format!("c{n}")).collect();

    let uploads = names.iter().zip(1..);
    let ended =
        join_all(uploads.map(|(name, n)| run(&table, Plan::Free, upload(n), name, 1))).await;

    let (passed, refused): (Vec<Reserved>, Vec<Reserved>) = ended
        .into_iter()
        .partition(|ended| matches!(ended, Reserved::Yes(..)));
    assert_eq!(passed.len(), 1);
    assert!(
        refused
            .iter()
            .all(|ended| *ended == Reserved::CollectionCap)
    );
    assert_eq!(summary(&table).await.collections.len(), 1);
}

#[tokio::test]
async fn uploads_at_once_to_a_new_collection_make_one() {
    let table = testkit::table().await;

    let ended = join_all((0..10).map(|n| run(&table, Plan::Pro, upload(n), "parts", 7))).await;

    for reserved in ended {
        assert_eq!(held(reserved).0.number, 1);
    }
    let summary = summary(&table).await;
    assert_eq!(summary.collections.len(), 1);
    assert_eq!(summary.records(), 70);
}

#[tokio::test]
async fn every_new_collection_has_a_number_of_its_own() {
    let table = testkit::table().await;
    let names: Vec<String> = (0..10).map(|n| format!("c{n}")).collect();

    let uploads = names.iter().zip(1..);
    let ended = join_all(uploads.map(|(name, n)| run(&table, Plan::Pro, upload(n), name, 1))).await;

    let numbers: BTreeSet<u32> = ended
        .into_iter()
        .map(|reserved| held(reserved).0.number)
        .collect();
    assert_eq!(numbers, (1..=10).collect::<BTreeSet<_>>());
    assert_eq!(summary(&table).await.collections.len(), 10);
}

#[tokio::test]
async fn an_upload_is_settled_once() {
    let table = testkit::table().await;
    let (_, hold) = held(reserve(&table, Plan::Free, upload(1), "parts", 10).await);
    let tally = added(10);

    let settled = join_all((0..8).map(|_| settle(&table, upload(1), &hold, &tally))).await;

    assert_eq!(settled.iter().filter(|settled| **settled).count(), 1);
    assert_eq!(summary(&table).await.records(), 10);
}

#[tokio::test]
async fn a_settled_upload_shows_its_collection_counts_type_and_step() {
    let table = testkit::table().await;
    let (_, hold) = held(reserve(&table, Plan::Pro, upload(1), "parts", 5).await);
    let tally = testkit::tally(&[(0, 2, 1), (7, 3, 3), (15, 0, 0)]);

    assert!(settle(&table, upload(1), &hold, &tally).await);

    let summary = summary(&table).await;
    let [(collection, counts)] = &summary.collections[..] else {
        panic!("{:?}", summary.collections)
    };
    assert_eq!(collection.name.as_str(), "parts");
    assert_eq!(collection.record_types, BTreeSet::from([product()]));
    assert_eq!((counts.total, counts.public), (5, 4));
    assert_eq!((counts.pending, counts.indexed()), (0, 5));
    assert_eq!(counts.last_updated, Some(now()));
    assert_eq!(
        summary.checklist.completed_at(Step::UploadData),
        Some(now())
    );
}

#[tokio::test]
async fn a_collection_is_as_new_as_its_newest_record_whoever_ends_last() {
    let table = testkit::table().await;
    let (_, slow) = held(reserve(&table, Plan::Pro, upload(1), "parts", 1).await);
    let (_, quick) = held(reserve(&table, Plan::Pro, upload(2), "parts", 2).await);
    let later = now() + TimeDelta::seconds(9);

    let tenant = tenant();
    let settled = table
        .settle(&tenant, upload(2), &quick, &added(2), later)
        .await;
    assert!(settled.unwrap());
    let settled = table
        .settle(&tenant, upload(1), &slow, &added(1), now())
        .await;
    assert!(settled.unwrap());

    let summary = summary(&table).await;
    assert_eq!(summary.records(), 3);
    assert_eq!(summary.collections[0].1.last_updated, Some(later));
}

#[tokio::test]
async fn a_reservation_is_abandoned_from_the_instant_of_its_end() {
    let table = testkit::table().await;
    let (_, hold) = held(reserve(&table, Plan::Free, upload(1), "parts", 1).await);

    let caps = summary(&table).await.caps;

    let moment = TimeDelta::microseconds(1);
    assert!(caps.abandoned(end() - moment, None).is_empty());
    assert_eq!(caps.abandoned(end(), None), [(upload(1), hold.clone())]);
    // A process that is alone since then knows that nobody writes any more.
    assert!(caps.abandoned(now(), Some(now())).is_empty());
    assert_eq!(
        caps.abandoned(now(), Some(now() + moment)),
        [(upload(1), hold)]
    );
}

#[tokio::test]
async fn an_upload_that_was_cut_short_counts_the_records_that_name_it() {
    let table = testkit::table().await;
    held(run(&table, Plan::Free, upload(1), "parts", 0).await);
    let (collection, hold) = held(reserve(&table, Plan::Free, upload(2), "parts", 40).await);
    let foreign = [record(&collection, 100, upload(9), Visibility::Public)];
    add(&table, &collection, &foreign).await;
    let own: Vec<Record> = (0..30)
        .map(|n| {
            let visibility = if n % 3 == 0 {
                Visibility::Public
            } else {
                Visibility::Private
            };
            record(&collection, n, upload(2), visibility)
        })
        .collect();
    add(&table, &collection, &own).await;
    assert_eq!(summary(&table).await.records(), 0);

    let settled = table.settle_abandoned(&tenant(), upload(2), &hold).await;

    settled.unwrap();
    let summary = summary(&table).await;
    assert_eq!(summary.records(), 30);
    assert_eq!(summary.collections[0].1.public, 10);
    assert_eq!(summary.collections[0].1.last_updated, Some(now()));
    assert!(!anything_held(&table).await);
}

#[tokio::test]
async fn an_upload_that_was_cut_short_before_its_first_record_leaves_nothing() {
    let table = testkit::table().await;
    let (_, hold) = held(reserve(&table, Plan::Free, upload(1), "parts", 40).await);

    let settled = table.settle_abandoned(&tenant(), upload(1), &hold).await;

    settled.unwrap();
    let summary = summary(&table).await;
    assert!(summary.collections.is_empty());
    assert_eq!(summary.checklist.completed_at(Step::UploadData), None);
    assert!(!anything_held(&table).await);
    held(reserve(&table, Plan::Free, upload(2), "hotels", 50).await);
}

#[tokio::test]
async fn an_upload_that_was_cut_short_after_a_change_dates_the_collection() {
    let table = testkit::table().await;
    let (collection, hold) = held(reserve(&table, Plan::Free, upload(1), "parts", 1).await);
    let old = record(&collection, 1, upload(1), Visibility::Private);
    add(&table, &collection, std::slice::from_ref(&old)).await;
    assert!(settle(&table, upload(1), &hold, &added(1)).await);
    let (_, hold) = held(reserve(&table, Plan::Free, upload(2), "parts", 0).await);
    let later = now() + TimeDelta::minutes(1);
    let new = Record {
        name: "Nut".to_owned(),
        updated_at: later,
        version: 2,
        ..old.clone()
    };
    let changed = table
        .change_record(&place(&collection), &old, &new, upload(2))
        .await;
    assert!(changed.unwrap());

    let settled = table.settle_abandoned(&tenant(), upload(2), &hold).await;

    settled.unwrap();
    let summary = summary(&table).await;
    assert_eq!(summary.records(), 1);
    assert_eq!(summary.collections[0].1.last_updated, Some(later));
}

#[tokio::test]
async fn of_many_that_settle_for_an_abandoned_upload_one_counts() {
    let table = testkit::table().await;
    let (collection, hold) = held(reserve(&table, Plan::Free, upload(1), "parts", 9).await);
    let records: Vec<Record> = (0..9)
        .map(|n| record(&collection, n, upload(1), Visibility::Public))
        .collect();
    add(&table, &collection, &records).await;

    let settlers = (0..8).map(|_| async {
        let settled = table.settle_abandoned(&tenant(), upload(1), &hold).await;
        settled.unwrap();
    });
    join_all(settlers).await;

    // The upload itself comes back late and counts nothing more.
    assert!(!settle(&table, upload(1), &hold, &added(9)).await);
    let summary = summary(&table).await;
    assert_eq!(summary.records(), 9);
    assert_eq!(summary.collections[0].1.public, 9);
}

#[tokio::test]
async fn one_tenants_reservations_hold_nothing_of_anothers() {
    let table = testkit::table().await;
    held(reserve(&table, Plan::Free, upload(1), "parts", 50).await);

    let other: TenantId = "t_other".parse().unwrap();
    let summary = table.summary(&other, Period::of(now())).await.unwrap();

    assert!(summary.collections.is_empty() && summary.reserved.is_empty());
    assert!(summary.caps.abandoned(end(), None).is_empty());
}

#[tokio::test]
async fn a_reservation_whose_answer_was_lost_is_held_once() {
    let endpoint = engine().await;
    let faults = Faults::default();
    let faulty = faults.table(&endpoint, TABLE);
    faulty.create().await.unwrap();
    faults.inject(TRANSACTION, Fault::Lost, 1);

    let (_, hold) = held(reserve(&faulty, Plan::Free, upload(1), "parts", 30).await);

    held(reserve(&faulty, Plan::Free, upload(2), "parts", 20).await);
    let third = reserve(&faulty, Plan::Free, upload(3), "parts", 1).await;
    assert_eq!(third, Reserved::Again);

    faults.inject(TRANSACTION, Fault::Lost, 1);
    assert!(settle(&faulty, upload(1), &hold, &added(30)).await);
    assert_eq!(summary(&faulty).await.records(), 30);
}

#[tokio::test]
async fn a_reservation_that_meets_other_transactions_is_tried_again() {
    let endpoint = engine().await;
    let faults = Faults::default();
    let faulty = faults.table(&endpoint, TABLE);
    faulty.create().await.unwrap();
    faults.inject(TRANSACTION, Fault::Conflict, 3);

    let (_, hold) = held(reserve(&faulty, Plan::Free, upload(1), "parts", 30).await);

    faults.inject(TRANSACTION, Fault::Conflict, 3);
    assert!(settle(&faulty, upload(1), &hold, &added(30)).await);
    assert_eq!(summary(&faulty).await.records(), 30);
}

#[tokio::test]
async fn a_reservation_that_is_throttled_for_ever_is_given_up_and_holds_nothing() {
    let endpoint = engine().await;
    let faults = Faults::default();
    let faulty = faults.table(&endpoint, TABLE);
    faulty.create().await.unwrap();
    faults.inject(TRANSACTION, Fault::Throttled, 100);

    let reserved = try_reserve(&faulty, Plan::Free, upload(1), "parts", 30).await;

    assert!(
        matches!(reserved, Err(Error::Unavailable(_))),
        "{reserved:?}"
    );
    assert!(!anything_held(&faulty).await);
    assert!(summary(&faulty).await.reserved.is_empty());
    faults.clear();
    held(reserve(&faulty, Plan::Free, upload(1), "parts", 50).await);
}
