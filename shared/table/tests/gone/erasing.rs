//! What is left of a deleted collection is erased, and nothing else.

use std::time::Duration;

use serde_json::json;
use table::gone::Gone;
use table::replace::Swapped;
use testkit::Fault;

use crate::world::{World, bare, cut, now, parts, product, tenant};

#[tokio::test]
async fn a_deleted_collection_is_erased_without_a_trace() {
    let world = World::of(300).await;
    let read = world.staged(2, 40).await;
    let swapped = world.table.swap(&tenant(), &read, now()).await;
    assert_eq!(swapped.expect("an answer"), Swapped::Yes);
    world.staged(3, 20).await;
    world.schema("product", &json!({})).await;
    world.schema("product", &json!({"type": "object"})).await;
    world.schema("service", &json!({})).await;
    let deleted = world
        .table
        .delete_schema(&tenant(), &parts(), &product(), now())
        .await;
    assert!(deleted.expect("an answer"));
    let gone = world.deleted().await;
    assert_eq!(gone.generations().count(), 3);
    world.faults.inject("BatchWriteItem", Fault::Lost, 3);

    world.erase(&gone).await;

    assert_eq!(world.keys().await, bare());
    assert!(world.left().await.is_empty());
    world.erase(&gone).await;
    assert_eq!(world.keys().await, bare());
}

#[tokio::test]
async fn an_erasure_leaves_what_another_collection_of_the_name_has() {
    let world = World::of(30).await;
    world.schema("product", &json!({})).await;
    world.schema("service", &json!({})).await;
    let first = world.deleted().await;
    world.fill(2, None, 20).await;
    // Its number goes on from the one that is not erased yet.
    let schema = json!({"type": "object"});
    assert_eq!(world.schema("product", &schema).await, 2);

    world.erase(&first).await;

    assert_eq!(world.summary().await.records(), 20);
    assert_eq!(world.schemas().await, 1);
    assert_eq!(world.version(1).await, None);
    assert!(world.version(2).await.is_some());
    assert!(world.current().await.is_some());

    let second = world.deleted().await;
    world.erase(&second).await;
    assert_eq!(world.keys().await, bare());
}

#[tokio::test]
async fn collections_of_one_name_are_erased_in_any_order() {
    for reversed in [false, true] {
        let world = World::of(1).await;
        world.schema("product", &json!({})).await;
        let mut gone = vec![world.deleted().await];
        // Its versions go on from those that are not erased yet.
        assert_eq!(world.schema("product", &json!({})).await, 2);
        gone.push(world.deleted().await);
        if reversed {
            gone.reverse();
        }

        world.erase(&gone[0]).await;
        let next = world.schema("product", &json!({})).await;
        world.erase(&gone[1]).await;

        assert_eq!(world.schemas().await, 1);
        assert!(world.version(next).await.is_some());
        assert_eq!(world.version(next).await, world.current().await);
        let last = world.deleted().await;
        world.erase(&last).await;
        assert_eq!(world.keys().await, bare());
    }
}

#[tokio::test]
async fn one_that_cannot_be_read_hides_no_other() {
    let world = World::of(1).await;
    let gone = world.deleted().await;
    world.plant_unreadable("?").await;
    let sk = format!("{}#{}#0000000000", tenant(), parts());
    world.plant_unreadable(&sk).await;

    let all = world.table.gone_collections().await.expect("a list");
    let of_name = world.table.gone_of(&tenant(), &parts()).await;
    let of_name = of_name.expect("a list");

    assert_eq!((all.len(), of_name.len()), (3, 2));
    for listed in [all, of_name] {
        let read: Vec<Gone> = listed.into_iter().filter_map(Result::ok).collect();
        assert_eq!(read, std::slice::from_ref(&gone));
    }
}

#[tokio::test]
async fn an_erasure_that_is_cut_short_anywhere_is_continued_by_the_next() {
    let world = World::of(120).await;
    world.schema("product", &json!({})).await;
    let gone = world.deleted().await;

    for polls in 0.. {
        let done = cut(world.table.erase_collection(&gone), polls).await;
        // What was asked for is carried out a moment later, if at all.
        tokio::time::sleep(Duration::from_millis(5)).await;
        if world.left().await.is_empty() {
            assert_eq!(world.keys().await, bare());
        } else {
            assert_eq!(world.left().await, std::slice::from_ref(&gone));
        }
        if let Some(done) = done {
            done.expect("an answer");
            break;
        }
    }

    assert_eq!(world.keys().await, bare());
}
