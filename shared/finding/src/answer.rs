//! What a search is answered.

use std::time::{Duration, Instant};

use api::millis;
use model::id::{CollectionName, RecordId, RecordType};
use model::record::{Record, SourceType};
use model::time::{self, Moment};
use search::{Class, Mode, Page, Request};
use serde::Serialize;
use serde_json::{Map, Value};

/// The answer to a search.
#[derive(Serialize)]
pub struct Answer {
    pub(crate) results: Vec<Row>,
    pagination: Pagination,
    metadata: Metadata,
}

/// A record that was found.
#[derive(Serialize)]
pub struct Row {
    record_id: RecordId,
    pub(crate) name: String,
    description: Option<String>,
    pub(crate) score: f64,
    collection: CollectionName,
    record_type: RecordType,
    pub(crate) collection_data: Map<String, Value>,
    /// A description by a language model; the service has none.
    description_llm: Option<String>,
    source_type: SourceType,
    #[serde(serialize_with = "time::shown")]
    updated_at: Moment,
}

/// How a search went, but for what its page says itself.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// When it began.
    pub started: Instant,
    /// Whether the indexes were in memory already.
    pub warm: bool,
    /// How long it took to read the records.
    pub hydrate_time: Duration,
}

#[derive(Serialize)]
struct Pagination {
    offset: u32,
    limit: u32,
    has_more: bool,
}

#[derive(Serialize)]
struct Metadata {
    search_mode: Mode,
    query_type: Class,
    processing_time_ms: f64,
    /// Exact, its name notwithstanding.
    total_estimate: usize,
    zero_result_fallback_used: bool,
    cache_hit: bool,
    timings: Timings,
}

#[derive(Serialize)]
struct Timings {
    classify_ms: f64,
    search_ms: f64,
    hydrate_ms: f64,
}

impl Row {
    /// A record, and what it scores.
    #[must_use]
    pub fn new(record: Record, score: f64) -> Self {
        Self {
            record_id: record.id,
            name: record.name,
            description: record.description,
            score,
            collection: record.collection,
            record_type: record.record_type,
            collection_data: record.data,
            description_llm: None,
            source_type: record.source_type,
            updated_at: record.updated_at,
        }
    }
}

impl Answer {
    /// The answer to a request whose page was found: its hits as the records that they are now. One
    /// that is not there any more is left out.
    #[must_use]
    pub fn new(request: &Request, page: &Page, results: Vec<Row>, course: Course) -> Self {
        let (offset, limit) = (request.offset, request.limit);
        Self {
            results,
            pagination: Pagination {
                offset,
                limit,
                has_more: !page.hits.is_empty() && offset as usize + page.hits.len() < page.total,
            },
            metadata: Metadata {
                search_mode: page.mode,
                query_type: page.class,
                processing_time_ms: millis(course.started.elapsed()),
                total_estimate: page.total,
                zero_result_fallback_used: page.fell_back,
                cache_hit: course.warm,
                timings: Timings {
                    classify_ms: millis(page.classify_time),
                    search_ms: millis(page.search_time),
                    hydrate_ms: millis(course.hydrate_time),
                },
            },
        }
    }
}
