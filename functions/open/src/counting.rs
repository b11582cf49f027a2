//! Counting searches for those whose records they returned.
//!
//! In a Lambda a search is counted before it is answered, because the process may be frozen then. A
//! process that lives on gathers searches for a moment and writes them together: so however often
//! something is found, none of its counters is written more than ten times a second.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use model::id::TenantId;
use model::period::Day;
use table::Table;

/// How long searches are gathered.
const GATHERED: Duration = Duration::from_millis(100);

/// How many counters are written at once.
const AT_ONCE: usize = 16;

/// What searches are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counter {
    /// The collection whose records were returned.
    Collection {
        tenant: TenantId,
        day: Day,
        number: u32,
    },
    /// The agent to whom a tenant's records were returned.
    Agent {
        tenant: TenantId,
        day: Day,
        agent: String,
    },
}

impl Counter {
    async fn add(&self, table: &Table, count: u64) -> table::Result<()> {
        match self {
            Self::Collection {
                tenant,
                day,
                number,
            } => {
                let counted = table.count_open_searches(tenant, *day, *number, count);
                counted.await
            }
            Self::Agent { tenant, day, agent } => {
                let counted = table.count_agent_searches(tenant, *day, agent, count);
                counted.await
            }
        }
    }
}

/// How searches are counted. Clones count together.
#[derive(Clone)]
pub struct Counting(Option<Arc<Gathered>>);

impl Counting {
    /// Each search in its call.
    #[must_use]
    pub fn at_once() -> Self {
        Self(None)
    }

    /// All searches of a moment together. What is gathered when the process ends is to be written by
    /// [`Counting::flush`].
    #[must_use]
    pub fn gathering(table: &Table) -> Self {
        Self(Some(Arc::new(Gathered {
            table: table.clone(),
            waiting: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        })))
    }

    /// Counts a search. A failure is logged and fails no search.
    pub(crate) async fn count(&self, table: &Table, counters: Vec<Counter>) {
        let counts = counters.into_iter().map(|counter| (counter, 1));
        match &self.0 {
            None => drop(add_all(table, counts).await),
            Some(gathered) => gathered.take(counts),
        }
    }

    /// Writes what is gathered.
    pub async fn flush(&self) {
        if let Some(gathered) = &self.0 {
            gathered.write().await;
        }
    }
}

/// Searches that are counted and not written yet.
struct Gathered {
    table: Table,
    waiting: Mutex<BTreeMap<Counter, u64>>,
    /// One writes at a time, so that whoever flushes waits for all.
    writing: tokio::sync::Mutex<()>,
}

impl Gathered {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Counter, u64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first that waits sees to it that all are written.
    fn take(self: &Arc<Self>, counts: impl IntoIterator<Item = (Counter, u64)>) {
        let mut waiting = self.lock();
        let is_first = waiting.is_empty();
        for (counter, count) in counts {
            *waiting.entry(counter).or_default() += count;
        }
        if is_first && !waiting.is_empty() {
            let gathered = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(GATHERED).await;
                gathered.write().await;
            });
        }
    }

    async fn write(self: &Arc<Self>) {
        let _alone = self.writing.lock().await;
        let counts = std::mem::take(&mut *self.lock());
        let left = add_all(&self.table, counts).await;
        self.take(left);
    }
}

/// Adds to counters, and returns those that could not be written.
async fn add_all(
    table: &Table,
    counts: impl IntoIterator<Item = (Counter, u64)>,
) -> Vec<(Counter, u64)> {
    let counts: Vec<(Counter, u64)> = counts.into_iter().collect();
    stream::iter(counts)
        .map(|(counter, count)| {
            let table = table.clone();
            async move {
                let failed = counter.add(&table, count).await.err()?;
                tracing::error!(error = %failed, count, "open searches are not counted");
                Some((counter, count))
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(ready)
        .collect()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use table::daily::Daily;
    use testkit::TestApp;

    /// What is found by each search.
    fn found(day: Day) -> Vec<Counter> {
        let tenant: TenantId = "t_1".parse().unwrap();
        let collection = Counter::Collection {
            tenant: tenant.clone(),
            day,
            number: 1,
        };
        let agent = "claude".to_owned();
        vec![collection, Counter::Agent { tenant, day, agent }]
    }

    async fn counted(app: &TestApp, day: Day) -> (u64, u64) {
        let (table, tenant) = (&app.app.table, "t_1".parse().unwrap());
        let searches = table.open_searches(&tenant, day.period()).await.unwrap();
        let agents = table.agents(&tenant, day.period()).await.unwrap().named;
        let on = |counted: Option<&Daily>| counted.map_or(0, |counted| counted.on(day));
        (on(searches.get(&1)), on(agents.get("claude")))
    }

    #[tokio::test]
    async fn searches_of_a_moment_are_one_write_a_counter() {
        let app = TestApp::new(api::Router::new()).await;
        let (table, day) = (&app.app.table, Day::of(app.app.clock.now()));
        let counting = Counting::gathering(table);
        // An agent that is known needs one write.
        Counting::at_once().count(table, found(day)).await;
        app.calls.record();
        for _ in 0..1_000 {
            counting.count(table, found(day)).await;
        }
        counting.flush().await;
        let calls = app.calls.take();
        let of_collections = |call: &&testkit::Call| {
            let mut keys = call.accesses.iter();
            keys.any(|access| access.key == "TENANT#t_1#OPEN")
        };
        assert_eq!(calls.iter().filter(of_collections).count(), 1);
        assert_eq!(counted(&app, day).await, (1_001, 1_001));
    }

    #[tokio::test]
    async fn what_is_gathered_is_written_without_anybody_asking() {
        let app = TestApp::new(api::Router::new()).await;
        let (table, day) = (&app.app.table, Day::of(app.app.clock.now()));
        let counting = Counting::gathering(table);
        counting.count(table, found(day)).await;
        let writing = async {
            while counted(&app, day).await != (1, 1) {
                tokio::time::sleep(GATHERED).await;
            }
        };
        let written = tokio::time::timeout(Duration::from_mins(1), writing).await;
        written.expect("both counters");
    }
}
