//! From a request to what tantivy runs, and the scale of its scores.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tantivy::collector::{Collector, Count};
use tantivy::query::{
    AllQuery, Bm25StatisticsProvider, BooleanQuery, BoostQuery, ConstScoreQuery, ExistsQuery,
    Occur, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use crate::analysis::{EVERYBODY, Fields, bare_identifier};
use crate::request::Audience;

/// How much more a word of the name weighs than one of the rest.
const NAME_BOOST: f32 = 3.0;

/// What a hit on an identifier scores before scaling: far above any sum of words.
pub(crate) const IDENTIFIED: f32 = 1e6;

/// The most that one word of weight one can score, by BM25 with its usual k1 of 1.2.
const BM25_CEILING: f32 = 2.2;

/// A query and the scale of its scores.
pub(crate) struct Scaled {
    pub query: Box<dyn Query>,
    /// The most that its words can score.
    pub ceiling: f32,
    /// Whether it asks for an identifier alone.
    pub identifier: bool,
    /// Whether it asks for nothing, so that everything scores the same.
    pub everything: bool,
}

/// What matches by identifier, exactly: by its source's only for its owner.
pub(crate) fn identifier(
    fields: &Fields,
    audience: Audience,
    query: &str,
) -> Option<Box<dyn Query>> {
    let bare = bare_identifier(query)?;
    let called = |field| term(Term::from_field_text(field, &bare));
    let identifier = match audience {
        Audience::Owner => either(called(fields.identifier), called(fields.source)),
        Audience::Everybody => called(fields.identifier),
    };
    Some(Box::new(ConstScoreQuery::new(identifier, IDENTIFIED)))
}

/// What everybody may find.
pub(crate) fn public(fields: &Fields) -> Box<dyn Query> {
    term(Term::from_field_text(fields.audience, EVERYBODY))
}

/// What everybody may find of what has the column of a value.
pub(crate) fn publicly(fields: &Fields, column: String) -> Box<dyn Query> {
    let has = ExistsQuery::new(column, false);
    all_of(vec![public(fields), Box::new(has)])
}

/// What has a term.
pub(crate) fn term(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

/// The terms that words are looked up by, in every segment.
pub(crate) fn terms(fields: &Fields, stems: &[String]) -> Vec<Term> {
    let both = |stem| [fields.name, fields.body].map(|field| Term::from_field_text(field, stem));
    stems.iter().flat_map(|stem| both(stem)).collect()
}

/// Everything, without a score.
pub(crate) fn everything() -> Scaled {
    Scaled {
        query: Box::new(ConstScoreQuery::new(Box::new(AllQuery), 0.0)),
        ceiling: 1.0,
        identifier: false,
        everything: true,
    }
}

/// What has every word (`Occur::Must`) or any (`Occur::Should`). `None` if there is no word.
pub(crate) fn words(
    searcher: &Counted,
    fields: &Fields,
    stems: &[String],
    occur: Occur,
) -> tantivy::Result<Option<Scaled>> {
    if stems.is_empty() {
        return Ok(None);
    }
    let mut ceiling = 0.0;
    let mut clauses = Vec::with_capacity(stems.len());
    for stem in stems {
        let mut word: Vec<(Occur, Box<dyn Query>)> = Vec::with_capacity(2);
        for (field, boost) in [(fields.name, NAME_BOOST), (fields.body, 1.0)] {
            let term = Term::from_field_text(field, stem);
            ceiling += boost * BM25_CEILING * searcher.rarity(&term)?;
            let term = TermQuery::new(term, IndexRecordOption::WithFreqs);
            word.push((
                Occur::Should,
                Box::new(BoostQuery::new(Box::new(term), boost)),
            ));
        }
        clauses.push((occur, Box::new(BooleanQuery::new(word)) as Box<dyn Query>));
    }
    Ok(Some(Scaled {
        query: Box::new(BooleanQuery::new(clauses)),
        ceiling,
        identifier: false,
        everything: false,
    }))
}

/// How many words a document's field is taken to have on average where what it has must not show.
const SOME_WORDS: u64 = 16;

/// A searcher that looks up only once in how many documents a term is: the scale of a score and the
/// score itself both ask.
pub(crate) struct Counted<'a> {
    searcher: &'a Searcher,
    among: Option<Among>,
    found: Mutex<HashMap<Term, u64>>,
}

/// Documents that alone count, so that a score tells nothing of others.
struct Among {
    which: Box<dyn Query>,
    count: u64,
}

impl<'a> Counted<'a> {
    /// A searcher whose scores follow from all documents, or from those alone that the audience may
    /// find.
    pub(crate) fn new(
        searcher: &'a Searcher,
        fields: &Fields,
        audience: Audience,
    ) -> tantivy::Result<Self> {
        let among = match audience {
            Audience::Owner => None,
            Audience::Everybody => {
                let which = public(fields);
                let count = searcher.search(which.as_ref(), &Count)? as u64;
                Some(Among { which, count })
            }
        };
        Ok(Self {
            searcher,
            among,
            found: Mutex::default(),
        })
    }

    /// Runs a query.
    pub(crate) fn search<C: Collector>(
        &self,
        query: &dyn Query,
        collector: &C,
    ) -> tantivy::Result<C::Fruit> {
        self.searcher
            .search_with_statistics_provider(query, collector, self)
    }

    /// BM25's inverse document frequency.
    #[expect(clippy::cast_precision_loss, reason = "BM25 itself counts in f32")]
    fn rarity(&self, term: &Term) -> tantivy::Result<f32> {
        let with = self.doc_freq(term)?;
        let without = self.total_num_docs()?.saturating_sub(with);
        Ok((1.0 + (without as f32 + 0.5) / (with as f32 + 0.5)).ln())
    }
}

impl Bm25StatisticsProvider for Counted<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        match &self.among {
            None => self.searcher.total_num_tokens(field),
            Some(among) => Ok(among.count * SOME_WORDS),
        }
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        match &self.among {
            None => self.searcher.total_num_docs(),
            Some(among) => Ok(among.count),
        }
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found().get(term) {
            return Ok(*found);
        }
        let with = match &self.among {
            None => self.searcher.doc_freq(term)?,
            Some(among) => {
                let both = all_of(vec![self::term(term.clone()), among.which.box_clone()]);
                self.searcher.search(both.as_ref(), &Count)? as u64
            }
        };
        found().insert(term.clone(), with);
        Ok(with)
    }
}

/// Either of two.
pub(crate) fn either(left: Box<dyn Query>, right: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(vec![
        (Occur::Should, left),
        (Occur::Should, right),
    ]))
}

fn all_of(queries: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    let all = queries.into_iter().map(|query| (Occur::Must, query));
    Box::new(BooleanQuery::new(all.collect()))
}

/// What matches a query and all of `conditions`, which do not move its score.
pub(crate) fn under(scaled: Scaled, conditions: &[Box<dyn Query>]) -> Box<dyn Query> {
    if conditions.is_empty() {
        return scaled.query;
    }
    let mut all = Vec::with_capacity(conditions.len() + 1);
    if !scaled.everything {
        all.push((Occur::Must, scaled.query));
    }
    for condition in conditions {
        let silent = ConstScoreQuery::new(condition.box_clone(), 0.0);
        all.push((Occur::Must, Box::new(silent)));
    }
    Box::new(BooleanQuery::new(all))
}
