//! What is lost is built anew.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use indexing::{Error, Folded, Indexes};
use model::id::RecordId;
use model::index::Pointer;

use crate::world::{OF, World, ids};

#[tokio::test]
async fn an_index_that_lost_a_pack_is_built_anew_by_the_first_search() {
    for lost in 0..2 {
        let world = World::new().await;
        let process = world.process();
        let mut records = world.add(&process, &["anchor", "bolt", "gasket"]).await;
        records.extend(world.add(&process, &["nut", "rivet"]).await);
        // What waits for a fold is not lost with the index.
        records[3] = world.rename(&records[3], "washer").await;
        let before = world.pointer().await;
        let packs = world.packs(&before);
        assert_eq!(packs.len(), 2);
        world.store.delete(&packs[lost]).await.expect("no object");

        world.assert_finds(&world.process(), &records).await;

        world.assert_rebuilt(&before, 5).await;
        let after = world.pointer().await;
        world.assert_finds(&world.process(), &records).await;
        world.assert_finds(&process, &records).await;
        assert_eq!(world.pointer().await, after, "it was built once more");
    }
}

/// What happens to a pack.
#[derive(Debug, Clone, Copy)]
enum Damage {
    FirstBit,
    LastBit,
    Cut,
    Zeros,
    Replaced,
    Emptied,
}

impl Damage {
    fn done(self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::FirstBit => bytes[0] ^= 1,
            Self::LastBit => {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            }
            Self::Cut => bytes.truncate(bytes.len() / 2),
            Self::Zeros => bytes.fill(0),
            Self::Replaced => bytes = b"not a pack".to_vec(),
            Self::Emptied => bytes.clear(),
        }
        bytes
    }
}

async fn assert_built_anew_after(damage: Damage) {
    let world = World::new().await;
    let names = ["anchor", "bolt", "gasket"];
    let records = world.add(&world.process(), &names).await;
    let before = world.pointer().await;
    for path in world.packs(&before) {
        let bytes = world.objects.read(&path).await;
        world.objects.write(&path, damage.done(bytes)).await;
    }

    let process = world.process();
    let searched = world.search(&process, "").await;

    assert!(searched.is_ok(), "{damage:?}: {searched:?}");
    world.assert_finds(&process, &records).await;
    world.assert_finds(&world.process(), &records).await;
    world.assert_rebuilt(&before, names.len()).await;
}

#[tokio::test]
async fn an_index_with_a_corrupt_pack_is_built_anew_by_the_first_search() {
    for damage in [
        Damage::FirstBit,
        Damage::LastBit,
        Damage::Cut,
        Damage::Zeros,
        Damage::Replaced,
    ] {
        assert_built_anew_after(damage).await;
    }
}

#[tokio::test]
async fn an_index_with_an_empty_pack_is_built_anew_by_the_first_search() {
    assert_built_anew_after(Damage::Emptied).await;
}

#[tokio::test]
async fn an_index_of_an_older_format_is_built_anew_by_the_first_search() {
    let world = World::new().await;
    let records = world.add(&world.process(), &["anchor", "bolt"]).await;
    let before = world.pointer().await;
    world.set_format(search::FORMAT - 1).await;

    world.assert_finds(&world.process(), &records).await;

    world.assert_rebuilt(&before, 2).await;
}

#[tokio::test]
async fn a_collection_without_a_pointer_gets_an_index_by_the_first_search() {
    for expression in ["REMOVE #index", "REMOVE #index.#generation"] {
        let world = World::new().await;
        let mut records = world.add(&world.process(), &["anchor", "bolt"]).await;
        records.extend(world.upload(&["gasket"]).await.1);
        let mut remove = world.tamper_with_collection().update_expression(expression);
        if expression.contains("#generation") {
            let generation = OF.generation.to_string();
            remove = remove.expression_attribute_names("#generation", generation);
        }
        remove.send().await.expect("a change");
        assert_eq!(world.collection().await.index(), None, "{expression}");

        world.assert_finds(&world.process(), &records).await;

        let nothing = Pointer::empty(search::FORMAT, 0, 0);
        world.assert_rebuilt(&nothing, 3).await;
        world.assert_finds(&world.process(), &records).await;
    }
}

#[tokio::test]
async fn an_upload_whose_ids_are_gone_is_found_by_an_index_that_is_built_anew() {
    let world = World::new().await;
    let process = world.process();
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    world.assert_finds(&process, &records).await;
    records.extend(world.upload(&["gasket", "nut"]).await.1);
    let before = world.pointer().await;
    world.lose_batches().await;

    world.assert_finds(&process, &records).await;

    world.assert_rebuilt(&before, 4).await;
}

