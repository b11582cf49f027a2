//! Orders of hits. Every order ends with the id, so that pages of one query never overlap.

use std::cmp::Ordering;

use model::id::RecordId;
use model::time::Moment;
use tantivy::collector::sort_key::{NaturalComparator, ReverseComparator, SortByString};
use tantivy::collector::{Collector, Count, SegmentSortKeyComputer, SortKeyComputer, TopDocs};
use tantivy::columnar::{Column, ColumnType, MonotonicallyMappableToU64};
use tantivy::query::Query;
use tantivy::{DocAddress, DocId, Order, Score, SegmentReader, i64_to_u64};

use crate::analysis::{
    CREATED, ID_HIGH, ID_LOW, KIND_FOLDED, NAME_FOLDED, NUMBERS, Paths, STRINGS, UPDATED,
};
use crate::page::{self, Page, Primary};
use crate::query::{Counted, IDENTIFIED, Scaled};
use crate::request::{Direction, Sort};

/// Scores are kept in millionths, so that two that look the same are the same.
pub(crate) const SCORE_UNIT: u32 = 1_000_000;
/// The score of a hit by identifier where the query did not look like one: above all words, and
/// below what was asked for by its identifier.
const NAMED_BY_THE_WAY: u32 = 995_000;
/// The best score of a hit by words.
const BEST_WORDS: f32 = 990_000.0;

/// A hit.
pub(crate) struct Ranked {
    pub(crate) rank: Rank,
    /// The two halves of its id.
    pub(crate) id: (u64, u64),
    /// In [`SCORE_UNIT`]s.
    pub(crate) score: u32,
}

/// What the hits of one request are ordered by before their ids, those of different indexes too.
#[derive(Debug, Clone, PartialEq)]
pub enum Rank {
    /// A score or a moment, turned so that the least comes first.
    Number(u64),
    /// A value of the record: a number, or else a text. What has neither comes last both ways.
    Value {
        /// The number, if it is one.
        number: Option<f64>,
        /// The text, if it is one.
        text: Option<String>,
        /// Which end comes first.
        direction: Direction,
    },
}

impl Rank {
    /// Which of two comes first; it is for their ids to say if they are equal.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.cmp(right),
            (
                Self::Value {
                    number,
                    text,
                    direction,
                },
                Self::Value {
                    number: other_number,
                    text: other_text,
                    ..
                },
            ) => {
                let numbers = (number.as_ref(), other_number.as_ref());
                let texts = (text.as_ref(), other_text.as_ref());
                by_value(numbers, *direction, f64::total_cmp)
                    .then_with(|| by_value(texts, *direction, String::cmp))
            }
            // Hits of one request are all ordered by the same.
            _ => Ordering::Equal,
        }
    }
}

