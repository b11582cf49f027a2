//! A file of parts, and what of its records is the same whenever they are made.

use std::collections::BTreeMap;
use std::fmt::Write;

use model::record::Record;

/// So many rows: every tenth is bad, every tenth repeats one, some change what others made.
pub(crate) fn file(rows: usize) -> String {
    let mut file = String::new();
    for row in 0..rows {
        match row % 10 {
            3 => file.push_str("{\"price\": 1}\n"),
            7 => writeln!(file, "{{\"name\": \"Part {}\"}}", row - 7).expect("a good one"),
            // In another window of rows it would change the record; in this one the last row wins.
            8 => writeln!(
                file,
                "{{\"name\": \"Nut {row}\", \"source_id\": \"{}\"}}",
                row / 20
            )
            .expect("a good one"),
            _ => writeln!(file, "{{\"name\": \"Part {row}\"}}").expect("a good one"),
        }
    }
    file
}

/// What of the records does not depend on when they were made.
pub(crate) fn essence(records: &BTreeMap<String, Record>) -> Vec<(&String, Option<&String>, u64)> {
    let records = records.iter();
    let essence = records.map(|(name, record)| (name, record.source_id.as_ref(), record.row));
    essence.collect()
}
