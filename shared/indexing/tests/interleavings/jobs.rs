//! Folds and what else the index needs.

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt};
use indexing::{Effort, Folded, Indexes, Own};
use model::id::{CollectionName, TenantId};
use table::Table;
use table::marker::Generation;

use crate::common::{Clock, Random, abandon, advance, run, whole};
use crate::sides::Side;
use crate::world::{MOST_PARKED, MOST_TASKS, World, process};

/// A fold that stands still for so many steps is dropped, before its calls run out of real time.
const MOST_STEPS_PARKED: u64 = 60;

/// So long before the test every pack is yet to be written.
const LONG_BEFORE: TimeDelta = TimeDelta::days(7_000);

/// Work on an index that changes no record.
#[derive(Debug)]
pub(crate) enum Job {
    /// A fold of what is free.
    Fold(Effort),
    /// The fold of an upload at the end of its call.
    Own(Own),
    /// Building it anew.
    Rebuild,
    /// Whatever is due.
    Tend,
}

/// How long a fold lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// To its end, in a task of its own, whether anybody waits for it or not.
    Task,
    /// Until it is dropped.
    Here,
}

/// Does a job as the code that has it does.
async fn carry_out(
    indexes: Indexes,
    table: Table,
    clock: Clock,
    (tenant, name): (TenantId, CollectionName),
    of: Generation,
    job: Job,
    life: Life,
) -> indexing::Result<()> {
    let (own, effort) = match job {
        Job::Fold(effort) => (Own::default(), effort),
        Job::Own(own) => (own, Effort::Call),
        Job::Rebuild => {
            let view = table.index_view(&tenant, &name).await?;
            let seen = view.and_then(|view| Some(view.collection.index()?.version));
            return match indexes.rebuild(&tenant, &name, seen).await {
                Ok(_) | Err(indexing::Error::LeaseLost) => Ok(()),
                Err(error) => Err(error),
            };
        }
        Job::Tend => return indexes.tend(&tenant, &name).await.map(|_| ()),
    };
    let (upload, generation) = (own.upload, of.generation);
    let folded = match life {
        Life::Task => indexes.fold(&tenant, &name, generation, own, effort).await,
        Life::Here => {
            let folding = indexes.fold_here(&tenant, &name, generation, own, effort);
            folding.await
        }
    };
    if let (Folded::Busy, Some(upload)) = (folded?, upload) {
        let now = clock.now();
        table.leave_batch(&tenant, &name, of, upload, now).await?;
    }
    Ok(())
}

/// Work that stands still half way, and since which step.
pub(crate) struct Parked {
    pub(crate) work: BoxFuture<'static, indexing::Result<()>>,
    since: u64,
}

