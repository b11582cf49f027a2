//! Records that cannot be read.

use std::collections::BTreeSet;

use indexing::{Folded, Progress};
use model::index::IndexingStatus;

use crate::world::{World, failed, pending};

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_out_and_listed_until_it_is_mended() {
    for garbage in ["{", "[1]", "anchor"] {
        let world = World::new().await;
        let process = world.process();
        let records = world.add(&process, &["anchor", "bolt", "gasket"]).await;
        let renamed = world.rename(&records[0], "rivet").await;
        let rest = &records[1..];
        world.set_data(renamed.id, garbage).await;

        world.assert_finds(&process, rest).await;
        assert_eq!(world.progress(&process).await, pending(1), "{garbage}");
        let folded = world.fold(&process).await;
        assert_eq!(folded.expect("a fold"), Folded::Yes(1), "{garbage}");
        let listed = world.pointer().await.failed;
        assert_eq!(listed, BTreeSet::from([renamed.id]), "{garbage}");
        assert!(world.markers().await.is_empty());
        for process in [&process, &world.process()] {
            world.assert_finds(process, rest).await;
            assert_eq!(world.progress(process).await, failed(1), "{garbage}");
            let found = world.search(process, "").await.expect("a page");
            assert!(found.statuses.is_empty(), "{:?}", found.statuses);
        }

        world.mend(&renamed).await;
        let mut all = vec![world.rename(&renamed, "screw").await];
        all.extend_from_slice(rest);
        world.assert_finds(&process, &all).await;
        assert_eq!(world.progress(&process).await, pending(1), "{garbage}");
        let found = world.search(&process, "screw").await.expect("a page");
        let status = found.statuses.get(&renamed.id).copied();
        assert_eq!(status, Some(IndexingStatus::Pending));
        let folded = world.fold(&process).await;
        assert_eq!(folded.expect("a fold"), Folded::Yes(1), "{garbage}");
        assert!(world.pointer().await.failed.is_empty());
        assert_eq!(world.progress(&process).await, Progress::default());
        world.assert_finds(&world.process(), &all).await;
    }
}

#[tokio::test]
async fn a_record_of_an_upload_that_cannot_be_read_fails_alone() {
    let world = World::new().await;
    let process = world.process();
    let (upload, records) = world.upload(&["anchor", "bolt", "gasket"]).await;
    world.set_data(records[1].id, "{").await;
    let rest = [records[0].clone(), records[2].clone()];
    world.assert_finds(&process, &rest).await;
    assert_eq!(world.progress(&process).await, pending(3));

    let folded = world.fold_own(&process, upload).await;

    assert_eq!(folded.expect("a fold"), Folded::Yes(3));
    let listed = world.pointer().await.failed;
    assert_eq!(listed, BTreeSet::from([records[1].id]));
    for process in [&process, &world.process()] {
        assert_eq!(world.progress(process).await, failed(1));
        world.assert_finds(process, &rest).await;
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_fails_no_more_once_it_is_deleted() {
    let world = World::new().await;
    let process = world.process();
    let records = world.add(&process, &["anchor", "bolt"]).await;
    let renamed = world.rename(&records[0], "rivet").await;
    world.set_data(renamed.id, "{").await;
    world.fold(&process).await.expect("a fold");
    assert_eq!(world.progress(&process).await, failed(1));

    world.delete(&renamed).await;

    assert_eq!(world.progress(&process).await, Progress::default());
    let folded = world.fold(&process).await;
    assert_eq!(folded.expect("a fold"), Folded::Yes(1));
    assert!(world.pointer().await.failed.is_empty());
    assert_eq!(world.progress(&process).await, Progress::default());
    world.assert_finds(&process, &records[1..]).await;
}

#[tokio::test]
async fn a_rebuild_lists_what_cannot_be_read_and_nothing_that_can() {
    let world = World::new().await;
    let records = world
        .add(&world.process(), &["anchor", "bolt", "gasket"])
        .await;
    let rest = [records[0].clone(), records[2].clone()];
    world.set_data(records[1].id, "{").await;
    let before = world.pointer().await;
    world.lose(&before).await;

    let process = world.process();
    world.assert_finds(&process, &rest).await;
    world.assert_rebuilt(&before, 2).await;
    let broken = world.pointer().await;
    assert_eq!(broken.failed, BTreeSet::from([records[1].id]));
    assert_eq!(world.progress(&process).await, failed(1));

    world.mend(&records[1]).await;
    world.lose(&broken).await;
    let process = world.process();
    world.assert_finds(&process, &records).await;
    world.assert_rebuilt(&broken, 3).await;
    assert!(world.pointer().await.failed.is_empty());
    assert_eq!(world.progress(&process).await, Progress::default());
}
