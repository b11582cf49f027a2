//! An index that is open for searching.

mod kinds;
mod run;
pub(crate) mod warm;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use model::fault::Fault;
use model::id::{RecordId, RecordType};
use model::index::Pointer;
use model::record::Record;
use serde::Serialize;
use tantivy::{IndexReader, ReloadPolicy};

use crate::analysis::{self, Paths};
use crate::class::{Class, classify};
use crate::pack::{self, Pack};
use crate::rank::Rank;
use crate::request::Request;
use crate::segments::Segments;
use crate::store::{Store, StoreError};

use run::Plan;
use warm::warm_ids;

/// The least that tantivy wants for a writer: what is taken in here is a few records.
const WRITER_BYTES: usize = 15_000_000;

/// A failure of a search or a change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A filter cannot be applied.
    #[error("{}", .0.message)]
    Filter(Fault),
    /// A pack cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index itself fails.
    #[error(transparent)]
    Index(#[from] tantivy::TantivyError),
    /// A thread ended early.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Error {
    /// Whether part of the index is missing or is not what was written: a newer pointer may lead
    /// to one that is whole, and a rebuild always does.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
        use tantivy::TantivyError;
        use tantivy::directory::error::OpenReadError;
        let lost =
            |error: &std::io::Error| matches!(error.kind(), InvalidData | NotFound | UnexpectedEof);
        match self {
            Self::Store(StoreError::Missing(_) | StoreError::Corrupt { .. }) => true,
            Self::Store(StoreError::Io(error)) => lost(error),
            Self::Index(error) => match error {
                TantivyError::IoError(error) => lost(error),
                TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => {
                    lost(io_error)
                }
                TantivyError::OpenReadError(_)
                | TantivyError::DataCorruption(_)
                | TantivyError::IncompatibleIndex(_) => true,
                _ => false,
            },
            _ => false,
        }
    }
}

/// A change that the index is to take in.
#[derive(Debug, Clone)]
pub struct Change {
    /// The record.
    pub id: RecordId,
    /// What it is now; `None` if it is gone.
    pub record: Option<Record>,
    /// Whether the index is known not to hold it yet, which spares looking for it.
    pub is_new: bool,
}

/// How a search was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By its words.
    Fulltext,
    /// By an identifier, exactly.
    Identifier,
    /// By its filters alone, or everything.
    Filter,
}

/// How much of what a query asks for its hits have. Of several indexes, only those count that have the
/// most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// What it identifies, or all that its filters leave.
    Exact,
    /// Every word.
    EveryWord,
    /// Any word.
    AnyWord,
}

/// One result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The record.
    pub id: RecordId,
    /// From 0 to 1.
    pub score: f64,
}

/// One page of results.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The hits, in order.
    pub hits: Vec<Hit>,
    /// What each of them is ordered by.
    pub ranks: Vec<Rank>,
    /// How many there are in all, exactly.
    pub total: usize,
    /// The record types of all that the audience may find, where the request wants them.
    pub kinds: BTreeSet<RecordType>,
    /// How the search was answered.
    pub mode: Mode,
    /// What the query looked like.
    pub class: Class,
    /// How much of it the hits have.
    pub fit: Fit,
    /// Whether nothing matched at first, and less was asked for.
    pub fell_back: bool,
    /// The time to classify the query.
    pub classify_time: Duration,
    /// The time to search.
    pub search_time: Duration,
}

impl Page {
    /// What a request finds where there is nothing.
    #[must_use]
    pub fn nothing(request: &Request) -> Self {
        let class = classify(&request.query);
        let (mode, fit, fell_back) = match class {
            Class::Filter => (Mode::Filter, Fit::Exact, false),
            Class::Identifier => (Mode::Fulltext, Fit::AnyWord, true),
            Class::Keyword | Class::NaturalLanguage => {
                let fell_back = analysis::stems(&request.query).len() > 1;
                (Mode::Fulltext, Fit::AnyWord, fell_back)
            }
        };
        Self {
            hits: Vec::new(),
            ranks: Vec::new(),
            total: 0,
            kinds: BTreeSet::new(),
            mode,
            class,
            fit,
            fell_back,
            classify_time: Duration::ZERO,
            search_time: Duration::ZERO,
        }
    }
}

