//! The rows of a file, one after the other.

use std::fmt;

use model::Faults;
use model::record::Draft;
use serde::{Deserialize, Serialize};

use crate::csv_rows::CsvRows;
use crate::json_rows::JsonRows;
use crate::window::Window;
use crate::xml_rows::XmlRows;
use crate::{Error, Parsed};

/// Where reading goes on. The default is the first row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The byte of the decoded text, without a byte order mark.
    pub at: u64,
    /// How many rows were read.
    pub row: u64,
}

/// A row of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its number, from 1.
    pub number: u64,
    /// What it says, or what is wrong with it alone.
    pub draft: std::result::Result<Draft, Faults>,
}

/// The rows of a file from a [`Cursor`] on. It ends after the first error.
pub struct Rows {
    inner: Inner,
    cursor: Cursor,
    is_over: bool,
}

pub(crate) enum Inner {
    Csv(Box<CsvRows>),
    Json(Box<JsonRows>),
    Xml(Box<XmlRows>),
}

impl Rows {
    pub(crate) fn new(inner: Inner, from: Cursor) -> Self {
        Self {
            inner,
            cursor: from,
            is_over: false,
        }
    }

    /// Where reading would go on behind the last row that was given.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// How many bytes of the file have been read, to show progress.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inner.window().bytes()
    }
}

impl Inner {
    fn next(&mut self) -> Result<Option<Parsed>, Error> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Json(rows) => rows.next(),
            Self::Xml(rows) => rows.next(),
        }
    }

    fn window(&self) -> &Window {
        match self {
            Self::Csv(rows) => rows.window(),
            Self::Json(rows) => rows.window(),
            Self::Xml(rows) => rows.window(),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.inner.next() {
            Ok(Some(draft)) => {
                self.cursor = Cursor {
                    at: self.inner.window().at(),
                    row: self.cursor.row + 1,
                };
                Some(Ok(Row {
                    number: self.cursor.row,
                    draft,
                }))
            }
            Ok(None) => {
                self.is_over = true;
                None
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Rows")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
