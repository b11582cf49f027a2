//! Fetching, all at once, what a search is about to read: two or three round trips instead of one
//! for each thing.

use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use tantivy::query::Query;
use tantivy::schema::Field;
use tantivy::{SegmentReader, Term};

use super::Error;
use super::run::{Plan, newest};
use crate::analysis::{ID_HIGH, ID_LOW};
use crate::class::Class;
use crate::query;
use crate::rank::{self, Ranking};

impl Plan {
    /// Brings into memory the postings, the lengths and the columns that the search will read.
    pub(super) async fn warm(&self) -> Result<(), Error> {
        let terms = self.terms();
        let columns = self.columns();
        let words = self.class != Class::Filter;
        let mut fetched: Vec<BoxFuture<'_, Result<(), Error>>> = Vec::new();
        for segment in self.searcher.segment_readers() {
            fetched.extend(terms.iter().map(|term| postings(segment, term).boxed()));
            fetched.extend(columns.iter().map(|name| column(segment, name).boxed()));
            if words {
                let texts = [self.fields.name, self.fields.body];
                fetched.extend(texts.map(|field| lengths(segment, field).boxed()));
            }
        }
        try_join_all(fetched).await?;
        Ok(())
    }

    fn terms(&self) -> Vec<Term> {
        let mut terms = query::terms(&self.fields, &self.stems);
        let identifier = match self.class {
            Class::Identifier => query::identifier(&self.fields, &self.request.query),
            _ => self.possible_identifier(),
        };
        let queries = self.conditions.iter().chain(&identifier);
        for query in queries {
            query.query_terms(&mut |term, _| terms.push(term.clone()));
        }
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

async fn postings(segment: &SegmentReader, term: &Term) -> Result<(), Error> {
    let index = segment.inverted_index(term.field())?;
    index.warm_postings(term, false).await?;
    Ok(())
}

async fn lengths(segment: &SegmentReader, field: Field) -> Result<(), Error> {
    if let Some(file) = segment
        .fieldnorms_readers()
        .get_inner_file()
        .open_read(field)
    {
        file.read_bytes_async().await?;
    }
    Ok(())
}

async fn column(segment: &SegmentReader, name: &str) -> Result<(), Error> {
    let columns = segment.fast_fields();
    for column in columns.list_dynamic_column_handles(name).await? {
        column.file_slice().read_bytes_async().await?;
    }
    Ok(())
}
