//! Files that mean harm: refused for what they are, and soon.

use formats::{Cursor, Error, Layout, Source};

use crate::common::{bytes, fault, fault_of, hints, kinds, read, rows};
use crate::lazy::Lazy;

const MB: u64 = 1024 * 1024;

#[test]
fn no_document_type_is_taken() {
    let entities: Vec<String> = (1..10)
        .map(|n| {
            let ten = format!("&lol{};", n - 1).repeat(10);
            format!("<!ENTITY lol{n} \"{ten}\">")
        })
        .collect();
    let entities = entities.concat();
    let laughs = format!("<!DOCTYPE a [<!ENTITY lol0 \"lol\">{entities}]><a>&lol9;</a>");
    let blowup = format!(
        "<!DOCTYPE a [<!ENTITY b \"{}\">]><a>{}</a>",
        "b".repeat(50_000),
        "&b;".repeat(50_000)
    );
    for content in [
        laughs.as_str(),
        blowup.as_str(),
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a><part>&x;</part></a>",
        "<!DOCTYPE a SYSTEM \"http://127.0.0.1:1/a.dtd\"><a/>",
        "<?xml version=\"1.0\"?>\n<!-- a --><!DOCTYPE a><a/>",
        "<!doctype a><a/>",
        "<!DOCTYPE a [",
    ] {
        for name in ["a.xml", "a.csv", "a.json", ""] {
            let start: String = content.chars().take(60).collect();
            assert_eq!(fault(name, content), ("file", "xml_doctype"), "{start}");
        }
    }
}

#[test]
fn no_entity_is_looked_up() {
    for content in [
        "<a><part>&x;</part></a>",
        "<a><part b=\"&nbsp;\"/></a>",
        "<a>&nbsp;</a>",
        "<a b='&c;'/>",
    ] {
        assert_eq!(fault("a.xml", content), ("file", "xml_entity"), "{content}");
    }
}

#[test]
fn xml_without_end_or_bounds_is_refused_soon() {
    for (head, unit) in [
        ("", "<a>"),
        ("<part>", "<a>"),
        ("<part a='", "x"),
        ("<part ", "a='1' "),
        ("<a><part>", "x"),
        ("<a><!--", "x"),
        ("<a><![CDATA[", "x"),
        ("<a><?x ", "x"),
        ("<a>&", "x"),
        ("<a></", "x"),
    ] {
        let file = Lazy::new(head, unit, 1_000 * MB);
        let (part, fault) = fault_of(&file, &hints("a.xml"));
        assert_eq!((part, fault.kind), ("file", "xml_invalid"), "{head}{unit}");
        assert!(file.read() < 8 * MB, "{head}{unit}: {}", file.read());
    }
    let attributes: Vec<String> = (0..80_000).map(|n| format!("a{n}='1'")).collect();
    let file = format!("<parts><part {}/></parts>", attributes.join(" "));
    assert_eq!(fault("a.xml", file), ("file", "xml_invalid"));
}

#[test]
fn csv_without_end_or_bounds_is_refused_soon() {
    for (head, unit, kind) in [
        ("name,a\nx,", "y", "field_too_large"),
        ("name,a\nx,\"", "y\n", "field_too_large"),
        ("name,a\nx,\"", "\"\"", "field_too_large"),
        ("name,a\nx", ",", "too_many_columns"),
        ("name", ",a", "too_many_columns"),
        ("name,", "a", "header_too_long"),
    ] {
        let file = Lazy::new(head, unit, 1_000 * MB);
        let (part, fault) = fault_of(&file, &hints("a.csv"));
        assert_eq!((part, fault.kind), ("file", kind), "{head}{unit}");
        assert!(file.read() < 4 * MB, "{head}{unit}: {}", file.read());
        // Whoever reads without the first look is not harmed either.
        if let Ok(layout) = Layout::detect(&file, &hints("a.csv")) {
            let before = file.read();
            let mut rows = layout.read(&file, Cursor::default(), false).expect("rows");
            assert!(matches!(rows.next(), Some(Err(Error::Invalid(..)))));
            assert!(file.read() - before < 4 * MB);
        }
    }
}

