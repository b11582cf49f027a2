//! What a secret opens, and when it was last used.

use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{KeyId, TenantId};
use model::key::{Key, KeyHash, KeyHolder, KeyPatch, KeySecret, SECRET_BYTES, Scope};
use model::time::Moment;
use table::Table;
use table::key::{Created, Rotated};
use testkit::{Fault, NOW, faulty_table, table};
use uuid::Uuid;

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

fn hash(n: u8) -> KeyHash {
    KeySecret::from_random([n; SECRET_BYTES]).hash()
}

fn key() -> Key {
    Key {
        id: KeyId(Uuid::from_u128(7)),
        name: "production-key".to_owned(),
        scopes: vec![Scope::Search, Scope::Upload],
        created_at: now(),
        last_used_at: None,
        expires_at: Some(now() + TimeDelta::days(1)),
    }
}

async fn create(table: &Table) {
    let created = table.create_key(&tenant(), &key(), &hash(1), None).await;
    assert_eq!(created.expect("an answer"), Created::Yes);
}

async fn holder(table: &Table, n: u8) -> Option<KeyHolder> {
    table.find_holder(&hash(n)).await.expect("an answer")
}

async fn touch(table: &Table, at: Moment) -> bool {
    let touched = table.touch_key(&tenant(), key().id, at).await;
    touched.expect("an answer")
}

async fn last_used_at(table: &Table) -> Option<Moment> {
    let keys = table.list_keys(&tenant()).await.expect("a list");
    keys[0].last_used_at
}

#[tokio::test]
async fn a_secrets_hash_leads_to_its_holder_and_another_to_nobody() {
    let table = table().await;
    create(&table).await;

    let expected = KeyHolder {
        tenant: tenant(),
        key: key().id,
        scopes: key().scopes,
        expires_at: key().expires_at,
    };
    assert_eq!(holder(&table, 1).await, Some(expected));
    assert_eq!(holder(&table, 2).await, None);
}

#[tokio::test]
async fn a_rotated_out_secret_opens_nothing_and_the_new_one_what_it_did() {
    let table = table().await;
    create(&table).await;
    let before = holder(&table, 1).await;

    let rotated = table
        .rotate_key(&tenant(), key().id, &hash(2), now(), None)
        .await;

    assert!(matches!(rotated, Ok(Rotated::Yes(_))), "{rotated:?}");
    assert_eq!(holder(&table, 1).await, None);
    assert_eq!(holder(&table, 2).await, before);
}

#[tokio::test]
async fn a_changed_scope_counts_from_the_next_call_on() {
    let table = table().await;
    create(&table).await;
    let patch = KeyPatch {
        name: None,
        scopes: Some(vec![Scope::Admin]),
    };

    let changed = table.update_key(&tenant(), key().id, &patch).await;

    assert!(changed.unwrap().is_some());
    assert_eq!(holder(&table, 1).await.unwrap().scopes, [Scope::Admin]);
}

#[tokio::test]
async fn a_revoked_secret_opens_nothing() {
    let table = table().await;
    create(&table).await;

    assert!(table.revoke_key(&tenant(), key().id).await.unwrap());

    assert_eq!(holder(&table, 1).await, None);
}

#[tokio::test]
async fn a_use_is_noted_at_most_once_a_minute() {
    let table = table().await;
    create(&table).await;
    assert_eq!(last_used_at(&table).await, None);

    for (seconds, noted) in [(0, true), (1, false), (59, false), (60, true), (119, false)] {
        let at = now() + TimeDelta::seconds(seconds);
        assert_eq!(touch(&table, at).await, noted, "{seconds}");
    }

    let last = now() + TimeDelta::seconds(60);
    assert_eq!(last_used_at(&table).await, Some(last));
}

#[tokio::test]
async fn of_20_uses_at_once_one_is_noted() {
    let table = table().await;
    create(&table).await;

    let noted = join_all((0..20).map(|_| touch(&table, now()))).await;

    assert_eq!(noted.iter().filter(|noted| **noted).count(), 1);
    assert_eq!(last_used_at(&table).await, Some(now()));
}

#[tokio::test]
async fn a_use_changes_nothing_else_and_brings_no_key_back() {
    let table = table().await;
    create(&table).await;
    touch(&table, now()).await;
    let used = Key {
        last_used_at: Some(now()),
        ..key()
    };
    assert_eq!(table.list_keys(&tenant()).await.unwrap(), [used]);

    assert!(table.revoke_key(&tenant(), key().id).await.unwrap());

    let later = now() + TimeDelta::minutes(5);
    assert!(!touch(&table, later).await);
    assert!(table.list_keys(&tenant()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_use_that_meets_a_rotation_is_noted_after_it() {
    let (table, faults) = faulty_table().await;
    create(&table).await;
    faults.inject("UpdateItem", Fault::Met, 3);

    assert!(touch(&table, now()).await);

    assert_eq!(last_used_at(&table).await, Some(now()));
}
