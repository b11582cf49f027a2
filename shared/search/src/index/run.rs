//! One search: from the request to the hits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::fault::Fault;
use model::id::{RecordId, RecordType};
use tantivy::collector::Count;
use tantivy::query::{EmptyQuery, Occur, Query};
use tantivy::{Searcher, Term};
use uuid::Uuid;

use super::{Error, Fit, Hit, Index, Mode, Page, kinds};
use crate::analysis::{self, Fields, NUMBERS, Paths, STRINGS};
use crate::class::{Class, classify};
use crate::filter::{Filter, is_suffixed};
use crate::query::{self, Counted, Scaled};
use crate::rank::{self, ByScore, Ranked, Ranking, SCORE_UNIT};
use crate::request::{Audience, Direction, Request, Sort};

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

    /// Whether it may take a look into the index to know what the request means.
    pub(super) fn has_to_look(&self) -> bool {
        let request = &self.request;
        let is_plain = request.filters.is_empty() && request.sort.is_none();
        request.audience == Audience::Everybody && !is_plain
    }

    /// Which fields private records have is told to nobody: neither by what a filter means, nor by
    /// which of several fields that look alike is meant.
    fn hide_private_fields(&mut self) -> Result<(), Error> {
        let filtered = self.request.filters.iter().flat_map(Filter::names);
        let sorted = self.request.sort.iter().map(|sort| sort.field.as_str());
        let is_unclear = |field: &&str| {
            self.paths.has_namesakes(field) || (is_suffixed(field) && self.paths.has(field))
        };
        let unclear = filtered.chain(sorted).filter(is_unclear);
        for field in unclear.map(str::to_owned).collect::<BTreeSet<_>>() {
            let mut public = BTreeSet::new();
            for path in self.paths.all(&field) {
                if self.is_public(&path)? {
                    public.insert(path);
                }
            }
            Arc::make_mut(&mut self.paths).keep(&field, public);
        }
        Ok(())
    }

    /// Whether a record that everybody may find has a value there.
    fn is_public(&self, path: &str) -> Result<bool, Error> {
        for column in [STRINGS, NUMBERS] {
            let has = query::publicly(&self.fields, format!("{column}.{path}"));
            if self.searcher.search(has.as_ref(), &Count)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same with its filters compiled. It blocks where it [has to look](Self::has_to_look).
    pub(super) fn compiled(mut self) -> Result<Self, Error> {
        let is_open = self.request.audience == Audience::Everybody;
        if self.has_to_look() {
            self.hide_private_fields()?;
        }
        let filters = self.request.filters.iter();
        let conditions: Result<Vec<_>, Fault> = filters
            .map(|filter| filter.query(&self.fields, &self.paths))
            .collect();
        self.conditions = match conditions {
            Ok(conditions) => conditions,
            // A collection without a public record is as one that is not there: no filter is wrong.
            Err(_) if is_open && !self.has_public_records()? => vec![Box::new(EmptyQuery)],
            Err(fault) => return Err(Error::Filter(fault)),
        };
        if let Some(kind) = &self.request.record_type {
            let kind = Term::from_field_text(self.fields.kind, kind.as_str());
            self.conditions.push(query::term(kind));
        }
        if is_open {
            self.conditions.push(query::public(&self.fields));
        }
        Ok(self)
    }

    fn has_public_records(&self) -> Result<bool, Error> {
        let public = query::public(&self.fields);
        Ok(self.searcher.search(public.as_ref(), &Count)? > 0)
    }

    /// Runs it.
    pub(super) fn run(&self) -> Result<Found, Error> {
        let counted = &Counted::new(&self.searcher, &self.fields, self.request.audience)?;
        let every = |any: bool| if any { Fit::AnyWord } else { Fit::EveryWord };
        let (hits, mode, fit, fell_back) = match self.class {
            Class::Filter => (self.everything(counted)?, Mode::Filter, Fit::Exact, false),
            Class::Identifier => {
                if let Some(hits) = self.identified(counted)? {
                    (hits, Mode::Identifier, Fit::Exact, false)
                } else {
                    let (hits, any) = self.words(counted)?;
                    (hits, Mode::Fulltext, every(any), true)
                }
            }
            Class::Keyword | Class::NaturalLanguage => {
                let (hits, any) = self.words(counted)?;
                (hits, Mode::Fulltext, every(any), any)
            }
        };
        let kinds = if self.request.kinds {
            kinds::of(&self.searcher, &self.fields, self.request.audience)?
        } else {
            BTreeSet::new()
        };
        Ok(Found {
            hits,
            kinds,
            mode,
            class: self.class,
            fit,
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
        let Some(query) = self.identifier() else {
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
        (digit && letter && bare.len() >= 4).then(|| self.identifier())?
    }

    /// What is called as the query says.
    pub(super) fn identifier(&self) -> Option<Box<dyn Query>> {
        let Request {
            query, audience, ..
        } = &self.request;
        query::identifier(&self.fields, *audience, query)
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
        let request = &self.request;
        let page = (request.limit, request.offset, request.after);
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
    kinds: BTreeSet<RecordType>,
    mode: Mode,
    class: Class,
    fit: Fit,
    fell_back: bool,
}

impl Found {
    pub(super) fn page(self, classify_time: Duration, search_time: Duration) -> Page {
        let (ranked, total) = self.hits;
        let hits = ranked.into_iter().map(|ranked| {
            let (high, low) = ranked.id;
            let hit = Hit {
                id: RecordId(Uuid::from_u64_pair(high, low)),
                score: f64::from(ranked.score) / f64::from(SCORE_UNIT),
            };
            (hit, ranked.rank)
        });
        let (hits, ranks) = hits.unzip();
        Page {
            hits,
            ranks,
            total,
            kinds: self.kinds,
            mode: self.mode,
            class: self.class,
            fit: self.fit,
            fell_back: self.fell_back,
            classify_time,
            search_time,
        }
    }
}
