//! The page of a plain order, in one pass: by one number and then by id.
//!
//! Most searches are ordered so, by score or by a moment. What is kept of a segment is as much as a
//! page can need, unordered; only the page itself is put in order. So a page far in costs little
//! more than the first.

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader};

use crate::analysis::{ID_HIGH, ID_LOW};

/// What hits are ordered by, least first: a number, then the two halves of the id. The last number
/// is what the hit scores.
pub(crate) type Key = (u64, u64, u64, u32);

/// A place in an order: what a hit is ordered by there.
pub(crate) type Place = (u64, u64, u64);

/// Reads an order in one segment.
pub(crate) trait Primary: Send + Sync + 'static {
    /// The number that a document with that score is ordered by, and what it scores.
    fn of(&self, doc: DocId, score: Score) -> (u64, u32);
}

/// An order.
pub(crate) trait Order: Send + Sync {
    /// What reads it in a segment.
    type Primary: Primary;

    /// Whether it reads scores.
    fn scores(&self) -> bool;

    /// Opens it in a segment.
    fn open(&self, segment: &SegmentReader) -> tantivy::Result<Self::Primary>;
}

/// Collects a page, and counts all matches.
pub(crate) struct Page<O> {
    pub(crate) order: O,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    /// Only hits after this place are on it. All are counted.
    pub(crate) after: Option<Place>,
}

/// What is kept of one segment.
pub(crate) struct Kept<P> {
    primary: P,
    high: Column<u64>,
    low: Column<u64>,
    most: usize,
    after: Option<Place>,
    keys: Vec<Key>,
    /// No key from here on can be on the page.
    end: Option<Key>,
    matches: usize,
}

impl<O: Order> Collector for Page<O> {
    type Fruit = (Vec<Key>, usize);
    type Child = Kept<O::Primary>;

    fn for_segment(
        &self,
        _: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> tantivy::Result<Self::Child> {
        let columns = segment.fast_fields();
        Ok(Kept {
            primary: self.order.open(segment)?,
            high: columns.u64(ID_HIGH)?,
            low: columns.u64(ID_LOW)?,
            most: self.offset + self.limit,
            after: self.after,
            keys: Vec::new(),
            end: None,
            matches: 0,
        })
    }

    fn requires_scoring(&self) -> bool {
        self.order.scores()
    }

    fn merge_fruits(&self, fruits: Vec<(Vec<Key>, usize)>) -> tantivy::Result<Self::Fruit> {
        let matches = fruits.iter().map(|(_, matches)| matches).sum();
        let mut keys: Vec<Key> = fruits.into_iter().flat_map(|(keys, _)| keys).collect();
        if keys.len() <= self.offset {
            return Ok((Vec::new(), matches));
        }
        if self.offset > 0 {
            keys.select_nth_unstable(self.offset);
            keys.drain(..self.offset);
        }
        cut(&mut keys, self.limit);
        keys.sort_unstable();
        Ok((keys, matches))
    }
}

impl<P: Primary> SegmentCollector for Kept<P> {
    type Fruit = (Vec<Key>, usize);

    fn collect(&mut self, doc: DocId, score: Score) {
        self.matches += 1;
        let (primary, score) = self.primary.of(doc, score);
        // Ids are looked up only where they can matter.
        if self.end.is_some_and(|(end, ..)| primary > end) {
            return;
        }
        let half = |column: &Column<u64>| column.first(doc).unwrap_or_default();
        let key = (primary, half(&self.high), half(&self.low), score);
        if self
            .after
            .is_some_and(|after| (key.0, key.1, key.2) <= after)
        {
            return;
        }
        if self.end.is_some_and(|end| key >= end) {
            return;
        }
        self.keys.push(key);
        if self.keys.len() >= 2 * self.most.max(LEAST) {
            self.end = cut(&mut self.keys, self.most);
        }
    }

    fn harvest(mut self) -> Self::Fruit {
        cut(&mut self.keys, self.most);
        (self.keys, self.matches)
    }
}

/// Fewer keys are not worth cutting.
const LEAST: usize = 64;

/// Cuts keys down to the `most` least of them; returns the greatest that is left, if it cut any.
fn cut(keys: &mut Vec<Key>, most: usize) -> Option<Key> {
    if keys.len() <= most {
        return None;
    }
    if most == 0 {
        keys.clear();
        return None;
    }
    let (_, last, _) = keys.select_nth_unstable(most - 1);
    let last = *last;
    keys.truncate(most);
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_are_left() {
        let mut keys: Vec<Key> = (0..100).rev().map(|n| (n / 10, n, 0, 0)).collect();
        assert_eq!(cut(&mut keys, 7), Some((0, 6, 0, 0)));
        keys.sort_unstable();
        assert_eq!(keys, (0..7).map(|n| (0, n, 0, 0)).collect::<Vec<_>>());
        assert_eq!(cut(&mut keys, 7), None);
        assert_eq!(cut(&mut keys, 0), None);
        assert!(keys.is_empty());
    }
}
