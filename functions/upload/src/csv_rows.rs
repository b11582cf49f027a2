//! CSV: a header, then a row a record.

use api::Result;
use csv::{Reader, ReaderBuilder, StringRecord};
use model::record::Draft;
use model::{Fault, Faults, cell};
use serde_json::{Map, Value};

use crate::form::field_fault;
use crate::rows::{Cursor, MAX_READ, Row};

/// The delimiters that are looked for.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// How many records of a file tell its delimiter.
const SAMPLE: usize = 20;

/// How many bytes of it are looked at for that, at most.
const SAMPLE_BYTES: usize = 256 * 1024;

/// The most columns.
const MAX_COLUMNS: usize = 1_000;

/// The longest name of a column, in characters.
const MAX_COLUMN_NAME: usize = 200;

/// The largest field, in bytes.
const MAX_FIELD: usize = 1024 * 1024;

/// What a record calls its own.
const OWN: [&str; 3] = ["description", "source_id", "visibility"];

#[derive(Debug)]
pub(crate) struct CsvRows {
    text: String,
    delimiter: u8,
    columns: Vec<String>,
    name_column: usize,
    /// Where the first row begins.
    start: usize,
}

impl CsvRows {
    pub(crate) fn find(text: String, name_column: &str) -> Result<Self> {
        let wrong = |fault| field_fault("file", fault);
        let delimiter = delimiter(&text);
        check_fields(text.as_bytes(), delimiter).map_err(wrong)?;
        let (columns, start) = header(&text, delimiter).map_err(wrong)?;
        let found = columns.iter().position(|column| column == name_column);
        let name_column = found.ok_or_else(|| {
            let listed: Vec<&str> = columns.iter().take(20).map(String::as_str).collect();
            field_fault(
                "name_column",
                Fault::new(
                    "missing",
                    format!(
                        "The file has no column '{name_column}'; its columns are {}",
                        listed.join(", ")
                    ),
                ),
            )
        })?;
        Ok(Self {
            text,
            delimiter,
            columns,
            name_column,
            start,
        })
    }

    pub(crate) fn delimiter(&self) -> char {
        char::from(self.delimiter)
    }

    pub(crate) fn read(&self, cursor: &mut Cursor, most: usize) -> Vec<Row> {
        let from = cursor.at.max(self.start);
        let mut reader = reader(&self.text[from..], self.delimiter);
        let mut record = StringRecord::new();
        let mut rows = Vec::new();
        while rows.len() < most
            && reader.position().byte() < MAX_READ as u64
            && matches!(reader.read_record(&mut record), Ok(true))
        {
            cursor.row += 1;
            rows.push((cursor.row, self.draft(&record)));
        }
        cursor.at = from + usize::try_from(reader.position().byte()).unwrap_or(usize::MAX - from);
        rows
    }

    fn draft(&self, record: &StringRecord) -> std::result::Result<Draft, Faults> {
        if record.len() != self.columns.len() {
            return Err(vec![Fault::new(
                "column_count",
                format!(
                    "The row has {} columns, the header has {}",
                    record.len(),
                    self.columns.len()
                ),
            )]);
        }
        let mut own = Map::new();
        let mut data = Map::new();
        for (index, (column, text)) in self.columns.iter().zip(record).enumerate() {
            if text.is_empty() {
                continue;
            }
            if index == self.name_column {
                own.insert("name".to_owned(), Value::from(text));
            } else if OWN.contains(&column.as_str()) {
                own.insert(column.clone(), Value::from(text));
            } else if let Some(value) = cell::infer(text) {
                data.insert(column.clone(), value);
            }
        }
        own.insert("collection_data".to_owned(), Value::Object(data));
        Draft::parse(Value::Object(own))
    }
}

fn reader(text: &str, delimiter: u8) -> Reader<&[u8]> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
}

/// The delimiter under which most of the first records have the columns of the first one; of
/// several, the one with most columns. A file of one column has a comma.
fn delimiter(text: &str) -> u8 {
    let end = text.floor_char_boundary(SAMPLE_BYTES.min(text.len()));
    let text = &text[..end];
    let quality = |delimiter: &u8| {
        let lengths: Vec<usize> = reader(text, *delimiter)
            .records()
            .take(SAMPLE)
            .map_while(|record| record.ok().map(|record| record.len()))
            .collect();
        let columns = lengths.first().copied().unwrap_or(0);
        let alike = lengths.iter().filter(|length| **length == columns).count();
        (columns > 1).then_some((alike * 1_000 / lengths.len().max(1), columns))
    };
    DELIMITERS
        .into_iter()
        .rev()
        .max_by_key(quality)
        .filter(|delimiter| quality(delimiter).is_some())
        .unwrap_or(b',')
}

fn header(text: &str, delimiter: u8) -> std::result::Result<(Vec<String>, usize), Fault> {
    let mut reader = reader(text, delimiter);
    let mut record = StringRecord::new();
    let unreadable = |error: csv::Error| {
        Fault::new("csv_invalid", format!("The header cannot be read: {error}"))
    };
    reader.read_record(&mut record).map_err(unreadable)?;
    let columns: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
    for (index, column) in columns.iter().enumerate() {
        if column.is_empty() {
            return Err(Fault::new(
                "header_blank",
                format!("Column {} has no name in the header", index + 1),
            ));
        }
        if column.chars().count() > MAX_COLUMN_NAME {
            return Err(Fault::new(
                "header_too_long",
                format!(
                    "The name of column {} has more than {MAX_COLUMN_NAME} characters",
                    index + 1
                ),
            ));
        }
        if columns[..index].contains(column) {
            return Err(Fault::new(
                "header_duplicate",
                format!("The header has the column '{column}' more than once"),
            ));
        }
    }
    let start = usize::try_from(reader.position().byte()).unwrap_or(text.len());
    Ok((columns, start))
}

