//! The index of one collection, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use model::fault::Fault;
use model::id::RecordId;
use model::record::Record;
use serde::Serialize;
use tantivy::query::{Occur, Query, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, Searcher, Term};
use uuid::Uuid;

use crate::analysis::{self, Fields, Paths};
use crate::class::{Class, classify};
use crate::query::{self, Scaled};
use crate::rank::{self, ByScore, Ranking, SCORE_UNIT};
use crate::request::{Direction, Request, Sort};

/// What one writer may hold in memory before it makes a segment.
const WRITER_BYTES: usize = 50_000_000;

/// A failure of a search or a change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A filter cannot be applied.
    #[error("{}", .0.message)]
    Filter(Fault),
    /// The index itself fails.
    #[error(transparent)]
    Index(#[from] tantivy::TantivyError),
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
    /// How many there are in all, exactly.
    pub total: usize,
    /// How the search was answered.
    pub mode: Mode,
    /// What the query looked like.
    pub class: Class,
    /// Whether nothing matched at first, and less was asked for.
    pub fell_back: bool,
    /// The time to classify the query.
    pub classify_time: Duration,
    /// The time to search.
    pub search_time: Duration,
}

/// The index of one generation of one collection. Its methods block; changes are serialised.
pub struct Index {
    index: tantivy::Index,
    reader: IndexReader,
    fields: Fields,
    paths: RwLock<Paths>,
    /// The version of each record that the index holds; also the lock of changes.
    versions: Mutex<HashMap<RecordId, u64>>,
}

impl Index {
    /// An empty index.
    pub fn new() -> Result<Self, Error> {
        let (schema, fields) = analysis::schema();
        let index = tantivy::Index::create_in_ram(schema);
        analysis::register(&index);
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        Ok(Self {
            index,
            reader,
            fields,
            paths: RwLock::default(),
            versions: Mutex::default(),
        })
    }

    /// Adds records, or replaces them by later versions. An earlier version than the one that the
    /// index holds is passed over, so that it does not matter who comes first. When the call
    /// returns, every search sees them.
    pub fn apply<'a>(&self, records: impl IntoIterator<Item = &'a Record>) -> Result<(), Error> {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer: Option<IndexWriter> = None;
        let mut applied: HashMap<RecordId, u64> = HashMap::new();
        for record in records {
            let held = applied.get(&record.id).or_else(|| versions.get(&record.id));
            if held.is_some_and(|version| *version >= record.version) {
                continue;
            }
            let writer = match &mut writer {
                Some(writer) => writer,
                None => writer.insert(self.index.writer_with_num_threads(1, WRITER_BYTES)?),
            };
            if held.is_some() {
                let id = record.id.to_string();
                writer.delete_term(Term::from_field_text(self.fields.id, &id));
            }
            let document = {
                let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
                analysis::document(&self.fields, record, &mut paths)
            };
            writer.add_document(document)?;
            applied.insert(record.id, record.version);
        }
        if let Some(mut writer) = writer {
            writer.commit()?;
            versions.extend(applied);
            writer.wait_merging_threads()?;
            self.reader.reload()?;
        }
        Ok(())
    }

    /// Finds a page.
    pub fn search(&self, request: &Request) -> Result<Page, Error> {
        let started = Instant::now();
        let class = classify(&request.query);
        let stems = analysis::stems(&request.query);
        let classify_time = started.elapsed();

        let started = Instant::now();
        let searcher = self.reader.searcher();
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        let mut conditions = request
            .filters
            .iter()
            .map(|filter| filter.query(&self.fields, &paths))
            .collect::<Result<Vec<_>, Fault>>()
            .map_err(Error::Filter)?;
        if let Some(kind) = &request.record_type {
            conditions.push(Box::new(TermQuery::new(
                Term::from_field_text(self.fields.kind, kind.as_str()),
                IndexRecordOption::Basic,
            )) as Box<dyn Query>);
        }
        let run = Run {
            searcher: &searcher,
            fields: &self.fields,
            paths: &paths,
            conditions: &conditions,
            request,
        };
        let (found, mode, fell_back) = match class {
            Class::Filter => (run.everything()?, Mode::Filter, false),
            Class::Identifier => match run.identified()? {
                Some(found) => (found, Mode::Identifier, false),
                None => (run.words(&stems)?.0, Mode::Fulltext, true),
            },
            Class::Keyword | Class::NaturalLanguage => {
                let (found, fell_back) = run.words(&stems)?;
                (found, Mode::Fulltext, fell_back)
            }
        };
        Ok(Page {
            hits: found.hits,
            total: found.total,
            mode,
            class,
            fell_back,
            classify_time,
            search_time: started.elapsed(),
        })
    }
}

