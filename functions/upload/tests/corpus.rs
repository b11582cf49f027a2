//! The same rows are the same records, in whatever format, encoding and with whatever delimiter they
//! come, and nothing of them is lost on the way.

#[expect(dead_code, reason = "every file here is good as a whole")]
mod common;
mod written;

use std::ops::Range;

use axum::http::StatusCode;
use common::{post_file, recounted, taken};
use encoding_rs::WINDOWS_1252;
use model::plan::Plan;
use model::record::Record;
use serde_json::{Value, json};
use testkit::{Answer, Client, TestApp};
use written::{Object, as_csv, files, send};

/// Rows in which each field has all that it may have, and some lack what they may lack.
fn objects(numbers: Range<u32>) -> Vec<Object> {
    numbers
        .map(|n| {
            let visibility = if n.is_multiple_of(2) {
                "public"
            } else {
                "private"
            };
            let description = format!(
                "der \"sch\u{f6}ne\" Schl\u{fc}ssel; Nr. {n}, <h\u{e4}rter> & gr\u{f6}\u{df}er |\n\
                 f\u{fc}r \u{c4}rzte\tund K\u{f6}che"
            );
            object(json!({
                "name": format!("Sechskantschl\u{fc}ssel f\u{fc}r Gr\u{f6}\u{df}e {n:03}"),
                "description": (!n.is_multiple_of(5)).then_some(description),
                "source_id": (n % 2 == 1).then(|| format!("{n:04}")),
                "visibility": n.is_multiple_of(3).then_some(visibility),
                "sku": format!("{n:05}"),
                "price": f64::from(n) / 4.0,
                "stocked": n.is_multiple_of(2),
                "weight": 1_000_000 - n,
                "note": n.is_multiple_of(7).then_some("1e5"),
            }))
        })
        .collect()
}

/// The fields that are not null.
fn object(value: Value) -> Object {
    let Value::Object(mut object) = value else {
        panic!("{value}");
    };
    object.retain(|_, value| !value.is_null());
    object
}

/// What a record's row said, and which it was.
fn said(record: &Record) -> Value {
    json!({
        "name": record.name,
        "description": record.description,
        "source_id": record.source_id,
        "visibility": record.visibility,
        "data": record.data,
        "version": record.version,
        "row": record.row,
    })
}

/// All row errors that are kept of an upload.
async fn kept_errors(client: &Client<'_>, answer: &Answer) -> Vec<Value> {
    let body = answer.json();
    let id = body["upload_id"].as_str().expect("an id");
    let first = format!("/portal/uploads/{id}/errors?limit=100");
    let mut page = first.clone();
    let mut kept = Vec::new();
    loop {
        let answer = client.get(&page).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let body = answer.json();
        kept.extend(body["errors"].as_array().expect("a list").iter().cloned());
        match body["cursor"].as_str() {
            Some(cursor) => page = format!("{first}&cursor={cursor}"),
            None => return kept,
        }
    }
}