/// Finds what a lenient reader would pass over: a quote that is never closed swallows the rest of
/// the file, and so would a field without end.
fn check_fields(bytes: &[u8], delimiter: u8) -> std::result::Result<(), Fault> {
    #[derive(PartialEq)]
    enum At {
        Start,
        Bare,
        Quoted,
        Quote,
    }
    let mut at = At::Start;
    let (mut line, mut opened, mut length) = (1_u64, 1_u64, 0_usize);
    let mut columns = 1;
    for &byte in bytes {
        line += u64::from(byte == b'\n');
        if at != At::Quoted {
            match byte {
                b'\n' | b'\r' => columns = 1,
                byte if byte == delimiter => columns += 1,
                _ => {}
            }
        }
        if columns > MAX_COLUMNS {
            return Err(Fault::new(
                "too_many_columns",
                format!("Line {line} has more than the {MAX_COLUMNS} columns that are taken"),
            ));
        }
        at = match (at, byte) {
            (At::Start, b'"') => {
                opened = line;
                At::Quoted
            }
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) | (At::Quote, b'"') => At::Quoted,
            (_, b'\n' | b'\r') => At::Start,
            (_, byte) if byte == delimiter => At::Start,
            _ => At::Bare,
        };
        length = if at == At::Start { 0 } else { length + 1 };
        if length > MAX_FIELD {
            return Err(Fault::new(
                "field_too_large",
                format!("The field that ends at line {line} or later has more than 1 MB"),
            ));
        }
    }
    if at == At::Quoted {
        return Err(Fault::new(
            "quote_unclosed",
            format!("The quote that opens at line {opened} is never closed"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(text: &str) -> Vec<Row> {
        let rows = CsvRows::find(text.to_owned(), "name").unwrap();
        rows.read(&mut Cursor::default(), 1_000)
    }

    fn data(row: &Row) -> Value {
        Value::Object(row.1.as_ref().unwrap().data.clone())
    }

    #[test]
    fn the_delimiter_is_the_one_that_fits() {
        for (delimiter, text) in [
            (',', "name,price\na,1\nb,2"),
            (';', "name;price\na;1,5\nb;2,5"),
            ('\t', "name\tprice\na\t1\n"),
            ('|', "name|price|x\na|1|y\n"),
            (',', "name\na\nb"),
            (';', "name;note\na;\"x,y\"\nb;\"z,w,v\""),
            (',', "name,a;b\nx,1;2\ny,\"3;4\""),
        ] {
            let rows = CsvRows::find(text.to_owned(), "name").unwrap();
            assert_eq!(rows.delimiter(), delimiter, "{text}");
        }
    }

    #[test]
    fn every_line_ending_and_quoting_is_read() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["name,note", "a,\"x, \"\"y\"\"\"", "", "b,\"two\nlines\""].join(end);
            let rows = rows(&text);
            assert_eq!(rows.len(), 2, "{end:?}");
            assert_eq!(data(&rows[0]), json!({"note": "x, \"y\""}));
            assert_eq!(data(&rows[1]), json!({"note": "two\nlines"}));
            assert_eq!(rows[1].0, 2);
        }
    }

    #[test]
    fn reading_goes_on_where_it_stopped() {
        let lines: Vec<String> = (0..10).map(|n| format!("r{n},{n}")).collect();
        let text = format!(
            "name,n
{}
",
            lines.join(
                "
"
            )
        );
        let rows = CsvRows::find(text.clone(), "name").unwrap();
        let mut cursor = Cursor::default();
        let mut read = Vec::new();
        loop {
            let window = rows.read(&mut cursor, 3);
            if window.is_empty() {
                break;
            }
            read.extend(window);
        }
        assert_eq!(read, self::rows(&text));
        assert_eq!(read.last().unwrap().0, 10);
    }

    #[test]
    fn a_row_of_another_width_is_rejected_alone() {
        let rows = rows("name,a\nx,1\ny\nz,1,2\nw,3\n");
        let kinds: Vec<_> = rows
            .iter()
            .map(|(_, row)| row.as_ref().err().map(|f| f[0].kind))
            .collect();
        assert_eq!(
            kinds,
            [None, Some("column_count"), Some("column_count"), None]
        );
    }

    #[test]
    fn another_column_can_hold_the_name() {
        let text = "title,name,data\nBolt,b,plain\n".to_owned();
        let rows = CsvRows::find(text, "title").unwrap();
        let rows = rows.read(&mut Cursor::default(), 10);
        assert_eq!(rows[0].1.as_ref().unwrap().name, "Bolt");
        assert_eq!(data(&rows[0]), json!({"name": "b", "data": "plain"}));
    }

    #[test]
    fn a_broken_file_says_what_and_where() {
        let kind = |text: &str| match CsvRows::find(text.to_owned(), "name") {
            Err(api::Error::Invalid(_, faults)) => faults[0].kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind("name,a\nx,\"open\ny,1\n"), "quote_unclosed");
        assert_eq!(kind("name,a,a\nx,1,2\n"), "header_duplicate");
        assert_eq!(kind("name,,a\nx,1,2\n"), "header_blank");
        assert_eq!(
            kind(&format!("name,{}\nx,1\n", "y".repeat(201))),
            "header_too_long"
        );
        assert_eq!(kind("title\nx\n"), "missing");
        assert_eq!(
            kind(&format!(
                "name,{}\n",
                (0..1000)
                    .map(|n| n.to_string())
                    .collect::<Vec<_>>()
                    .join(",")
            )),
            "too_many_columns"
        );
        assert_eq!(
            kind(&format!("name,a\nx,{}\n", "y".repeat(MAX_FIELD + 1))),
            "field_too_large"
        );
    }
}