struct Run<'a> {
    searcher: &'a Searcher,
    fields: &'a Fields,
    paths: &'a Paths,
    conditions: &'a [Box<dyn Query>],
    request: &'a Request,
}

struct Found {
    hits: Vec<Hit>,
    total: usize,
}

impl Run<'_> {
    fn everything(&self) -> Result<Found, Error> {
        let newest = Sort {
            field: "updated_at".to_owned(),
            direction: Direction::Descending,
        };
        let sort = self.request.sort.as_ref().unwrap_or(&newest);
        self.run(query::everything(), &Ranking::By(sort))
    }

    /// What the query identifies; `None` if nothing.
    fn identified(&self) -> Result<Option<Found>, Error> {
        let Some(query) = query::identifier(self.fields, &self.request.query) else {
            return Ok(None);
        };
        let found = self.run(
            Scaled {
                query,
                ceiling: 1.0,
                identifier: true,
            },
            &self.ranking(),
        )?;
        Ok(Some(found).filter(|found| found.total > 0))
    }

    /// What has every word, or else any; and whether it came to that.
    fn words(&self, stems: &[String]) -> Result<(Found, bool), Error> {
        for (occur, fell_back) in [(Occur::Must, false), (Occur::Should, true)] {
            let Some(mut words) = query::words(self.searcher, self.fields, stems, occur)? else {
                break;
            };
            if let Some(identifier) = self.possible_identifier() {
                words.query = query::either(words.query, identifier);
            }
            let found = self.run(words, &self.ranking())?;
            if found.total > 0 || fell_back || stems.len() == 1 {
                return Ok((found, fell_back));
            }
        }
        let nothing = Found {
            hits: Vec::new(),
            total: 0,
        };
        Ok((nothing, false))
    }

    /// A query of letters and digits may name a thing although it does not look like it.
    fn possible_identifier(&self) -> Option<Box<dyn Query>> {
        let bare = analysis::bare_identifier(&self.request.query)?;
        let digit = bare.bytes().any(|byte| byte.is_ascii_digit());
        let letter = bare.bytes().any(|byte| byte.is_ascii_alphabetic());
        (digit && letter && bare.len() >= 4)
            .then(|| query::identifier(self.fields, &self.request.query))?
    }

    fn ranking(&self) -> Ranking<'_> {
        self.request
            .sort
            .as_ref()
            .map_or(Ranking::Relevance, Ranking::By)
    }

    fn run(&self, scaled: Scaled, ranking: &Ranking) -> Result<Found, Error> {
        let score = ByScore::of(&scaled);
        let query = query::under(scaled.query, self.conditions);
        let (ranked, total) = rank::run(
            self.searcher,
            query.as_ref(),
            score,
            ranking,
            self.paths,
            (self.request.limit, self.request.offset),
        )?;
        let hits = ranked
            .into_iter()
            .map(|((high, low), score)| Hit {
                id: RecordId(Uuid::from_u64_pair(high, low)),
                score: f64::from(score) / f64::from(SCORE_UNIT),
            })
            .collect();
        Ok(Found { hits, total })
    }
}
