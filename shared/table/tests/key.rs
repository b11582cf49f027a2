//! Keys and their hash items: they change together or not at all, whatever else happens.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{KeyId, TenantId};
use model::key::{Key, KeyHash, KeyPatch, KeySecret, MAX_KEYS, SECRET_BYTES, Scope};
use model::quickstart::Step;
use model::time::Moment;
use table::key::{Created, Rotated};
use table::{Error, Table};
use testkit::{Fault, Faults, Item, NOW, TABLE, engine, items};
use uuid::Uuid;

const TRANSACTION: &str = "TransactWriteItems";

/// One table, reached by a client that always works and by one that meets faults.
struct World {
    endpoint: String,
    table: Table,
    faulty: Table,
    faults: Faults,
}

impl World {
    async fn new() -> Self {
        let endpoint = engine().await;
        let table = Table::at_endpoint(&endpoint, TABLE);
        table.create().await.expect("a table");
        let faults = Faults::default();
        Self {
            faulty: faults.table(&endpoint, TABLE),
            endpoint,
            table,
            faults,
        }
    }

    async fn create(&self, n: u8) -> Created {
        let created = self
            .table
            .create_key(&tenant(), &key(n), &hash(n), None)
            .await;
        created.expect("an answer")
    }

    async fn listed(&self) -> Vec<Key> {
        self.table.list_keys(&tenant()).await.expect("a list")
    }

    async fn items(&self) -> Vec<Item> {
        items(&self.endpoint).await
    }

    /// What the lookup by hash finds, by hash.
    async fn live(&self) -> BTreeMap<String, Item> {
        let items = self.items().await;
        items
            .into_iter()
            .filter_map(|item| {
                let hash = item["pk"].as_s().ok()?.strip_prefix("KEYHASH#")?.to_owned();
                Some((hash, item))
            })
            .collect()
    }

    /// The hashes of the live secrets, in their order.
    async fn live_hashes(&self) -> Vec<String> {
        self.live().await.into_keys().collect()
    }

    /// How many keys the tenant's counter says there are.
    async fn count(&self) -> String {
        let items = self.items().await;
        let counter = items
            .iter()
            .find(|item| item["sk"].as_s().is_ok_and(|sk| sk == "COUNT"))
            .expect("a counter");
        counter["n"].as_n().expect("a number").clone()
    }

    /// How often the client that meets faults called an operation since the last time of asking.
    fn calls(&self, operation: &str) -> usize {
        let calls = self.faults.calls().into_iter();
        calls.filter(|call| call == operation).count()
    }

