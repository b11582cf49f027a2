//! Folds that are under way, that are overtaken and that fail.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use indexing::{Error, Folded, Progress};
use model::id::RecordId;
use model::index::IndexingStatus;
use search::StoreError;

use crate::world::{World, pending};

/// Whether the store failed, which no rebuild mends.
fn is_down<T>(result: &indexing::Result<T>) -> bool {
    use search::Error as Search;
    matches!(
        result,
        Err(Error::Search(Search::Store(StoreError::Failed(_))))
    )
}

#[tokio::test]
async fn what_a_fold_has_taken_is_processing_until_it_is_published() {
    let world = World::new().await;
    let (process, other) = (world.process(), world.process());
    let records = world.add(&process, &["anchor", "bolt"]).await;
    let (upload, added) = world.upload(&["gasket", "nut"]).await;
    let renamed = world.rename(&records[0], "rivet").await;
    assert_eq!(world.progress(&other).await, pending(3));

    let gate = world.objects.close().await;
    let folding = world.fold_own(&process, upload);
    let looking = async {
        world.objects.stopped().await;
        let processing = Progress {
            processing: 3,
            ..Progress::default()
        };
        assert_eq!(world.progress(&other).await, processing);
        // What changes meanwhile is not what is being folded.
        world.rename(&renamed, "screw").await;
        let mixed = Progress {
            pending: 1,
            processing: 2,
            failed: 0,
        };
        assert_eq!(world.progress(&other).await, mixed);
        let found = world.search(&other, "").await.expect("a page");
        for record in &added {
            let status = found.statuses.get(&record.id).copied();
            assert_eq!(status, Some(IndexingStatus::Processing));
        }
        let status = found.statuses.get(&renamed.id).copied();
        assert_eq!(status, Some(IndexingStatus::Pending));
        assert_eq!(found.statuses.get(&records[1].id), None);
        drop(gate);
    };
    let (folded, ()) = tokio::join!(folding, looking);

    assert_eq!(folded.expect("a fold"), Folded::Yes(3));
    assert_eq!(world.progress(&other).await, pending(1));
    let found = world.search(&other, "").await.expect("a page");
    let waiting: BTreeSet<RecordId> = found.statuses.keys().copied().collect();
    assert_eq!(waiting, BTreeSet::from([renamed.id]));
}

#[tokio::test]
async fn a_fold_whose_lease_is_taken_over_publishes_nothing() {
    let world = World::new().await;
    let (process, other) = (world.process(), world.process());
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    let (upload, added) = world.upload(&["gasket"]).await;
    records.extend(added);
    let (pointer, markers) = (world.pointer().await, world.markers().await);

    let gate = world.objects.close().await;
    let folding = world.fold_own(&process, upload);
    let taking = async {
        world.objects.stopped().await;
        // Somebody whose clock says that the fold's time is over.
        let later = world.clock.now() + TimeDelta::minutes(2);
        let until = later + TimeDelta::hours(1);
        let (tenant, name) = (&world.tenant, &world.name);
        let taken = world.table.take_lease(tenant, name, (later, until), None);
        let (_, lease) = taken.await.expect("an answer").expect("a lease");
        drop(gate);
        lease
    };
    let (folded, lease) = tokio::join!(folding, taking);

    assert_eq!(folded.expect("an answer"), Folded::Busy);
    assert_eq!(world.pointer().await, pointer);
    assert_eq!(world.markers().await, markers);
    assert_eq!(world.collection().await.lease.as_ref(), Some(&lease));
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
        assert_eq!(world.progress(process).await, pending(1));
        let folded = world.fold_own(process, upload).await;
        assert_eq!(folded.expect("an answer"), Folded::Busy);
    }

    let (tenant, name) = (&world.tenant, &world.name);
    let given_back = world.table.give_back_lease(tenant, name, &lease).await;
    given_back.expect("an answer");
    let folded = world.fold_own(&other, upload).await;
    assert_eq!(folded.expect("a fold"), Folded::Yes(1));
    assert_eq!(world.pointer().await.version, pointer.version + 1);
    assert!(world.markers().await.is_empty());
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
    }
    // The pack of the fold that was overtaken is nobody's.
    let swept = other.sweep(true, world.clock.now()).await;
    assert_eq!(swept.expect("a sweep"), 1);
    world.assert_finds(&world.process(), &records).await;
}

#[tokio::test]
async fn a_fold_that_fails_leaves_its_markers_and_the_next_one_succeeds() {
    let world = World::new().await;
    let (process, other) = (world.process(), world.process());
    let mut records = world.add(&process, &["anchor", "bolt", "gasket"]).await;
    world.assert_finds(&other, &records).await;
    let (upload, added) = world.upload(&["nut", "rivet"]).await;
    records.extend(added);
    records[0] = world.rename(&records[0], "screw").await;
    world.delete(&records.remove(1)).await;
    let (pointer, markers) = (world.pointer().await, world.markers().await);

    world.objects.set_down(true);
    for process in [&process, &other] {
        let folded = world.fold_own(process, upload).await;
        assert!(is_down(&folded), "{folded:?}");
    }
    assert_eq!(world.pointer().await, pointer);
    assert_eq!(world.markers().await, markers);
    assert_eq!(world.collection().await.lease, None);
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
        assert_eq!(world.progress(process).await, pending(3));
    }
    // Changes go on.
    records[0] = world.rename(&records[0], "spring").await;
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
    }

    world.objects.set_down(false);
    let folded = world.fold_own(&other, upload).await;
    assert_eq!(folded.expect("a fold"), Folded::Yes(4));
    let after = world.pointer().await;
    assert_eq!(
        (after.build, after.version),
        (pointer.build, pointer.version + 1)
    );
    assert!(world.markers().await.is_empty());
    for process in [&process, &other, &world.process()] {
        world.assert_finds(process, &records).await;
        assert_eq!(world.progress(process).await, Progress::default());
    }
}

#[tokio::test]
async fn an_index_that_is_lost_while_the_store_is_down_is_built_anew_once_it_is_up() {
    let world = World::new().await;
    let records = world.add(&world.process(), &["anchor", "bolt"]).await;
    let before = world.pointer().await;
    world.lose(&before).await;
    let process = world.process();

    world.objects.set_down(true);
    for _ in 0..2 {
        let searched = world.search(&process, "").await;
        assert!(is_down(&searched), "{searched:?}");
        assert_eq!(world.pointer().await, before);
        assert_eq!(world.collection().await.lease, None);
    }

    world.objects.set_down(false);
    world.assert_finds(&process, &records).await;
    world.assert_rebuilt(&before, 2).await;
}
