//! Making one record by a call of its own, and finding records by their ids alone.

use std::collections::HashSet;

use chrono::TimeDelta;
use model::id::{RecordId, TenantId, UploadId};
use model::index::IndexingStatus;
use model::period::Period;
use model::plan::Plan;
use model::record::{NewRecord, Record};
use model::time::Moment;
use serde_json::json;
use table::Table;
use table::record::{Creation, Making};
use table::summary::Summary;
use testkit::{Fault, Faults, NOW, faulty_table};
use uuid::Uuid;

const TRANSACTION: &str = "TransactWriteItems";

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

async fn summary(table: &Table) -> Summary {
    let summary = table.summary(&tenant(), Period::of(now())).await;
    summary.expect("a summary")
}

/// A table in which a call has made a record of `parts`.
async fn begun(plan: Plan) -> (Table, Faults) {
    let (table, faults) = faulty_table().await;
    made(make(&table, plan, ("parts", 1)).await);
    faults.calls();
    (table, faults)
}

/// Call number `call` makes a record of a collection, as the summary says.
async fn make_as(
    table: &Table,
    summary: &Summary,
    plan: Plan,
    (collection, call): (&str, u128),
) -> Creation {
    let body = json!({"collection": collection, "record_type": "bolt", "name": "Bolt"});
    let new = NewRecord::parse(&body).expect("a good one");
    let making = Making {
        new: &new,
        call: UploadId(Uuid::from_u128(call)),
        at: now(),
        format: 1,
    };
    let tenant = tenant();
    let made = table.make_record(&tenant, summary, plan.limits(), &making);
    made.await.expect("an answer")
}

async fn make(table: &Table, plan: Plan, place: (&str, u128)) -> Creation {
    make_as(table, &summary(table).await, plan, place).await
}

#[track_caller]
fn made(creation: Creation) -> Record {
    match creation {
        Creation::Yes { record, generation } => {
            assert_eq!(generation, 1);
            *record
        }
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn without_a_cap_a_record_of_a_known_collection_and_type_is_one_transaction() {
    let (table, faults) = begun(Plan::Enterprise).await;
    let summary = summary(&table).await;
    faults.calls();

    made(make_as(&table, &summary, Plan::Enterprise, ("parts", 2)).await);

    assert_eq!(faults.calls(), [TRANSACTION]);
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_told_as_done_and_done_once() {
    for plan in [Plan::Free, Plan::Enterprise] {
        let (table, faults) = begun(plan).await;
        faults.inject(TRANSACTION, Fault::Lost, 1);

        made(make(&table, plan, ("parts", 2)).await);

        assert_eq!(summary(&table).await.records(), 2, "{plan}");
    }
}

#[tokio::test]
async fn under_a_cap_who_knows_less_asks_again_and_changes_nothing() {
    let (table, _) = begun(Plan::Free).await;
    let old = summary(&table).await;
    made(make(&table, Plan::Free, ("parts", 2)).await);

    let creation = make_as(&table, &old, Plan::Free, ("parts", 3)).await;

    assert_eq!(creation, Creation::Again);
    assert_eq!(summary(&table).await.records(), 2);
}

#[tokio::test]
async fn what_a_call_did_not_give_back_is_given_back_after_its_time() {
    let (table, faults) = begun(Plan::Free).await;
    faults.inject("UpdateItem", Fault::Met, 100);

    made(make(&table, Plan::Free, ("parts", 2)).await);
    faults.clear();

    let caps = summary(&table).await.caps;
    assert!(caps.abandoned(now(), None).is_empty());
    let left = caps.abandoned(now() + TimeDelta::minutes(1), None);
    let [(upload, hold)] = left.as_slice() else {
        panic!("{left:?}");
    };
    assert_eq!(caps.hold(*upload), None, "it is counted already");
    let settled = table.settle_abandoned(&tenant(), *upload, hold).await;
    settled.expect("an end");
    let after = summary(&table).await;
    assert_eq!(after.records(), 2);
    let later = now() + TimeDelta::minutes(1);
    assert!(after.caps.abandoned(later, None).is_empty());
}

#[tokio::test]
async fn ids_lead_to_records_of_several_collections() {
    let (table, faults) = begun(Plan::Enterprise).await;
    let second = made(make(&table, Plan::Enterprise, ("parts", 2)).await);
    let third = made(make(&table, Plan::Enterprise, ("more", 3)).await);
    let nothing = [
        RecordId(Uuid::from_u128(7)),
        RecordId(Uuid::from_u128(1 << 96)),
    ];
    faults.calls();

    let ids = [second.id, nothing[0], third.id, nothing[1]];
    let located = table.find_records(&tenant(), &ids).await.unwrap();

    assert_eq!(faults.calls(), ["Query", "BatchGetItem", "BatchGetItem"]);
    let mut found = HashSet::new();
    for located in located {
        for (id, record) in &located.records {
            assert_eq!(record.collection, located.collection.name);
            assert_eq!(located.status(*id, now()), IndexingStatus::Pending);
            found.insert(*id);
        }
    }
    assert_eq!(found, HashSet::from([second.id, third.id]));
}

#[tokio::test]
async fn a_record_and_what_is_reserved_are_read_at_one_moment() {
    let (table, faults) = begun(Plan::Free).await;
    let record = made(make(&table, Plan::Free, ("parts", 2)).await);
    faults.calls();

    let found = table.find_record_with_caps(&tenant(), record.id).await;

    assert_eq!(faults.calls(), ["Query", "TransactGetItems"]);
    let (located, caps) = found.unwrap().expect("a record");
    assert_eq!(located.records[&record.id], record);
    assert_eq!(caps.hold(record.upload), None);
}