/// A text in five encodings, with the name that each is told by.
fn encoded(text: &str) -> [(&'static str, Vec<u8>); 5] {
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

#[tokio::test]
async fn a_thousand_rows_are_the_same_records_in_every_format() {
    let app = TestApp::new(upload::router()).await;
    let mut objects = objects(0..1_000);
    objects[10].remove("name");
    objects[20].insert("visibility".to_owned(), json!("secret"));
    // Repetitions: of content, and of an id of the source.
    objects[600] = objects[400].clone();
    objects[701] = objects[501].clone();
    let files = files(&objects);
    let mut first: Option<(Value, Vec<Value>)> = None;
    for (number, (name, content)) in files.iter().enumerate() {
        let client = app.tenant(Plan::Pro).await;

        let answer = send(&client, name, content).await;

        assert_eq!(taken(&answer), [1_000, 996, 2, 2], "{name}");
        let body = answer.json();
        assert_eq!(body["metadata"]["reconciliation_passed"], true, "{name}");
        let records = recounted(&app, &client.tenant).await;
        let outcome = json!([body["status"], body["summary"], body["errors"]]);
        let came_out = (outcome, records.iter().map(said).collect());
        match &first {
            None => first = Some(came_out),
            Some(first) => assert!(came_out == *first, "{name}"),
        }
        // The same tenant knows them again in another format.
        let (other, content) = &files[(number + 1) % files.len()];
        let again = send(&client, other, content).await;
        assert_eq!(taken(&again), [1_000, 0, 2, 998], "{name}, then {other}");
        assert!(
            recounted(&app, &client.tenant).await == records,
            "{name}, then {other}"
        );
    }
}

#[tokio::test]
async fn a_corpus_is_known_again_in_every_encoding_and_with_every_delimiter() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let objects = objects(0..200);
    let mut variants = Vec::new();
    for delimiter in [b',', b';', b'\t', b'|'] {
        for (encoding, content) in encoded(&as_csv(&objects, delimiter)) {
            variants.push(("a.csv", content, encoding, json!(char::from(delimiter))));
        }
    }
    let wrapped = ("b.json", json!({"records": objects}).to_string());
    for (name, text) in files(&objects).into_iter().skip(1).chain([wrapped]) {
        variants.push((name, text.into_bytes(), "utf-8", Value::Null));
    }
    assert_eq!(variants.len(), 24);
    let mut expected = [200, 200, 0, 0];
    for (name, content, encoding, delimiter) in variants {
        let answer = send(&client, name, content).await;

        assert_eq!(taken(&answer), expected, "{name} {encoding} {delimiter}");
        let body = answer.json();
        let metadata = &body["metadata"];
        assert_eq!(metadata["encoding"], encoding, "{name} {delimiter}");
        assert_eq!(metadata["delimiter"], delimiter, "{name} {encoding}");
        expected = [200, 0, 0, 200];
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 200);
}

#[tokio::test]
async fn of_a_half_known_file_only_the_new_half_is_written_whatever_its_format() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    for (at, numbers, expected) in [
        (0, 0..300, [300, 300, 0, 0]),
        (3, 150..450, [300, 150, 0, 150]),
        (1, 300..600, [300, 150, 0, 150]),
        (2, 0..600, [600, 0, 0, 600]),
    ] {
        let files = files(&objects(numbers));
        let (name, content) = &files[at];
        assert_eq!(taken(&send(&client, name, content).await), expected);
    }
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records.len(), 600);
    assert!(records.iter().all(|record| record.version == 1));
}

#[tokio::test]
async fn a_bad_row_has_the_same_number_and_fault_in_every_format() {
    let app = TestApp::new(upload::router()).await;
    let mut expected = Vec::new();
    let objects: Vec<Object> = (0..250_u64)
        .map(|n| {
            let mut row = json!({"name": format!("Part {n}"), "n": n});
            let mut fault = |field: &str, kind: &str| expected.push(json!([n + 1, field, kind]));
            match n % 10 {
                1 | 6 => {
                    row["name"] = Value::Null;
                    fault("name", "missing");
                }
                3 | 8 => {
                    row["visibility"] = json!("secret");
                    fault("visibility", "enum");
                }
                7 => {
                    row["name"] = Value::Null;
                    row["source_id"] = json!("x".repeat(256));
                    fault("name", "missing");
                    fault("source_id", "string_too_long");
                }
                _ => {}
            }
            object(row)
        })
        .collect();
    assert_eq!(expected.len(), 150);
    for (name, content) in files(&objects) {
        let client = app.tenant(Plan::Pro).await;

        let answer = send(&client, name, content).await;

        assert_eq!(taken(&answer), [250, 125, 125, 0], "{name}");
        let kept = kept_errors(&client, &answer).await;
        let told = |error: &Value| json!([error["row"], error["field"], error["error_type"]]);
        assert!(kept.iter().map(told).eq(expected.iter().cloned()), "{name}");
        assert_eq!(answer.json()["errors"], json!(kept[..100]), "{name}");
        assert_eq!(recounted(&app, &client.tenant).await.len(), 125, "{name}");
    }
}

