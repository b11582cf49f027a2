//! One corpus in every format, encoding and with every delimiter: the same records.

use encoding_rs::WINDOWS_1252;
use formats::{Cursor, Layout, OnDisk};
use model::record::Draft;
use serde_json::{Map, Value, json};

use crate::common::{as_csv, as_lines, as_xml, bytes, drafts, hints, read};

pub(crate) const COLUMNS: [&str; 9] = [
    "name",
    "description",
    "source_id",
    "visibility",
    "sku",
    "price",
    "stocked",
    "weight",
    "note",
];

/// So many records in which each column has all that it may have, and some lack what they may lack.
pub(crate) fn objects(count: u32) -> Vec<Map<String, Value>> {
    (0..count)
        .map(|n| {
            let object = json!({
                "name": format!("Sechskantschl\u{fc}ssel f\u{fc}r Gr\u{f6}\u{df}e {n:03}"),
                "description": (!n.is_multiple_of(5)).then(|| format!(
                    "der \"sch\u{f6}ne\" Schl\u{fc}ssel; Nr. {n}, <h\u{e4}rter> & gr\u{f6}\u{df}er |\n\
                     f\u{fc}r \u{c4}rzte\tund K\u{f6}che"
                )),
                "source_id": (n % 2 == 1).then(|| format!("{n:04}")),
                "visibility": n.is_multiple_of(3).then_some(if n.is_multiple_of(2) { "public" } else { "private" }),
                "sku": format!("{n:05}"),
                "price": f64::from(n) / 4.0,
                "stocked": n.is_multiple_of(2),
                "weight": 1_000_000 - n,
                "note": n.is_multiple_of(7).then_some("1e5"),
            });
            let Value::Object(mut object) = object else {
                panic!("{object}");
            };
            object.retain(|_, value| !value.is_null());
            object
        })
        .collect()
}

pub(crate) fn expected(objects: &[Map<String, Value>]) -> Vec<Draft> {
    let drafts = objects.iter().cloned().map(Value::Object).map(Draft::parse);
    drafts.map(|draft| draft.expect("a draft")).collect()
}

