//! The search engine inside the process: built, searched warm, and opened cold over a slow store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::join_all;
use model::fault::Fields;
use model::index::Pointer;
use object_store::memory::InMemory;
use search::{Caches, Change, Effort, FORMAT, Fold, Index, Reads, Request, Store};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::catalogue::Catalogue;
use crate::classes::{Class, Query};
use crate::records::Maker;
use crate::slow::Slow;
use crate::stats::Durations;

/// Where the packs are.
const PREFIX: &str = "bench/things/1/1";

/// Records that are taken in at once.
const CHUNK: usize = 5_000;

/// When everything was made.
const NOW: &str = "2026-03-08T12:00:00Z";

/// An index of a whole catalogue.
pub struct Engine {
    runtime: Runtime,
    objects: Arc<InMemory>,
    pointer: Pointer,
    index: Index,
}

/// How the index was built.
#[derive(Debug, Clone, Copy)]
pub struct Built {
    /// Records.
    pub rows: u64,
    /// The time that analysis and indexing took.
    pub indexing: Duration,
    /// The time that merging into large segments took, and packing.
    pub merging: Duration,
    /// Bytes of all packs.
    pub bytes: u64,
    /// Bytes that are read whenever the index is opened.
    pub tails: u64,
    /// Segments.
    pub segments: usize,
}

/// Searches of one class.
#[derive(Debug, Clone)]
pub struct Ran {
    /// One after the other.
    pub times: Durations,
    /// The number of matches of each query.
    pub totals: Vec<u64>,
}

/// The first search of a process.
#[derive(Debug, Clone, Copy)]
pub struct Cold {
    /// From the pointer to the page.
    pub took: Duration,
    /// What was fetched.
    pub reads: Reads,
    /// Another query of the class right after it.
    pub next: Duration,
}

impl Engine {
    /// Builds the index of a catalogue.
    pub fn build(catalogue: &Catalogue) -> Result<(Self, Built)> {
        let runtime = Runtime::new().context("no runtime")?;
        let objects = Arc::new(InMemory::new());
        let store = Store::over(Arc::clone(&objects) as _, Caches::default());
        let empty = Pointer::empty(FORMAT, 1, 0);
        let mut fold = runtime.block_on(Fold::open(&store, PREFIX, &empty))?;
        let maker = Maker::new(NOW.parse().context("a moment")?)?;
        let mut indexing = Duration::ZERO;
        let mut numbers = 0..catalogue.count();
        loop {
            let changes: Vec<Change> = numbers
                .by_ref()
                .take(CHUNK)
                .map(|n| maker.change(catalogue.row(n), true))
                .collect::<Result<_>>()?;
            if changes.is_empty() {
                break;
            }
            let started = Instant::now();
            fold.write(&changes)?;
            indexing += started.elapsed();
        }
        let started = Instant::now();
        let folded = runtime.block_on(fold.finish(1, Effort::Background, maker.now))?;
        let merging = started.elapsed();
        let pointer = folded.context("an empty catalogue")?.pointer;
        let built = Built {
            rows: catalogue.count(),
            indexing,
            merging,
            bytes: pointer.packs.iter().map(|pack| pack.len).sum(),
            tails: pointer.packs.iter().map(|pack| pack.tail).sum(),
            segments: pointer.segments.len(),
        };
        let index = runtime.block_on(Index::open(&store, PREFIX, &pointer, None))?;
        let engine = Self {
            runtime,
            objects,
            pointer,
            index,
        };
        Ok((engine, built))
    }

    /// Runs the queries of a class, one after the other, so many times.
    pub fn run_class(&self, class: &Class, rounds: usize) -> Result<Ran> {
        let requests = requests(class)?;
        let mut totals = Vec::with_capacity(requests.len());
        for request in &requests {
            let page = self.runtime.block_on(self.index.search(request))?;
            totals.push(page.total as u64);
        }
        let mut times = Vec::new();
        for _ in 0..rounds {
            for request in &requests {
                let started = Instant::now();
                self.runtime.block_on(self.index.search(request))?;
                times.push(started.elapsed());
            }
        }
        Ok(Ran {
            times: times.into_iter().collect(),
            totals,
        })
    }

    /// Opens the index over a store that is far away, with nothing in the caches, and searches it.
    pub fn cold(&self, class: &Class) -> Result<Vec<Cold>> {
        let requests = requests(class)?;
        let mut colds = Vec::new();
        for pair in requests.chunks_exact(2).take(5) {
            let slow = Slow::over(Arc::clone(&self.objects));
            let store = Store::over(Arc::new(slow), Caches::default());
            let cold = self.runtime.block_on(async {
                let started = Instant::now();
                let index = Index::open(&store, PREFIX, &self.pointer, None).await?;
                index.search(&pair[0]).await?;
                let took = started.elapsed();
                let reads = store.reads();
                let started = Instant::now();
                index.search(&pair[1]).await?;
                Ok::<_, search::Error>(Cold {
                    took,
                    reads,
                    next: started.elapsed(),
                })
            })?;
            colds.push(cold);
        }
        Ok(colds)
    }

    /// Changes so many records, one by one, and searches for each at once.
    pub fn changes(&self, catalogue: &Catalogue, count: u64) -> Result<Durations> {
        let maker = Maker::new(NOW.parse().context("a moment")?)?;
        let mut times = Vec::new();
        for n in 0..count {
            let mut row = catalogue.row(n);
            row["name"] = Value::from(format!("changed{n}"));
            let change = maker.change(row, false)?;
            let request = request(&serde_json::json!({"query": format!("changed{n}")}))?;
            let started = Instant::now();
            self.index.apply(std::slice::from_ref(&change))?;
            let page = self.runtime.block_on(self.index.search(&request))?;
            times.push(started.elapsed());
            anyhow::ensure!(page.total == 1, "a changed record is not found");
        }
        Ok(times.into_iter().collect())
    }

    /// Searches of a class by several at once: requests a second.
    pub fn together(&self, class: &Class, clients: usize, each: usize) -> Result<f64> {
        let requests = requests(class)?;
        let started = Instant::now();
        let searches = (0..clients).map(|client| {
            let requests = &requests;
            async move {
                for at in 0..each {
                    let request = &requests[(client + at) % requests.len()];
                    self.index.search(request).await?;
                }
                Ok::<_, search::Error>(())
            }
        });
        let done = self.runtime.block_on(join_all(searches));
        done.into_iter().collect::<Result<(), _>>()?;
        #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
        let requests = (clients * each) as f64;
        Ok(requests / started.elapsed().as_secs_f64())
    }
}

fn requests(class: &Class) -> Result<Vec<Request>> {
    let bodies = class.queries.iter().map(|Query { body, .. }| request(body));
    bodies.collect()
}

fn request(body: &Value) -> Result<Request> {
    let mut fields = Fields::of(body).ok().context("not an object")?;
    Request::read(&mut fields).context("not a search")
}
