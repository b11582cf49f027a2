//! JSON and NDJSON: shapes, rows, and what is no JSON.

use serde_json::{Value, json};

use crate::common::{bytes, data, drafts, fault, hints, kinds, message, read, rows};

/// Rows that no record can be made of: the row, the field at fault and the kind of fault.
const BAD_ROWS: [(&str, Option<&str>, &str); 16] = [
    ("{}", Some("name"), "missing"),
    (r#"{"name": null}"#, Some("name"), "missing"),
    (r#"{"name": "  "}"#, Some("name"), "missing"),
    (r#"{"name": 7}"#, Some("name"), "string_type"),
    (
        r#"{"name": "x", "description": 1}"#,
        Some("description"),
        "string_type",
    ),
    (
        r#"{"name": "x", "source_id": 1.5}"#,
        Some("source_id"),
        "string_type",
    ),
    (
        r#"{"name": "x", "source_id": ""}"#,
        Some("source_id"),
        "string_too_short",
    ),
    (
        r#"{"name": "x", "visibility": "secret"}"#,
        Some("visibility"),
        "enum",
    ),
    ("7", None, "model_attributes_type"),
    ("[]", None, "model_attributes_type"),
    (r#"{"name":"#, None, "json_invalid"),
    (r#"{"name": "x", "name": "y"}"#, None, "json_invalid"),
    (r#"{"name": "x", "n": NaN}"#, None, "json_invalid"),
    (r#"{"name": "x", "n": 1e400}"#, None, "json_invalid"),
    (r#"{"name": "\ud800"}"#, None, "json_invalid"),
    (
        r#"{"name": "x", "n": 12345678901234567890123}"#,
        None,
        "number_precision",
    ),
];

#[test]
fn a_bad_line_is_rejected_alone_and_says_why() {
    let file: Vec<&str> = BAD_ROWS.iter().map(|(row, _, _)| *row).collect();
    let rows = rows("a.ndjson", file.join("\n") + "\n{\"name\": \"good\"}");
    assert_eq!(rows.len(), BAD_ROWS.len() + 1);
    assert!(rows[BAD_ROWS.len()].draft.is_ok());
    for (row, (text, field, kind)) in rows.iter().zip(BAD_ROWS) {
        let fault = &row.draft.as_ref().unwrap_err()[0];
        assert_eq!(fault.kind, kind, "{text}");
        let named = field.map(|field| model::Fault::missing().at(field).path);
        assert_eq!(fault.path, named.unwrap_or_default(), "{text}");
    }
}

#[test]
fn what_no_record_can_hold_rejects_its_item_alone() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let file = format!(
        r#"[{{"name": "a"}}, {{"name": "b", "n": 1e400}}, {{"name": "\ud800"}},
        {{"name": "x", "d": {}}}, {{"name": "x", "d": {}}}, {{"name": "b", "name": "b"}}, 7, "8", null]"#,
        deep(33),
        deep(10_000)
    );
    assert_eq!(
        kinds(&rows("a.json", file)),
        [
            None,
            Some("json_invalid"),
            Some("json_invalid"),
            Some("too_deep"),
            Some("too_deep"),
            Some("json_invalid"),
            Some("model_attributes_type"),
            Some("model_attributes_type"),
            Some("model_attributes_type"),
        ]
    );
}

#[test]
fn one_object_is_a_file_of_one_row() {
    let file = "{\n  \"name\": \"Bolt\",\n  \"price\": 1\n}\n";
    assert_eq!(data("a.json", file), json!({"price": 1}));
    assert_eq!(data("a", file), json!({"price": 1}));
    assert_eq!(
        kinds(&rows("a.json", r#"{"name": 7}"#)),
        [Some("string_type")]
    );
    assert!(rows("a.json", "[]").is_empty());
    assert!(rows("a.json", r#"{"records": []}"#).is_empty());
}

#[test]
fn nested_data_is_merged_in() {
    let list = json!([
        {"name": "a", "collection_data": {"x": 1, "gone": null}, "y": 2},
        {"name": "b", "data": {"x": 1}, "y": 2},
        {"name": "c", "data": {"x": 1}, "collection_data": {"y": 2.0}},
        {"name": "d", "data": "text", "collection_data": [1]},
    ]);
    let data = drafts("a.json", list.to_string()).into_iter();
    let data: Vec<Value> = data.map(|draft| Value::Object(draft.data)).collect();
    let merged = json!({"x": 1, "y": 2});
    let plain = json!({"data": "text", "collection_data": [1]});
    assert_eq!(data, [merged.clone(), merged.clone(), merged, plain]);
}

#[test]
fn a_broken_file_is_refused_whole_and_says_where() {
    let deep = "[".repeat(10_000);
    let deep_object = "{\"a\":".repeat(10_000);
    for (content, says) in [
        ("[{\"name\": \"a\"},]", "line 1 column 16"),
        ("[{\"name\": \"a\"}", "line 1 column 15"),
        ("[{\"name\": \"a\"}] 2", "line 1 column 17"),
        ("[\n{\"name\": \"a\"}\n{}]", "line 3 column 1"),
        ("[{},\n {\"name\":\n\"a\", \"n\": NaN}]", "line 3 column 11"),
        ("[{\"name\": 'a'}]", "line 1 column 11"),
        ("[,{}]", "line 1 column 2"),
        ("[{},,{}]", "line 1 column 5"),
        ("[NaN]", "line 1"),
        ("[{]}", "line 1"),
        ("{\"records\": [}", "line 1 column 14"),
        ("{\"records\": []", "line 1 column 15"),
        ("{\"records\": [], \"a\": }", "line 1 column 22"),
        (
            "{\"records\": [], \"records\": []}",
            "'records' stands twice",
        ),
        ("{\"records\": []} {}", "line 1 column 17"),
        ("{\"name\": \"a\"} {}", "line 1 column 15"),
        ("{\"name\": \"a\"", "line 1"),
        ("name,price\nBolt,1\n", "line 1"),
        (deep.as_str(), "line 1"),
        (deep_object.as_str(), "line 1"),
    ] {
        assert_eq!(
            fault("a.json", content),
            ("file", "json_invalid"),
            "{content}"
        );
        let message = message("a.json", content);
        assert!(message.contains(says), "{content}: {message}");
    }
    for content in [
        "7",
        "\"text\"",
        "null",
        "{\"records\": {}}",
        "{\"records\": 7}",
    ] {
        assert_eq!(
            fault("a.json", content),
            ("file", "json_shape"),
            "{content}"
        );
    }
}

#[test]
fn the_format_is_told_by_content_then_by_name() {
    for (name, content, format) in [
        ("a.csv", "name,n\nBolt,1\n", "csv"),
        ("a", "name;n\nBolt;1\n", "csv"),
        ("a.JSON", r#"[{"name": "Bolt", "n": 1}]"#, "json"),
        ("a.csv", r#"[{"name": "Bolt", "n": 1}]"#, "json"),
        ("a.xml", r#"{"name": "Bolt", "n": 1}"#, "json"),
        ("a.json", "{\"name\": \"Bolt\", \"n\": 1}\n", "json"),
        ("a.NDJSON", " {\"name\": \"Bolt\", \"n\": 1} ", "ndjson"),
        ("a.jsonl", "{\"name\": \"Bolt\", \"n\": 1}", "ndjson"),
        ("", "\n\n[{\"name\": \"Bolt\", \"n\": 1}]", "json"),
        (
            "a.json.xml",
            "<part><name>Bolt</name><n>1</n></part>",
            "xml",
        ),
    ] {
        let (layout, rows) = read(&bytes(content), &hints(name)).expect("a file");
        assert_eq!(layout.format(), format, "{name} {content}");
        let draft = rows[0].draft.as_ref().expect("a draft");
        assert_eq!((draft.name.as_str(), &draft.data["n"]), ("Bolt", &json!(1)));
    }
    let csv = "name,n\nBolt,1\n";
    assert_eq!(fault("a.json", csv), ("file", "json_invalid"));
    assert_eq!(fault("a.xml", csv), ("file", "xml_invalid"));
}

#[test]
fn a_key_that_a_library_takes_for_its_own_is_a_key_like_any_other() {
    let private = "$serde_json::private::RawValue";
    let file = format!(r#"[{{"name": "x", "a": {{"{private}": "["}}, "{private}": "1"}}]"#);
    let expected = json!({"a": {private: "["}, private: "1"});
    assert_eq!(data("a.json", file), expected);
}
