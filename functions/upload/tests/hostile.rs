//! Files that mean harm: refused for what they are, with nothing written, and nothing else read.

mod common;
mod written;

use std::io::ErrorKind;
use std::net::TcpListener;

use axum::http::StatusCode;
use common::{assert_untouched, post_file, recounted, taken};
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, TestApp, assert_faults};
use written::{files, send};

const FILE: &[&str] = &["body", "file"];

const MB: usize = 1024 * 1024;

/// Checks that no upload was written down.
async fn assert_no_upload(client: &Client<'_>) {
    let listed = client.get("/portal/uploads").await;
    assert_eq!(listed.json()["uploads"], json!([]));
}

/// Somebody who waits for a call, and the address.
fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    listener.set_nonblocking(true).expect("a listener");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

#[track_caller]
fn assert_nobody_called(listener: &TcpListener) {
    let called = listener.accept().map_err(|error| error.kind());
    assert_eq!(called.err(), Some(ErrorKind::WouldBlock));
}

#[tokio::test]
async fn csv_without_bounds_is_refused_whole() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Enterprise).await;
    for (head, unit, times, kind) in [
        ("name,note\nBolt,", "y", 10 * MB, "field_too_large"),
        ("name,note\nBolt,\"", "y\n", 5 * MB, "field_too_large"),
        ("name,note\nBolt,\"", "\"\"", 5 * MB, "field_too_large"),
        ("name,note\nNut,1\nBolt", ",x", 10_000, "too_many_columns"),
        ("name", ",x", 10_000, "too_many_columns"),
        ("name,", "y", 10 * MB, "header_too_long"),
        ("name,", "y", 201, "header_too_long"),
        (",", "\n,", 10, "header_blank"),
        ("name", ",name", 1, "header_duplicate"),
        ("", "\r\n", 1_000, "file_empty"),
    ] {
        let file = format!("{head}{}", unit.repeat(times));
        let answer = post_file(&client, "a.csv", file).await;
        assert_faults(&answer, &[(FILE, kind)]);
    }
    assert_untouched(&app, &client.tenant).await;
    assert_no_upload(&client).await;
}

#[tokio::test]
async fn xml_that_would_grow_or_read_elsewhere_is_refused_and_nobody_is_called() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let (listener, url) = listen();
    let entity = |n: u32| {
        let ten = format!("&e{};", n - 1).repeat(10);
        format!("<!ENTITY e{n} \"{ten}\">")
    };
    let entities: Vec<String> = (1..10).map(entity).collect();
    let laughs = format!(
        "<!DOCTYPE a [<!ENTITY e0 \"lol\">{}]><a><part><name>&e9;</name></part></a>",
        entities.concat()
    );
    let blowup = format!(
        "<!DOCTYPE a [<!ENTITY b \"{}\">]><a><part><name>{}</name></part></a>",
        "b".repeat(50_000),
        "&b;".repeat(50_000)
    );
    let part = "<a><part><name>&x;</name></part></a>";
    let manifest = concat!("file://", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut contents: Vec<Vec<u8>> = [
        laughs.clone(),
        blowup,
        format!("<!DOCTYPE a [<!ENTITY x SYSTEM \"{manifest}\">]>{part}"),
        format!("<!DOCTYPE a [<!ENTITY x SYSTEM \"{url}/x\">]>{part}"),
        format!("<!DOCTYPE a [<!ENTITY x PUBLIC \"-//x//EN\" \"{url}/x\">]>{part}"),
        format!("<!DOCTYPE a [<!ENTITY % p SYSTEM \"{url}/p\"> %p;]>{part}"),
        format!("<!DOCTYPE a SYSTEM \"{url}/a.dtd\"><a><part name='Bolt'/></a>"),
        format!("<!DOCTYPE a PUBLIC \"-//a//EN\" \"{url}/a.dtd\"><a><part name='Bolt'/></a>"),
        "<!DOCTYPE a><a><part name='Bolt'/></a>".to_owned(),
        "<!DOCTYPE a [".to_owned(),
    ]
    .map(String::into_bytes)
    .into();
    // Behind what is looked at first.
    let comments = "<!-- a comment -->\n".repeat(100_000);
    contents.push(format!("{comments}{laughs}").into_bytes());
    let wide = format!("\u{feff}{laughs}");
    contents.push(wide.encode_utf16().flat_map(u16::to_le_bytes).collect());
    for content in &contents {
        for name in ["a.xml", "a.csv", "a.json", ""] {
            let answer = send(&client, name, content).await;
            assert_faults(&answer, &[(FILE, "xml_doctype")]);
        }
    }
    for content in [part, "<a><part name='&x;'/></a>"] {
        let answer = send(&client, "a.xml", content).await;
        assert_faults(&answer, &[(FILE, "xml_entity")]);
    }
    assert_nobody_called(&listener);
    assert_untouched(&app, &client.tenant).await;
    assert_no_upload(&client).await;
}

