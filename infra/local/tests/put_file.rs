//! A file that is put where the API says: once, whole, and by nobody else.

#[expect(dead_code, reason = "each test takes what it needs of it")]
mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use api::{App, Clock, Config};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use table::Table;
use tempfile::TempDir;
use tower::ServiceExt;

use common::{Server, command};

const ROWS: usize = 500;
const ORIGIN: &str = "https://dashboard.example.com";

fn csv() -> String {
    let rows = (0..ROWS).map(|row| format!("Part {row}\n"));
    std::iter::once("name\n".to_owned()).chain(rows).collect()
}

/// The announcement of a file of so many bytes.
fn announcement(size: usize) -> Value {
    json!({
        "collection": "parts",
        "record_type": "product",
        "file_name": "parts.csv",
        "size_bytes": size,
    })
}

/// What the API says to it.
fn announce(server: &Server, size: usize) -> Value {
    server.post("/portal/uploads", &announcement(size))
}

fn url(announced: &Value) -> &str {
    announced["url"].as_str().expect("an address")
}

/// The beginning of a request to an address, and a connection to its server.
fn begin(method: &str, url: &str, headers: &[(&str, &str)]) -> TcpStream {
    let rest = url.strip_prefix("http://").expect("a plain address");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut request = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "Connection: close\r\n\r\n";
    let mut stream = TcpStream::connect(host).expect("the server");
    stream.write_all(request.as_bytes()).expect("a request");
    stream
}

