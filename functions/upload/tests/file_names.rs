//! What a file is called and declared as: it tells the format where the content does not, and is no
//! path.

#[expect(dead_code, reason = "no test here leaves nothing")]
mod common;

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use common::{PATH, post_file, recounted, taken};
use model::plan::Plan;
use search::{Caches, Store};
use serde_json::{Value, json};
use testkit::{Answer, Client, Form, TestApp, assert_faults, items};

const FILE: &[&str] = &["body", "file"];

/// The upload of an answer, as it is shown.
async fn shown(client: &Client<'_>, answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let body = answer.json();
    let id = body["upload_id"].as_str().expect("an id");
    let shown = client.get(&format!("/portal/uploads/{id}")).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    shown.json()
}

/// Every file below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn the_name_of_a_file_is_kept_as_text_and_is_no_path() {
    let around = tempfile::tempdir().unwrap();
    let around = around.path().canonicalize().unwrap();
    let folder = around.join("a/b/c/d");
    let address = Store::address_of(&folder).unwrap();
    let store = Store::open(&address, Caches::default(), None).unwrap();
    let engine = testkit::engine().await;
    let place = (engine.as_str(), &store);
    let settings = [("RATE_LIMIT_ENABLED", "false")];
    let app = TestApp::at(place, upload::router(), &settings, None).await;
    let client = app.tenant(Plan::Pro).await;
    let long = format!("{}.csv", "x".repeat(10 * 1024));
    let names = [
        "../../x",
        "/etc/passwd",
        "..\\..\\x.csv",
        "C:\\temp\\x.csv",
        "..%2F..%2Fx.csv",
        "con.csv",
        "a%00.csv",
        "\u{202e}vsc.csv",
        "TENANT#t_other#SUMMARY",
        long.as_str(),
    ];
    for (number, name) in names.iter().enumerate() {
        let file = format!("name,n\nBolt {number},1\n");

        let answer = post_file(&client, name, file).await;

        assert_eq!(taken(&answer), [1, 1, 0, 0], "{name}");
        // Of a long one its end is kept, which tells the format.
        let kept = &name[name.len().saturating_sub(200)..];
        assert_eq!(shown(&client, &answer).await["file_name"], kept);
    }
    let written = below(&around);
    assert!(!written.is_empty());
    for file in written {
        let file = file.strip_prefix(&folder).expect("a file of the store");
        let file = file.to_string_lossy().into_owned();
        assert!(!names.iter().any(|name| file.contains(name)), "{file}");
    }
    for item in items(&app.endpoint).await {
        for key in ["pk", "sk"] {
            let key = item[key].as_s().expect("text");
            assert!(!names.iter().any(|name| key.contains(name)), "{key}");
        }
    }
}

#[tokio::test]
async fn the_name_of_an_announced_file_is_no_part_of_its_address() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for name in [
        "../../x",
        "/etc/passwd",
        "con.csv",
        "a\0b.csv",
        "\u{202e}vsc.csv",
        "x?y=z#w",
    ] {
        let announced = json!({
            "collection": "parts", "record_type": "product", "file_name": name, "size_bytes": 10,
        });

        let answer = client.post("/portal/uploads", announced).await;

        assert_eq!(shown(&client, &answer).await["file_name"], name);
        let body = answer.json();
        let (tenant, id) = (&client.tenant, body["upload_id"].as_str().expect("an id"));
        let address = body["url"].as_str().expect("an address").split('?').next();
        let expected = format!("http://127.0.0.1:3000/local/files/{tenant}/{id}");
        assert_eq!(address, Some(expected.as_str()), "{name:?}");
    }
}

#[tokio::test]
async fn a_file_name_that_no_item_could_hold_is_no_failure() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let name = format!("{}.csv", "x".repeat(500 * 1024));

    let answer = post_file(&client, &name, "name,n\nBolt,1\n").await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}

#[tokio::test]
async fn content_tells_the_format_then_the_name_and_never_the_declared_type() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let csv = "name,n\nBolt,1\n";
    let json = r#"[{"name": "Bolt", "n": 1}]"#;
    let line = r#"{"name": "Bolt", "n": 1}"#;
    let xml = "<parts><part><name>Bolt</name><n>1</n></part></parts>";
    let mut expected = [1, 1, 0, 0];
    for (content, name, format) in [
        (xml, "a.json", Ok("xml")),
        (xml, "a.ndjson", Ok("xml")),
        (xml, "a.csv", Ok("xml")),
        (json, "a.xml", Ok("json")),
        (json, "a.csv", Ok("json")),
        (line, "a.csv", Ok("json")),
        (line, "a.jsonl", Ok("ndjson")),
        (csv, "a.txt", Ok("csv")),
        (csv, "a.xlsx", Ok("csv")),
        (csv, "", Ok("csv")),
        (csv, "a.json", Err("json_invalid")),
        (csv, "a.xml", Err("xml_invalid")),
    ] {
        for declared in ["text/csv", "application/json", "application/xml"] {
            let disposition = format!(
                "form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {declared}"
            );
            let form = Form::new().part(&disposition, content);
            let answer = client.upload(PATH, form.text("record_tag", "part")).await;
            match format {
                Ok(format) => {
                    assert_eq!(taken(&answer), expected, "{name} {declared} {content}");
                    let upload = shown(&client, &answer).await;
                    assert_eq!(upload["metadata"]["format"], format, "{name} {declared}");
                    expected = [1, 0, 0, 1];
                }
                Err(kind) => assert_faults(&answer, &[(FILE, kind)]),
            }
        }
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}
