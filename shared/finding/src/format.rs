//! The three formats of search results.

use std::fmt::Write;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::answer::{Answer, Row};

/// A format of the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
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

impl Format {
    /// The answer in this format.
    pub fn respond(self, answer: &Answer) -> api::Result<Response> {
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
