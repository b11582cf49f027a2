//! JSON and NDJSON: an array, an object with `records`, one object, or an object a line.
//!
//! Finding the rows checks the file's form without building its values; each row is parsed when
//! it is read, so that a bad one is rejected alone.

use std::ops::Range;

use api::Result;
use model::record::Draft;
use model::{Fault, Faults, json};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::form::field_fault;
use crate::rows::{Cursor, Row};

#[derive(Debug)]
pub(crate) struct JsonRows {
    text: String,
    spans: Vec<Range<usize>>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    records: Option<&'a RawValue>,
}

impl JsonRows {
    pub(crate) fn find(text: String, ending: &str) -> Result<Self> {
        let spans = if matches!(ending, "ndjson" | "jsonl") {
            Ok(lines(&text))
        } else {
            document(&text).or_else(|fault| {
                // Lines of objects under another name: the first line is whole, the file is not.
                let first = text.trim_start().lines().next().unwrap_or_default();
                if fault.kind == "json_invalid"
                    && first.starts_with('{')
                    && serde_json::from_str::<&RawValue>(first).is_ok()
                {
                    Ok(lines(&text))
                } else {
                    Err(fault)
                }
            })
        };
        match spans {
            Ok(spans) => Ok(Self { text, spans }),
            Err(fault) => Err(field_fault("file", fault)),
        }
    }

    pub(crate) fn read(&self, cursor: &mut Cursor, most: usize) -> Vec<Row> {
        let spans = self.spans.iter().skip(cursor.at).take(most);
        let rows: Vec<Row> = spans
            .zip(cursor.row + 1..)
            .map(|(span, row)| (row, draft(&self.text[span.clone()])))
            .collect();
        cursor.at += rows.len();
        cursor.row += rows.len() as u64;
        rows
    }
}

fn draft(row: &str) -> std::result::Result<Draft, Faults> {
    let value = json::parse(row.as_bytes()).map_err(|error| {
        let message = if error.is_data() {
            "The row has a duplicate key".to_owned()
        } else {
            format!("The row is not valid JSON: {}", plain(&error))
        };
        vec![Fault::new("json_invalid", message)]
    })?;
    Draft::parse(value)
}

/// The error without its position, which counts from the row's start.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Each line that is not blank.
fn lines(text: &str) -> Vec<Range<usize>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| span(text, line))
        .collect()
}

/// Where `part`, a slice of `text`, stands in it.
fn span(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

fn document(text: &str) -> std::result::Result<Vec<Range<usize>>, Fault> {
    let invalid = |error: serde_json::Error| {
        Fault::new(
            "json_invalid",
            format!("The file is not valid JSON: {error}"),
        )
    };
    let trimmed = text.trim();
    if trimmed.starts_with('[') {
        return items(text, trimmed).map_err(invalid);
    }
    if !trimmed.starts_with('{') {
        // Tell broken JSON from a lone value.
        serde_json::from_str::<Value>(trimmed).map_err(invalid)?;
        return Err(shape());
    }
    let whole: &RawValue = serde_json::from_str(trimmed).map_err(invalid)?;
    match serde_json::from_str::<Envelope>(trimmed) {
        Ok(Envelope {
            records: Some(records),
        }) if records.get().starts_with('[') => items(text, records.get()).map_err(invalid),
        Ok(Envelope { records: Some(_) }) => Err(shape()),
        Ok(Envelope { records: None }) => Ok(vec![span(text, whole.get())]),
        Err(error) => Err(invalid(error)),
    }
}

fn items(text: &str, list: &str) -> serde_json::Result<Vec<Range<usize>>> {
    let items: Vec<&RawValue> = serde_json::from_str(list)?;
    Ok(items.iter().map(|item| span(text, item.get())).collect())
}

fn shape() -> Fault {
    Fault::new(
        "json_shape",
        "The file has to hold an array of objects or {\"records\": [...]}",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, ending: &str) -> Vec<Row> {
        let rows = JsonRows::find(text.to_owned(), ending).unwrap();
        rows.read(&mut Cursor::default(), 1_000)
    }

    fn kind(text: &str, ending: &str) -> &'static str {
        match JsonRows::find(text.to_owned(), ending) {
            Err(api::Error::Invalid(_, faults)) => faults[0].kind,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_shape_gives_the_same_rows() {
        let expected = read(r#"[{"name": "a", "n": 1}, {"name": "b"}]"#, "json");
        assert_eq!(expected.len(), 2);
        for (text, ending) in [
            (
                r#"{"records": [{"name": "a", "n": 1}, {"name": "b"}]}"#,
                "json",
            ),
            (
                "{\"name\": \"a\", \"n\": 1}\n\n {\"name\": \"b\"}\r\n",
                "ndjson",
            ),
            ("{\"name\": \"a\", \"n\": 1}\n{\"name\": \"b\"}", "jsonl"),
            ("{\"name\": \"a\", \"n\": 1}\n{\"name\": \"b\"}", ""),
            ("{\"name\": \"a\", \"n\": 1}\n{\"name\": \"b\"}", "json"),
        ] {
            assert_eq!(read(text, ending), expected, "{text}");
        }
        assert_eq!(
            read("{\n\"name\": \"a\",\n\"n\": 1}", "json"),
            expected[..1]
        );
        assert!(read("[]", "json").is_empty());
    }

    #[test]
    fn a_bad_row_is_rejected_alone() {
        let rows = read(
            "{\"name\": \"a\"}\n{\"name\": \n{\"name\": \"c\"}",
            "ndjson",
        );
        assert_eq!(rows[1].1.as_ref().unwrap_err()[0].kind, "json_invalid");
        assert!(rows[0].1.is_ok() && rows[2].1.is_ok());
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let rows = read(
            &format!(
                r#"[{{"name": "a", "name": "b"}}, 7, {{"name": "x", "n": 1e400}}, {{"name": "d", "x": {deep}}}]"#
            ),
            "json",
        );
        assert_eq!(rows.len(), 4);
        let kinds: Vec<_> = rows
            .iter()
            .map(|(_, row)| row.as_ref().unwrap_err()[0].kind)
            .collect();
        assert_eq!(
            kinds,
            [
                "json_invalid",
                "model_attributes_type",
                "json_invalid",
                "json_invalid"
            ]
        );
    }

    #[test]
    fn a_broken_file_is_refused_whole() {
        for text in [
            "[{\"name\": \"a\"},]",
            "[{\"name\": \"a\"}",
            "[NaN]",
            "[1] 2",
            "{\"records\": [}",
        ] {
            assert_eq!(kind(text, "json"), "json_invalid", "{text}");
        }
        for text in [
            "7",
            "\"text\"",
            "null",
            "{\"records\": {}}",
            "{\"records\": 7}",
        ] {
            assert_eq!(kind(text, "json"), "json_shape", "{text}");
        }
    }
}
