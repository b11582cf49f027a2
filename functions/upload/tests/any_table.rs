//! Any table of strings comes back as its cells say.

#[expect(dead_code, reason = "every file here is good")]
mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{post_file, recounted, taken};
use model::plan::Plan;
use model::{cell, json};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use testkit::TestApp;
use tokio::runtime::Runtime;

/// Each case is an upload.
const CASES: u32 = 24;

/// Names of columns that are the record's own.
const OWN: [&str; 4] = ["name", "description", "source_id", "visibility"];

/// The names of the columns but the first, and the rows.
type Columns = Vec<String>;
type Rows = Vec<Vec<String>>;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\u{0}]{0,12}",
        "[a\",;|\t\r\n' =0-9.]{0,12}",
        "(true|false|-?[0-9]{1,18}(\\.[0-9]{1,4})?|)",
    ]
}

/// Names that differ, as they are read, from each other and from those of a record's own. A name
/// with another delimiter in it could be two names.
fn columns() -> impl Strategy<Value = Columns> {
    vec("[^\u{0}\t;|]{1,8}", 0..5).prop_map(|mut columns| {
        let mut known: BTreeSet<String> = OWN.map(str::to_owned).into();
        known.insert(String::new());
        columns.retain(|column| known.insert(column.trim().to_owned()));
        columns
    })
}

/// A table: its first column is a name that is not blank.
fn table() -> impl Strategy<Value = (Columns, Rows)> {
    columns().prop_flat_map(|columns| {
        let name = text().prop_filter("a name", |text| !text.trim().is_empty());
        let row = (name, vec(text(), columns.len())).prop_map(|(name, mut cells)| {
            cells.insert(0, name);
            cells
        });
        (Just(columns), vec(row, 0..12))
    })
}

fn written(columns: &[String], rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["name"]
        .into_iter()
        .chain(columns.iter().map(String::as_str));
    writer.write_record(header).expect("a header");
    for row in rows {
        writer.write_record(row).expect("a row");
    }
    writer.into_inner().expect("all of it")
}

/// A name and data as text that can be sorted.
fn content<'a>(name: &str, data: impl IntoIterator<Item = (&'a str, Value)>) -> (String, String) {
    let data: BTreeMap<&str, Value> = data.into_iter().collect();
    let data = serde_json::to_string(&data).expect("text");
    (name.to_owned(), data)
}

/// What becomes of a row.
fn expected(columns: &[String], row: &[String]) -> (String, String) {
    let data = columns.iter().zip(&row[1..]).filter_map(|(column, cell)| {
        let mut value = cell::infer(cell)?;
        json::normalise(&mut value);
        Some((column.trim(), value))
    });
    content(row[0].trim(), data)
}

#[test]
fn any_table_of_strings_comes_back_as_its_cells_say() {
    let runtime = Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::new(upload::router()));
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::with_cases(CASES)
    });
    let tested = runner.run(&table(), |(columns, rows)| {
        runtime.block_on(async {
            let client = app.tenant(Plan::Enterprise).await;
            let file = written(&columns, &rows);
            let answer = post_file(&client, "a.csv", file).await;

            let known: BTreeSet<_> = rows.iter().map(|row| expected(&columns, row)).collect();
            let (rows, records) = (rows.len() as u64, known.len() as u64);
            prop_assert_eq!(taken(&answer), [rows, records, 0, rows - records]);
            let body = answer.json();
            prop_assert_eq!(body["metadata"]["delimiter"].as_str(), Some(","));
            let found = recounted(&app, &client.tenant).await;
            prop_assert_eq!(found.len() as u64, records);
            let found: BTreeSet<_> = found
                .into_iter()
                .map(|record| {
                    let data = record.data.iter();
                    let data = data.map(|(field, value)| (field.as_str(), value.clone()));
                    content(&record.name, data)
                })
                .collect();
            prop_assert_eq!(found, known);
            Ok(())
        })
    });
    if let Err(error) = tested {
        panic!("{error}");
    }
}