#[tokio::test]
async fn addresses_in_a_file_are_text() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let (listener, url) = listen();
    let xml = format!(
        "<?xml version=\"1.0\"?><?xml-stylesheet type=\"text/xsl\" href=\"{url}/a.xsl\"?>\
         <parts xmlns:xi=\"http://www.w3.org/2001/XInclude\" \
          xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
          xsi:schemaLocation=\"urn:a {url}/a.xsd\"><part><name>A</name>\
         <xi:include href=\"{url}/a.xml\" parse=\"text\"/></part></parts>"
    );
    let json = json!([{"name": "B", "$ref": format!("{url}/b.json")}]).to_string();
    let csv = format!("name,link\nC,{url}/c.csv\n");
    for (name, content) in [("a.xml", xml), ("b.json", json), ("c.csv", csv)] {
        assert_eq!(
            taken(&send(&client, name, content).await),
            [1, 1, 0, 0],
            "{name}"
        );
    }
    let records = recounted(&app, &client.tenant).await;
    let data: Vec<Value> = records
        .into_iter()
        .map(|record| Value::Object(record.data))
        .collect();
    assert_eq!(
        data,
        [
            json!({"include": {"href": format!("{url}/a.xml"), "parse": "text"}}),
            json!({"$ref": format!("{url}/b.json")}),
            json!({"link": format!("{url}/c.csv")}),
        ]
    );
    assert_nobody_called(&listener);
}

#[tokio::test]
async fn xml_without_end_or_bounds_is_refused_whole() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let (open, close) = ("<a>".repeat(100_000), "</a>".repeat(100_000));
    let attributes: Vec<String> = (0..80_000).map(|n| format!("a{n}='1'")).collect();
    let attributes = attributes.join(" ");
    let blank = " ".repeat(MB + 100_000);
    for content in [
        format!("{open}{close}"),
        format!("<parts><part name='Bolt'>{open}{close}</part></parts>"),
        open,
        format!("<parts {attributes}><part name='Bolt'/></parts>"),
        format!("<parts><part name='Bolt' {attributes}/></parts>"),
        format!(
            "<parts><part name='Bolt'>{}</part></parts>",
            "x".repeat(5 * MB)
        ),
        "<parts><part name='Bolt'/>".to_owned(),
        "<parts><part name='Bolt'></parts>".to_owned(),
        "<parts><part name='Bolt'/></parts><parts/>".to_owned(),
        "<part name='Bolt'/><part name='Nut'/>".to_owned(),
        "<parts><part name='Bolt' name='Nut'/></parts>".to_owned(),
        "<parts><part name='Bo\0lt'/></parts>".to_owned(),
        "<parts><part name='Bo&#0;lt'/></parts>".to_owned(),
        format!("<parts>{blank}<part name='Bo\0lt'/></parts>"),
    ] {
        let answer = send(&client, "a.xml", content).await;
        assert_faults(&answer, &[(FILE, "xml_invalid")]);
    }
    assert_untouched(&app, &client.tenant).await;
    assert_no_upload(&client).await;
}