#[test]
fn json_is_read_at_any_depth_and_size() {
    let deep = "[".repeat(100_000);
    assert_eq!(fault("a.json", &deep), ("file", "json_invalid"));
    let closed = format!("{deep}{}", "]".repeat(100_000));
    assert_eq!(kinds(&rows("a.json", &closed)), [Some("too_deep")]);
    assert_eq!(kinds(&rows("a.ndjson", &closed)), [Some("too_deep")]);
    let objects = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    assert_eq!(kinds(&rows("a.json", objects)), [Some("too_deep")]);

    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(5_000_000));
    for (name, content) in [
        ("a.json", large.clone()),
        ("a.json", format!("[{large}]")),
        ("a.json", format!("{{\"records\": [{large}], \"a\": 1}}")),
        ("a.ndjson", large.clone()),
    ] {
        assert_eq!(kinds(&rows(name, content)), [Some("too_large")], "{name}");
    }
    let file = Lazy::new("[{\"name\": \"", "x", 16 * MB);
    let (_, fault) = fault_of(&file, &hints("a.json"));
    assert_eq!(fault.kind, "json_invalid");
    let file = Lazy::new("{\"name\": \"", "x", 16 * MB);
    let (_, rows) = read(&file, &hints("a.ndjson")).expect("a file");
    assert_eq!(kinds(&rows), [Some("too_large")]);
}

#[test]
fn a_row_of_many_small_objects_is_given_up_and_the_next_one_read() {
    let objects = vec![r#"{"a":1}"#; 100_000].join(",");
    let (large, small) = (
        format!("{{\"name\": \"x\", \"o\": [{objects}]}}"),
        r#"{"name": "y"}"#,
    );
    for (name, content) in [
        ("a.json", format!("[{large}, {small}]")),
        ("a.ndjson", format!("{large}\n{small}")),
    ] {
        let kinds = kinds(&rows(name, content));
        assert_eq!(kinds, [Some("too_large"), None], "{name}");
    }
    let broken = large.replace("]}", ",]}");
    let list = format!("[{broken}, {small}]");
    assert_eq!(fault("a.json", list), ("file", "json_invalid"));
}

#[test]
fn a_layout_is_found_in_the_beginning() {
    for (name, head, unit) in [
        ("a.csv", "name,a\n", "x,1\n"),
        ("a.json", "[", "{\"name\": \"x\"},"),
        ("a.json", "", "{\"name\": \"x\"}\n"),
        ("a.json", "{\"a\": {}, \"records\": [", "{\"name\": \"x\"},"),
        ("a.json", "{\"a\": \"", "x"),
        ("a.xml", "<parts>", "<part name='x'/>"),
    ] {
        let file = Lazy::new(head, unit, 100_000 * MB);
        let layout = Layout::detect(&file, &hints(name)).expect("a layout");
        assert!(file.read() < 2 * MB, "{name}: {}", file.read());
        let mut rows = layout.read(&file, Cursor::default(), true).expect("rows");
        if unit != "x" {
            let row = rows.nth(999).expect("a row").expect("a row");
            assert_eq!((row.number, row.draft.is_ok()), (1_000, true), "{name}");
        }
        assert!(file.read() < 3 * MB, "{name}: {}", file.read());
        assert_eq!(Source::len(&file), 100_000 * MB);
    }
}

#[test]
fn an_unknown_place_is_no_harm() {
    let text = "name,a\nSchl\u{fc}ssel,gr\u{fc}n\nT\u{fc}r,wei\u{df}\n";
    let wide = format!("\u{feff}{text}");
    let wide: Vec<u8> = wide.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for content in [bytes(text), bytes(wide)] {
        let layout = Layout::detect(&content, &hints("a.csv")).expect("a layout");
        for at in (0..60).chain([u64::MAX]) {
            let from = Cursor { at, row: 1 };
            if let Ok(rows) = layout.read(&content, from, true) {
                assert!(rows.count() < 5);
            }
        }
    }
}
