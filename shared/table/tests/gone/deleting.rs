//! Deleting a collection: what is gone at once, and what crosses it.

use std::time::Duration;

use model::collection::CollectionPatch;
use model::id::{CollectionName, RecordId};
use model::plan::Plan;
use model::record::Visibility;
use serde_json::json;
use table::cap::{Reserved, Tally};
use testkit::Fault;
use uuid::Uuid;

use crate::world::{Keys, World, bare, cut, now, parts, read, tenant, until, upload};

#[tokio::test]
async fn a_deleted_collection_is_gone_at_once_and_its_name_is_free() {
    let world = World::of(3).await;
    world.schema("product", &json!({})).await;

    let gone = world.deleted().await;

    assert_eq!((gone.number, gone.at, gone.until), (1, now(), now()));
    assert_eq!(world.left().await, std::slice::from_ref(&gone));
    let of_name = world.table.gone_of(&tenant(), &parts()).await;
    assert_eq!(read(of_name), [gone]);
    assert_eq!(world.collection().await, None);
    let summary = world.summary().await;
    assert!(summary.collections.is_empty() && summary.reserved.is_empty());
    assert_eq!(world.schemas().await, 0);
    assert_eq!(world.delete().await, None);

    world.fill(2, None, 2).await;
    let summary = world.summary().await;
    assert_eq!(summary.records(), 2);
    assert_eq!(summary.collections[0].0.number, 2);
}

#[tokio::test]
async fn what_does_not_live_is_not_deleted() {
    let world = World::new().await;
    assert_eq!(world.delete().await, None);
    assert_eq!(world.keys().await, Keys::new());

    let hold = world.reserve(1, None, 1).await;
    assert_eq!(world.delete().await, None);

    let tally = world.write(1, &hold, 1).await;
    assert!(world.settle(1, &hold, &tally).await);
    assert!(world.delete().await.is_some());
}

#[tokio::test]
async fn an_upload_in_flight_cannot_settle_in_a_deleted_collection() {
    let world = World::of(3).await;
    let hold = world.reserve(2, None, 4).await;
    let mut added = Tally::default();
    added.add(RecordId(Uuid::from_u128(99)), Visibility::Private);

    let gone = world.deleted().await;

    assert_eq!(gone.until, until());
    assert_eq!(world.summary().await.caps.hold(upload(2)), None);
    world.fill(3, None, 2).await;
    assert!(!world.settle(2, &hold, &added).await);
    let moved = world.table.move_hold(&tenant(), upload(2), &hold).await;
    assert!(!moved.expect("an answer"));
    let counted = world
        .table
        .settle_abandoned(&tenant(), upload(2), &hold)
        .await;
    counted.expect("an answer");
    assert_eq!(world.summary().await.records(), 2);
}

#[tokio::test]
async fn what_was_reserved_in_it_is_free_at_once() {
    let world = World::of(30).await;
    let limits = Plan::Free.limits();
    let in_flight = world.try_reserve((2, &parts()), None, (20, limits)).await;
    assert!(matches!(in_flight, Reserved::Yes(..)), "{in_flight:?}");
    let other: CollectionName = "hotels".parse().expect("a name");
    let all = async || world.try_reserve((3, &other), None, (50, limits)).await;
    assert_ne!(world.deleted().await.until, now());

    let reserved = all().await;

    assert!(matches!(reserved, Reserved::Yes(..)), "{reserved:?}");
}

#[tokio::test]
async fn a_deletion_that_is_cut_short_is_done_or_was_none() {
    let world = World::of(5).await;
    world.schema("product", &json!({})).await;
    let (tenant, parts) = (tenant(), parts());

    for polls in 0.. {
        let deleting = world.table.delete_collection(&tenant, &parts, now());
        let done = cut(deleting, polls).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let is_left = world.collection().await.is_some();
        assert_eq!(world.left().await.is_empty(), is_left);
        assert_eq!(world.schemas().await == 1, is_left);
        if let Some(done) = done {
            done.expect("an answer");
            break;
        }
    }

    assert_eq!(world.collection().await, None);
    let left = world.left().await;
    assert_eq!(left.len(), 1);
    world.erase(&left[0]).await;
    assert_eq!(world.keys().await, bare());
}

#[tokio::test]
async fn what_was_done_and_not_answered_is_done() {
    let world = World::of(2).await;
    let transaction = "TransactWriteItems";
    world.faults.inject(transaction, Fault::Lost, 1);
    assert!(world.delete().await.is_some());
    assert_eq!(world.left().await.len(), 1);

    world.fill(2, None, 2).await;
    world.faults.inject(transaction, Fault::Conflict, 2);
    assert!(world.delete().await.is_some());
    assert_eq!(world.left().await.len(), 2);
}

#[tokio::test]
async fn what_is_said_of_a_collection_is_not_said_of_the_next_of_its_name() {
    let world = World::of(1).await;
    let patch = CollectionPatch {
        description: Some(Some("Screws and bolts".to_owned())),
        category: Some(Some("hardware".to_owned())),
        default_visibility: Some(Visibility::Public),
    };
    let said = world.update(&patch).await.expect("a collection");

    assert_eq!(said.description.as_deref(), Some("Screws and bolts"));
    assert_eq!(said.category.as_deref(), Some("hardware"));
    assert_eq!(said.default_visibility, Visibility::Public);
    assert_eq!(world.collection().await, Some(said.clone()));
    assert_eq!(world.update(&CollectionPatch::default()).await, Some(said));
    let cleared = CollectionPatch {
        description: Some(None),
        ..CollectionPatch::default()
    };
    let left = world.update(&cleared).await.expect("a collection");
    assert_eq!(
        (left.description, left.category.as_deref()),
        (None, Some("hardware"))
    );

    world.deleted().await;
    assert_eq!(world.update(&patch).await, None);
    assert_eq!(world.collection().await, None);
    world.fill(2, None, 1).await;
    let next = world.collection().await.expect("a collection");
    assert_eq!((next.description, next.category), (None, None));
    assert_eq!(next.default_visibility, Visibility::Private);
}
