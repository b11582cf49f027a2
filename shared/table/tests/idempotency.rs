//! Calls under an `Idempotency-Key`: one holds a claim, and whoever lost it changes nothing of it.

use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{TenantId, UploadId};
use model::idempotency::{Attempt, Sha256Hex};
use model::time::Moment;
use table::Table;
use table::idempotency::{Claimed, Earlier, Told};
use testkit::{Fault, NOW, faulty_table};
use uuid::Uuid;

/// How long the calls of these tests may be at it.
const BUSY: TimeDelta = TimeDelta::minutes(15);

const TOLD: Told = Told {
    processing_time_ms: 12.5,
    reconciled: true,
};

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

fn attempt() -> Attempt {
    Attempt {
        call: Sha256Hex::of(b"a call"),
        body: Sha256Hex::of(b"a body"),
    }
}

fn upload(n: u8) -> UploadId {
    UploadId(Uuid::from_u128(n.into()))
}

/// Claims the call for an upload.
async fn claim(table: &Table, n: u8, at: Moment, instead: Option<&Earlier>) -> Claimed {
    let times = (at, at + BUSY);
    let claimed = table
        .claim_call(&tenant(), &attempt(), &upload(n), times, instead)
        .await;
    claimed.expect("an answer")
}

async fn find(table: &Table, at: Moment) -> Option<Earlier> {
    let found = table.find_call(&tenant(), &attempt(), at).await;
    found.expect("an answer")
}

/// The call as it is claimed for the first upload.
async fn first_claim(table: &Table) -> Earlier {
    assert_eq!(claim(table, 1, now(), None).await, Claimed::Yes);
    find(table, now()).await.expect("a call")
}

async fn note(table: &Table, n: u8) {
    let noted = table
        .note_told(&tenant(), &attempt(), &upload(n), TOLD)
        .await;
    noted.expect("an answer");
}

async fn give_up(table: &Table, n: u8) {
    let given_up = table.give_up_call(&tenant(), &attempt(), &upload(n)).await;
    given_up.expect("an answer");
}

#[tokio::test]
async fn a_call_is_claimed_once_and_what_was_answered_is_noted() {
    let table = testkit::table().await;
    assert_eq!(find(&table, now()).await, None);

    let mut first = first_claim(&table).await;

    assert_eq!(first.body, attempt().body);
    assert_eq!(first.made, upload(1).to_string());
    assert_eq!(first.began_at, now());
    assert_eq!(first.busy_until, Some(now() + BUSY));
    assert_eq!(first.told, None);
    let second = claim(&table, 2, now() + BUSY, None).await;
    assert_eq!(second, Claimed::Earlier(first.clone()));
    note(&table, 1).await;
    first.told = Some(TOLD);
    assert_eq!(find(&table, now()).await, Some(first));
}

#[tokio::test]
async fn a_call_is_the_tenants_own_and_none_of_another_key() {
    let table = testkit::table().await;
    first_claim(&table).await;
    let other_tenant: TenantId = "t_other".parse().expect("a tenant");
    let other_call = Attempt {
        call: Sha256Hex::of(b"another call"),
        ..attempt()
    };

    for (tenant, attempt) in [(&other_tenant, &attempt()), (&tenant(), &other_call)] {
        let found = table.find_call(tenant, attempt, now()).await;
        assert_eq!(found.expect("an answer"), None);
        let times = (now(), now() + BUSY);
        let claimed = table
            .claim_call(tenant, attempt, &upload(2), times, None)
            .await;
        assert_eq!(claimed.expect("an answer"), Claimed::Yes);
    }
}

