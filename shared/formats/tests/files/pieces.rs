//! However a file comes, and wherever reading goes on, its rows are the same.

use bytes::Bytes;
use formats::{Cursor, Error, Hints, Layout, Row};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{Pieces, as_csv, as_lines, as_xml, bytes, hints, read};
use crate::corpus::{COLUMNS, encoded, objects};

/// A few records in every format and encoding, among them bad ones.
fn files() -> Vec<(&'static str, Bytes)> {
    let mut objects = objects(12);
    objects[3].remove("name");
    objects[5].insert("visibility".to_owned(), json!("secret"));
    let list = Value::from(objects.clone());
    let csv = as_csv(&objects, &COLUMNS, b';');
    let texts = [
        ("a.csv", csv.clone()),
        ("b.csv", csv.replace('\n', "\r\n\r\n") + "too;few\r\n"),
        ("a.json", list.to_string()),
        (
            "b.json",
            format!(
                " [{{\"name\": \"\\ud800\"}} , 7,\n\n{{}} ,{}",
                &list.to_string()[1..]
            ),
        ),
        (
            "c.json",
            json!({"a": [{}, "]"], "records": list, "z": {"a": "b"}}).to_string(),
        ),
        ("d.json", list[0].to_string() + "\n \n"),
        ("a.ndjson", as_lines(&objects)),
        (
            "b.ndjson",
            as_lines(&objects).replace('\n', " \r\n\n\t\n") + "{\"name\":",
        ),
        ("a.xml", as_xml(&objects)),
        (
            "b.xml",
            as_xml(&objects).replace(
                "<part>",
                "<part a='1'><!-- <part> --><b><![CDATA[<]]>&#33;</b>",
            ),
        ),
    ];
    let files = texts
        .iter()
        .flat_map(|(name, text)| encoded(text).map(|(_, content)| (*name, bytes(content))));
    files.collect()
}

#[test]
fn reading_goes_on_behind_any_row() {
    for (name, content) in files() {
        let layout = Layout::detect(&content, &hints(name)).expect("a layout");
        let mut rows = layout
            .read(&content, Cursor::default(), true)
            .expect("rows");
        let mut cursors = vec![rows.cursor()];
        let mut all: Vec<Row> = Vec::new();
        while let Some(row) = rows.next() {
            all.push(row.expect("a row"));
            cursors.push(rows.cursor());
        }
        assert_eq!(cursors[0], Cursor::default());
        assert!((1..=16).contains(&all.len()), "{name}");
        for (at, cursor) in cursors.into_iter().enumerate() {
            assert_eq!(cursor.row, at as u64);
            for strict in [false, true] {
                let rest = layout.read(&content, cursor, strict).expect("rows");
                let rest: Vec<Row> = rest.map(|row| row.expect("a row")).collect();
                assert_eq!(rest, all[at..], "{name} from {cursor:?}");
            }
        }
    }
}

#[test]
fn progress_ends_at_the_files_end() {
    for (name, content) in files() {
        let layout = Layout::detect(&content, &hints(name)).expect("a layout");
        let mut rows = layout
            .read(&content, Cursor::default(), true)
            .expect("rows");
        let mut before = 0;
        while rows.next().is_some() {
            assert!(rows.bytes() >= before);
            before = rows.bytes();
        }
        assert_eq!(rows.bytes(), content.len() as u64, "{name}");
    }
}

#[test]
fn large_rows_are_passed_over_wherever_they_are_cut() {
    let large = "y".repeat(700_000);
    let row = format!("{{\"name\": \"{large}\", \"a\": \"{large}\"}}");
    let files = [
        (
            "a.csv",
            format!("name,a,b\nx,1,2\n{large},\"{large}\n\",\"\"\"\"\nz,3,4\n"),
        ),
        (
            "a.json",
            format!("[{{\"name\": \"x\"}},{row},{{\"name\": \"z\"}}]"),
        ),
        (
            "a.ndjson",
            format!("{{\"name\": \"x\"}}\n{row}\n{{\"name\": \"z\"}}"),
        ),
        (
            "a.xml",
            format!(
                "<a><part name='x'/><part name='y'><b>{large}</b><c>{large}</c></part><part name='z'/></a>"
            ),
        ),
    ];
    for (name, content) in files {
        let content = bytes(content);
        let (_, whole) = read(&content, &hints(name)).expect("a file");
        let kinds = crate::common::kinds(&whole);
        assert_eq!(kinds, [None, Some("too_large"), None], "{name}");
        let pieces = Pieces {
            content,
            sizes: vec![7_919, 1, 65_537],
        };
        let (_, rows) = read(&pieces, &hints(name)).expect("a file");
        assert_eq!(rows, whole, "{name}");
    }
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Invalid(_, fault) => fault.kind,
        Error::Unsupported(_) => "unsupported",
        error => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn any_split_gives_the_same_rows(sizes in vec(1..40_usize, 1..8), from in 0..8_usize) {
        for (name, content) in files() {
            let (layout, whole) = read(&content, &hints(name)).expect("a file");
            let pieces = Pieces { content, sizes: sizes.clone() };
            let found = Layout::detect(&pieces, &hints(name)).expect("a layout");
            prop_assert_eq!(&found, &layout);
            let mut rows = found.read(&pieces, Cursor::default(), true).expect("rows");
            let first: Vec<Row> = rows.by_ref().take(from).map(|row| row.expect("a row")).collect();
            let rest = found.read(&pieces, rows.cursor(), false).expect("rows");
            let all = first.into_iter().chain(rest.map(|row| row.expect("a row")));
            prop_assert_eq!(all.collect::<Vec<Row>>(), whole, "{}", name);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        content in vec(any::<u8>(), 0..400),
        head in "(|\\[|\\{|<a>|name,a\n|\u{feff})",
        name in "a\\.(csv|json|ndjson|xml|txt)",
    ) {
        let content = [head.as_bytes(), &content].concat();
        let source = bytes(&content);
        let whole = read(&source, &hints(&name));
        let pieces = Pieces { content: source, sizes: vec![3, 1] };
        let again = read(&pieces, &hints(&name));
        match (whole, again) {
            (Ok(whole), Ok(again)) => prop_assert_eq!(whole, again),
            (Err(whole), Err(again)) => prop_assert_eq!(kind(&whole), kind(&again)),
            (whole, again) => prop_assert!(false, "{:?} {:?}", whole, again),
        }
    }

    #[test]
    fn any_marks_are_read_or_refused(
        content in "[\\[\\]{}<>/!?&;:,\"'a1 \n=-]{0,60}",
        name in "a\\.(csv|json|ndjson|xml)",
    ) {
        let source = bytes(&content);
        let named = Hints { record_tag: Some("a".to_owned()), ..hints(&name) };
        let whole = read(&source, &named);
        let pieces = Pieces { content: source, sizes: vec![2, 1] };
        let again = read(&pieces, &named);
        match (whole, again) {
            (Ok(whole), Ok(again)) => prop_assert_eq!(whole, again),
            (Err(whole), Err(again)) => prop_assert_eq!(kind(&whole), kind(&again)),
            (whole, again) => prop_assert!(false, "{:?} {:?}", whole, again),
        }
    }
}
