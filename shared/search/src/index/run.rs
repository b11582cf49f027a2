//! One search: from the request to the hits.

use std::sync::Arc;
use std::time::Duration;

use model::fault::Fault;
use model::id::RecordId;
use tantivy::query::{Occur, Query, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::{Searcher, Term};
use uuid::Uuid;

use super::{Error, Hit, Index, Mode, Page};
use crate::analysis::{self, Fields, Paths};
use crate::class::{Class, classify};
use crate::query::{self, Counted, Scaled};
use crate::rank::{self, ByScore, Ranked, Ranking, SCORE_UNIT};
use crate::request::{Direction, Request, Sort};

/// A request, and the state of the index that it is answered from.
pub(super) struct Plan {
    pub(super) searcher: Searcher,
    pub(super) fields: Fields,
    pub(super) paths: Arc<Paths>,
    pub(super) request: Request,
    pub(super) class: Class,
    pub(super) stems: Vec<String>,
    pub(super) conditions: Vec<Box<dyn Query>>,
}

impl Plan {
    pub(super) fn new(index: &Index, request: &Request) -> Self {
        Self {
            // Before the paths: a change shows in both or in the paths alone.
            searcher: index.reader.searcher(),
            paths: index.paths(),
            fields: index.segments.fields,
            class: classify(&request.query),
            stems: analysis::stems(&request.query),
            request: request.clone(),
            conditions: Vec::new(),
        }
    }

    /// The same with its filters compiled.
    pub(super) fn compiled(mut self) -> Result<Self, Error> {
        let filters = self.request.filters.iter();
        self.conditions = filters
            .map(|filter| filter.query(&self.fields, &self.paths))
            .collect::<Result<_, Fault>>()
            .map_err(Error::Filter)?;
        if let Some(kind) = &self.request.record_type {
            self.conditions.push(Box::new(TermQuery::new(
                Term::from_field_text(self.fields.kind, kind.as_str()),
                IndexRecordOption::Basic,
            )));
        }
        Ok(self)
    }

    /// Runs it.
    pub(super) fn run(&self) -> Result<Found, Error> {
        let counted = &Counted::new(&self.searcher);
        let (hits, mode, fell_back) = match self.class {
            Class::Filter => (self.everything(counted)?, Mode::Filter, false),
            Class::Identifier => match self.identified(counted)? {
                Some(hits) => (hits, Mode::Identifier, false),
                None => (self.words(counted)?.0, Mode::Fulltext, true),
            },
            Class::Keyword | Class::NaturalLanguage => {
                let (hits, fell_back) = self.words(counted)?;
                (hits, Mode::Fulltext, fell_back)
            }
        };
        Ok(Found {
            hits,
            mode,
            class: self.class,
            fell_back,
        })
    }

    fn everything(&self, counted: &Counted) -> Result<Hits, Error> {
        let newest = newest();
        let sort = self.request.sort.as_ref().unwrap_or(&newest);
        self.find(counted, query::everything(), &Ranking::By(sort))
    }

    /// What the query identifies; `None` if nothing.
    fn identified(&self, counted: &Counted) -> Result<Option<Hits>, Error> {
        let Some(query) = query::identifier(&self.fields, &self.request.query) else {
            return Ok(None);
        };
        let found = self.find(
            counted,
            Scaled {
                query,
                ceiling: 1.0,
                identifier: true,
                everything: false,
            },
            &self.ranking(),
        )?;
        Ok(Some(found).filter(|(_, total)| *total > 0))
    }

    /// What has every word, or else any; and whether it came to that.
    fn words(&self, counted: &Counted) -> Result<(Hits, bool), Error> {
        for (occur, fell_back) in [(Occur::Must, false), (Occur::Should, true)] {
            let words = query::words(counted, &self.fields, &self.stems, occur)?;
            let Some(mut words) = words else {
                break;
            };
            if let Some(identifier) = self.possible_identifier() {
                words.query = query::either(words.query, identifier);
            }
            let found = self.find(counted, words, &self.ranking())?;
            if found.1 > 0 || fell_back || self.stems.len() == 1 {
                return Ok((found, fell_back));
            }
        }
        Ok(((Vec::new(), 0), false))
    }

    /// A query of letters and digits may name a thing although it does not look like it.
    pub(super) fn possible_identifier(&self) -> Option<Box<dyn Query>> {
        let bare = analysis::bare_identifier(&self.request.query)?;
        let digit = bare.bytes().any(|byte| byte.is_ascii_digit());
        let letter = bare.bytes().any(|byte| byte.is_ascii_alphabetic());
        (digit && letter && bare.len() >= 4)
            .then(|| query::identifier(&self.fields, &self.request.query))?
    }

    pub(super) fn ranking(&self) -> Ranking<'_> {
        match &self.request.sort {
            Some(sort) => Ranking::By(sort),
            None => Ranking::Relevance,
        }
    }

    fn find(&self, counted: &Counted, scaled: Scaled, ranking: &Ranking) -> Result<Hits, Error> {
        let score = ByScore::of(&scaled);
        let query = query::under(scaled, &self.conditions);
        let page = (self.request.limit, self.request.offset);
        Ok(rank::run(
            counted,
            query.as_ref(),
            score,
            ranking,
            &self.paths,
            page,
        )?)
    }
}

/// The order of everything.
pub(super) fn newest() -> Sort {
    Sort {
        field: "updated_at".to_owned(),
        direction: Direction::Descending,
    }
}

/// A page of hits, and how many there are in all.
type Hits = (Vec<Ranked>, usize);

/// What a search found.
pub(super) struct Found {
    hits: Hits,
    mode: Mode,
    class: Class,
    fell_back: bool,
}

impl Found {
    pub(super) fn page(self, classify_time: Duration, search_time: Duration) -> Page {
        let (ranked, total) = self.hits;
        let hits = ranked.into_iter().map(|((high, low), score)| Hit {
            id: RecordId(Uuid::from_u64_pair(high, low)),
            score: f64::from(score) / f64::from(SCORE_UNIT),
        });
        Page {
            hits: hits.collect(),
            total,
            mode: self.mode,
            class: self.class,
            fell_back: self.fell_back,
            classify_time,
            search_time,
        }
    }
}
