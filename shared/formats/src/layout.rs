//! How a file is read: its encoding and its format. The format is told by content, then by file name.

use std::io;

use encoding_rs::Encoding;
use memchr::memchr;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::csv_layout::CsvLayout;
use crate::csv_rows::CsvRows;
use crate::encoding::{self, Coding, Sample, no_text};
use crate::json_rows::JsonRows;
use crate::json_shape::Shape;
use crate::rows::{Cursor, Inner, Rows};
use crate::source::Source;
use crate::xml_rows::{Wanted, XmlRows, nul};

/// What the client says about a file.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// As the client named it; only its ending is looked at.
    pub file_name: String,
    /// The CSV column that holds the name; `name` if it is not said.
    pub name_column: Option<String>,
    /// The XML elements that are rows.
    pub record_tag: Option<String>,
}

/// How a file is read. It is kept with an upload, so that another process can read on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    encoding: String,
    /// How long the byte order mark is, in bytes.
    mark: u64,
    /// Whether the encoding is beyond doubt.
    sure: bool,
    format: Format,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Format {
    Csv(CsvLayout),
    Json(Shape),
    Xml(Wanted),
}

impl Layout {
    /// Finds the layout by the beginning of the file, its first 1 MB, and what the client says.
    pub fn detect(source: &dyn Source, hints: &Hints) -> Result<Self, Error> {
        Self::of(&Sample::take(source, false)?, hints)
    }

    /// The same, with the encoding guessed from every byte.
    pub fn detect_whole(source: &dyn Source, hints: &Hints) -> Result<Self, Error> {
        Self::of(&Sample::take(source, true)?, hints)
    }

    fn of(sample: &Sample, hints: &Hints) -> Result<Self, Error> {
        let ending = hints
            .file_name
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_ascii_lowercase())
            .unwrap_or_default();
        let first = sample.text.trim_start().chars().next();
        let is_json = matches!(first, Some('[' | '{'));
        let is_xml = first == Some('<') || (ending == "xml" && !is_json);
        if memchr(0, sample.text.as_bytes()).is_some() {
            return Err(if is_xml { nul() } else { no_text() });
        }
        let format = if is_xml {
            Format::Xml(Wanted::find(sample, hints.record_tag.as_deref())?)
        } else if is_json || matches!(ending.as_str(), "json" | "ndjson" | "jsonl") {
            Format::Json(Shape::find(sample, &ending)?)
        } else {
            let name_column = hints.name_column.as_deref().unwrap_or("name");
            Format::Csv(CsvLayout::find(sample, name_column)?)
        };
        Ok(Self {
            encoding: encoding::name(sample.coding.encoding).to_owned(),
            mark: sample.coding.mark,
            sure: sample.coding.sure,
            format,
        })
    }

    /// `csv`, `json`, `ndjson` or `xml`.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match self.format {
            Format::Csv(_) => "csv",
            Format::Json(Shape::Lines) => "ndjson",
            Format::Json(_) => "json",
            Format::Xml(_) => "xml",
        }
    }

    /// The encoding's name, such as `utf-8`, `utf-16le` or `windows-1252`.
    #[must_use]
    pub fn encoding(&self) -> &str {
        &self.encoding
    }

    /// What stands between the fields of CSV.
    #[must_use]
    pub fn delimiter(&self) -> Option<char> {
        match &self.format {
            Format::Csv(csv) => Some(csv.delimiter()),
            Format::Json(_) | Format::Xml(_) => None,
        }
    }

    /// The rows from a place on. A `strict` reading also finds what makes the file as a whole invalid
    /// and reading possible, such as a quote that is never closed: the first one is.
    pub fn read(&self, source: &dyn Source, from: Cursor, strict: bool) -> Result<Rows, Error> {
        let coding = self.coding()?;
        let inner = match &self.format {
            Format::Csv(layout) => Inner::Csv(Box::new(CsvRows::open(
                source, coding, layout, from.at, strict,
            )?)),
            Format::Json(shape) => Inner::Json(Box::new(JsonRows::open(
                source, coding, *shape, from.at, strict,
            )?)),
            Format::Xml(wanted) => Inner::Xml(Box::new(XmlRows::open(
                source, coding, wanted, from.row, strict,
            )?)),
        };
        Ok(Rows::new(inner, from))
    }

    fn coding(&self) -> Result<Coding, Error> {
        let encoding = Encoding::for_label(self.encoding.as_bytes())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an unknown encoding"))?;
        Ok(Coding {
            encoding,
            mark: self.mark,
            sure: self.sure,
        })
    }
}
