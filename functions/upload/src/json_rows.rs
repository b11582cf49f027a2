//! JSON and NDJSON: an array, an object with `records`, one object, or an object a line.
//!
//! Finding the rows checks the file's form without building its values or a list of them; each row
//! is parsed when it is read, so that a bad one is rejected alone.

use api::Result;
use model::record::Draft;
use model::{Fault, Faults, json};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::form::field_fault;
use crate::rows::{Cursor, MAX_READ, Row};

#[derive(Debug)]
pub(crate) struct JsonRows {
    text: String,
    layout: Layout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A row a line.
    Lines,
    /// The items of an array, the first of which stands behind this byte.
    Items(usize),
    /// The whole file.
    One,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    records: Option<&'a RawValue>,
}

impl JsonRows {
    pub(crate) fn find(text: String, ending: &str) -> Result<Self> {
        let layout = if matches!(ending, "ndjson" | "jsonl") {
            Ok(Layout::Lines)
        } else {
            layout(&text)
        };
        match layout {
            Ok(layout) => Ok(Self { text, layout }),
            Err(fault) => Err(field_fault("file", fault)),
        }
    }

    pub(crate) fn read(&self, cursor: &mut Cursor, most: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        let start = cursor.at;
        while rows.len() < most
            && cursor.at - start < MAX_READ
            && let Some(row) = self.next(&mut cursor.at)
        {
            cursor.row += 1;
            rows.push((cursor.row, draft(row)));
        }
        rows
    }

    /// The next row at or after byte `at`, which moves behind it.
    fn next(&self, at: &mut usize) -> Option<&str> {
        match self.layout {
            Layout::Lines => loop {
                let rest = self.text.get(*at..).filter(|rest| !rest.is_empty())?;
                let line = rest.lines().next().unwrap_or_default();
                let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
                *at += end;
                let line = line.trim();
                if !line.is_empty() {
                    return Some(line);
                }
            },
            Layout::Items(first) => {
                *at = first.max(*at);
                let rest = &self.text[*at..];
                let item = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
                if item.starts_with(']') {
                    return None;
                }
                let mut items = serde_json::Deserializer::from_str(item).into_iter::<&RawValue>();
                let row = items.next()?.ok()?.get();
                *at += rest.len() - item.len() + items.byte_offset();
                Some(row)
            }
            Layout::One => {
                let row = self.text.get(*at..)?.trim();
                *at = self.text.len();
                (!row.is_empty()).then_some(row)
            }
        }
    }
}

fn draft(row: &str) -> std::result::Result<Draft, Faults> {
    // Far beyond what a record may have, however it is escaped: not worth taking apart.
    if row.len() > MAX_READ {
        let message = "The row has more than 1 MB, a record at most 48 KB";
        return Err(vec![Fault::new("too_large", message)]);
    }
    let value = json::parse(row.as_bytes()).map_err(|error| {
        let message = if error.is_data() {
            "The row has a duplicate key".to_owned()
        } else {
            format!("The row is not valid JSON: {}", plain(&error))
        };
        vec![Fault::new("json_invalid", message)]
    })?;
    if json::loses_digits(row) {
        return Err(vec![Fault::new(
            "number_precision",
            "A number has more digits than can be kept; write it as a string",
        )]);
    }
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

fn layout(text: &str) -> std::result::Result<Layout, Fault> {
    let trimmed = text.trim();
    let invalid = |error: serde_json::Error| {
        Fault::new(
            "json_invalid",
            format!("The file is not valid JSON: {error}"),
        )
    };
    if let Err(error) = serde_json::from_str::<IgnoredAny>(trimmed) {
        // Lines of objects under another name: the first line is whole, the file is not.
        let first = trimmed.lines().next().unwrap_or_default();
        let lines = first.starts_with('{') && serde_json::from_str::<IgnoredAny>(first).is_ok();
        return if lines {
            Ok(Layout::Lines)
        } else {
            Err(invalid(error))
        };
    }
    if trimmed.starts_with('[') {
        return Ok(Layout::Items(offset(text, trimmed) + 1));
    }
    if !trimmed.starts_with('{') {
        return Err(shape());
    }
    match serde_json::from_str::<Envelope>(trimmed)
        .map_err(invalid)?
        .records
    {
        None => Ok(Layout::One),
        Some(records) if records.get().starts_with('[') => {
            Ok(Layout::Items(offset(text, records.get()) + 1))
        }
        Some(_) => Err(shape()),
    }
}

/// Where `part`, a slice of `text`, begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
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
