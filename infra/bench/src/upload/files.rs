//! Files of the same products in every format, about 600 bytes a row as CSV.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::catalogue::Catalogue;

/// Bytes of a row as CSV.
const ROW: usize = 600;

/// The columns of the CSV.
const COLUMNS: [&str; 19] = [
    "source_id",
    "name",
    "description",
    "sku",
    "ean",
    "part_number",
    "standard",
    "category",
    "material",
    "brand",
    "price_eur",
    "stock",
    "in_stock",
    "weight_kg",
    "length_mm",
    "width_mm",
    "tags",
    "color",
    "notes",
];

/// Products whose descriptions are other products' notes.
const NOTES: u64 = 1_000_000_000;

/// The element of an XML that is a record.
pub(crate) const RECORD_TAG: &str = "product";

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Json,
    Ndjson,
    Xml,
}

/// How large a file is to be: it ends with the row that reaches one of the two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// How large a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Makes files.
pub(crate) struct Files {
    catalogue: Catalogue,
}

impl Format {
    pub(crate) const ALL: [Self; 4] = [Self::Csv, Self::Json, Self::Ndjson, Self::Xml];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Ndjson => "NDJSON",
            Self::Xml => "XML",
        }
    }

    /// The name of a file.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Csv => "catalog.csv",
            Self::Json => "catalog.json",
            Self::Ndjson => "catalog.ndjson",
            Self::Xml => "catalog.xml",
        }
    }

    /// Its media type.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Xml => "application/xml",
        }
    }

    fn start(self) -> String {
        match self {
            Self::Csv => format!("{}\n", COLUMNS.join(",")),
            Self::Json => "[".to_owned(),
            Self::Ndjson => String::new(),
            Self::Xml => "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<catalog>\n".to_owned(),
        }
    }

    fn row(self, row: &Map<String, Value>, is_first: bool) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                let cells = COLUMNS.map(|column| row.get(column).map(cell).unwrap_or_default());
                writer.write_record(cells)?;
                writer.into_inner().context("cannot end a row")?
            }
            Self::Json => {
                let comma = if is_first { "\n" } else { ",\n" };
                format!("{comma}{}", json(row)?).into_bytes()
            }
            Self::Ndjson => format!("{}\n", json(row)?).into_bytes(),
            Self::Xml => {
                let mut text = format!("<{RECORD_TAG}>");
                for (name, value) in row {
                    let value = escaped(&cell(value));
                    text += &format!("<{name}>{value}</{name}>");
                }
                text += &format!("</{RECORD_TAG}>\n");
                text.into_bytes()
            }
        })
    }

    fn end(self) -> &'static str {
        match self {
            Self::Csv | Self::Ndjson => "",
            Self::Json => "\n]\n",
            Self::Xml => "</catalog>\n",
        }
    }
}

impl Files {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            catalogue: Catalogue::new(seed, NOTES),
        }
    }

    /// A row, without nesting.
    pub(crate) fn row(&self, n: u64) -> Map<String, Value> {
        let product = self.catalogue.product(n);
        let mut row = product.data();
        row.remove("dimensions");
        for (name, value) in [
            ("source_id", json!(product.source_id)),
            ("name", json!(product.name)),
            ("description", json!(product.description)),
            ("length_mm", json!(product.length_mm)),
            ("width_mm", json!(product.width_mm)),
            ("tags", json!(product.tags.join(" "))),
        ] {
            row.insert(name.to_owned(), value);
        }
        let length: usize = row.values().map(|value| cell(value).len()).sum();
        let room = ROW.saturating_sub(length + COLUMNS.len());
        let notes = self.catalogue.product(NOTES + n).description;
        let notes: String = notes.chars().take(room).collect();
        row.insert("notes".to_owned(), Value::from(notes));
        row
    }

    /// Writes a file.
    pub(crate) fn write(
        &self,
        format: Format,
        most: Most,
        out: &mut impl Write,
    ) -> Result<Written> {
        let mut written = Written::default();
        let mut put = |bytes: &[u8]| -> io::Result<u64> {
            out.write_all(bytes)?;
            Ok(bytes.len() as u64)
        };
        written.bytes += put(format.start().as_bytes())?;
        while written.rows < most.rows && written.bytes < most.bytes {
            let row = format.row(&self.row(written.rows), written.rows == 0)?;
            written.bytes += put(&row)?;
            written.rows += 1;
        }
        written.bytes += put(format.end().as_bytes())?;
        Ok(written)
    }

    /// The same in memory.
    pub(crate) fn text(&self, format: Format, most: Most) -> Result<(String, Written)> {
        let mut bytes = Vec::new();
        let written = self.write(format, most, &mut bytes)?;
        let text = String::from_utf8(bytes).context("a file is not UTF-8")?;
        Ok((text, written))
    }

    /// The same rows as PostgreSQL takes them: what the service keeps apart in columns, and the rest as
    /// JSON.
    pub(crate) fn for_postgres(&self, rows: u64) -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for n in 0..rows {
            let mut row = self.row(n);
            let own = ["source_id", "name", "description"];
            let own = own.map(|name| row.remove(name).as_ref().map(cell).unwrap_or_default());
            let [source_id, name, description] = own;
            writer.write_record([source_id, name, description, json(&row)?])?;
        }
        writer.into_inner().context("cannot end the rows")
    }
}

fn json(row: &Map<String, Value>) -> Result<String> {
    serde_json::to_string(row).context("cannot write a row")
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most {
        rows: 1_000,
        bytes: u64::MAX,
    };

    #[test]
    fn a_row_has_about_600_bytes() {
        let (csv, written) = Files::new(1).text(Format::Csv, MOST).unwrap();
        assert_eq!(csv.len() as u64, written.bytes);
        assert_eq!(csv.lines().count(), 1_001);
        let row = csv.len() / 1_000;
        assert!((560..=610).contains(&row), "{row}");
    }

    #[test]
    fn files_are_what_they_say() {
        let files = Files::new(1);
        let (json, _) = files.text(Format::Json, MOST).unwrap();
        let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(rows.len(), 1_000);
        let (lines, _) = files.text(Format::Ndjson, MOST).unwrap();
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines, rows);
        let (xml, _) = files.text(Format::Xml, MOST).unwrap();
        assert_eq!(xml.matches("<product>").count(), 1_000);
        assert_eq!(xml.matches("</product>").count(), 1_000);
    }

    #[test]
    fn a_file_ends_with_the_row_that_makes_it_large_enough() {
        let most = Most {
            rows: u64::MAX,
            bytes: 50_000,
        };
        for format in Format::ALL {
            let written = Files::new(1).text(format, most).unwrap().1;
            assert!((50_000..52_000).contains(&written.bytes), "{format:?}");
        }
    }
}
