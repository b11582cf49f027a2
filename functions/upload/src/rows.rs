//! The rows of a file, whatever its format. The format is told by content, then by file name.

use api::{Error, Result};
use model::Faults;
use model::record::Draft;

use crate::csv_rows::CsvRows;
use crate::json_rows::JsonRows;

/// The rows of a file. They can be read more than once, from any [`Cursor`] on.
#[derive(Debug)]
pub(crate) enum Rows {
    Csv(CsvRows),
    Json(JsonRows),
}

/// Where reading goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The byte of the text.
    pub(crate) at: usize,
    /// How many rows were read.
    pub(crate) row: u64,
}

/// How many bytes of a file are read at once: what is parsed takes many times the room of its text.
pub(crate) const MAX_READ: usize = 1024 * 1024;

/// A row: its number, from 1, and what it says.
pub(crate) type Row = (u64, std::result::Result<Draft, Faults>);

impl Rows {
    /// Finds the rows.
    pub(crate) fn find(text: String, file_name: &str, name_column: Option<&str>) -> Result<Self> {
        let ending = file_name
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_ascii_lowercase())
            .unwrap_or_default();
        match text.trim_start().chars().next() {
            Some('<') => Err(Error::UnsupportedMediaType(
                "The file looks like XML; upload CSV, JSON or NDJSON".to_owned(),
            )),
            Some('[' | '{') => JsonRows::find(text, &ending).map(Self::Json),
            _ if matches!(ending.as_str(), "json" | "ndjson" | "jsonl") => {
                JsonRows::find(text, &ending).map(Self::Json)
            }
            _ => CsvRows::find(text, name_column.unwrap_or("name")).map(Self::Csv),
        }
    }

    /// Reads up to `most` rows and [`MAX_READ`] bytes; none at the end.
    pub(crate) fn read(&self, cursor: &mut Cursor, most: usize) -> Vec<Row> {
        match self {
            Self::Csv(rows) => rows.read(cursor, most),
            Self::Json(rows) => rows.read(cursor, most),
        }
    }

    /// The delimiter, where the format has one.
    pub(crate) fn delimiter(&self) -> Option<char> {
        match self {
            Self::Csv(rows) => Some(rows.delimiter()),
            Self::Json(_) => None,
        }
    }
}
