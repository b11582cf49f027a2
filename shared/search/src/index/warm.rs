//! Fetching, all at once, what a search is about to read: two or three round trips instead of one
//! for each thing.

use futures_util::future::{BoxFuture, FutureExt, try_join, try_join_all};
use tantivy::query::Query;
use tantivy::schema::Field;
use tantivy::{SegmentReader, Term};

use super::Error;
use super::run::{Plan, newest};
use crate::analysis::{ID_HIGH, ID_LOW};
use crate::class::Class;
use crate::query;
use crate::rank::{self, Ranking};

/// Things that are to be fetched at once, and whether they were there.
type Fetches<'a> = Vec<BoxFuture<'a, Result<bool, Error>>>;

impl Plan {
    /// Brings into memory the postings, the lengths and the columns that the search will read.
    pub(super) async fn warm(&self) -> Result<(), Error> {
        let (columns, filters) = (self.columns(), self.filter_terms());
        let (word_terms, identifiers) = (self.word_terms(), self.identifier_terms());
        let (mut rest, mut words, mut named) = (Fetches::new(), Fetches::new(), Fetches::new());
        for segment in self.searcher.segment_readers() {
            rest.extend(filters.iter().map(|term| postings(segment, term).boxed()));
            rest.extend(columns.iter().map(|name| column(segment, name).boxed()));
            words.extend(
                word_terms
                    .iter()
                    .map(|term| postings(segment, term).boxed()),
            );
            let texts = [self.fields.name, self.fields.body];
            words.extend(texts.map(|field| lengths(segment, field).boxed()));
            named.extend(
                identifiers
                    .iter()
                    .map(|term| postings(segment, term).boxed()),
            );
        }
        match self.class {
            Class::Filter => {}
            Class::Identifier => {
                let (named, _) = try_join(try_join_all(named), try_join_all(rest)).await?;
                // Words are looked up only where nothing is called so, or nothing that may be found.
                if !named.contains(&true) || !self.conditions.is_empty() {
                    try_join_all(words).await?;
                }
                return Ok(());
            }
            Class::Keyword | Class::NaturalLanguage => rest.extend(words),
        }
        try_join_all(rest).await?;
        Ok(())
    }

    /// What the filters are looked up by.
    fn filter_terms(&self) -> Vec<Term> {
        let filters = self.conditions.iter();
        filters.flat_map(|query| terms_of(query.as_ref())).collect()
    }

    /// What the query is looked up by as an identifier.
    fn identifier_terms(&self) -> Vec<Term> {
        let identifier = self.identifier();
        let identifier = identifier.iter();
        identifier
            .flat_map(|query| terms_of(query.as_ref()))
            .collect()
    }

    /// What the query's words are looked up by, and the query itself if it may be an identifier.
    fn word_terms(&self) -> Vec<Term> {
        let mut terms = query::terms(&self.fields, &self.stems);
        let identifier = self.possible_identifier();
        terms.extend(identifier.iter().flat_map(|query| terms_of(query.as_ref())));
        terms
    }

    fn columns(&self) -> Vec<String> {
        let newest = newest();
        let ranking = match (self.class, self.ranking()) {
            (Class::Filter, Ranking::Relevance) => Ranking::By(&newest),
            (_, ranking) => ranking,
        };
        let mut columns = rank::columns(&ranking, &self.paths);
        for filter in &self.request.filters {
            columns.extend(filter.columns(&self.paths));
        }
        columns
    }
}

/// Brings into memory what it takes to find records that are to be replaced.
pub(crate) async fn warm_ids(segments: &[SegmentReader]) -> Result<(), Error> {
    let halves = segments
        .iter()
        .flat_map(|segment| [ID_HIGH, ID_LOW].map(|half| column(segment, half)));
    try_join_all(halves).await?;
    Ok(())
}

fn terms_of(query: &dyn Query) -> Vec<Term> {
    let mut terms = Vec::new();
    query.query_terms(&mut |term, _| terms.push(term.clone()));
    terms
}

/// Fetches a term's postings, and says whether it has any.
async fn postings(segment: &SegmentReader, term: &Term) -> Result<bool, Error> {
    let index = segment.inverted_index(term.field())?;
    Ok(index.warm_postings(term, false).await?)
}

async fn lengths(segment: &SegmentReader, field: Field) -> Result<bool, Error> {
    if let Some(file) = segment
        .fieldnorms_readers()
        .get_inner_file()
        .open_read(field)
    {
        file.read_bytes_async().await?;
    }
    Ok(false)
}

async fn column(segment: &SegmentReader, name: &str) -> Result<bool, Error> {
    let columns = segment.fast_fields();
    for column in columns.list_dynamic_column_handles(name).await? {
        column.file_slice().read_bytes_async().await?;
    }
    Ok(false)
}
