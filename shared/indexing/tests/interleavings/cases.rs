//! One change in the way of one fold.

use std::collections::BTreeSet;

use indexing::{Effort, Own};

use crate::common::{Fate, Random, advance, whole};
use crate::flights::Flight;
use crate::jobs::{Job, Life};
use crate::queries::Query;
use crate::world::{SEED, THINGS, World};

/// Lets a change of a record that is being folded land after each step of the fold in turn.
async fn assert_kept_during_a_fold(gone: bool) {
    let mut world = World::folded().await;
    for polls in 0..1_000 {
        world.diary.step = polls;
        let random = &mut Random::of(SEED, polls);
        world.put(THINGS, 7, random).await;
        let mut fold = world.job(THINGS, 0, Job::Fold(Effort::Call), Life::Here);
        let early = advance(&mut fold, polls).await;

        if gone {
            world.remove(THINGS, 7).await;
        } else {
            world.put(THINGS, 7, random).await;
        }

        let over = early.is_some();
        let folded = match early {
            Some(folded) => folded,
            None => whole(fold).await,
        };
        folded.expect("a fold");
        for process in 0..2 {
            world.check(THINGS, process, Query::Smallest).await;
        }
        world.fold_all(THINGS).await;
        world.check_both(THINGS).await;
        if over {
            // How often depends on how fast everything is.
            assert!(polls >= 4, "a fold waits more than {polls} times");
            return;
        }
    }
    panic!("a fold has no end");
}

#[tokio::test]
async fn an_update_that_lands_during_a_fold_is_not_lost() {
    assert_kept_during_a_fold(false).await;
}

#[tokio::test]
async fn a_delete_that_lands_during_a_fold_is_not_lost() {
    assert_kept_during_a_fold(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_and_went_between_two_folds_is_gone_from_open_indexes() {
    let mut world = World::folded().await;
    let random = &mut Random::of(SEED, 0);
    world.put(THINGS, 7, random).await;
    world.check_both(THINGS).await;

    world.remove(THINGS, 7).await;
    world.fold_all(THINGS).await;

    world.check_both(THINGS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_before_its_upload_is_folded_stays_gone() {
    let mut world = World::folded().await;
    let random = &mut Random::of(SEED, 0);
    let rows = BTreeSet::from([7]);
    world.upload(THINGS, rows, [Fate::Whole; 2], random).await;
    let id = world.id(THINGS, 7);
    let written = world.read(THINGS, &[id]).await.remove(&id);
    world.turn(THINGS, id, written, None, Fate::Whole).await;
    world.fold_all(THINGS).await;
    world.settle(0, Fate::Whole).await;
    let Flight { upload, ahead, .. } = world.flights.remove(0);
    let own = Own {
        upload: Some(upload),
        ahead,
    };

    let folded = whole(world.job(THINGS, 1, Job::Own(own), Life::Task)).await;

    folded.expect("a fold");
    world.check_both(THINGS).await;
    world.fold_all(THINGS).await;
    world.check_both(THINGS).await;
    world.check_counters().await;
}
