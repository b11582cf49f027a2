//! Files parsed and nothing else: from their bytes to drafts, on one core.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use formats::{Cursor, Hints, Layout};
use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::stats::{Durations, megabytes, rate};
use crate::table::Table;

/// How often each file is read, in each way.
const TIMES: usize = 5;

/// The element that is a row.
const TAG: &str = "product";

/// Reads all products of a catalogue in each format, as the first pass of an upload does, which looks
/// for what is wrong with the file as a whole, and as a later one. 85,000 products are about 50 MB.
pub fn run(catalogue: &Catalogue) -> Result<Table> {
    let count = catalogue.count();
    let files = [
        ("CSV", "a.csv", catalogue.csv(0..count)?),
        ("NDJSON", "a.ndjson", catalogue.ndjson(0..count)),
        ("JSON", "a.json", json(catalogue)),
        ("XML", "a.xml", xml(catalogue)),
    ];
    let mut table = Table::new(&[
        "parsing",
        "size",
        "bytes a row",
        "first pass, MB/s",
        "rows/s",
        "later pass, MB/s",
        "rows/s",
    ]);
    for (format, name, content) in files {
        let content = Bytes::from(content);
        let bytes = content.len() as u64;
        let mut cells = vec![
            format.to_owned(),
            megabytes(bytes),
            (bytes / count.max(1)).to_string(),
        ];
        for strict in [true, false] {
            let mut times = Vec::with_capacity(TIMES);
            for _ in 0..TIMES {
                times.push(read(&content, name, strict, count)?);
            }
            let took = times.into_iter().collect::<Durations>().p50();
            cells.extend([rate(bytes / 1_000_000, took), rate(count, took)]);
        }
        table.row(cells);
    }
    Ok(table)
}

fn read(content: &Bytes, name: &str, strict: bool, expected: u64) -> Result<Duration> {
    let hints = Hints {
        file_name: name.to_owned(),
        record_tag: Some(TAG.to_owned()),
        ..Hints::default()
    };
    let start = Instant::now();
    let layout = Layout::detect(content, &hints)?;
    let mut good = 0;
    for row in layout.read(content, Cursor::default(), strict)? {
        good += u64::from(black_box(row?).draft.is_ok());
    }
    let took = start.elapsed();
    ensure!(good == expected, "{name} has {good} good rows");
    Ok(took)
}

fn json(catalogue: &Catalogue) -> String {
    let mut text = "[".to_owned();
    for (n, row) in catalogue.rows().enumerate() {
        text.push_str(if n == 0 { "\n" } else { ",\n" });
        text += &row.to_string();
    }
    text + "\n]\n"
}

fn xml(catalogue: &Catalogue) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<catalogue>\n".to_owned();
    for row in catalogue.rows() {
        element(&mut text, TAG, &row);
        text.push('\n');
    }
    text + "</catalogue>\n"
}

fn element(text: &mut String, tag: &str, value: &Value) {
    if let Value::Array(items) = value {
        for item in items {
            element(text, tag, item);
        }
        return;
    }
    *text += &format!("<{tag}>");
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                element(text, name, member);
            }
        }
        Value::String(content) => {
            *text += &content.replace('&', "&amp;").replace('<', "&lt;");
        }
        scalar => *text += &scalar.to_string(),
    }
    *text += &format!("</{tag}>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_the_catalogues_rows() {
        let table = run(&Catalogue::new(1, 20)).unwrap().to_string();
        assert_eq!(table.lines().count(), 6);
    }
}