/// Sends a request and returns status, head and body of the answer.
fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, String) {
    let mut stream = begin(method, url, headers);
    // Whoever refuses may have hung up by now.
    let _ = stream.write_all(body.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (
        status.parse().expect("a number"),
        head.to_owned(),
        body.to_owned(),
    )
}

/// Puts a file as it was announced.
fn put(announced: &Value, file: &str) -> u16 {
    let length = file.len().to_string();
    let headers = [("Content-Length", length.as_str()), ("If-None-Match", "*")];
    let (status, _, body) = send("PUT", url(announced), &headers, file);
    assert_eq!(body.is_empty(), status == 200, "{body}");
    status
}

/// Waits until an upload is over.
fn wait(server: &Server, announced: &Value) -> Value {
    let id = announced["upload_id"].as_str().expect("an id");
    for _ in 0..600 {
        let job = server.get(&format!("/portal/uploads/{id}"));
        if job["status"] == "complete" || job["status"] == "failed" {
            return job;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("the upload does not end");
}

fn assert_complete(server: &Server, announced: &Value) {
    let job = wait(server, announced);
    assert_eq!(job["status"], "complete", "{job}");
    assert_eq!(job["summary"]["submitted"], ROWS, "{job}");
}

/// The files of the tenant.
fn files(data: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(data.join("uploads/t_demo")) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.into_string().expect("a name"))
        .collect()
}

fn run(mode: &[&str]) -> Server {
    let arguments = ["--addr", "127.0.0.1:0", "--dynamodb-addr", "off"];
    let mut command = command(&[&arguments[..], mode].concat());
    command.env("CORS_ALLOWED_ORIGINS", ORIGIN);
    Server::run(command)
}

#[test]
fn a_file_is_taken_once_and_becomes_records() {
    let data = TempDir::new().unwrap();
    for mode in [
        &["--memory"][..],
        &["--data-dir", data.path().to_str().unwrap()],
    ] {
        let server = run(mode);
        let file = csv();
        let announced = announce(&server, file.len());
        assert_eq!(put(&announced, &file), 200);
        assert_eq!(put(&announced, &file), 412);
        assert_complete(&server, &announced);
        let found = server.post("/portal/search/parts", &json!({"query": "part 7"}));
        assert!(
            found["metadata"]["total_estimate"].as_u64() > Some(0),
            "{found}"
        );
        assert_eq!(server.stop(), Some(0));
    }
    assert_eq!(files(data.path()).len(), 1);
}

#[test]
fn what_is_not_as_it_was_signed_is_refused() {
    let server = run(&["--memory"]);
    let announced = announce(&server, 5);
    let good = url(&announced);
    let (length, once) = (("Content-Length", "5"), ("If-None-Match", "*"));
    let unsigned = "The address is not signed for this file";
    for (url, headers, status, detail) in [
        (
            good.replace("size=5", "size=6"),
            vec![("Content-Length", "6"), once],
            403,
            unsigned,
        ),
        (
            good.replace("t_demo", "t_other"),
            vec![length, once],
            403,
            unsigned,
        ),
        (
            good.replace("t_demo", "t%20demo"),
            vec![length, once],
            403,
            unsigned,
        ),
        (
            good.replace("signature=", "signature=0"),
            vec![length, once],
            403,
            unsigned,
        ),
        (
            good.replace("signature=", "x="),
            vec![length, once],
            403,
            unsigned,
        ),
        (
            good.to_owned(),
            vec![("Transfer-Encoding", "chunked"), once],
            411,
            "Content-Length is needed",
        ),
        (
            good.to_owned(),
            vec![("Content-Length", "6"), once],
            403,
            "The address is signed for a file of 5 bytes",
        ),
        (
            good.to_owned(),
            vec![length],
            403,
            "The address is signed for If-None-Match: *",
        ),
    ] {
        let answer = send("PUT", &url, &headers, "name\n");
        let body: Value = serde_json::from_str(&answer.2).expect("JSON");
        assert_eq!(
            (answer.0, body),
            (status, json!({"detail": detail})),
            "{url}"
        );
    }
    let (status, _, body) = send("POST", good, &[length, once], "name\n");
    assert_eq!(
        (status, body.as_str()),
        (405, r#"{"detail":"Method not allowed"}"#)
    );
    assert_eq!(put(&announced, "name\n"), 200);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_page_that_may_call_may_put() {
    let server = run(&["--memory"]);
    let file = csv();
    let announced = announce(&server, file.len());
    let preflight = [
        ("Origin", ORIGIN),
        ("Access-Control-Request-Method", "PUT"),
        (
            "Access-Control-Request-Headers",
            "content-type,if-none-match",
        ),
    ];
    let (status, head, _) = send("OPTIONS", url(&announced), &preflight, "");
    let head = head.to_lowercase();
    assert_eq!(status, 200, "{head}");
    for allowed in [
        format!("access-control-allow-origin: {ORIGIN}"),
        "access-control-allow-methods: put".to_owned(),
        "access-control-allow-headers: content-length,content-type,if-none-match".to_owned(),
    ] {
        assert!(head.contains(&allowed), "{head}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_file_that_was_cut_off_leaves_nothing_and_may_be_sent_again() {
    let data = TempDir::new().unwrap();
    let folder = ["--data-dir", data.path().to_str().unwrap()];
    let server = run(&folder);
    let file = csv();
    let announced = announce(&server, file.len());
    let length = file.len().to_string();
    let headers = [("Content-Length", length.as_str()), ("If-None-Match", "*")];
    let begun = || {
        let mut stream = begin("PUT", url(&announced), &headers);
        stream.write_all(&file.as_bytes()[..100]).expect("a part");
        for _ in 0..1_200 {
            let names = files(data.path());
            if names.iter().any(|name| name.contains(".draft")) {
                return stream;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("no draft");
    };
    drop(begun());
    for _ in 0..1_200 {
        if files(data.path()).is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(files(data.path()), [""; 0]);

    let stream = begun();
    server.kill();
    drop(stream);
    assert_eq!(files(data.path()).len(), 1);
    let server = run(&folder);
    assert_eq!(files(data.path()), [""; 0]);
    // The port is another one now, and the address is good for it too.
    let (_, after) = url(&announced).split_once("/local/").expect("a path");
    let base = server.api.strip_suffix("/api/v1").expect("the API's path");
    let moved = format!("{base}/local/{after}");
    let (status, _, body) = send("PUT", &moved, &headers, &file);
    assert_eq!(status, 200, "{body}");
    assert_complete(&server, &announced);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_file_that_arrived_before_a_crash_is_ingested_after_it() {
    let data = TempDir::new().unwrap();
    let folder = ["--data-dir", data.path().to_str().unwrap()];
    let server = run(&folder);
    let file = csv();
    let announced = announce(&server, file.len());
    assert_eq!(put(&announced, &file), 200);
    server.kill();
    let server = run(&folder);
    assert_complete(&server, &announced);
    assert_eq!(server.stop(), Some(0));
}

/// What `portal-local env` prints of a variable.
fn printed<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = lines.lines();
    let value = lines.find_map(|line| {
        let (of, value) = line.strip_prefix("export ")?.split_once('=')?;
        (of == name).then_some(value)
    });
    value.map(|value| value.trim_matches('\''))
}

/// A function is a process of its own, which knows of the server what `portal-local env` prints.
#[tokio::test]
async fn what_a_function_beside_the_server_announces_the_server_takes_and_ingests() {
    let data = TempDir::new().unwrap();
    let folder = ["--data-dir", data.path().to_str().unwrap()];
    let server = run(&folder);
    let output = command(&[&["env"][..], &folder].concat()).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let endpoint = printed(&lines, "AWS_ENDPOINT_URL_DYNAMODB").unwrap();
    let config = Config::read(|name| printed(&lines, name).map(str::to_owned)).unwrap();
    let table = Table::at_endpoint(endpoint, printed(&lines, "TABLE_NAME").unwrap());
    let store = config.search.open(0, None).unwrap();
    let files = config.open_files(None).unwrap().expect("a store of files");
    let app = App::new(table, Some(store), config, Clock::System, None).with_files(files);

    let file = csv();
    let request = Request::post("/api/v1/portal/uploads")
        .header("Authorization", format!("Bearer {}", server.token))
        .body(Body::from(announcement(file.len()).to_string()));
    let function = api::serve(upload::router(), &app);
    let answer = function.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let announced: Value = serde_json::from_slice(&body).unwrap();

    let base = server.api.strip_suffix("/api/v1").unwrap();
    assert!(url(&announced).starts_with(base), "{announced}");
    assert_eq!(put(&announced, &file), 200);
    assert_complete(&server, &announced);
    assert_eq!(server.stop(), Some(0));
}
