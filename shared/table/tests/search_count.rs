//! The searches of a month and its days: a cap is exact, and no search is ever counted too few.

use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::TenantId;
use model::period::{Day, Period};
use model::time::Moment;
use table::search::Counted;
use table::{Error, Table};
use testkit::{Fault, NOW, faulty_table};

const UPDATE: &str = "UpdateItem";

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

fn today() -> Day {
    Day::of(now())
}

fn period() -> Period {
    today().period()
}

async fn counted(table: &Table) -> u64 {
    let summary = table.summary(&tenant(), period()).await;
    summary.expect("a summary").searches
}

async fn count(table: &Table) -> Counted {
    let counted = table.count_search(&tenant(), today()).await;
    counted.expect("an answer")
}

async fn count_capped(table: &Table, cap: u64) -> Option<Counted> {
    let counted = table.count_capped_search(&tenant(), today(), cap).await;
    counted.expect("an answer")
}

async fn give_back(table: &Table, counted: Counted) {
    let given_back = table.uncount_search(&tenant(), counted).await;
    given_back.expect("an answer");
}

/// A search that may fail after it was counted; `None` if it did or was not let pass.
async fn count_and_maybe_give_back(table: &Table, fails: bool) -> Option<Counted> {
    let counted = count_capped(table, 30).await?;
    if fails {
        give_back(table, counted).await;
        return None;
    }
    Some(counted)
}

#[tokio::test]
async fn of_100_searches_at_once_exactly_as_many_pass_as_the_cap_says() {
    let table = testkit::table().await;

    let passed = join_all((0..100).map(|_| count_capped(&table, 50))).await;

    assert_eq!(passed.iter().flatten().count(), 50);
    assert_eq!(counted(&table).await, 50);
    assert_eq!(count_capped(&table, 50).await, None);
    assert_eq!(counted(&table).await, 50);
}

#[tokio::test]
async fn a_search_that_is_given_back_can_be_made_again_and_once() {
    let table = testkit::table().await;
    let five = join_all((0..5).map(|_| count_capped(&table, 5))).await;
    let one = five.into_iter().flatten().next().unwrap();
    assert_eq!(count_capped(&table, 5).await, None);

    give_back(&table, one).await;

    assert_eq!(counted(&table).await, 4);
    assert!(count_capped(&table, 5).await.is_some());
    assert_eq!(count_capped(&table, 5).await, None);
}

#[tokio::test]
async fn searches_and_their_returns_at_once_keep_the_count_exact() {
    let table = testkit::table().await;

    let searches = (0..60).map(|n| count_and_maybe_give_back(&table, n % 2 == 0));
    let passed = join_all(searches).await;

    let kept = passed.iter().flatten().count() as u64;
    assert_eq!(counted(&table).await, kept);
    assert!(kept <= 30);
}

#[tokio::test]
async fn a_cap_of_nothing_lets_nothing_pass() {
    let table = testkit::table().await;

    assert_eq!(count_capped(&table, 0).await, None);

    assert_eq!(counted(&table).await, 0);
}

#[tokio::test]
async fn searches_without_a_cap_are_all_counted() {
    let table = testkit::table().await;

    let all = join_all((0..100).map(|_| count(&table))).await;
    assert_eq!(counted(&table).await, 100);

    join_all(all.into_iter().map(|one| give_back(&table, one))).await;
    assert_eq!(counted(&table).await, 0);
}

#[tokio::test]
async fn what_was_counted_without_a_cap_counts_under_one() {
    let table = testkit::table().await;
    join_all((0..40).map(|_| count(&table))).await;

    let passed = join_all((0..20).map(|_| count_capped(&table, 50))).await;

    assert_eq!(passed.iter().flatten().count(), 10);
    assert_eq!(counted(&table).await, 50);
    assert_eq!(count_capped(&table, 30).await, None);
}

#[tokio::test]
async fn a_new_month_starts_at_nothing_and_leaves_the_last_alone() {
    let table = testkit::table().await;
    join_all((0..3).map(|_| count_capped(&table, 3))).await;
    assert_eq!(count_capped(&table, 3).await, None);

    let next = Day::of(now() + TimeDelta::days(31));
    let passed = table.count_capped_search(&tenant(), next, 3).await;

    assert!(passed.unwrap().is_some());
    let summary = table.summary(&tenant(), next.period()).await;
    assert_eq!(summary.unwrap().searches, 1);
    assert_eq!(counted(&table).await, 3);
}

