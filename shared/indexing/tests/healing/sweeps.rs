//! Sweeps.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use search::{Caches, Store};
use testkit::Objects;

use crate::world::World;

/// The name of a pack that no index has.
const ORPHAN: &str = "0123456789abcdef0123456789abcdef.pack";

#[tokio::test]
async fn a_process_alone_sweeps_up_orphans_and_drafts_and_leaves_other_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = Store::address_of(folder.path()).expect("an address");
    let store = Store::open(&address, Caches::default(), None).expect("a store");
    let world = World::over(Objects::default(), store).await;
    let process = world.process();
    let mut records = world.add(&process, &["anchor", "bolt"]).await;
    records.extend(world.add(&process, &["gasket"]).await);
    let named = world.packs(&world.pointer().await);
    let (prefix, tenant) = (world.prefix(), &world.tenant);
    let litter = [
        format!("{prefix}/1/{ORPHAN}"),
        format!("{prefix}/1/{ORPHAN}#1"),
        format!("{prefix}/7/{ORPHAN}"),
        format!("{}#12", named[0]),
        format!("{tenant}/things/2/1/1/{ORPHAN}"),
        format!("{tenant}/gone/1/1/1/{ORPHAN}"),
        format!("t_gone/things/1/1/1/{ORPHAN}"),
    ];
    let others = [
        "notes.txt".to_owned(),
        "photos/2026/a.jpg".to_owned(),
        format!("{prefix}/1/report.pack"),
        format!("{prefix}/1/{ORPHAN}.bak"),
        format!("{prefix}/{ORPHAN}"),
    ];
    for path in litter.iter().chain(&others) {
        let path = folder.path().join(path);
        let parent = path.parent().expect("a folder");
        std::fs::create_dir_all(parent).expect("a folder");
        std::fs::write(path, "left over").expect("a file");
    }

    let swept = process.sweep(true, world.clock.now()).await;

    assert_eq!(swept.expect("a sweep"), litter.len());
    let expected: BTreeSet<String> = named.into_iter().chain(others).collect();
    assert_eq!(world.listed().await, expected);
    world.assert_finds(&world.process(), &records).await;
    let again = process.sweep(true, world.clock.now()).await;
    assert_eq!(again.expect("a sweep"), 0);
}

#[tokio::test]
async fn a_pack_that_went_out_of_use_is_swept_up_an_hour_later() {
    let world = World::new().await;
    let process = world.process();
    let records = world.add(&process, &["anchor", "bolt"]).await;
    let before = world.pointer().await;
    let rebuilt = process
        .rebuild(&world.tenant, &world.name, Some(before.version))
        .await;
    assert!(rebuilt.expect("a rebuild"));
    let after = world.pointer().await;
    let old: BTreeSet<String> = world.packs(&before).into_iter().collect();
    let new: BTreeSet<String> = world.packs(&after).into_iter().collect();

    world
        .clock
        .advance(search::RETIRED_FOR - TimeDelta::milliseconds(1));
    let swept = process.sweep(true, world.clock.now()).await;
    assert_eq!(swept.expect("a sweep"), 0);
    assert_eq!(world.listed().await, &old | &new);

    world.clock.advance(TimeDelta::milliseconds(1));
    let swept = process.sweep(true, world.clock.now()).await;
    assert_eq!(swept.expect("a sweep"), old.len());
    assert_eq!(world.listed().await, new);
    world.assert_finds(&world.process(), &records).await;
}

#[tokio::test]
async fn a_process_among_others_leaves_young_packs_and_those_of_unknown_collections() {
    let world = World::new().await;
    let process = world.process();
    let records = world.add(&process, &["anchor", "bolt"]).await;
    let (prefix, tenant) = (world.prefix(), &world.tenant);
    let orphans = [
        format!("{prefix}/1/{ORPHAN}"),
        format!("{prefix}/7/{ORPHAN}"),
    ];
    let others = [
        format!("{tenant}/unknown/1/1/1/{ORPHAN}"),
        format!("t_unknown/things/1/1/1/{ORPHAN}"),
        format!("{prefix}/1/report.pack"),
        "notes.txt".to_owned(),
    ];
    for path in orphans.iter().chain(&others) {
        world.objects.write(path, b"left over".to_vec()).await;
    }
    let all = world.listed().await;
    let listed = world.store.list("").await.expect("a list");
    let written = || listed.iter().map(|object| object.written);
    let (oldest, newest) = (written().min(), written().max());
    let (oldest, newest) = oldest.zip(newest).expect("objects");
    let day = TimeDelta::days(1);

    // To the store's clock the first of them is not a day old.
    let now = oldest + day - TimeDelta::seconds(1);
    let swept = process.sweep(false, now).await;
    assert_eq!(swept.expect("a sweep"), 0);
    assert_eq!(world.listed().await, all);

    let now = newest + day + TimeDelta::seconds(1);
    let swept = process.sweep(false, now).await;
    assert_eq!(swept.expect("a sweep"), orphans.len());
    let mut left = all;
    for orphan in &orphans {
        assert!(left.remove(orphan), "{orphan}");
    }
    assert_eq!(world.listed().await, left);
    world.assert_finds(&world.process(), &records).await;
}
