//! Files: CSV, JSON and NDJSON, in any encoding and with any delimiter, and what is none of them.

mod common;

use auth::Role;
use axum::http::StatusCode;
use common::{PATH, assert_untouched, post_file, recounted, taken};
use encoding_rs::{SHIFT_JIS, WINDOWS_1252};
use model::id::RecordId;
use model::plan::Plan;
use model::record::Record;
use serde_json::{Value, json};
use testkit::{Form, TestApp, assert_faults};

const COLUMNS: [&str; 7] = [
    "name",
    "description",
    "source_id",
    "visibility",
    "sku",
    "price",
    "stocked",
];

const FILE: &[&str] = &["body", "file"];

/// 200 rows: most are good, two are not, and one repeats a `source_id`.
fn objects() -> Vec<Value> {
    (0..200_u32)
        .map(|n| {
            json!({
                "name": if n == 10 { String::new() } else { format!("Part {n:03}") },
                "description": format!("the \"part\" with number {n}, in steel"),
                "source_id": (n % 2 == 1).then(|| format!("s-{}", if n == 199 { 197 } else { n })),
                "visibility": match n {
                    20 => "secret",
                    _ if n.is_multiple_of(3) => "public",
                    _ => "private",
                },
                "sku": format!("{n:05}"),
                "price": f64::from(n) / 4.0,
                "stocked": n.is_multiple_of(2),
            })
        })
        .collect()
}

fn as_csv(objects: &[Value]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).expect("a header");
    for object in objects {
        let cells = COLUMNS.map(|column| match &object[column] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        });
        writer.write_record(&cells).expect("a row");
    }
    let bytes = writer.into_inner().expect("all of it");
    String::from_utf8(bytes).expect("text")
}

fn as_ndjson(objects: &[Value]) -> String {
    let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
    lines.join("\n")
}

/// A record's id and what its row said.
fn said(record: &Record) -> (RecordId, Value) {
    let said = json!({
        "name": record.name,
        "description": record.description,
        "source_id": record.source_id,
        "visibility": record.visibility,
        "data": record.data,
        "version": record.version,
    });
    (record.id, said)
}

/// Uploads a file for a tenant in a world of its own: what became of the rows, and the records.
async fn alone(name: &str, content: &str) -> (Value, Vec<(RecordId, Value)>) {
    let app = TestApp::new(upload::router()).await;
    let client = app.client("t_same", Role::Member);
    let now = app.app.clock.now();
    let planned = app.app.table.set_plan(&client.tenant, Plan::Pro, now).await;
    planned.expect("a plan");
    let answer = post_file(&client, name, content).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let body = answer.json();
    let outcome = json!([body["status"], body["summary"], body["errors"]]);
    let records = recounted(&app, &client.tenant).await;
    (outcome, records.iter().map(said).collect())
}

#[tokio::test]
async fn the_same_rows_are_the_same_records_in_every_format() {
    let objects = objects();
    let list = Value::from(objects.clone());

    let (outcome, records) = alone("a.csv", &as_csv(&objects)).await;

    assert_eq!(records.len(), 197);
    assert_eq!(outcome[0], json!("complete"));
    let summary = json!({"submitted": 200, "accepted": 197, "rejected": 2, "dedup_skipped": 1});
    assert_eq!(outcome[1], summary);
    assert_eq!(outcome[2][0]["row"], json!(11));
    assert_eq!(outcome[2][1]["row"], json!(21));
    for (name, content) in [
        ("a.json", list.to_string()),
        ("b.json", json!({"records": list}).to_string()),
        ("a.ndjson", as_ndjson(&objects)),
        ("a.jsonl", as_ndjson(&objects)),
    ] {
        let (other_outcome, other_records) = alone(name, &content).await;
        assert_eq!(other_outcome, outcome, "{name}");
        assert_eq!(other_records, records, "{name}");
    }
}

