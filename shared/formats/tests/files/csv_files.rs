//! CSV: delimiters, quotes, lines, columns, cells.

use formats::Hints;
use serde_json::{Value, json};

use crate::common::{bytes, data, drafts, fault, fault_of, hints, kinds, message, read, rows};

#[test]
fn every_line_ending_and_quoting_is_read() {
    for file in [
        "name,note\na,1\nb,\"x, \"\"y\"\"\"\nc,3",
        "name,note\r\na,1\r\nb,\"x, \"\"y\"\"\"\r\nc,3\r\n",
        "name,note\ra,1\rb,\"x, \"\"y\"\"\"\rc,3\r",
        "\n\r\nname,note\r\na,1\n\nb,\"x, \"\"y\"\"\"\r\r\nc,3\n",
    ] {
        let drafts = drafts("a.csv", file);
        let notes: Vec<&Value> = drafts.iter().map(|draft| &draft.data["note"]).collect();
        assert_eq!(
            notes,
            [&json!(1), &json!("x, \"y\""), &json!(3)],
            "{file:?}"
        );
    }
    assert_eq!(
        data("a.csv", "name,note\nb,\"two\r\nlines\"\n"),
        json!({"note": "two\r\nlines"})
    );
    assert_eq!(
        data("a.csv", "name,a,b\nx,\"y\" z,1\"2\"\n"),
        json!({"a": "y z", "b": "1\"2\""})
    );
}

#[test]
fn a_delimiter_is_told_and_found() {
    for delimiter in [',', ';', '\t', '|'] {
        let file = "name|price|note\nBolt|1.5|steel\nNut|2|brass\n";
        let file = file.replace('|', &delimiter.to_string());
        let (layout, rows) = read(&bytes(file), &hints("a.csv")).expect("a file");
        assert_eq!(layout.delimiter(), Some(delimiter));
        assert_eq!(rows.len(), 2);
    }
}

#[test]
fn a_cell_is_a_number_only_if_no_digit_is_lost() {
    for (cell, expected) in [
        ("12.50", json!(12.5)),
        ("0", json!(0)),
        ("-3", json!(-3)),
        ("12.0", json!(12)),
        ("0.1", json!(0.1)),
        ("123456789012345", json!(123_456_789_012_345_u64)),
        ("1234567890123456", json!("1234567890123456")),
        ("007", json!("007")),
        ("+4", json!("+4")),
        ("1e5", json!("1e5")),
        (" 5", json!(" 5")),
        ("\"1,5\"", json!("1,5")),
        ("true", json!(true)),
        ("TRUE", json!("TRUE")),
        ("=1+1", json!("=1+1")),
    ] {
        let file = format!("name,value\nx,{cell}\n");
        assert_eq!(data("a.csv", file), json!({"value": expected}), "{cell}");
    }
}

#[test]
fn the_records_own_fields_stay_text() {
    let drafts = drafts("a.csv", "name,description,source_id\n4711,true,12.50\n");
    assert_eq!(drafts[0].name, "4711");
    assert_eq!(drafts[0].description.as_deref(), Some("true"));
    assert_eq!(drafts[0].source_id.as_deref(), Some("12.50"));
}

#[test]
fn another_column_can_hold_the_name() {
    let titled = Hints {
        name_column: Some("title".to_owned()),
        ..hints("a.csv")
    };
    let file = bytes("title,name,data\nBolt,b,plain\n");
    let (_, mut rows) = read(&file, &titled).expect("a file");
    let draft = rows.remove(0).draft.expect("a draft");
    assert_eq!(draft.name, "Bolt");
    assert_eq!(
        Value::Object(draft.data),
        json!({"name": "b", "data": "plain"})
    );
    let (part, fault) = fault_of(&bytes("name,a\nx,1\n"), &titled);
    assert_eq!((part, fault.kind), ("name_column", "missing"));
    assert!(fault.message.contains("'title'") && fault.message.contains("name, a"));
    assert_eq!(
        self::fault("a.csv", "title\nx\n"),
        ("name_column", "missing")
    );
}

#[test]
fn a_bad_row_is_rejected_alone() {
    let long = "n".repeat(1_001);
    let file = format!(
        "name,source_id,visibility,a\nx,,,1\ny\nz,,,1,2\n,,,1\nv,,secret,1\n{long},,,1\n\
         w,{long},,1\nu,,,{}\nok,,,1\n",
        "y".repeat(50_000)
    );
    let rows = rows("a.csv", file);
    assert_eq!(
        kinds(&rows),
        [
            None,
            Some("column_count"),
            Some("column_count"),
            Some("missing"),
            Some("enum"),
            Some("string_too_long"),
            Some("string_too_long"),
            Some("too_large"),
            None,
        ]
    );
    let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_broken_file_is_refused_whole_and_says_where() {
    let columns: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let wide = format!("name,{}\nBolt,1\n", columns.join(","));
    let wide_row = format!("name,a\nx,1\nBolt{}\n", ",1".repeat(1_000));
    let huge = format!("name,note\nBolt,{}\n", "x".repeat(1_100_000));
    let quoted = format!("name,note\nBolt,\"{}\"\n", "x\n".repeat(600_000));
    let long = format!("name,{}\nx,1\n", "y".repeat(201));
    for (content, kind, says) in [
        (
            "name,note\nBolt,\"open\nNut,1\n",
            "quote_unclosed",
            "line 2",
        ),
        (
            "name,note\na,1\n\"b\nc\",\"open\n",
            "quote_unclosed",
            "line 4",
        ),
        ("name,\"note\nBolt,1\n", "quote_unclosed", "line 1"),
        ("name,note,note\nBolt,1,2\n", "header_duplicate", "'note'"),
        ("name,note, note \nBolt,1,2\n", "header_duplicate", "'note'"),
        ("name,,note\nBolt,1,2\n", "header_blank", "Column 2"),
        ("name,note,\nBolt,1,2\n", "header_blank", "Column 3"),
        ("name, \nBolt,1\n", "header_blank", "Column 2"),
        (";\n", "header_blank", "Column 1"),
        (long.as_str(), "header_too_long", "column 2"),
        (wide.as_str(), "too_many_columns", "line 1"),
        (wide_row.as_str(), "too_many_columns", "line 3"),
        (huge.as_str(), "field_too_large", "line 2"),
        (quoted.as_str(), "field_too_large", "line 2"),
    ] {
        let start: String = content.chars().take(40).collect();
        assert_eq!(fault("a.csv", content), ("file", kind), "{start}");
        let message = message("a.csv", content);
        assert!(message.contains(says), "{start}: {message}");
    }
}