#[tokio::test]
async fn the_days_of_a_month_come_to_the_month() {
    let table = testkit::table().await;
    let tomorrow = Day::of(now() + TimeDelta::days(1));
    join_all((0..5).map(|_| count(&table))).await;
    join_all((0..3).map(|_| count_capped(&table, 50))).await;
    let tenant = tenant();
    join_all((0..2).map(|_| table.count_search(&tenant, tomorrow))).await;

    let daily = table.searches(&tenant, period()).await.unwrap();

    assert_eq!((daily.on(today()), daily.on(tomorrow)), (8, 2));
    assert_eq!(daily.total, 10);
    assert_eq!(counted(&table).await, 10);
}

#[tokio::test]
async fn a_search_is_given_back_on_the_day_of_its_count() {
    let table = testkit::table().await;
    let tomorrow = Day::of(now() + TimeDelta::days(1));
    let failed = [count(&table).await, count_capped(&table, 50).await.unwrap()];
    table.count_search(&tenant(), tomorrow).await.unwrap();

    for one in failed {
        give_back(&table, one).await;
    }

    let daily = table.searches(&tenant(), period()).await.unwrap();
    assert_eq!((daily.on(today()), daily.on(tomorrow)), (0, 1));
    assert_eq!(daily.total, 1);
}

#[tokio::test]
async fn one_tenants_searches_are_not_anothers() {
    let table = testkit::table().await;
    join_all((0..3).map(|_| count_capped(&table, 3))).await;
    for other in ["t_abc", "t_abc1234"] {
        let other: TenantId = other.parse().unwrap();
        let summary = table.summary(&other, period()).await;
        assert_eq!(summary.unwrap().searches, 0);
        let passed = table.count_capped_search(&other, today(), 1).await;
        assert!(passed.unwrap().is_some());
    }
    assert_eq!(counted(&table).await, 3);
}

#[tokio::test]
async fn a_throttled_count_is_tried_again_and_counted_once() {
    let (table, faults) = faulty_table().await;
    faults.inject("TransactWriteItems", Fault::Throttled, 2);

    assert!(count_capped(&table, 1).await.is_some());

    assert_eq!(counted(&table).await, 1);
    assert_eq!(count_capped(&table, 1).await, None);
}

#[tokio::test]
async fn a_count_that_is_throttled_for_ever_is_given_up_and_counts_nothing() {
    let (table, faults) = faulty_table().await;
    faults.inject("TransactWriteItems", Fault::Throttled, 100);

    let counting = table.count_capped_search(&tenant(), today(), 50).await;

    assert!(
        matches!(counting, Err(Error::Unavailable(_))),
        "{counting:?}"
    );
    assert_eq!(counted(&table).await, 0);
}

#[tokio::test]
async fn a_count_whose_answer_was_lost_is_at_most_one_too_many_and_never_too_few() {
    let (table, faults) = faulty_table().await;

    faults.inject(UPDATE, Fault::Lost, 1);
    count(&table).await;
    assert!((1..=2).contains(&counted(&table).await));

    let before = counted(&table).await;
    faults.inject(UPDATE, Fault::Lost, 1);
    assert!(count_capped(&table, 50).await.is_some());
    let more = counted(&table).await - before;
    assert!((1..=2).contains(&more));
}

#[tokio::test]
async fn a_return_whose_answer_was_lost_gives_back_no_more_than_one() {
    let (table, faults) = faulty_table().await;
    let first = count_capped(&table, 50).await.unwrap();
    count_capped(&table, 50).await.unwrap();
    faults.inject(UPDATE, Fault::Lost, 1);

    give_back(&table, first).await;

    assert!(counted(&table).await >= 1);
}

#[tokio::test]
async fn a_count_that_meets_a_transaction_is_tried_again_and_counted_once() {
    let (table, faults) = faulty_table().await;
    faults.inject(UPDATE, Fault::Met, 3);

    table.count_search(&tenant(), today()).await.unwrap();

    assert_eq!(counted(&table).await, 1);
}