#[tokio::test]
async fn a_fold_of_a_lost_index_builds_it_anew() {
    let world = World::new().await;
    let process = world.process();
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    let (upload, added) = world.upload(&["gasket"]).await;
    records.extend(added);
    let before = world.pointer().await;
    world.lose(&before).await;

    let folded = world.fold_own(&world.process(), upload).await;

    assert_eq!(folded.expect("a fold"), Folded::Yes(3));
    world.assert_rebuilt(&before, 3).await;
    world.assert_finds(&world.process(), &records).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_that_meet_a_lost_index_at_once_build_it_once() {
    for one_process in [true, false] {
        let world = World::new().await;
        let names = ["anchor", "bolt", "gasket", "nut", "rivet"];
        let records = world.add(&world.process(), &names).await;
        let before = world.pointer().await;
        world.lose(&before).await;
        let process = world.process();
        let processes: Vec<Indexes> = (0..8)
            .map(|_| {
                if one_process {
                    process.clone()
                } else {
                    world.process()
                }
            })
            .collect();

        let searches = processes.iter().map(|process| world.found(process, ""));
        for found in join_all(searches).await {
            assert_eq!(found, ids(&records));
        }

        world.assert_rebuilt(&before, names.len()).await;
    }
}

#[tokio::test]
async fn an_index_that_moved_on_or_is_being_built_is_not_built_anew() {
    let world = World::new().await;
    let process = world.process();
    world.add(&process, &["anchor"]).await;
    world.add(&process, &["bolt"]).await;
    let before = world.pointer().await;
    let (tenant, name) = (&world.tenant, &world.name);

    let outdated = Some(before.version - 1);
    let rebuilt = process.rebuild(tenant, name, outdated).await;
    assert!(rebuilt.expect("an answer"));
    assert_eq!(world.pointer().await, before);

    let now = world.clock.now();
    let until = now + TimeDelta::minutes(1);
    let taken = world.table.take_lease(tenant, name, (now, until), None);
    assert!(taken.await.expect("an answer").is_some());
    let rebuilt = process.rebuild(tenant, name, Some(before.version)).await;
    assert!(!rebuilt.expect("an answer"));
    assert_eq!(world.pointer().await, before);
}

#[tokio::test]
async fn an_index_of_a_newer_format_is_an_error_and_left_as_it_is() {
    let world = World::new().await;
    let process = world.process();
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    let (upload, added) = world.upload(&["gasket"]).await;
    records.extend(added);
    world.set_format(search::FORMAT + 1).await;
    let (pointer, markers) = (world.pointer().await, world.markers().await);

    for process in [&process, &world.process()] {
        let searched = world.search(process, "").await;
        assert!(matches!(searched, Err(Error::Newer)), "{searched:?}");
        let folded = world.fold_own(process, upload).await;
        assert!(matches!(folded, Err(Error::Newer)), "{folded:?}");
    }

    assert_eq!(world.pointer().await, pointer);
    assert_eq!(world.markers().await, markers);
    assert_eq!(world.collection().await.lease, None);
    world.set_format(search::FORMAT).await;
    world.assert_finds(&process, &records).await;
    world.assert_finds(&world.process(), &records).await;
    let after = world.pointer().await;
    assert_eq!(
        (after.build, after.version),
        (pointer.build, pointer.version)
    );
}

#[tokio::test]
async fn a_rebuild_keeps_what_changes_before_it_is_published() {
    let world = World::new().await;
    let (process, other) = (world.process(), world.process());
    let records = world
        .add(&process, &["anchor", "bolt", "gasket", "nut"])
        .await;
    world.assert_finds(&other, &records).await;
    // One is marked already when the rebuild begins.
    let renamed = world.rename(&records[0], "rivet").await;
    let before = world.pointer().await;

    let gate = world.objects.close().await;
    let rebuilding = process.rebuild(&world.tenant, &world.name, Some(before.version));
    let changing = async {
        world.objects.stopped().await;
        let mut expected = vec![
            world.rename(&renamed, "screw").await,
            world.rename(&records[1], "spring").await,
            records[3].clone(),
        ];
        world.delete(&records[2]).await;
        let (upload, added) = world.upload(&["washer"]).await;
        expected.extend(added);
        world.assert_finds(&other, &expected).await;
        drop(gate);
        (upload, expected)
    };
    let (rebuilt, (upload, expected)) = tokio::join!(rebuilding, changing);

    assert!(rebuilt.expect("a rebuild"));
    let after = world.pointer().await;
    assert_eq!(
        (after.build, after.version),
        (before.build + 1, before.version + 1)
    );
    let markers = world.markers().await;
    let marked: BTreeSet<RecordId> = markers.records.keys().copied().collect();
    assert_eq!(marked, ids(&records[..3]));
    assert!(markers.batches.contains_key(&upload));
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &expected).await;
    }
    let folded = world.fold_own(&other, upload).await;
    assert_eq!(folded.expect("a fold"), Folded::Yes(4));
    assert!(world.markers().await.is_empty());
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &expected).await;
    }
}