#[tokio::test]
async fn a_late_byte_that_is_no_utf_8_is_read_as_what_the_whole_file_is() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let long = "of steel and of much use ".repeat(1_500);
    let rows: Vec<String> = (0..30).map(|n| format!("Bolt {n:02},{long}\n")).collect();
    let mut file = format!("name,note\n{}", rows.concat()).into_bytes();
    assert!(file.len() > 1024 * 1024);
    file.extend_from_slice(b"Schl\xfcssel,gr\xfcn und sch\xf6n f\xfcr T\xfcren\n");

    let answer = post_file(&client, "a.csv", file).await;

    assert_eq!(taken(&answer), [31, 31, 0, 0]);
    assert_eq!(answer.json()["metadata"]["encoding"], "windows-1252");
    let records = recounted(&app, &client.tenant).await;
    let last = records.last().expect("a record");
    assert_eq!(last.name, "Schl\u{fc}ssel");
    assert_eq!(
        last.data["note"],
        "gr\u{fc}n und sch\u{f6}n f\u{fc}r T\u{fc}ren"
    );
}

#[tokio::test]
async fn what_a_spreadsheet_would_run_is_kept_as_it_stands() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let formulas = [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1:A9)",
        "=cmd|'/C calc'!A0",
        "=HYPERLINK(\"http://127.0.0.1:9/?x=\"&A1;\"y\")",
    ];
    let objects: Vec<Object> = formulas
        .iter()
        .map(|formula| object(json!({"name": formula, "description": formula, "value": formula})))
        .collect();
    let mut expected = [6, 6, 0, 0];
    for (name, content) in files(&objects) {
        let answer = send(&client, name, content).await;
        assert_eq!(taken(&answer), expected, "{name}");
        expected = [6, 0, 0, 6];
    }
    for record in recounted(&app, &client.tenant).await {
        assert!(formulas.contains(&record.name.as_str()), "{record:?}");
        assert_eq!(record.description.as_ref(), Some(&record.name));
        assert_eq!(record.data["value"], json!(record.name));
    }
}

#[tokio::test]
async fn fields_that_look_like_the_servers_own_are_data_in_every_format() {
    let app = TestApp::new(upload::router()).await;
    let (client, other) = (app.tenant(Plan::Free).await, app.tenant(Plan::Free).await);
    let id = "01890a5d-ac96-874b-bcce-b302099a8057";
    let data = json!({
        "__proto__": "polluted", "constructor": true, "toString": "x",
        "id": id, "record_id": id, "tenant_id": other.tenant.as_str(),
        "PK": format!("TENANT#{}#SUMMARY", other.tenant), "SK": "TENANT",
        "pk": format!("TENANT#{}#SUMMARY", other.tenant), "sk": "TENANT",
        "ttl": 1, "ver": 99, "version": 99, "upload": id, "row": 7, "collection": "other",
        "record_type": "other", "created_at": "1970-01-01T00:00:00Z",
    });
    let mut row = object(data.clone());
    row.insert("name".to_owned(), json!("Bolt"));
    let mut expected = [1, 1, 0, 0];
    for (name, content) in files(&[row]) {
        let answer = send(&client, name, content).await;
        assert_eq!(taken(&answer), expected, "{name}");
        expected = [1, 0, 0, 1];
    }
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records.len(), 1);
    assert_eq!(Value::Object(records[0].data.clone()), data);
    assert_ne!(records[0].id.to_string(), id);
    assert_ne!(records[0].upload.to_string(), id);
    assert_eq!((records[0].version, records[0].row), (1, 1));
    assert_eq!(records[0].collection.as_str(), "parts");
    assert_eq!(records[0].record_type.as_str(), "product");
    assert_eq!(records[0].created_at, app.app.clock.now());
    let summary = app.app.summary(&other.tenant).await.unwrap();
    assert!(summary.collections.is_empty());
}
