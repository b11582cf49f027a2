//! The schemas of a deleted collection, and those of the next of its name.

use std::time::Duration;

use serde_json::json;
use table::schema::Put;

use crate::world::{World, bare, cut, now, parts, tenant};

/// More schemas than a transaction takes.
const MANY: usize = 93;

#[tokio::test]
async fn schemas_that_are_erased_first_begin_anew() {
    let world = World::of(1).await;
    world.schema("product", &json!({})).await;
    world.schema("product", &json!({"type": "object"})).await;
    let gone = world.deleted().await;

    world.erase_schemas(&gone).await;

    assert_eq!(world.schema("product", &json!({})).await, 1);
    world.erase(&gone).await;
    assert_eq!(world.schemas().await, 1);
    assert!(world.collection().await.is_some());
    assert_eq!(world.version(1).await, world.current().await);
    assert!(world.version(1).await.is_some());
    assert_eq!(world.version(2).await, None);
}

#[tokio::test]
async fn a_later_collection_of_the_name_may_reach_the_versions_that_are_erased() {
    let world = World::of(1).await;
    world.schema("product", &json!({})).await;
    world.schema("product", &json!({"type": "object"})).await;
    let gone = world.deleted().await;
    world.erase_schemas(&gone).await;
    for version in 1..=3 {
        let schema = json!({"minProperties": version});
        assert_eq!(world.schema("product", &schema).await, version);
    }

    world.erase(&gone).await;

    for version in 1..=3 {
        assert!(world.version(version).await.is_some(), "{version}");
    }
    assert_eq!(world.version(3).await, world.current().await);
    let second = world.deleted().await;
    world.erase(&second).await;
    assert_eq!(world.keys().await, bare());
}

#[tokio::test]
async fn whoever_is_slow_to_erase_schemas_leaves_those_that_were_put_meanwhile() {
    let world = World::of(1).await;
    world.schema("product", &json!({})).await;

    for polls in 0.. {
        let gone = world.deleted().await;
        let mut slow = Box::pin(world.table.erase_schemas(&gone));
        let ended = cut(&mut slow, polls).await;
        world.erase_schemas(&gone).await;
        assert_eq!(world.schema("product", &json!({})).await, 1, "{polls}");
        let is_done = ended.is_some();
        let erased = match ended {
            Some(erased) => erased,
            None => slow.await,
        };

        erased.expect("an answer");
        assert!(world.current().await.is_some(), "{polls}");
        assert_eq!(world.version(1).await, world.current().await, "{polls}");
        if is_done {
            break;
        }
    }
}

#[tokio::test]
async fn a_schema_that_is_still_in_use_is_erased_with_its_collection() {
    let world = World::of(1).await;
    let schema = json!({"type": "object"});
    world.schema("product", &schema).await;
    world.schema("service", &schema).await;
    let gone = world.deleted().await;
    for record_type in ["product", "service"] {
        world.leave_in_use(record_type, &schema).await;
    }
    world.fill(2, None, 1).await;
    // It is not the next collection's, though it is the same.
    assert_eq!(world.schema("product", &schema).await, 2);

    world.erase(&gone).await;

    assert_eq!(world.schemas().await, 1);
    assert_eq!(world.version(2).await, world.current().await);
    assert!(world.current().await.is_some());
    let second = world.deleted().await;
    world.erase(&second).await;
    assert_eq!(world.keys().await, bare());
}

#[tokio::test]
async fn schemas_from_before_there_were_numbers_with_them_are_found_and_erased() {
    let world = World::of(1).await;
    let schema = json!({"type": "object"});
    world.schema("product", &json!({})).await;
    world.schema("product", &schema).await;
    world.schema("service", &schema).await;
    world.forget_numbers().await;
    assert_eq!(world.version(2).await, world.current().await);
    assert_eq!(world.schema("product", &schema).await, 2);

    assert_eq!(world.schema("product", &json!({})).await, 3);

    for version in 1..=3 {
        assert!(world.version(version).await.is_some(), "{version}");
    }
    assert_eq!(world.version(4).await, None);
    let gone = world.deleted().await;
    world.erase(&gone).await;
    assert_eq!(world.keys().await, bare());
}

#[tokio::test]
async fn more_schemas_than_a_transaction_takes_stay_as_long_as_their_collection() {
    let world = World::of(1).await;
    for number in 0..MANY {
        world.schema(&format!("type-{number}"), &json!({})).await;
    }
    let (tenant, parts) = (tenant(), parts());

    for polls in 0.. {
        let deleting = world.table.delete_collection(&tenant, &parts, now());
        let done = cut(deleting, polls).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let schemas = world.schemas().await;
        if world.collection().await.is_some() {
            assert_eq!(schemas, MANY);
        }
        if let Some(done) = done {
            done.expect("an answer");
            break;
        }
    }

    // What was cut short after the deletion itself is for whoever erases it.
    assert!(world.schemas().await < 10);
    let left = world.left().await;
    world.erase(&left[0]).await;
    assert_eq!(world.keys().await, bare());
}

#[tokio::test]
async fn a_deletion_takes_more_schemas_from_use_than_a_transaction_takes() {
    let world = World::of(1).await;
    for number in 0..MANY {
        world.schema(&format!("type-{number}"), &json!({})).await;
    }

    let gone = world.deleted().await;

    assert_eq!(world.schemas().await, 0);
    world.erase(&gone).await;
    assert_eq!(world.keys().await, bare());
}

#[tokio::test]
async fn a_schema_that_is_put_meanwhile_lives_with_its_collection_or_goes_with_it() {
    for round in 0..20 {
        let world = World::of(1).await;
        let known = world.summary().await;
        let schema = json!({});
        let putting = async {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            world.put_schema(&known, "product", &schema).await
        };
        let (put, gone) = tokio::join!(putting, world.deleted());

        // It was put before the deletion, or is to be put anew.
        assert!(matches!(put, Put::Yes(_) | Put::Again), "{put:?}");
        assert_eq!(world.schemas().await, 0);
        assert_eq!(world.collection().await, None);
        world.erase(&gone).await;
        assert_eq!(world.keys().await, bare());
    }
}