#[tokio::test]
async fn one_object_is_a_file_of_one_row() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let file = "{\n  \"name\": \"Bolt\",\n  \"price\": 1\n}\n";
    assert_eq!(
        taken(&post_file(&client, "a.json", file).await),
        [1, 1, 0, 0]
    );

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].name, "Bolt");
}

#[tokio::test]
async fn a_cell_is_a_number_only_if_no_digit_is_lost() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let cells = [
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
        (".5", json!(".5")),
        ("1.2.3", json!("1.2.3")),
        (" 5", json!(" 5")),
        ("\"1,5\"", json!("1,5")),
        ("true", json!(true)),
        ("false", json!(false)),
        ("TRUE", json!("TRUE")),
        ("null", json!("null")),
        ("NaN", json!("NaN")),
        ("=1+1", json!("=1+1")),
        ("{}", json!("{}")),
    ];
    let rows: Vec<String> = (0_u32..)
        .zip(&cells)
        .map(|(n, (cell, _))| format!("Row {n:02},{cell}"))
        .collect();
    let file = format!("name,value\n{}\n", rows.join("\n"));

    let answer = post_file(&client, "a.csv", file).await;

    assert_eq!(taken(&answer), [21, 21, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    for (record, (cell, value)) in records.iter().zip(cells) {
        assert_eq!(record.data.get("value"), Some(&value), "{cell}");
    }
}

#[tokio::test]
async fn an_empty_cell_is_left_out() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let file = "name,description,source_id,visibility,price,note\nBolt,,,,,\"\"\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", file).await),
        [1, 1, 0, 0]
    );

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(Value::Object(records[0].data.clone()), json!({}));
    assert_eq!(records[0].description, None);
    assert_eq!(records[0].source_id, None);
}

#[tokio::test]
async fn the_records_own_fields_stay_text() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let file = "name,description,source_id\n4711,true,12.50\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", file).await),
        [1, 1, 0, 0]
    );

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].name, "4711");
    assert_eq!(records[0].description.as_deref(), Some("true"));
    assert_eq!(records[0].source_id.as_deref(), Some("12.50"));
}

#[tokio::test]
async fn another_column_can_hold_the_name() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    // In front of the file and after it.
    let forms = [
        Form::new()
            .text("name_column", "title")
            .file("a.csv", "title,name,price\nBolt,b-1,2\n"),
        Form::new()
            .file("a.csv", "title,name,price\nNut,n-1,3\n")
            .text("name_column", "title"),
    ];
    for form in forms {
        assert_eq!(taken(&client.upload(PATH, form).await), [1, 1, 0, 0]);
    }
    let records = recounted(&app, &client.tenant).await;
    let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names, ["Bolt", "Nut"]);
    assert_eq!(
        Value::Object(records[0].data.clone()),
        json!({"name": "b-1", "price": 2})
    );
}

#[tokio::test]
async fn a_file_without_the_name_column_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let titled = Form::new().file("a.csv", "title,price\nBolt,1\n");
    for form in [titled.clone(), titled.text("name_column", "label")] {
        let answer = client.upload(PATH, form).await;
        assert_faults(&answer, &[(&["body", "name_column"], "missing")]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_name_column_is_for_csv_only() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let form = Form::new()
        .file("a.json", r#"[{"name": "Bolt", "title": "x"}]"#)
        .text("name_column", "title");

    assert_eq!(taken(&client.upload(PATH, form).await), [1, 1, 0, 0]);

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].name, "Bolt");
}

#[tokio::test]
async fn the_delimiter_is_found_and_told() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let mut expected = [2, 2, 0, 0];
    for delimiter in [",", ";", "\t", "|"] {
        let file = "name|price|note\nBolt|1.5|steel\nNut|2|brass\n".replace('|', delimiter);
        let answer = post_file(&client, "a.csv", file).await;
        assert_eq!(taken(&answer), expected, "{delimiter:?}");
        assert_eq!(answer.json()["metadata"]["delimiter"], json!(delimiter));
        expected = [2, 0, 0, 2];
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 2);
}

