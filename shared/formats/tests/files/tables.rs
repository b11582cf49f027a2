//! Any table survives being written and read.

use model::{cell, json};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::common::{as_csv, as_lines, as_xml, bytes, hints, read};

/// A table of strings: a name that is not blank, and so many cells.
fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    let text = || {
        prop_oneof![
            "[^\u{0}]{0,12}",
            "[a\",;|\t\r\n' =0-9.]{0,12}",
            "(true|false|-?[0-9]{1,18}(\\.[0-9]{1,4})?|)",
        ]
    };
    let name = text().prop_filter("a name", |text| !text.trim().is_empty());
    (0..5_usize).prop_flat_map(move |width| {
        let row = (name.clone(), vec(text(), width)).prop_map(|(name, mut cells)| {
            cells.insert(0, name);
            cells
        });
        vec(row, 0..12)
    })
}

fn column(at: usize) -> String {
    if at == 0 {
        "name".to_owned()
    } else {
        format!("c{at}")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_table_of_strings_survives_csv(
        table in table(),
        delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t'), Just(b'|')],
    ) {
        let width = table.first().map_or(3, Vec::len);
        let delimiter = if width == 1 { b',' } else { delimiter };
        let columns: Vec<String> = (0..width).map(column).collect();
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let objects: Vec<Map<String, Value>> = table
            .iter()
            .map(|cells| {
                let cells = cells.iter().map(|cell| Value::from(cell.as_str()));
                columns.iter().cloned().zip(cells).collect()
            })
            .collect();
        let file = as_csv(&objects, &names, delimiter);
        let (layout, rows) = read(&bytes(file), &hints("a.csv")).expect("a file");
        prop_assert_eq!(layout.delimiter(), Some(char::from(delimiter)));
        prop_assert_eq!(rows.len(), table.len());
        for (row, cells) in rows.into_iter().zip(&table) {
            let draft = row.draft.expect("a draft");
            prop_assert_eq!(&draft.name, cells[0].trim());
            for (at, text) in cells.iter().enumerate().skip(1) {
                let expected = cell::infer(text).map(|mut value| {
                    json::normalise(&mut value);
                    value
                });
                prop_assert_eq!(draft.data.get(&column(at)), expected.as_ref());
            }
        }
    }

    #[test]
    fn any_table_of_strings_survives_json_and_xml(table in table()) {
        let objects: Vec<Map<String, Value>> = table
            .iter()
            .map(|cells| {
                let cells = cells.iter().map(|cell| Value::from(cell.as_str()));
                cells.enumerate().map(|(at, cell)| (column(at), cell)).collect()
            })
            .collect();
        if objects.is_empty() {
            return Ok(());
        }
        let list = Value::from(objects.clone()).to_string();
        for (name, file) in [("a.json", list), ("a.ndjson", as_lines(&objects))] {
            let (_, rows) = read(&bytes(file), &hints(name)).expect("a file");
            prop_assert_eq!(rows.len(), table.len());
            for (row, object) in rows.into_iter().zip(&objects) {
                let data = row.draft.expect("a draft").data;
                let expected = object.iter().filter(|(name, _)| *name != "name");
                prop_assert!(data.iter().eq(expected));
            }
        }
        let (_, rows) = read(&bytes(as_xml(&objects)), &hints("a.xml")).expect("a file");
        prop_assert_eq!(rows.len(), table.len());
        for (row, cells) in rows.into_iter().zip(&table) {
            let draft = row.draft.expect("a draft");
            prop_assert_eq!(&draft.name, cells[0].trim());
            for (at, text) in cells.iter().enumerate().skip(1) {
                let expected = cell::infer(text.trim()).map(|mut value| {
                    json::normalise(&mut value);
                    value
                });
                prop_assert_eq!(draft.data.get(&column(at)), expected.as_ref());
            }
        }
    }
}
