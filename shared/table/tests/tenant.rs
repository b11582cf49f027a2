//! Tenants and users: made once by whoever calls first, and a plan that one write changes.

use chrono::TimeDelta;
use futures_util::future::join_all;
use model::account::{Profile, ProfilePatch, User};
use model::id::{TenantId, UserId};
use model::limit;
use model::period::Period;
use model::plan::Plan;
use model::time::Moment;
use table::limit::{Entry, Pair};
use table::tenant::Tenant;
use table::{Error, Table};
use testkit::{Fault, NOW, faulty_table};

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn user() -> UserId {
    "user_1".parse().expect("a user")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

fn later() -> Moment {
    now() + TimeDelta::hours(1)
}

fn profile(name: &str) -> Profile {
    Profile {
        email: Some("developer@example.com".to_owned()),
        display_name: Some(name.to_owned()),
    }
}

/// The user that the profile makes at [`now`].
fn jane() -> User {
    User {
        id: user(),
        email: Some("developer@example.com".to_owned()),
        display_name: Some("Jane".to_owned()),
        company: None,
        created_at: now(),
    }
}

async fn found_tenant(table: &Table) -> Option<Tenant> {
    table.find_tenant(&tenant()).await.expect("an answer")
}

async fn found_user(table: &Table) -> Option<User> {
    let found = table.find_user(&tenant(), &user()).await;
    found.expect("an answer")
}

/// What the first call of a user does.
async fn welcome_as(
    table: &Table,
    user: &UserId,
    profile: &Profile,
    plan: Plan,
    at: Moment,
) -> Result<(), Error> {
    let (tenant_known, user_known) = table.known(&tenant(), user).await?;
    if !tenant_known {
        table.create_tenant(&tenant(), plan, at).await?;
    }
    if !user_known {
        table.create_user(&tenant(), user, profile, at).await?;
    }
    Ok(())
}

async fn welcome(table: &Table, name: &str, plan: Plan, at: Moment) {
    let welcomed = welcome_as(table, &user(), &profile(name), plan, at).await;
    welcomed.expect("an answer");
}

/// The plan that the limiter reads beside its count.
async fn plan_of_limiter(table: &Table, brought: Option<Plan>) -> Option<Plan> {
    let entry = Entry {
        plan: brought,
        minute: limit::minute(now()),
        current: Pair {
            requests: 1,
            searches: 0,
        },
        ..Entry::default()
    };
    let window = table.count_request(&tenant(), &entry).await;
    window.expect("a window").plan
}

#[tokio::test]
async fn nobody_is_there_before_the_first_call() {
    let table = testkit::table().await;

    assert_eq!(found_tenant(&table).await, None);
    assert_eq!(found_user(&table).await, None);

    let summary = table.summary(&tenant(), Period::of(now())).await.unwrap();
    assert_eq!(summary.tenant, None);
    let plan = summary.plan(&tenant());
    assert!(matches!(plan, Err(Error::Corrupt { .. })), "{plan:?}");
}

#[tokio::test]
async fn a_tenant_is_created_once_and_never_again() {
    let table = testkit::table().await;
    let (owner, later) = (tenant(), later());

    let created = table.create_tenant(&owner, Plan::Free, now()).await;
    assert!(created.unwrap());
    let created = table.create_tenant(&owner, Plan::Pro, later).await;
    assert!(!created.unwrap());

    let first = Tenant {
        plan: Plan::Free,
        created_at: now(),
    };
    assert_eq!(found_tenant(&table).await, Some(first));
}

#[tokio::test]
async fn of_many_that_create_a_tenant_at_once_one_did_it() {
    let table = testkit::table().await;
    let owner = tenant();

    let creations = (0..20).map(|_| table.create_tenant(&owner, Plan::Free, now()));
    let created = join_all(creations).await;

    let made = created
        .into_iter()
        .filter(|created| *created.as_ref().unwrap());
    assert_eq!(made.count(), 1);
}

#[tokio::test]
async fn the_first_call_makes_tenant_and_user_and_later_ones_change_neither() {
    let table = testkit::table().await;

    welcome(&table, "Jane", Plan::Free, now()).await;
    welcome(&table, "Somebody Else", Plan::Pro, later()).await;

    let first = Tenant {
        plan: Plan::Free,
        created_at: now(),
    };
    assert_eq!(found_tenant(&table).await, Some(first));
    assert_eq!(found_user(&table).await, Some(jane()));
}

#[tokio::test]
async fn of_many_first_calls_at_once_one_says_who_the_user_is() {
    let table = testkit::table().await;
    let names: Vec<String> = (0..20).map(|n| format!("Name {n}")).collect();

    let calls = names
        .iter()
        .map(|name| welcome(&table, name, Plan::Free, now()));
    join_all(calls).await;

    let user = found_user(&table).await.unwrap();
    assert!(names.contains(&user.display_name.unwrap()));
    assert_eq!(found_tenant(&table).await.unwrap().plan, Plan::Free);
}

#[tokio::test]
async fn a_second_user_joins_the_tenant_that_is_there() {
    let table = testkit::table().await;
    welcome(&table, "Jane", Plan::Free, now()).await;

    let second: UserId = "user_2".parse().unwrap();
    let welcomed = welcome_as(&table, &second, &Profile::default(), Plan::Pro, later()).await;

    welcomed.unwrap();
    let found = table.find_user(&tenant(), &second).await.unwrap().unwrap();
    let expected = User {
        id: second,
        email: None,
        display_name: None,
        company: None,
        created_at: later(),
    };
    assert_eq!(found, expected);
    assert_eq!(found_tenant(&table).await.unwrap().plan, Plan::Free);
    assert_eq!(found_user(&table).await, Some(jane()));
}

#[tokio::test]
async fn a_plan_can_be_set_before_the_first_call_and_after_it() {
    let table = testkit::table().await;

    table.set_plan(&tenant(), Plan::Pro, now()).await.unwrap();
    welcome(&table, "Jane", Plan::Free, later()).await;
    let mut expected = Tenant {
        plan: Plan::Pro,
        created_at: now(),
    };
    assert_eq!(found_tenant(&table).await, Some(expected.clone()));

    table
        .set_plan(&tenant(), Plan::Scale, later())
        .await
        .unwrap();
    expected.plan = Plan::Scale;
    assert_eq!(found_tenant(&table).await, Some(expected));
    assert_eq!(found_user(&table).await.unwrap().created_at, later());
}

#[tokio::test]
async fn the_limiters_copy_of_the_plan_changes_with_it() {
    let table = testkit::table().await;
    assert_eq!(plan_of_limiter(&table, None).await, None);
    assert_eq!(
        plan_of_limiter(&table, Some(Plan::Free)).await,
        Some(Plan::Free)
    );

    table.set_plan(&tenant(), Plan::Scale, now()).await.unwrap();
    assert_eq!(plan_of_limiter(&table, None).await, Some(Plan::Scale));

    // A copy that is late overwrites nothing.
    assert_eq!(
        plan_of_limiter(&table, Some(Plan::Free)).await,
        Some(Plan::Scale)
    );
}

#[tokio::test]
async fn a_profile_changes_only_where_the_user_is() {
    let table = testkit::table().await;
    welcome(&table, "Jane", Plan::Free, now()).await;
    let patch = ProfilePatch {
        display_name: None,
        company: Some(Some("Acme".to_owned())),
    };

    let other: TenantId = "t_other".parse().unwrap();
    let changed = table.update_user(&other, &user(), patch.clone()).await;
    assert_eq!(changed.unwrap(), None);
    assert_eq!(table.find_user(&other, &user()).await.unwrap(), None);

    let changed = table.update_user(&tenant(), &user(), patch).await;
    let expected = User {
        company: Some("Acme".to_owned()),
        ..jane()
    };
    assert_eq!(changed.unwrap(), Some(expected.clone()));
    assert_eq!(found_user(&table).await, Some(expected));
}

#[tokio::test]
async fn tenants_whose_names_begin_alike_are_apart() {
    let table = testkit::table().await;
    table.set_plan(&tenant(), Plan::Pro, now()).await.unwrap();
    for other in ["t_abc", "t_abc1234", "t_ABC123"] {
        let other: TenantId = other.parse().unwrap();
        assert_eq!(table.find_tenant(&other).await.unwrap(), None);
        let summary = table.summary(&other, Period::of(now())).await;
        assert_eq!(summary.unwrap().tenant, None);
    }
}

#[tokio::test]
async fn a_throttled_first_call_is_tried_again() {
    let (table, faults) = faulty_table().await;
    faults.inject("BatchGetItem", Fault::Throttled, 1);
    faults.inject("TransactWriteItems", Fault::Throttled, 1);

    welcome(&table, "Jane", Plan::Free, now()).await;

    assert_eq!(found_user(&table).await, Some(jane()));
    assert_eq!(found_tenant(&table).await.unwrap().plan, Plan::Free);
}

#[tokio::test]
async fn a_first_call_that_is_throttled_for_ever_is_given_up() {
    let (table, faults) = faulty_table().await;
    faults.inject("BatchGetItem", Fault::Throttled, 100);

    let welcomed = welcome_as(&table, &user(), &profile("Jane"), Plan::Free, now()).await;

    assert!(
        matches!(welcomed, Err(Error::Unavailable(_))),
        "{welcomed:?}"
    );
    faults.clear();
    assert_eq!(found_tenant(&table).await, None);
}

#[tokio::test]
async fn a_tenant_whose_creation_was_not_answered_is_reported_as_created() {
    let (table, faults) = faulty_table().await;
    faults.inject("TransactWriteItems", Fault::Lost, 1);

    let created = table.create_tenant(&tenant(), Plan::Free, now()).await;

    assert_eq!(found_tenant(&table).await.unwrap().plan, Plan::Free);
    assert!(created.unwrap());
}

#[tokio::test]
async fn a_first_call_whose_writes_were_not_answered_makes_both_once() {
    let (table, faults) = faulty_table().await;
    faults.inject("TransactWriteItems", Fault::Lost, 2);

    welcome(&table, "Jane", Plan::Free, now()).await;
    welcome(&table, "Somebody Else", Plan::Pro, later()).await;

    assert_eq!(found_user(&table).await, Some(jane()));
    assert_eq!(found_tenant(&table).await.unwrap().plan, Plan::Free);
}

#[tokio::test]
async fn a_plan_whose_setting_was_not_answered_or_met_others_is_set() {
    let (table, faults) = faulty_table().await;
    faults.inject("TransactWriteItems", Fault::Lost, 1);
    table.set_plan(&tenant(), Plan::Pro, now()).await.unwrap();
    assert_eq!(found_tenant(&table).await.unwrap().plan, Plan::Pro);
    assert_eq!(plan_of_limiter(&table, None).await, Some(Plan::Pro));

    faults.inject("TransactWriteItems", Fault::Conflict, 3);
    table.set_plan(&tenant(), Plan::Scale, now()).await.unwrap();
    assert_eq!(found_tenant(&table).await.unwrap().plan, Plan::Scale);
    assert_eq!(plan_of_limiter(&table, None).await, Some(Plan::Scale));
}
