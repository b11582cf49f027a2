//! The run.

use std::hash::{BuildHasher, RandomState};

use chrono::TimeDelta;
use indexing::{Effort, Progress};
use table::marker::Markers;

use crate::checks::live;
use crate::common::{Random, setting, whole};
use crate::flights::Stage;
use crate::jobs::Job;
use crate::queries::Query;
use crate::sides::widen;
use crate::world::{SEED, World};

/// The steps of a run, if nothing is said.
const STEPS: u64 = 750;

impl World {
    async fn step(&mut self, step: u64) {
        self.diary.step = step;
        let random = &mut Random::of(self.diary.seed, step);
        let millis = random.below(1_000).cast_signed();
        self.clock.advance(TimeDelta::milliseconds(millis));
        let side = usize::from(random.chance(15));
        self.drop_old().await;
        match random.below(100) {
            0..38 => self.change(side, random).await,
            38..41 => self.purge(side, random).await,
            41..50 => self.begin(side, random).await,
            50..60 => self.go_on(random).await,
            60..66 => self.start(side, Job::Fold(Effort::Call), random).await,
            66..70 => {
                let job = Job::Fold(Effort::Background);
                self.start(side, job, random).await;
            }
            70..72 => self.start(side, Job::Tend, random).await,
            72..74 => self.start(side, Job::Rebuild, random).await,
            74..76 => self.sweep(random).await,
            76..84 => self.resume(random).await,
            84..90 => self.move_clock(random),
            90..93 => self.settle_abandoned(15, random).await,
            93..95 => self.restart(random.index(2)),
            95..98 => self.search_late(side, random).await,
            _ => self.hang_up(side, random).await,
        }
        if let Some(late) = &mut self.late {
            widen(&mut late.states, &self.sides[late.side].states());
        }

        let process = random.index(2);
        self.check(side, process, Query::Everything).await;
        self.check(side, process, Query::any(random)).await;
        if step % 4 == 1 {
            self.finish_tasks().await;
            self.check_progress(side, process).await;
        }
        if step % 10 == 7 {
            for side in 0..self.sides.len() {
                for process in 0..self.processes.len() {
                    self.check(side, process, Query::any(random)).await;
                }
            }
        }
        if step % 20 == 13 {
            self.check_counters().await;
            self.check_records().await;
        }
    }

    /// Lets everything come to its end. Nothing is left then but the records and their index.
    async fn end(mut self) {
        self.diary.note("the end");
        self.finish_tasks().await;
        while let Some(parked) = self.parked.pop() {
            whole(parked.work).await.expect("a fold");
        }
        self.clock.advance(TimeDelta::hours(1));
        let random = &mut Random::of(self.diary.seed, u64::MAX);
        self.settle_abandoned(0, random).await;
        self.flights.retain(|flight| flight.stage != Stage::Settled);
        assert!(self.flights.is_empty(), "an upload is not settled");
        for side in 0..self.sides.len() {
            self.fold_all(side).await;
            let name = &self.sides[side].name;
            let markers = self.table.markers(&self.tenant, name).await;
            let markers = markers.expect("markers");
            assert!(markers.values().all(Markers::is_empty), "{markers:?}");
            let view = self.view(side).await;
            let progress = self.processes[0].progress(&self.tenant, live(&view), &view.markers);
            assert_eq!(progress.await.expect("progress"), Progress::default());
            self.check_both(side).await;
        }
        self.check_counters().await;
        self.check_records().await;

        // Longer than packs are kept that went out of use.
        self.clock.advance(TimeDelta::hours(2));
        let swept = self.processes[0].sweep(true, self.clock.now()).await;
        swept.expect("a sweep");
        self.check_packs().await;
        for process in 0..self.processes.len() {
            self.restart(process);
        }
        for side in 0..self.sides.len() {
            for query in Query::all() {
                self.check(side, 0, query).await;
            }
            self.check_both(side).await;
        }
    }
}

async fn interleave(seed: u64) {
    println!("INTERLEAVINGS_SEED={seed}");
    let mut world = World::new(seed).await;
    for step in 0..setting("INTERLEAVINGS_STEPS").unwrap_or(STEPS) {
        world.step(step).await;
    }
    world.end().await;
}

#[tokio::test]
async fn searches_find_what_is_there_however_calls_folds_and_crashes_cross() {
    interleave(SEED).await;
}

#[tokio::test]
async fn searches_find_what_is_there_from_any_seed() {
    let seed = setting("INTERLEAVINGS_SEED");
    interleave(seed.unwrap_or_else(|| RandomState::new().hash_one(0_u8))).await;
}