impl World {
    pub(crate) fn job(
        &self,
        side: usize,
        process: usize,
        job: Job,
        life: Life,
    ) -> BoxFuture<'static, indexing::Result<()>> {
        let (name, of) = (self.sides[side].name.clone(), self.sides[side].of());
        carry_out(
            self.processes[process].clone(),
            self.table.clone(),
            self.clock.clone(),
            (self.tenant.clone(), name),
            of,
            job,
            life,
        )
        .boxed()
    }

    /// Begins a job, which ends, goes on by itself, is cut short or stands still half way.
    pub(crate) async fn start(&mut self, side: usize, job: Job, random: &mut Random) {
        let what = match &job {
            Job::Own(own) => format!("fold of {:?}", own.upload),
            other => format!("{other:?}"),
        };
        let mortal = matches!(job, Job::Fold(_) | Job::Own(_));
        let course = random.below(if mortal { 10 } else { 6 });
        let life = if course < 6 { Life::Task } else { Life::Here };
        let mut work = self.job(side, random.index(2), job, life);
        match course {
            0..4 => {
                self.diary.note(&what);
                whole(work).await.expect("a fold");
            }
            4..6 => {
                self.diary.note(&format!("{what}, by itself"));
                self.tasks.push(tokio::spawn(work));
                if self.tasks.len() > MOST_TASKS {
                    self.finish_tasks().await;
                }
            }
            6..8 => {
                let fate = random.fate(100, 50);
                self.diary.note(&format!("{what}, {fate:?}"));
                if let Some(done) = run(work, fate).await {
                    done.expect("a fold");
                }
            }
            _ => {
                self.diary.note(&format!("{what}, half way"));
                let since = self.diary.step;
                match advance(&mut work, random.below(50)).await {
                    Some(done) => done.expect("a fold"),
                    None => self.parked.push(Parked { work, since }),
                }
                if self.parked.len() > MOST_PARKED {
                    let oldest = self.parked.remove(0);
                    whole(oldest.work).await.expect("a fold");
                }
            }
        }
    }

    /// Waits for what goes on by itself.
    pub(crate) async fn finish_tasks(&mut self) {
        for task in std::mem::take(&mut self.tasks) {
            let done = whole(task.boxed()).await.expect("a task");
            done.expect("a fold");
        }
    }

    /// Takes work that stands still further, to its end, or drops it.
    pub(crate) async fn resume(&mut self, random: &mut Random) {
        if self.parked.is_empty() {
            return;
        }
        let at = random.index(self.parked.len());
        let mut parked = self.parked.swap_remove(at);
        match random.below(10) {
            0..5 => {
                self.diary.note("what stands still goes on");
                match advance(&mut parked.work, random.below(20)).await {
                    Some(done) => done.expect("a fold"),
                    None => self.parked.push(parked),
                }
            }
            5..8 => {
                self.diary.note("what stands still ends");
                whole(parked.work).await.expect("a fold");
            }
            _ => {
                self.diary.note("what stands still is dropped");
                abandon(parked.work).await;
            }
        }
    }

    /// Drops work that stands still for too long.
    pub(crate) async fn drop_old(&mut self) {
        let step = self.diary.step;
        let old = |parked: &Parked| parked.since + MOST_STEPS_PARKED < step;
        while let Some(at) = self.parked.iter().position(old) {
            abandon(self.parked.swap_remove(at).work).await;
        }
    }

    /// Sweeps the store: of everything that is not in use, or, while some work has packs that it
    /// has yet to publish, of what is old.
    pub(crate) async fn sweep(&mut self, random: &mut Random) {
        self.finish_tasks().await;
        let alone = self.parked.is_empty();
        let now = self.clock.now();
        let now = if alone { now } else { now - LONG_BEFORE };
        let (process, fate) = (random.index(2), random.fate(15, 12));
        self.diary.note(&format!("sweep, {alone}, {fate:?}"));
        let sweeping = self.processes[process].sweep(alone, now);
        let Some(swept) = run(sweeping.boxed(), fate).await else {
            return;
        };
        let swept = swept.expect("a sweep");
        if alone {
            self.check_packs().await;
        } else {
            assert_eq!(swept, 0);
        }
    }

    pub(crate) fn move_clock(&mut self, random: &mut Random) {
        let by = match random.below(10) {
            0..6 => random.seconds(1, 20),
            6..8 => random.seconds(30, 120),
            8 => random.seconds(180, 1_200),
            _ => random.seconds(3_660, 7_800),
        };
        self.diary.note(&format!("{} s later", by.num_seconds()));
        self.clock.advance(by);
    }

    pub(crate) fn restart(&mut self, process: usize) {
        self.diary.note(&format!("process {process} begins anew"));
        self.processes[process] = self::process(&self.endpoint, &self.store, &self.clock);
    }

    /// Folds what is marked until nothing is. Nobody else may be at it.
    pub(crate) async fn fold_all(&self, side: usize) {
        let Side {
            name, generation, ..
        } = &self.sides[side];
        for _ in 0..5 {
            if self.view(side).await.markers.is_empty() {
                return;
            }
            let (own, effort) = (Own::default(), Effort::Background);
            let folding = self.processes[0].fold(&self.tenant, name, *generation, own, effort);
            let folded = whole(folding.boxed()).await.expect("a fold");
            assert_ne!(folded, Folded::Busy);
        }
        panic!("markers stay");
    }
}