#[tokio::test]
async fn every_line_ending_is_read() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let mut expected = [3, 3, 0, 0];
    for file in [
        "name,note\na,1\nb,\"x, \"\"y\"\"\"\nc,3",
        "name,note\r\na,1\r\nb,\"x, \"\"y\"\"\"\r\nc,3\r\n",
        "name,note\ra,1\rb,\"x, \"\"y\"\"\"\rc,3\r",
        "name,note\r\na,1\n\nb,\"x, \"\"y\"\"\"\r\r\nc,3\n",
    ] {
        let answer = post_file(&client, "a.csv", file).await;
        assert_eq!(taken(&answer), expected, "{file:?}");
        expected = [3, 0, 0, 3];
    }
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[1].data.get("note"), Some(&json!("x, \"y\"")));
}

#[tokio::test]
async fn the_encoding_is_found_and_told() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let text = "name,farbe\nSchl\u{fc}ssel,gr\u{fc}n\nM\u{fc}tze,wei\u{df}\n\
                T\u{fc}r,\u{e4}hnlich 5 \u{20ac}\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
    let mut expected = [3, 3, 0, 0];
    for (bytes, encoding) in [
        (text.as_bytes().to_vec(), "utf-8"),
        (marked(b"\xef\xbb\xbf", text.as_bytes()), "utf-8"),
        (marked(b"\xff\xfe", &little), "utf-16le"),
        (marked(b"\xfe\xff", &big), "utf-16be"),
        (little, "utf-16le"),
        (big, "utf-16be"),
        (WINDOWS_1252.encode(text).0.into_owned(), "windows-1252"),
    ] {
        let answer = post_file(&client, "a.csv", bytes).await;
        assert_eq!(taken(&answer), expected, "{encoding}");
        assert_eq!(answer.json()["metadata"]["encoding"], json!(encoding));
        expected = [3, 0, 0, 3];
    }
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[1].name, "Schl\u{fc}ssel");
    assert_eq!(records[1].data.get("farbe"), Some(&json!("gr\u{fc}n")));
}

#[tokio::test]
async fn japanese_is_read_in_its_old_encoding_too() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    // "Bolt", "this is a hexagon bolt." and the same of a nut.
    let (bolt, nut) = ("\u{30dc}\u{30eb}\u{30c8}", "\u{30ca}\u{30c3}\u{30c8}");
    let this_is = "\u{3053}\u{308c}\u{306f}\u{3001}\u{516d}\u{89d2}";
    let end = "\u{3067}\u{3059}\u{3002}";
    let text = format!("name,note\n{bolt},{this_is}{bolt}{end}\n{nut},{this_is}{nut}{end}\n");
    let bytes = SHIFT_JIS.encode(&text).0.into_owned();

    let answer = post_file(&client, "a.csv", bytes).await;

    assert_eq!(taken(&answer), [2, 2, 0, 0]);
    assert_eq!(answer.json()["metadata"]["encoding"], json!("shift_jis"));
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].name, nut);
    assert_eq!(records[1].name, bolt);
}

#[tokio::test]
async fn json_has_no_delimiter_and_any_encoding() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let text = "[{\"name\": \"Schl\u{fc}ssel\"}]";
    let marked = [&b"\xef\xbb\xbf"[..], text.as_bytes()].concat();
    let wide: Vec<u8> = "\u{feff}"
        .encode_utf16()
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut expected = [1, 1, 0, 0];
    for (bytes, encoding) in [(marked, "utf-8"), (wide, "utf-16le")] {
        let answer = post_file(&client, "a.json", bytes).await;
        assert_eq!(taken(&answer), expected, "{encoding}");
        let body = answer.json();
        assert_eq!(body["metadata"]["encoding"], json!(encoding));
        assert_eq!(body["metadata"]["delimiter"], Value::Null);
        expected = [1, 0, 0, 1];
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}

