//! Files of rows: from the bytes of a CSV, JSON, NDJSON or XML file to the drafts of its records.
//!
//! [`Layout::detect`] finds out how a file is to be read, [`Layout::read`] reads it, from any
//! [`Cursor`] on. Everything is read as a stream: what is held of a file is a few buffers and one row,
//! of which more than 1 MB is passed over.

mod bmecat;
mod csv_layout;
mod csv_records;
mod csv_rows;
mod csv_scan;
mod draft;
mod encoding;
mod json_cut;
mod json_rows;
mod json_shape;
mod layout;
mod rows;
mod source;
mod window;
mod xml_element;
mod xml_rows;
mod xml_text;
mod xml_tree;

pub use layout::{Hints, Layout};
pub use rows::{Cursor, Row, Rows};
pub use source::{OnDisk, OpenFile, Source};

use model::record::Draft;
use model::{Fault, Faults};

/// The largest row, in bytes of text. Far beyond what a record may have, however it is written.
pub(crate) const MAX_ROW: usize = 1024 * 1024;

/// Why a file cannot be read as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The part of the form (`file`, `name_column`, `record_tag`) and what is wrong.
    #[error("{0}: {text}", text = .1.message)]
    Invalid(&'static str, Fault),
    /// What the file is, and what is taken.
    #[error("{0}")]
    Unsupported(String),
    /// A byte after the sample is not what the sample's encoding says: [`Layout::detect_whole`] has
    /// to look at all of the file.
    #[error("the file is not UTF-8, as which it begins")]
    NotUtf8,
    /// The bytes do not come.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// A row's draft, or what is wrong with it.
pub(crate) type Parsed = std::result::Result<Draft, Faults>;

/// What is wrong with the file.
pub(crate) fn invalid(kind: &'static str, message: impl Into<String>) -> Error {
    Error::Invalid("file", Fault::new(kind, message))
}

/// What is wrong with a row that is not worth taking apart.
pub(crate) fn too_large() -> Faults {
    let message = "The row has more than 1 MB or too many values; a record has at most 48 KB";
    vec![Fault::new("too_large", message)]
}