#[tokio::test]
async fn of_8_claims_at_once_one_is_made_and_the_others_are_told_of_it() {
    let table = testkit::table().await;
    let cut_short = first_claim(&table).await;

    let claims = (2..10).map(|n| claim(&table, n, now(), Some(&cut_short)));
    let claims = join_all(claims).await;

    let found = find(&table, now()).await.expect("a call");
    let (made, others): (Vec<Claimed>, Vec<Claimed>) = claims
        .into_iter()
        .partition(|claimed| *claimed == Claimed::Yes);
    assert_eq!(made.len(), 1);
    for other in others {
        assert_eq!(other, Claimed::Earlier(found.clone()));
    }
}

#[tokio::test]
async fn who_comes_late_neither_notes_nor_gives_up_for_its_successor() {
    let table = testkit::table().await;
    let cut_short = first_claim(&table).await;
    let later = now() + BUSY;
    let claimed = claim(&table, 2, later, Some(&cut_short)).await;
    assert_eq!(claimed, Claimed::Yes);
    let successor = find(&table, later).await.expect("a call");
    assert_eq!(successor.made, upload(2).to_string());
    assert_eq!(successor.began_at, later);

    note(&table, 1).await;
    give_up(&table, 1).await;

    assert_eq!(find(&table, later).await, Some(successor));
}

#[tokio::test]
async fn who_claims_in_place_of_a_call_that_was_replaced_is_told_of_the_new_one() {
    let table = testkit::table().await;
    let cut_short = first_claim(&table).await;
    let claimed = claim(&table, 2, now(), Some(&cut_short)).await;
    assert_eq!(claimed, Claimed::Yes);
    let successor = find(&table, now()).await.expect("a call");

    let late = claim(&table, 3, now(), Some(&cut_short)).await;

    assert_eq!(late, Claimed::Earlier(successor.clone()));
    assert_eq!(find(&table, now()).await, Some(successor));
}

#[tokio::test]
async fn a_call_that_was_given_up_may_be_claimed_also_in_place_of_it() {
    let table = testkit::table().await;
    for knows_it in [false, true] {
        let first = first_claim(&table).await;
        give_up(&table, 1).await;
        assert_eq!(find(&table, now()).await, None);

        let instead = knows_it.then_some(&first);
        assert_eq!(claim(&table, 2, now(), instead).await, Claimed::Yes);

        give_up(&table, 2).await;
    }
}

#[tokio::test]
async fn what_was_answered_is_noted_of_no_call_that_was_given_up() {
    let table = testkit::table().await;
    first_claim(&table).await;
    give_up(&table, 1).await;

    note(&table, 1).await;

    assert_eq!(find(&table, now()).await, None);
    assert_eq!(claim(&table, 2, now(), None).await, Claimed::Yes);
}

#[tokio::test]
async fn a_call_is_forgotten_after_a_day() {
    let table = testkit::table().await;
    let first = first_claim(&table).await;
    let end = now() + TimeDelta::days(1);

    let before = end - TimeDelta::milliseconds(1);
    assert_eq!(find(&table, before).await, Some(first.clone()));
    let early = claim(&table, 2, before, None).await;
    assert_eq!(early, Claimed::Earlier(first));

    assert_eq!(find(&table, end).await, None);
    assert_eq!(claim(&table, 2, end, None).await, Claimed::Yes);
    let next = find(&table, end).await.expect("a call");
    assert_eq!(next.made, upload(2).to_string());
}

#[tokio::test]
async fn what_was_done_without_an_answer_is_done_once() {
    let (table, faults) = faulty_table().await;
    faults.inject("TransactWriteItems", Fault::Lost, 1);
    let first = first_claim(&table).await;

    faults.inject("TransactWriteItems", Fault::Lost, 1);
    let claimed = claim(&table, 2, now(), Some(&first)).await;
    assert_eq!(claimed, Claimed::Yes);

    faults.inject("UpdateItem", Fault::Lost, 1);
    note(&table, 2).await;
    let noted = find(&table, now()).await.expect("a call");
    assert_eq!(noted.told, Some(TOLD));

    faults.inject("DeleteItem", Fault::Lost, 1);
    give_up(&table, 2).await;
    assert_eq!(find(&table, now()).await, None);
}