#[tokio::test]
async fn the_format_is_told_by_content_and_file_name() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let mut expected = [1, 1, 0, 0];
    for (name, content, delimiter) in [
        ("a.csv", "name,n\nBolt,1\n", json!(",")),
        ("a.txt", "name,n\nBolt,1\n", json!(",")),
        ("a", "name,n\nBolt,1\n", json!(",")),
        ("", "name;n\nBolt;1\n", json!(";")),
        ("a.JSON", r#"[{"name": "Bolt", "n": 1}]"#, Value::Null),
        ("a.csv", r#"[{"name": "Bolt", "n": 1}]"#, Value::Null),
        ("a.csv", r#"{"name": "Bolt", "n": 1}"#, Value::Null),
        ("a.json", "{\"name\": \"Bolt\", \"n\": 1}\n", Value::Null),
        ("a.NDJSON", " {\"name\": \"Bolt\", \"n\": 1} ", Value::Null),
        ("", "\n\n[{\"name\": \"Bolt\", \"n\": 1}]", Value::Null),
    ] {
        let answer = post_file(&client, name, content).await;
        assert_eq!(taken(&answer), expected, "{name} {content}");
        assert_eq!(
            answer.json()["metadata"]["delimiter"],
            delimiter,
            "{name} {content}"
        );
        expected = [1, 0, 0, 1];
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}

#[tokio::test]
async fn the_declared_type_of_the_file_is_not_trusted() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let mut expected = [1, 1, 0, 0];
    for (declared, content) in [
        ("application/json", "name,n\nBolt,1\n"),
        ("text/csv", r#"[{"name": "Bolt", "n": 1}]"#),
        ("application/xml", "name,n\nBolt,1\n"),
        ("application/octet-stream", "name,n\nBolt,1\n"),
        ("image/png; charset=utf-16", "name,n\nBolt,1\n"),
    ] {
        let disposition =
            format!("form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: {declared}");
        let form = Form::new().part(&disposition, content);
        let answer = client.upload(PATH, form).await;
        assert_eq!(taken(&answer), expected, "{declared}");
        expected = [1, 0, 0, 1];
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}

#[tokio::test]
async fn a_broken_csv_file_is_refused_whole() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let columns: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let wide = format!("name,{}\nBolt,1\n", columns.join(","));
    let huge = format!("name,note\nBolt,{}\n", "x".repeat(1_100_000));
    let quoted = format!("name,note\nBolt,\"{}\"\n", "x\n".repeat(600_000));
    for (content, kind) in [
        ("name,note\nBolt,\"open\nNut,1\n", "quote_unclosed"),
        ("name,\"note\nBolt,1\n", "quote_unclosed"),
        ("name,note,note\nBolt,1,2\n", "header_duplicate"),
        ("name,note, note \nBolt,1,2\n", "header_duplicate"),
        ("name,,note\nBolt,1,2\n", "header_blank"),
        ("name,note,\nBolt,1,2\n", "header_blank"),
        ("name, \nBolt,1\n", "header_blank"),
        (wide.as_str(), "too_many_columns"),
        (huge.as_str(), "field_too_large"),
        (quoted.as_str(), "field_too_large"),
        ("", "file_empty"),
        (" \r\n\t\n", "file_empty"),
        ("\u{feff}", "file_empty"),
    ] {
        let answer = post_file(&client, "a.csv", content).await;
        assert_faults(&answer, &[(FILE, kind)]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_broken_json_file_is_refused_whole() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let deep = "[".repeat(10_000);
    let deep_object = "{\"a\":".repeat(10_000);
    for (content, kind) in [
        ("[{\"name\": \"a\"},]", "json_invalid"),
        ("[{\"name\": \"a\"}", "json_invalid"),
        ("[{\"name\": \"a\"}] 2", "json_invalid"),
        ("[{\"name\": \"a\", \"n\": NaN}]", "json_invalid"),
        ("[{\"name\": 'a'}]", "json_invalid"),
        ("{\"records\": [}", "json_invalid"),
        ("name,price\nBolt,1\n", "json_invalid"),
        (deep.as_str(), "json_invalid"),
        (deep_object.as_str(), "json_invalid"),
        ("7", "json_shape"),
        ("\"text\"", "json_shape"),
        ("null", "json_shape"),
        ("{\"records\": {}}", "json_shape"),
        ("{\"records\": 7}", "json_shape"),
    ] {
        let answer = post_file(&client, "a.json", content).await;
        assert_faults(&answer, &[(FILE, kind)]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn bytes_that_break_their_own_encoding_are_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for bytes in [
        // Marked as UTF-8, and not that.
        &b"\xef\xbb\xbfname\nT\xfcr\n"[..],
        // Marked as UTF-16, and half a unit long.
        &b"\xff\xfen\0a\0m\0e\0\n\0x"[..],
        // A surrogate without its other half.
        &b"\xff\xfen\0a\0m\0e\0\n\0\0\xd8\n\0"[..],
    ] {
        let answer = post_file(&client, "a.csv", bytes).await;
        assert_faults(&answer, &[(FILE, "encoding_invalid")]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn what_is_no_text_is_refused_whatever_it_is_called() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for bytes in [
        &b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\xca\xcf\x29\0"[..],
        &b"PK\x03\x04\x14\0\0\0\x08\0[Content_Types].xml"[..],
        &b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..],
        &b"BZh91AY&SY"[..],
        &b"\xfd7zXZ\0\0\x04"[..],
        &b"\x28\xb5\x2f\xfd\x04\0"[..],
        &b"7z\xbc\xaf\x27\x1c\0\x04"[..],
        &b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..],
        &b"%PDF-1.7\n"[..],
        &b"name,note\nBolt,\0\n"[..],
        &[0; 4_096][..],
    ] {
        for name in ["a.csv", "a.json", "a.xlsx", ""] {
            let answer = post_file(&client, name, bytes).await;
            assert_eq!(
                answer.status,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "{name} {bytes:?}"
            );
            assert!(answer.detail().is_string(), "{}", answer.text);
        }
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn xml_is_told_by_its_content_whatever_it_is_called() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let file = "\u{feff}\n<parts><part sku=\"7\"><name>Bolt</name></part><part/></parts>";
    for name in ["a.xml", "a.csv", "a.json", ""] {
        let form = Form::new().file(name, file).text("record_tag", "part");
        let answer = client.upload(PATH, form).await;
        let fresh = u64::from(name == "a.xml");
        assert_eq!(taken(&answer), [2, fresh, 1, 1 - fresh], "{name}");
    }
    let path = format!("{PATH}?record_tag=part");
    let answer = client.upload(&path, Form::new().file("a.xml", file)).await;
    assert_eq!(taken(&answer), [2, 0, 1, 1]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(Value::Object(records[0].data.clone()), json!({"sku": 7}));
}

#[tokio::test]
async fn xml_without_a_record_tag_says_so() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = "<parts><part><name>Bolt</name></part></parts>";

    let answer = post_file(&client, "a.xml", file).await;

    assert_faults(&answer, &[(&["body", "record_tag"], "missing")]);
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn xml_that_would_read_more_than_itself_is_refused() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for file in [
        "<!DOCTYPE lolz [<!ENTITY lol \"lol\">]><lolz><part>&lol;</part></lolz>",
        "<!DOCTYPE parts SYSTEM \"http://127.0.0.1:9/parts.dtd\"><parts><part/></parts>",
    ] {
        let form = Form::new().file("a.xml", file).text("record_tag", "part");
        let answer = client.upload(PATH, form).await;
        assert_faults(&answer, &[(&["body", "file"], "xml_doctype")]);
    }
    assert_untouched(&app, &client.tenant).await;
}