#[tokio::test]
async fn json_that_no_record_can_hold_is_a_bad_row_in_a_list_and_in_lines() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let large = json!({"name": "x".repeat(5 * MB)}).to_string();
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let rows = [
        r#"{"name": "a"}"#,
        large.as_str(),
        deep.as_str(),
        r#"{"name": "b", "n": 1e400}"#,
        r#"{"name": "\ud800"}"#,
        "7",
        r#"{"name": "z"}"#,
    ];
    let list = rows.join(",");
    let mut fresh = 2;
    for (name, content) in [
        ("a.json", format!("[{list}]")),
        ("b.json", format!("{{\"records\": [{list}]}}")),
        ("a.ndjson", rows.join("\n")),
    ] {
        let answer = send(&client, name, content).await;

        assert_eq!(taken(&answer), [7, fresh, 5, 2 - fresh], "{name}");
        let body = answer.json();
        let errors = body["errors"].as_array().expect("a list").iter();
        let told: Vec<Value> = errors
            .map(|error| json!([error["row"], error["error_type"]]))
            .collect();
        let expected = json!([
            [2, "too_large"],
            [3, "too_deep"],
            [4, "json_invalid"],
            [5, "json_invalid"],
            [6, "model_attributes_type"],
        ]);
        assert_eq!(json!(told), expected, "{name}");
        fresh = 0;
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 2);
}

#[tokio::test]
async fn a_json_file_of_nothing_but_harm_is_a_bad_row_or_refused_whole() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let large = json!({"name": "x".repeat(5 * MB)}).to_string();
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let nested = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    for (content, kind) in [
        (large, "too_large"),
        (deep, "too_deep"),
        (nested, "too_deep"),
        (
            "[{\"name\": \"b\", \"n\": 1e400}]".to_owned(),
            "json_invalid",
        ),
        ("[{\"name\": \"\\ud800\"}]".to_owned(), "json_invalid"),
    ] {
        let answer = send(&client, "a.json", content).await;
        assert_eq!(taken(&answer), [1, 0, 1, 0], "{kind}");
        let body = answer.json();
        assert_eq!(body["status"], "failed", "{kind}");
        assert_eq!(body["errors"][0]["error_type"], kind);
    }
    for (content, kind) in [
        ("7", "json_shape"),
        ("\"name\"", "json_shape"),
        ("true", "json_shape"),
        ("NaN", "json_invalid"),
        ("[NaN]", "json_invalid"),
        ("[{\"name\": \"a\",}]", "json_invalid"),
        ("[{\"name\": \"a\"},]", "json_invalid"),
        ("[{\"name\": \"a\"}", "json_invalid"),
    ] {
        let answer = send(&client, "a.json", content).await;
        assert_faults(&answer, &[(FILE, kind)]);
    }
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn fifty_megabytes_are_taken_and_one_byte_more_is_told_the_other_way() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Enterprise).await;
    let row = r#"{"name": "Bolt"}"#;
    let file = |bytes: usize| format!("[{row}{}]", " ".repeat(bytes - row.len() - 2));

    let answer = post_file(&client, "a.json", file(50 * MB)).await;
    assert_eq!(taken(&answer), [1, 1, 0, 0]);

    let answer = post_file(&client, "a.json", file(50 * MB + 1)).await;
    assert_eq!(
        answer.status,
        StatusCode::PAYLOAD_TOO_LARGE,
        "{}",
        answer.text
    );
    let detail = answer.detail();
    let detail = detail.as_str().expect("a sentence");
    assert!(detail.contains("50 MB"), "{detail}");
    assert!(detail.contains("POST /portal/uploads"), "{detail}");
}

#[tokio::test]
async fn one_record_beyond_the_plan_is_refused_in_every_format_and_none_is_written() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let rows = (0..51).map(|n| json!({"name": format!("Part {n}"), "n": n}));
    let objects: Vec<_> = rows.filter_map(|row| row.as_object().cloned()).collect();
    for (name, content) in files(&objects) {
        let answer = send(&client, name, content).await;
        assert_eq!(
            answer.status,
            StatusCode::PAYMENT_REQUIRED,
            "{name}: {}",
            answer.text
        );
        assert_untouched(&app, &client.tenant).await;
    }
    assert_no_upload(&client).await;
    for (name, content) in files(&objects[1..]) {
        let [submitted, accepted, _, skipped] = taken(&send(&client, name, content).await);
        assert_eq!((submitted, accepted + skipped), (50, 50), "{name}");
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 50);
}
