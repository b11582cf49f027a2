//! From a request to what tantivy runs, and the scale of its scores.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tantivy::collector::Collector;
use tantivy::query::{
    AllQuery, Bm25StatisticsProvider, BooleanQuery, BoostQuery, ConstScoreQuery, Occur, Query,
    TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use crate::analysis::{Fields, bare_identifier};

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

/// What matches by identifier, exactly.
pub(crate) fn identifier(fields: &Fields, query: &str) -> Option<Box<dyn Query>> {
    let bare = bare_identifier(query)?;
    let term = TermQuery::new(
        Term::from_field_text(fields.identifier, &bare),
        IndexRecordOption::Basic,
    );
    Some(Box::new(ConstScoreQuery::new(Box::new(term), IDENTIFIED)))
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

/// A searcher that looks up only once in how many documents a term is: the scale of a score and the
/// score itself both ask.
pub(crate) struct Counted<'a> {
    searcher: &'a Searcher,
    found: Mutex<HashMap<Term, u64>>,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(searcher: &'a Searcher) -> Self {
        Self {
            searcher,
            found: Mutex::default(),
        }
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
        self.searcher.total_num_tokens(field)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        self.searcher.total_num_docs()
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found().get(term) {
            return Ok(*found);
        }
        let with = self.searcher.doc_freq(term)?;
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