    /// Waits until the client that meets faults has called an operation.
    async fn called(&self, operation: &str) {
        while self.calls(operation) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

fn hash(n: u8) -> KeyHash {
    KeySecret::from_random([n; SECRET_BYTES]).hash()
}

fn key(n: u8) -> Key {
    Key {
        id: KeyId(Uuid::from_u128(n.into())),
        name: "production-key".to_owned(),
        scopes: vec![Scope::Search, Scope::Upload],
        created_at: now() + TimeDelta::seconds(n.into()),
        last_used_at: None,
        expires_at: None,
    }
}

fn renaming(name: &str) -> KeyPatch {
    KeyPatch {
        name: Some(name.to_owned()),
        scopes: None,
    }
}

fn narrowing(scope: Scope) -> KeyPatch {
    KeyPatch {
        name: None,
        scopes: Some(vec![scope]),
    }
}

/// How scopes lie in an item.
fn stored(scopes: &[&str]) -> AttributeValue {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned());
    AttributeValue::L(scopes.map(AttributeValue::S).collect())
}

#[tokio::test]
async fn a_key_comes_with_its_hash_its_count_and_the_quickstarts_stamp() {
    let world = World::new().await;

    assert_eq!(world.create(1).await, Created::Yes);

    assert_eq!(world.listed().await, [key(1)]);
    let live = world.live().await;
    assert_eq!(live.len(), 1);
    let found = &live[hash(1).as_str()];
    assert_eq!(found["tenant"], AttributeValue::S("t_abc123".to_owned()));
    assert_eq!(found["key"], AttributeValue::S(key(1).id.to_string()));
    assert_eq!(found["scopes"], stored(&["search", "upload"]));
    assert_eq!(world.count().await, "1");
    let checklist = world.table.checklist(&tenant()).await.unwrap();
    assert_eq!(
        checklist.completed_at(Step::CreateApiKey),
        Some(key(1).created_at)
    );
}

#[tokio::test]
async fn a_key_comes_back_as_it_was_made() {
    let world = World::new().await;
    let whole = Key {
        scopes: vec![Scope::Admin, Scope::Records],
        last_used_at: Some(now() + TimeDelta::microseconds(1)),
        expires_at: Some(now() + TimeDelta::milliseconds(1)),
        ..key(1)
    };
    let created = world
        .table
        .create_key(&tenant(), &whole, &hash(1), None)
        .await;
    assert_eq!(created.unwrap(), Created::Yes);

    assert_eq!(world.listed().await, [whole]);
}

#[tokio::test]
async fn keys_are_listed_newest_first() {
    let world = World::new().await;
    for n in [2, 3, 1] {
        world.create(n).await;
    }

    assert_eq!(world.listed().await, [key(3), key(2), key(1)]);
}

#[tokio::test]
async fn an_id_or_a_secret_that_exists_is_never_overwritten() {
    let world = World::new().await;
    world.create(1).await;

    for (id, secret) in [(1, 2), (2, 1)] {
        let created = world
            .table
            .create_key(&tenant(), &key(id), &hash(secret), None)
            .await;
        assert!(matches!(created, Err(Error::Corrupt { .. })), "{created:?}");
    }

    assert_eq!(world.listed().await, [key(1)]);
    assert_eq!(world.live_hashes().await, [hash(1).as_str()]);
    assert_eq!(world.count().await, "1");
}

#[tokio::test]
async fn of_50_creations_at_once_beside_99_keys_exactly_one_succeeds() {
    let world = World::new().await;
    let created = join_all((0..99).map(|n| world.create(n))).await;
    assert!(created.iter().all(|created| *created == Created::Yes));

    let created = join_all((100..150).map(|n| world.create(n))).await;

    let made = created.iter().filter(|made| **made == Created::Yes).count();
    assert_eq!((made, created.len() - made), (1, 49));
    let most = MAX_KEYS as usize;
    assert_eq!(world.listed().await.len(), most);
    assert_eq!(world.live().await.len(), most);
    assert_eq!(world.count().await, MAX_KEYS.to_string());
}

#[tokio::test]
async fn a_revoked_key_makes_room_for_one_and_no_more() {
    let world = World::new().await;
    join_all((0..100).map(|n| world.create(n))).await;
    assert_eq!(world.create(100).await, Created::TooMany);

    assert!(world.table.revoke_key(&tenant(), key(7).id).await.unwrap());

    assert_eq!(world.create(100).await, Created::Yes);
    assert_eq!(world.create(101).await, Created::TooMany);
}

#[tokio::test]
async fn a_key_is_revoked_with_its_hash_and_once() {
    let world = World::new().await;
    world.create(1).await;
    world.create(2).await;
    let id = key(1).id;

    let revoked = join_all((0..20).map(|_| async {
        let revoked = world.table.revoke_key(&tenant(), id).await;
        revoked.unwrap()
    }))
    .await;

    assert_eq!(revoked.iter().filter(|revoked| **revoked).count(), 1);
    assert_eq!(world.listed().await, [key(2)]);
    assert_eq!(world.live_hashes().await, [hash(2).as_str()]);
    assert_eq!(world.count().await, "1");
}

#[tokio::test]
async fn a_rotation_replaces_the_hash_and_keeps_the_key() {
    let world = World::new().await;
    let expiring = Key {
        expires_at: Some(now() + TimeDelta::days(1)),
        ..key(1)
    };
    let created = world
        .table
        .create_key(&tenant(), &expiring, &hash(1), None)
        .await;
    assert_eq!(created.unwrap(), Created::Yes);

    let rotated = world
        .table
        .rotate_key(&tenant(), expiring.id, &hash(2), now(), None)
        .await;

    assert_eq!(rotated.unwrap(), Rotated::Yes(expiring.clone()));
    assert_eq!(world.listed().await, [expiring]);
    let live = world.live().await;
    assert_eq!(live.len(), 1);
    let found = &live[hash(2).as_str()];
    assert_eq!(found["tenant"], AttributeValue::S("t_abc123".to_owned()));
    assert_eq!(found["scopes"], stored(&["search", "upload"]));
    assert_eq!(
        found["expires_at"],
        AttributeValue::S("2026-03-09T12:00:00.000000Z".to_owned())
    );
}

#[tokio::test]
async fn a_key_that_is_gone_or_has_expired_is_not_rotated() {
    let world = World::new().await;
    let end = now() + TimeDelta::seconds(1);
    let expiring = Key {
        expires_at: Some(end),
        ..key(1)
    };
    let created = world
        .table
        .create_key(&tenant(), &expiring, &hash(1), None)
        .await;
    assert_eq!(created.unwrap(), Created::Yes);

    let rotate = async |n: u8, at: Moment| {
        let rotated = world
            .table
            .rotate_key(&tenant(), key(n).id, &hash(9), at, None)
            .await;
        rotated.unwrap()
    };
    assert_eq!(rotate(1, end).await, Rotated::Expired);
    assert_eq!(rotate(2, now()).await, Rotated::NotFound);

    assert_eq!(world.live_hashes().await, [hash(1).as_str()]);
}

#[tokio::test]
async fn of_20_rotations_at_once_one_secret_lives_and_the_losers_lost() {
    let world = World::new().await;
    world.create(0).await;

    let rotated = join_all((1..=20).map(|n| {
        let (table, tenant) = (world.table.clone(), tenant());
        async move {
            let rotated = table
                .rotate_key(&tenant, key(0).id, &hash(n), now(), None)
                .await;
            (hash(n).as_str().to_owned(), rotated.unwrap())
        }
    }))
    .await;

    let mut winners = Vec::new();
    for (hash, rotated) in rotated {
        match rotated {
            Rotated::Yes(rotated) => {
                assert_eq!(rotated, key(0));
                winners.push(hash);
            }
            other => assert_eq!(other, Rotated::Lost),
        }
    }
    let live = world.live_hashes().await;
    assert_eq!(live.len(), 1);
    assert!(winners.contains(&live[0]), "{} winners", winners.len());
    assert_eq!(world.listed().await, [key(0)]);
    assert_eq!(world.count().await, "1");
}

#[tokio::test]
async fn rotations_in_a_row_all_win() {
    let world = World::new().await;
    world.create(0).await;
    for n in 1..=5 {
        let rotated = world
            .table
            .rotate_key(&tenant(), key(0).id, &hash(n), now(), None)
            .await;
        assert_eq!(rotated.unwrap(), Rotated::Yes(key(0)));
        assert_eq!(world.live_hashes().await, [hash(n).as_str()]);
    }
}

#[tokio::test]
async fn a_revocation_among_rotations_ends_with_nothing_alive() {
    let world = World::new().await;
    world.create(0).await;
    let (owner, id) = (tenant(), key(0).id);

    let rotations = join_all((1..=8).map(|n| {
        let (table, owner) = (world.table.clone(), tenant());
        async move { table.rotate_key(&owner, id, &hash(n), now(), None).await }
    }));
    let (revoked, rotations) = tokio::join!(world.table.revoke_key(&owner, id), rotations);

    assert!(revoked.unwrap());
    for rotated in rotations {
        assert_ne!(rotated.unwrap(), Rotated::Expired);
    }
    assert!(world.listed().await.is_empty());
    assert!(world.live().await.is_empty());
    assert_eq!(world.count().await, "0");
}

#[tokio::test]
async fn scopes_change_in_the_key_and_in_what_its_hash_allows() {
    let world = World::new().await;
    world.create(1).await;

    let changed = world
        .table
        .update_key(&tenant(), key(1).id, &narrowing(Scope::Search))
        .await;

    let expected = Key {
        scopes: vec![Scope::Search],
        ..key(1)
    };
    assert_eq!(changed.unwrap(), Some(expected.clone()));
    assert_eq!(world.listed().await, [expected]);
    let live = world.live().await;
    assert_eq!(live[hash(1).as_str()]["scopes"], stored(&["search"]));
}

#[tokio::test]
async fn a_key_that_is_gone_is_not_made_again_by_a_change() {
    let world = World::new().await;
    world.create(1).await;
    assert!(world.table.revoke_key(&tenant(), key(1).id).await.unwrap());

    let changed = world
        .table
        .update_key(&tenant(), key(1).id, &renaming("renamed"))
        .await;

    assert_eq!(changed.unwrap(), None);
    assert!(world.listed().await.is_empty());
    assert!(world.live().await.is_empty());
}

#[tokio::test]
async fn scopes_that_change_during_a_rotation_are_those_of_the_new_secret() {
    let world = World::new().await;
    world.create(1).await;
    let (owner, id, new) = (tenant(), key(1).id, hash(2));
    let narrower = narrowing(Scope::Search);
    world.faults.inject(TRANSACTION, Fault::Conflict, 9);

    // The rotation has read the key and cannot write before the change is done.
    let rotation = world.faulty.rotate_key(&owner, id, &new, now(), None);
    let change = async {
        world.called(TRANSACTION).await;
        let changed = world.table.update_key(&owner, id, &narrower).await;
        world.faults.clear();
        changed
    };
    let (rotated, changed) = tokio::join!(rotation, change);

    rotated.unwrap();
    let narrowed = Key {
        scopes: vec![Scope::Search],
        ..key(1)
    };
    assert_eq!(changed.unwrap(), Some(narrowed.clone()));
    assert_eq!(world.listed().await, [narrowed]);
    for item in world.live().await.values() {
        assert_eq!(item["scopes"], stored(&["search"]));
    }
}

#[tokio::test]
async fn two_changes_at_once_both_hold() {
    let world = World::new().await;
    world.create(1).await;
    let (owner, id) = (tenant(), key(1).id);
    let (renamed, narrower) = (renaming("renamed"), narrowing(Scope::Search));
    world.faults.inject(TRANSACTION, Fault::Conflict, 9);

    // The first change has read the key and cannot write before the second is done.
    let first = world.faulty.update_key(&owner, id, &renamed);
    let second = async {
        world.called(TRANSACTION).await;
        let changed = world.table.update_key(&owner, id, &narrower).await;
        world.faults.clear();
        changed
    };
    let (first, second) = tokio::join!(first, second);

    assert!(first.unwrap().is_some() && second.unwrap().is_some());
    let changed = Key {
        name: "renamed".to_owned(),
        scopes: vec![Scope::Search],
        ..key(1)
    };
    assert_eq!(world.listed().await, [changed]);
    let live = world.live().await;
    assert_eq!(live[hash(1).as_str()]["scopes"], stored(&["search"]));
}

#[tokio::test]
async fn another_tenants_name_reaches_none_of_a_tenants_keys() {
    let world = World::new().await;
    world.create(1).await;
    let id = key(1).id;
    for other in ["t_abc", "t_abc1234", "T_ABC123"] {
        let other: TenantId = other.parse().unwrap();
        assert!(world.table.list_keys(&other).await.unwrap().is_empty());
        assert!(!world.table.revoke_key(&other, id).await.unwrap());
        let rotated = world
            .table
            .rotate_key(&other, id, &hash(2), now(), None)
            .await;
        assert_eq!(rotated.unwrap(), Rotated::NotFound);
        let changed = world.table.update_key(&other, id, &renaming("x")).await;
        assert_eq!(changed.unwrap(), None);
    }
    assert_eq!(world.listed().await, [key(1)]);
    assert_eq!(world.live_hashes().await, [hash(1).as_str()]);
    assert_eq!(world.count().await, "1");
}

#[tokio::test]
async fn a_write_that_is_throttled_is_tried_again() {
    let world = World::new().await;
    world.faults.inject(TRANSACTION, Fault::Throttled, 2);

    let created = world
        .faulty
        .create_key(&tenant(), &key(1), &hash(1), None)
        .await;

    assert_eq!(created.unwrap(), Created::Yes);
    assert_eq!(world.calls(TRANSACTION), 3);
    assert_eq!(world.listed().await, [key(1)]);
    assert_eq!(world.count().await, "1");
}

#[tokio::test]
async fn a_write_that_is_throttled_for_ever_is_given_up_and_leaves_nothing() {
    let world = World::new().await;
    world.faults.inject(TRANSACTION, Fault::Throttled, 100);

    let created = world
        .faulty
        .create_key(&tenant(), &key(1), &hash(1), None)
        .await;

    assert!(matches!(created, Err(Error::Unavailable(_))), "{created:?}");
    assert_eq!(world.calls(TRANSACTION), 5);
    assert!(world.items().await.is_empty());
}

#[tokio::test]
async fn a_write_that_meets_other_transactions_is_tried_again() {
    let world = World::new().await;
    world.faults.inject(TRANSACTION, Fault::Conflict, 3);

    let created = world
        .faulty
        .create_key(&tenant(), &key(1), &hash(1), None)
        .await;

    assert_eq!(created.unwrap(), Created::Yes);
    assert_eq!(world.calls(TRANSACTION), 4);
    assert_eq!(world.listed().await, [key(1)]);
}

#[tokio::test]
async fn a_write_that_always_meets_other_transactions_is_given_up_and_changes_nothing() {
    let world = World::new().await;
    world.create(1).await;
    world.faults.inject(TRANSACTION, Fault::Conflict, 100);

    let rotated = world
        .faulty
        .rotate_key(&tenant(), key(1).id, &hash(2), now(), None)
        .await;

    assert!(matches!(rotated, Err(Error::Unavailable(_))), "{rotated:?}");
    assert_eq!(world.live_hashes().await, [hash(1).as_str()]);
    let revoked = world.faulty.revoke_key(&tenant(), key(1).id).await;
    assert!(matches!(revoked, Err(Error::Unavailable(_))), "{revoked:?}");
    assert_eq!(world.listed().await, [key(1)]);
    assert_eq!(world.live_hashes().await, [hash(1).as_str()]);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_reported_as_done_and_done_once() {
    let world = World::new().await;
    let id = key(1).id;
    let lose = || world.faults.inject(TRANSACTION, Fault::Lost, 1);

    lose();
    let created = world
        .faulty
        .create_key(&tenant(), &key(1), &hash(1), None)
        .await;
    assert_eq!(created.unwrap(), Created::Yes);
    assert_eq!(world.calls(TRANSACTION), 2);
    assert_eq!(world.count().await, "1");

    lose();
    let rotated = world
        .faulty
        .rotate_key(&tenant(), id, &hash(2), now(), None)
        .await;
    assert_eq!(rotated.unwrap(), Rotated::Yes(key(1)));
    assert_eq!(world.live_hashes().await, [hash(2).as_str()]);

    lose();
    let changed = world
        .faulty
        .update_key(&tenant(), id, &renaming("renamed"))
        .await;
    assert_eq!(changed.unwrap().unwrap().name, "renamed");

    lose();
    assert!(world.faulty.revoke_key(&tenant(), id).await.unwrap());
    assert!(world.live().await.is_empty());
    assert_eq!(world.count().await, "0");
}

#[tokio::test]
async fn a_list_that_is_throttled_for_ever_is_given_up() {
    let world = World::new().await;
    world.create(1).await;
    world.faults.inject("Query", Fault::Throttled, 100);

    let listed = world.faulty.list_keys(&tenant()).await;

    assert!(matches!(listed, Err(Error::Unavailable(_))), "{listed:?}");
    assert_eq!(world.calls("Query"), 5);
}
