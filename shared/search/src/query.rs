//! From a request to what tantivy runs, and the scale of its scores.

use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, Occur, Query, TermQuery,
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

/// Everything, without a score.
pub(crate) fn everything() -> Scaled {
    Scaled {
        query: Box::new(ConstScoreQuery::new(Box::new(AllQuery), 0.0)),
        ceiling: 1.0,
        identifier: false,
    }
}

/// What has every word (`Occur::Must`) or any (`Occur::Should`). `None` if there is no word.
pub(crate) fn words(
    searcher: &Searcher,
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
            ceiling += boost * BM25_CEILING * rarity(searcher, field, stem)?;
            let term = TermQuery::new(
                Term::from_field_text(field, stem),
                IndexRecordOption::WithFreqs,
            );
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
    }))
}

/// BM25's inverse document frequency.
#[expect(clippy::cast_precision_loss, reason = "BM25 itself counts in f32")]
fn rarity(searcher: &Searcher, field: Field, stem: &str) -> tantivy::Result<f32> {
    let documents: u64 = searcher
        .segment_readers()
        .iter()
        .map(|segment| u64::from(segment.max_doc()))
        .sum();
    let with = searcher.doc_freq(&Term::from_field_text(field, stem))?;
    let without = documents.saturating_sub(with);
    Ok((1.0 + (without as f32 + 0.5) / (with as f32 + 0.5)).ln())
}

/// Either of two.
pub(crate) fn either(left: Box<dyn Query>, right: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(vec![
        (Occur::Should, left),
        (Occur::Should, right),
    ]))
}

/// What matches `query` and all of `conditions`, which do not move its score.
pub(crate) fn under(query: Box<dyn Query>, conditions: &[Box<dyn Query>]) -> Box<dyn Query> {
    if conditions.is_empty() {
        return query;
    }
    let mut all = vec![(Occur::Must, query)];
    for condition in conditions {
        let silent = ConstScoreQuery::new(condition.box_clone(), 0.0);
        all.push((Occur::Must, Box::new(silent)));
    }
    Box::new(BooleanQuery::new(all))
}
