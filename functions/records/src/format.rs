//! The three formats of search results.

use std::fmt::Write;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::id::{CollectionName, RecordId, RecordType};
use model::record::{Record, SourceType};
use model::time::{self, Moment};
use search::{Class, Mode};
use serde::Serialize;
use serde_json::{Map, Value};

/// A format of the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// All of it, for programs.
    #[default]
    Json,
    /// A Markdown table, for language models.
    Compact,
    /// The results as a YAML list.
    Yaml,
}

pub(crate) const FORMATS: [(&str, Format); 3] = [
    ("json", Format::Json),
    ("compact", Format::Compact),
    ("yaml", Format::Yaml),
];

#[derive(Serialize)]
pub(crate) struct Answer {
    pub(crate) results: Vec<Row>,
    pub(crate) pagination: Pagination,
    pub(crate) metadata: Metadata,
}

#[derive(Serialize)]
pub(crate) struct Row {
    record_id: RecordId,
    name: String,
    description: Option<String>,
    score: f64,
    collection: CollectionName,
    record_type: RecordType,
    collection_data: Map<String, Value>,
    /// A description by a language model; the service has none.
    description_llm: Option<String>,
    source_type: SourceType,
    #[serde(serialize_with = "time::shown")]
    updated_at: Moment,
}

impl Row {
    pub(crate) fn new(record: Record, score: f64) -> Self {
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

#[derive(Serialize)]
pub(crate) struct Pagination {
    pub(crate) offset: u32,
    pub(crate) limit: u32,
    pub(crate) has_more: bool,
}

#[derive(Serialize)]
pub(crate) struct Metadata {
    pub(crate) search_mode: Mode,
    pub(crate) query_type: Class,
    pub(crate) processing_time_ms: f64,
    /// Exact, its name notwithstanding.
    pub(crate) total_estimate: usize,
    pub(crate) zero_result_fallback_used: bool,
    /// Whether the collection's index was in memory already.
    pub(crate) cache_hit: bool,
    pub(crate) timings: Timings,
}

#[derive(Serialize)]
pub(crate) struct Timings {
    pub(crate) classify_ms: f64,
    pub(crate) search_ms: f64,
    pub(crate) hydrate_ms: f64,
}

impl Format {
    pub(crate) fn respond(self, answer: &Answer) -> api::Result<Response> {
        match self {
            Self::Json => Ok(Json(answer).into_response()),
            Self::Compact => Ok(text(compact(&answer.results))),
            Self::Yaml => serde_saphyr::to_string(&answer.results)
                .map(text)
                .map_err(api::Error::internal),
        }
    }
}

fn text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn compact(results: &[Row]) -> String {
    let mut table = "| # | Name | Score | Key Data |\n|---|---|---|---|\n".to_owned();
    for (row, number) in results.iter().zip(1..) {
        let data: Vec<String> = row
            .collection_data
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) => format!("{key}: {text}"),
                value => format!("{key}: {value}"),
            })
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {number} | {} | {:.2} | {} |",
            cell(&row.name),
            row.score,
            cell(&data.join(", "))
        );
    }
    table
}

/// Text that stays in its cell.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_break_out_of_its_table() {
        assert_eq!(cell("a|b\\\r\nc"), "a\\|b\\\\  c");
    }
}