fn by_value<T>(
    values: (Option<&T>, Option<&T>),
    direction: Direction,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Ordering {
    match (values, direction) {
        ((Some(left), Some(right)), Direction::Ascending) => compare(left, right),
        ((Some(left), Some(right)), Direction::Descending) => compare(right, left),
        ((Some(_), None), _) => Ordering::Less,
        ((None, Some(_)), _) => Ordering::Greater,
        ((None, None), _) => Ordering::Equal,
    }
}

/// An order of hits.
pub(crate) enum Ranking<'a> {
    /// Best score first.
    Relevance,
    /// By a value of the record.
    By(&'a Sort),
}

/// Runs a query and returns the page and the exact number of all hits, in one pass.
pub(crate) fn run(
    searcher: &Counted,
    query: &dyn Query,
    score: ByScore,
    order: &Ranking,
    paths: &Paths,
    (limit, offset, after): (u32, u32, Option<(Moment, RecordId)>),
) -> tantivy::Result<(Vec<Ranked>, usize)> {
    let page = (limit as usize, offset as usize);
    let sort = match order {
        Ranking::Relevance => return plain(searcher, query, score, page, None),
        Ranking::By(sort) => sort,
    };
    let direction = match sort.direction {
        Direction::Ascending => Order::Asc,
        Direction::Descending => Order::Desc,
    };
    let moment = |field| ByMoment {
        field,
        direction: sort.direction,
        score,
    };
    let string = |column: &str| (SortByString::for_field(column), direction);
    let value = |(number, text): (Option<f64>, Option<String>)| Rank::Value {
        number,
        text,
        direction: sort.direction,
    };
    let top = TopDocs::with_limit(page.0).and_offset(page.1);
    match sort.field.as_str() {
        "created_at" => {
            let after = after.map(|(at, id)| {
                let (high, low) = id.0.as_u64_pair();
                let at = i64_to_u64(at.timestamp_micros());
                (sort.direction.key(at), high, low)
            });
            plain(searcher, query, moment(CREATED), page, after)
        }
        "updated_at" => plain(searcher, query, moment(UPDATED), page, None),
        "name" => three(
            searcher,
            query,
            top.order_by((string(NAME_FOLDED), ById, score)),
            |text: Option<String>| value((None, text)),
        ),
        "record_type" => three(
            searcher,
            query,
            top.order_by((string(KIND_FOLDED), ById, score)),
            |text: Option<String>| value((None, text)),
        ),
        field => {
            // A field that no record has leaves the order to the id.
            let path = paths.named(field).next().unwrap_or_default();
            let number = ByNumber {
                column: format!("{NUMBERS}.{path}"),
            };
            let text = string(&format!("{STRINGS}.{path}"));
            // Nested: a flat tuple of four forgets the directions of its parts.
            let key = ((number, direction), text);
            three(searcher, query, top.order_by((key, ById, score)), value)
        }
    }
}

fn plain(
    searcher: &Counted,
    query: &dyn Query,
    order: impl page::Order,
    (limit, offset): (usize, usize),
    after: Option<page::Place>,
) -> tantivy::Result<(Vec<Ranked>, usize)> {
    let page = Page {
        order,
        limit,
        offset,
        after,
    };
    let (keys, total) = searcher.search(query, &page)?;
    let hits = keys.into_iter().map(|(primary, high, low, score)| Ranked {
        rank: Rank::Number(primary),
        id: (high, low),
        score,
    });
    Ok((hits.collect(), total))
}

type Fruit<K> = Vec<((K, (u64, u64), u32), DocAddress)>;

fn three<K: Send + 'static>(
    searcher: &Counted,
    query: &dyn Query,
    by: impl Collector<Fruit = Fruit<K>>,
    rank: impl Fn(K) -> Rank,
) -> tantivy::Result<(Vec<Ranked>, usize)> {
    let (hits, total) = searcher.search(query, &(by, Count))?;
    let hits = hits.into_iter().map(|((key, id, score), _)| Ranked {
        rank: rank(key),
        id,
        score,
    });
    Ok((hits.collect(), total))
}

/// The columns that an order reads, but for the scores.
pub(crate) fn columns(order: &Ranking, paths: &Paths) -> Vec<String> {
    let mut columns = vec![ID_HIGH.to_owned(), ID_LOW.to_owned()];
    if let Ranking::By(sort) = order {
        match sort.field.as_str() {
            "created_at" => columns.push(CREATED.to_owned()),
            "updated_at" => columns.push(UPDATED.to_owned()),
            "name" => columns.push(NAME_FOLDED.to_owned()),
            "record_type" => columns.push(KIND_FOLDED.to_owned()),
            field => {
                let path = paths.named(field).next().unwrap_or_default();
                columns.extend([NUMBERS, STRINGS].map(|field| format!("{field}.{path}")));
            }
        }
    }
    columns
}

/// By score, best first: the share of the most that the query can give, identifiers on top.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByScore {
    ceiling: f32,
    /// What a hit by identifier scores.
    identified: u32,
    /// Whether scores tell hits apart.
    scores: bool,
}

impl ByScore {
    /// The scale of a query's scores.
    pub(crate) fn of(scaled: &Scaled) -> Self {
        Self {
            ceiling: scaled.ceiling,
            scores: !scaled.everything,
            identified: if scaled.identifier {
                SCORE_UNIT
            } else {
                NAMED_BY_THE_WAY
            },
        }
    }
}

impl ByScore {
    /// What a hit of that raw score scores.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 990,000"
    )]
    fn scaled(&self, score: Score) -> u32 {
        if !self.scores {
            return 0;
        }
        if score >= IDENTIFIED {
            return self.identified;
        }
        (score / self.ceiling * BEST_WORDS).clamp(0.0, BEST_WORDS) as u32
    }
}

impl page::Order for ByScore {
    type Primary = Self;

    fn scores(&self) -> bool {
        self.scores
    }

    fn open(&self, _: &SegmentReader) -> tantivy::Result<Self> {
        Ok(*self)
    }
}

