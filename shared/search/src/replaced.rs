//! The query that finds the documents of records that are to be replaced.
//!
//! It looks through the columns of ids, which every search reads anyway, once for all records of a
//! change: a dictionary of ids would be a tenth of the index, and a request to the store for each
//! record.

use std::collections::{HashMap, HashSet};

use model::id::RecordId;
use tantivy::query::{ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SegmentReader, TERMINATED, TantivyError};

use crate::analysis::{ID_HIGH, ID_LOW};

/// Documents of these records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replaced {
    /// The second halves of ids by their first.
    ids: HashMap<u64, HashSet<u64>>,
}

impl FromIterator<RecordId> for Replaced {
    fn from_iter<T: IntoIterator<Item = RecordId>>(ids: T) -> Self {
        let mut replaced = Self::default();
        for id in ids {
            let (high, low) = id.0.as_u64_pair();
            replaced.ids.entry(high).or_default().insert(low);
        }
        replaced
    }
}

impl Replaced {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn documents(&self, segment: &SegmentReader) -> tantivy::Result<Vec<DocId>> {
        let columns = segment.fast_fields();
        let (high, low) = (columns.u64(ID_HIGH)?, columns.u64(ID_LOW)?);
        let is_one = |doc: &DocId| {
            let lows = high.first(*doc).and_then(|high| self.ids.get(&high));
            lows.is_some_and(|lows| low.first(*doc).is_some_and(|low| lows.contains(&low)))
        };
        Ok((0..segment.max_doc()).filter(is_one).collect())
    }
}

impl Query for Replaced {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for Replaced {
    fn scorer(&self, segment: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let documents = Documents {
            documents: self.documents(segment)?,
            at: 0,
        };
        Ok(Box::new(ConstScorer::new(documents, boost)))
    }

    fn explain(&self, _: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        Err(TantivyError::InvalidArgument(format!(
            "document {doc} has no score to explain"
        )))
    }
}

/// Documents in their order.
struct Documents {
    documents: Vec<DocId>,
    at: usize,
}

impl DocSet for Documents {
    fn advance(&mut self) -> DocId {
        self.at += 1;
        self.doc()
    }

    fn doc(&self) -> DocId {
        self.documents.get(self.at).copied().unwrap_or(TERMINATED)
    }

    fn size_hint(&self) -> u32 {
        u32::try_from(self.documents.len()).unwrap_or(u32::MAX)
    }
}
