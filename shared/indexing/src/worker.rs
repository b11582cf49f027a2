//! The folds of a process that lives on: what was left by calls is folded a little later, segments
//! that have become many are merged, generations that were replaced are deleted, and collections that
//! were deleted erased. In AWS a function on the table's stream does it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::TimeDelta;
use model::id::{CollectionName, TenantId};
use table::marker::{Generation, MarkerId};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fold::{Folded, Own};
use crate::{Effort, Indexes, Result};

/// So many changes are folded at once; fewer wait for more.
const ENOUGH: usize = 100;

/// How long fewer changes wait.
const PATIENCE: TimeDelta = TimeDelta::seconds(5);

/// How soon a collection that was touched is looked at, and how soon again.
const SOON: Duration = Duration::from_millis(500);

/// How often one call folds a collection that keeps changing.
const MAX_FOLDS: usize = 20;

/// How many collections are looked at at once, so that one that takes long does not hold up all.
const AT_ONCE: usize = 4;

/// A collection of a tenant.
type Collection = (TenantId, CollectionName);

/// What a look at a collection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing is left to do.
    Done,
    /// Something is, a little later.
    Again,
}

impl Indexes {
    /// Folds what the calls of this process leave behind, for as long as it is awaited.
    pub async fn work(&self) {
        let (send, receive) = mpsc::unbounded_channel();
        if self.0.wanted.set(send).is_ok() {
            self.resume().await;
            self.attend(receive).await;
        }
    }

    async fn attend(&self, mut touched: UnboundedReceiver<Collection>) {
        let mut due: HashMap<Collection, Instant> = HashMap::new();
        let mut looks: JoinSet<(Collection, Result<Look>)> = JoinSet::new();
        let mut busy: HashSet<Collection> = HashSet::new();
        loop {
            let next = due.values().min().copied();
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            tokio::select! {
                collection = touched.recv() => {
                    let Some(collection) = collection else { return };
                    due.entry(collection).or_insert_with(|| Instant::now() + SOON);
                }
                Some(looked) = looks.join_next() => {
                    let Ok((collection, look)) = looked else {
                        // Whose look it was that panicked is not known; a lease keeps two apart.
                        busy.clear();
                        continue;
                    };
                    busy.remove(&collection);
                    let (tenant, name) = &collection;
                    let wait = match look {
                        Ok(Look::Done) => continue,
                        Ok(Look::Again) => SOON,
                        Err(error) => {
                            tracing::warn!(%tenant, collection = %name, %error, "a fold failed");
                            10 * SOON
                        }
                    };
                    due.insert(collection, Instant::now() + wait);
                }
                () = tokio::time::sleep_until(next), if looks.len() < AT_ONCE => {
                    let now = Instant::now();
                    let ready = due.iter().find(|(who, at)| **at <= now && !busy.contains(*who));
                    match ready.map(|(who, _)| who.clone()) {
                        Some(collection) => {
                            due.remove(&collection);
                            busy.insert(collection.clone());
                            let indexes = self.clone();
                            looks.spawn(async move {
                                let look = indexes.look(&collection.0, &collection.1).await;
                                (collection, look)
                            });
                        }
                        // Those that are due are being looked at.
                        None => due.values_mut().for_each(|at| *at = (*at).max(now + SOON)),
                    }
                }
            }
        }
    }

    /// Folds what a collection has to fold by now, enough changes or some that have waited; then
    /// deletes what it does not serve any more, and what is left of others of its name.
    pub(crate) async fn look(&self, tenant: &TenantId, name: &CollectionName) -> Result<Look> {
        let work = self.due(tenant, name).await?;
        let mut look = Look::Done;
        for due in work.generations {
            if due.fold {
                self.fold_in_background(tenant, name, &due).await?;
            }
            if due.left {
                look = Look::Again;
            }
        }
        if work.retired && !self.retire(tenant, name).await? {
            look = Look::Again;
        }
        if !self.erase(tenant, name).await? {
            look = Look::Again;
        }
        Ok(look)
    }

    /// Folds everything that a collection has to fold, merges what is to be merged, and deletes what
    /// has not been served for long enough; false if somebody else is at it.
    pub async fn tend(&self, tenant: &TenantId, name: &CollectionName) -> Result<bool> {
        for _ in 0..MAX_FOLDS {
            let work = self.due(tenant, name).await?;
            let mut done = true;
            for due in work.generations {
                if due.takes == 0 && !due.merge {
                    continue;
                }
                let folded = self.fold_in_background(tenant, name, &due);
                match folded.await? {
                    Folded::Busy => return Ok(false),
                    Folded::Nothing => {}
                    Folded::Yes(_) => done = false,
                }
            }
            if done {
                if work.retired {
                    // What has to stay for a while yet is for the sweep.
                    self.retire(tenant, name).await?;
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn fold_in_background(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        due: &Due,
    ) -> Result<Folded> {
        let own = Own::default();
        self.fold(tenant, name, due.generation, own, due.effort)
            .await
    }

    /// What there is to do in a collection.
    async fn due(&self, tenant: &TenantId, name: &CollectionName) -> Result<Work> {
        let Some(view) = self.0.table.index_view(tenant, name).await? else {
            return Ok(Work::default());
        };
        let now = self.now();
        let collection = &view.collection;
        let generations = [Some(collection.generation), collection.staging()];
        let mut due = Vec::new();
        for generation in generations.into_iter().flatten() {
            let of = Generation {
                number: collection.number,
                generation,
            };
            let markers = view.markers.get(&of).cloned().unwrap_or_default();
            let takes = self.takes(&markers, None, Effort::Background);
            let is_batch = |(marker, _): &(MarkerId, _)| matches!(marker, MarkerId::Batch(_));
            let batches = takes.iter().any(is_batch);
            let oldest = markers.records.values().map(|marker| marker.at).min();
            let waited = oldest.is_some_and(|oldest| oldest <= now - PATIENCE);
            let pointer = collection.indexes.get(&generation);
            let is_due =
                |effort| pointer.is_some_and(|it| search::merge_is_due(&it.segments, effort));
            let (background, beside) = (Effort::Background, Effort::Beside);
            let effort = if is_due(background) && self.0.table.is_held(tenant, of).await? {
                beside
            } else {
                background
            };
            let merge = is_due(effort);
            due.push(Due {
                generation,
                effort,
                takes: takes.len(),
                merge,
                fold: batches || waited || merge || takes.len() >= ENOUGH,
                // What is too large for now is looked at again.
                left: !markers.is_empty() || is_due(background),
            });
        }
        Ok(Work {
            generations: due,
            retired: !collection.retired.is_empty(),
        })
    }
}

/// What there is to do in a collection.
#[derive(Default)]
struct Work {
    /// In each generation that is in use.
    generations: Vec<Due>,
    /// Whether there are generations that are not.
    retired: bool,
}

/// What there is to do in a generation.
struct Due {
    generation: u32,
    /// How much a fold may merge.
    effort: Effort,
    /// The number of markers that can be folded now.
    takes: usize,
    /// Whether segments are to be merged.
    merge: bool,
    /// Whether it is time.
    fold: bool,
    /// Whether there is anything at all.
    left: bool,
}