/// A text in five encodings, with the name that each is told by.
pub(crate) fn encoded(text: &str) -> [(&'static str, Vec<u8>); 5] {
    let marked = format!("\u{feff}{text}");
    let little = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let (western, _, lossy) = WINDOWS_1252.encode(text);
    assert!(!lossy);
    [
        ("utf-8", text.as_bytes().to_vec()),
        ("utf-8", marked.into_bytes()),
        ("utf-16le", little),
        ("utf-16be", big),
        ("windows-1252", western.into_owned()),
    ]
}

#[test]
fn every_csv_file_gives_the_same_drafts() {
    let objects = objects(200);
    let expected = expected(&objects);
    for delimiter in [',', ';', '\t', '|'] {
        let code = u8::try_from(delimiter).expect("ASCII");
        for (encoding, content) in encoded(&as_csv(&objects, &COLUMNS, code)) {
            let (layout, rows) = read(&bytes(content), &hints("a.csv")).expect("a file");
            assert_eq!(layout.format(), "csv");
            assert_eq!(layout.encoding(), encoding);
            assert_eq!(layout.delimiter(), Some(delimiter));
            let drafts = rows.into_iter().map(|row| row.draft.expect("a draft"));
            assert!(
                drafts.eq(expected.iter().cloned()),
                "{encoding} {delimiter}"
            );
        }
    }
}

#[test]
fn every_other_file_gives_the_same_drafts() {
    let objects = objects(200);
    let expected = expected(&objects);
    let list = Value::from(objects.clone());
    let pretty = serde_json::to_string_pretty(&list).expect("text");
    for (name, format, text) in [
        ("a.json", "json", list.to_string()),
        ("b.json", "json", pretty),
        (
            "c.json",
            "json",
            json!({"at": 1, "records": list}).to_string(),
        ),
        ("a.ndjson", "ndjson", as_lines(&objects)),
        ("b.json", "ndjson", as_lines(&objects)),
        ("a", "ndjson", as_lines(&objects).replace('\n', "\r\n\r\n")),
        ("a.xml", "xml", as_xml(&objects)),
    ] {
        for (encoding, content) in encoded(&text) {
            let (layout, rows) = read(&bytes(content), &hints(name)).expect("a file");
            assert_eq!(
                (layout.format(), layout.encoding()),
                (format, encoding),
                "{name}"
            );
            assert_eq!(layout.delimiter(), None);
            let drafts = rows.into_iter().map(|row| row.draft.expect("a draft"));
            assert!(drafts.eq(expected.iter().cloned()), "{name} {encoding}");
        }
    }
}

#[test]
fn a_layout_can_be_kept() {
    let objects = objects(20);
    for (name, text) in [
        ("a.csv", as_csv(&objects, &COLUMNS, b';')),
        ("a.json", Value::from(objects.clone()).to_string()),
        ("a.ndjson", as_lines(&objects)),
        ("a.xml", as_xml(&objects)),
    ] {
        for (_, content) in encoded(&text) {
            let content = bytes(content);
            let layout = Layout::detect(&content, &hints(name)).expect("a layout");
            let kept = serde_json::to_string(&layout).expect("text");
            let again: Layout = serde_json::from_str(&kept).expect("a layout");
            assert_eq!(again, layout);
            let rows = again.read(&content, Cursor::default(), true).expect("rows");
            assert_eq!(rows.count(), 20);
        }
    }
}

#[test]
fn a_file_on_the_disk_is_one_in_memory() {
    let objects = objects(20);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.csv");
    let text = as_csv(&objects, &COLUMNS, b',');
    std::fs::write(&path, &text).expect("a file");
    let file = OnDisk::new(&path).expect("a file");
    let (layout, rows) = read(&file, &hints("a.csv")).expect("a file");
    let read: Vec<Draft> = rows.into_iter().filter_map(|row| row.draft.ok()).collect();
    assert_eq!(read, drafts("a.csv", &text));
    let mut rows = layout.read(&file, Cursor::default(), false).expect("rows");
    assert_eq!(rows.by_ref().count(), 20);
    assert_eq!(rows.bytes(), text.len() as u64);
}

#[test]
fn what_is_empty_says_nothing_in_any_format() {
    let expected = drafts("a.json", r#"[{"name": "x"}]"#);
    for (name, content) in [
        (
            "a.csv",
            "name,description,source_id,visibility,n\nx,,,,\"\"\n",
        ),
        (
            "a.ndjson",
            "{\"name\": \"x\", \"n\": null, \"description\": \"\", \"visibility\": null}",
        ),
        (
            "a.xml",
            "<part><name>x</name><n/><description> </description><visibility></visibility></part>",
        ),
        (
            "a.xml",
            "<part name='x' n='' source_id=''><data><y/></data></part>",
        ),
    ] {
        assert_eq!(drafts(name, content), expected, "{content}");
    }
}

#[test]
fn names_that_others_take_for_their_own_are_data() {
    let expected = json!({
        "__proto__": "a", "id": 1, "tenant_id": "t_other", "PK": "TENANT#x", "data": "plain",
        "constructor": true,
    });
    for (name, content) in [
        (
            "a.csv",
            "name,__proto__,id,tenant_id,PK,data,constructor\nx,a,1,t_other,TENANT#x,plain,true\n"
                .to_owned(),
        ),
        ("a.json", {
            let mut row = expected.clone();
            row["name"] = json!("x");
            json!([row]).to_string()
        }),
        (
            "a.xml",
            "<part name='x' id='1'><__proto__>a</__proto__><tenant_id>t_other</tenant_id>\
             <PK>TENANT#x</PK><data>plain</data><constructor>true</constructor></part>"
                .to_owned(),
        ),
    ] {
        assert_eq!(crate::common::data(name, content), expected, "{name}");
    }
}