impl Primary for ByScore {
    fn of(&self, _: DocId, score: Score) -> (u64, u32) {
        let score = self.scaled(score);
        (u64::from(u32::MAX - score), score)
    }
}

impl SortKeyComputer for ByScore {
    type SortKey = u32;
    type Child = Self;
    type Comparator = NaturalComparator;

    fn requires_scoring(&self) -> bool {
        self.scores
    }

    fn segment_sort_key_computer(&self, _: &SegmentReader) -> tantivy::Result<Self> {
        Ok(*self)
    }
}

impl SegmentSortKeyComputer for ByScore {
    type SortKey = u32;
    type SegmentSortKey = u32;
    type SegmentComparator = NaturalComparator;

    fn segment_sort_key(&mut self, _: DocId, score: Score) -> u32 {
        self.scaled(score)
    }

    fn convert_segment_sort_key(&self, key: u32) -> u32 {
        key
    }
}

/// By id, least first.
#[derive(Debug, Clone, Copy)]
struct ById;

struct IdColumns {
    high: Column<u64>,
    low: Column<u64>,
}

impl SortKeyComputer for ById {
    type SortKey = (u64, u64);
    type Child = IdColumns;
    type Comparator = ReverseComparator;

    fn segment_sort_key_computer(&self, segment: &SegmentReader) -> tantivy::Result<IdColumns> {
        let fast = segment.fast_fields();
        Ok(IdColumns {
            high: fast.u64(ID_HIGH)?,
            low: fast.u64(ID_LOW)?,
        })
    }
}

impl SegmentSortKeyComputer for IdColumns {
    type SortKey = (u64, u64);
    type SegmentSortKey = (u64, u64);
    type SegmentComparator = ReverseComparator;

    fn segment_sort_key(&mut self, doc: DocId, _: Score) -> (u64, u64) {
        let half = |column: &Column<u64>| column.first(doc).unwrap_or_default();
        (half(&self.high), half(&self.low))
    }

    fn convert_segment_sort_key(&self, key: (u64, u64)) -> (u64, u64) {
        key
    }
}

/// By a moment, in microseconds.
#[derive(Debug, Clone, Copy)]
struct ByMoment {
    field: &'static str,
    direction: Direction,
    score: ByScore,
}

impl Direction {
    /// The number by which a number is ordered, least first.
    fn key(self, number: u64) -> u64 {
        match self {
            Self::Ascending => number,
            Self::Descending => !number,
        }
    }
}

struct MomentColumn {
    moments: Column<i64>,
    direction: Direction,
    score: ByScore,
}

impl page::Order for ByMoment {
    type Primary = MomentColumn;

    fn scores(&self) -> bool {
        self.score.scores
    }

    fn open(&self, segment: &SegmentReader) -> tantivy::Result<MomentColumn> {
        Ok(MomentColumn {
            moments: segment.fast_fields().i64(self.field)?,
            direction: self.direction,
            score: self.score,
        })
    }
}

impl Primary for MomentColumn {
    fn of(&self, doc: DocId, score: Score) -> (u64, u32) {
        let moment = i64_to_u64(self.moments.first(doc).unwrap_or_default());
        (self.direction.key(moment), self.score.scaled(score))
    }
}

/// By a number of `collection_data`; a segment in which no record has it lacks the column.
#[derive(Debug, Clone)]
struct ByNumber {
    column: String,
}

struct NumberColumn(Option<Column<u64>>);

impl SortKeyComputer for ByNumber {
    type SortKey = Option<f64>;
    type Child = NumberColumn;
    type Comparator = NaturalComparator;

    fn segment_sort_key_computer(&self, segment: &SegmentReader) -> tantivy::Result<NumberColumn> {
        let column = segment
            .fast_fields()
            .u64_lenient_for_type(Some(&[ColumnType::F64]), &self.column)?;
        Ok(NumberColumn(column.map(|(column, _)| column)))
    }
}

impl SegmentSortKeyComputer for NumberColumn {
    type SortKey = Option<f64>;
    type SegmentSortKey = Option<f64>;
    type SegmentComparator = NaturalComparator;

    fn segment_sort_key(&mut self, doc: DocId, _: Score) -> Option<f64> {
        self.0.as_ref()?.first(doc).map(f64::from_u64)
    }

    fn convert_segment_sort_key(&self, key: Option<f64>) -> Option<f64> {
        key
    }
}