/// The index of one generation of one collection: the packs of a pointer, and changes that this
/// process has taken in since and that nobody else sees.
pub struct Index {
    store: Store,
    packs: Vec<Arc<Pack>>,
    segments: Segments,
    reader: IndexReader,
    paths: RwLock<Arc<Paths>>,
    /// Changes come one after the other.
    changing: Mutex<()>,
}

impl Index {
    /// Opens the packs of a pointer, which lie under `prefix`. Those that `before` has open are
    /// shared with it.
    pub async fn open(
        store: &Store,
        prefix: &str,
        pointer: &Pointer,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let known = before.map_or(&[][..], |index| &index.packs);
        let packs = pack::open_all(store, prefix, pointer, known).await?;
        let (store, pointer) = (store.clone(), pointer.clone());
        let place = store.place().await?;
        let opening = {
            let store = store.clone();
            tokio::task::spawn_blocking(move || {
                let _place = place;
                let segments = Segments::open(&pointer, &packs)?;
                let reader = segments
                    .index
                    .reader_builder()
                    .reload_policy(ReloadPolicy::Manual)
                    .try_into()?;
                let index = Self {
                    store,
                    packs,
                    segments,
                    reader,
                    paths: RwLock::default(),
                    changing: Mutex::default(),
                };
                index.note_paths(Paths::default())?;
                Ok(index)
            })
        };
        opening.await?
    }

    /// The bytes that it keeps in memory for as long as it is open.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        let packs: u64 = self.packs.iter().map(|pack| pack.held).sum();
        packs + self.segments.directory.written_bytes()
    }

    /// Takes in changes as [`Index::apply`] does, on a thread that may block.
    pub async fn take_in(self: &Arc<Self>, changes: Vec<Change>) -> Result<(), Error> {
        if self.store.is_remote() && changes.iter().any(|change| !change.is_new) {
            warm_ids(self.reader.searcher().segment_readers()).await?;
        }
        let (index, place) = (Arc::clone(self), self.store.place().await?);
        let apply = move || {
            let _place = place;
            index.apply(&changes)
        };
        tokio::task::spawn_blocking(apply).await?
    }

    /// Takes in changes; every search that starts after it sees them. Of two changes of one record
    /// in a call the later one holds. It blocks.
    pub fn apply(&self, changes: &[Change]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paths = Paths::clone(&self.paths());
        let mut writer = self.segments.writer(WRITER_BYTES)?;
        self.segments.write(&writer, changes, &mut paths)?;
        writer.commit()?;
        writer.wait_merging_threads()?;
        self.reader.reload()?;
        *self.paths.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(paths);
        Ok(())
    }

    /// Finds a page.
    pub async fn search(&self, request: &Request) -> Result<Page, Error> {
        let started = Instant::now();
        let plan = Plan::new(self, request);
        let classify_time = started.elapsed();

        let started = Instant::now();
        let plan = if plan.has_to_look() {
            tokio::task::spawn_blocking(|| plan.compiled()).await??
        } else {
            plan.compiled()?
        };
        // What crosses a network is fetched at once before it is read piece by piece.
        if self.store.is_remote() {
            plan.warm().await?;
        }
        let place = self.store.place().await?;
        let run = move || {
            let _place = place;
            plan.run()
        };
        let found = tokio::task::spawn_blocking(run).await??;
        Ok(found.page(classify_time, started.elapsed()))
    }

    fn paths(&self) -> Arc<Paths> {
        Arc::clone(&self.paths.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_paths(&self, mut paths: Paths) -> Result<(), Error> {
        for segment in self.reader.searcher().segment_readers() {
            paths.note(segment)?;
        }
        *self.paths.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(paths);
        Ok(())
    }
}
