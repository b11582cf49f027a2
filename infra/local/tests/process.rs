//! The built `portal-local` as a process: how it starts, what survives, how it ends.

#[expect(dead_code, reason = "each test takes what it needs of it")]
mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use common::{Server, command, form, upload};

/// How long a server may take for what it is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// The names of all records of a collection, page by page, and the total that each page told.
fn names(server: &Server, collection: &str) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    loop {
        let offset = names.len();
        let page = server.get(&format!(
            "/portal/records?collection={collection}&limit=100&offset={offset}"
        ));
        let items = page["items"].as_array().expect("items");
        names.extend(items.iter().map(|item| {
            assert!(
                item["collection_data"]["text"].is_string(),
                "half a record: {item}"
            );
            item["name"].as_str().expect("a name").to_owned()
        }));
        if items.is_empty() {
            let total = page["total"].as_u64().expect("a total");
            return (names, usize::try_from(total).expect("a total"));
        }
    }
}

/// All that a tenant has. What is counted month by month is that of one month, which may end
/// between two looks.
fn everything(server: &Server, month: &str) -> Vec<Value> {
    let paths = [
        "/portal/account".to_owned(),
        "/portal/collections".to_owned(),
        format!("/portal/usage?period={month}"),
        format!("/portal/analytics?period={month}"),
        "/portal/quickstart".to_owned(),
        "/portal/records?collection=things".to_owned(),
    ];
    paths.iter().map(|path| server.get(path)).collect()
}

/// Where a server is.
fn host(server: &Server) -> &str {
    let rest = server.api.strip_prefix("http://").expect("its address");
    rest.split('/').next().expect("a host")
}

/// Begins an upload whose body has so many bytes, and waits until they are asked for: whoever serves
/// it is about to read them then.
fn begin_upload(server: &Server, collection: &str, length: usize) -> TcpStream {
    const GO_ON: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    let (host, token) = (host(server), &server.token);
    let head = format!(
        "POST /api/v1/portal/upload/{collection}/product/upload HTTP/1.1\r\n\
         Host: {host}\r\n\
         Authorization: Bearer {token}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {length}\r\n\
         Expect: 100-continue\r\n\
         Connection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(host).expect("the server");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream.write_all(head.as_bytes()).expect("a head");
    let mut told = [0; GO_ON.len()];
    stream.read_exact(&mut told).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&told), GO_ON);
    stream
}

fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output: Output = command(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("the binary");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text
}

#[test]
fn everything_survives_a_restart() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path());
    let uploaded = server
        .upload("things", "name,text\nBolt,b\nNut,n\n")
        .unwrap();
    assert_eq!(uploaded["summary"]["accepted"], 2);
    let usage = server.get("/portal/usage");
    let month = usage["period"].as_str().unwrap();
    let before = everything(&server, month);
    let token = server.token.clone();
    assert_eq!(server.stop(), Some(0));

    let mut server = Server::start(folder.path());
    server.token = token;
    assert_eq!(everything(&server, month), before);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_kill_in_the_middle_of_an_upload_leaves_no_trace_that_counts_wrong() {
    let folder = TempDir::new().unwrap();
    let rows: Vec<String> = (0..4_000)
        .map(|n| format!("Thing {n},text {n},{n}"))
        .collect();
    let csv = format!(
        "name,text,source_id
{}
",
        rows.join(
            "
"
        )
    );
    let mut cut_short = 0;
    for round in 0..6 {
        let server = Server::start(folder.path());
        let (api, token, file) = (server.api.clone(), server.token.clone(), csv.clone());
        let collection = format!("round{round}");
        let name = collection.clone();
        let uploading = thread::spawn(move || upload(&api, &token, &name, &file));
        thread::sleep(Duration::from_millis(60 + 90 * round));
        server.kill();
        let answered = uploading.join().unwrap().is_some();

        let server = Server::start(folder.path());
        let collections = server.get("/portal/collections");
        let counted = collections["collections"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["name"] == json!(collection))
            .map_or(0, |row| row["total_records"].as_u64().unwrap());
        if counted > 0 {
            let (mut listed, total) = names(&server, &collection);
            assert_eq!(listed.len() as u64, counted);
            assert_eq!(total as u64, counted);
            listed.sort();
            listed.dedup();
            assert_eq!(listed.len() as u64, counted, "a record twice");
        }
        assert!(
            !answered || counted == 4_000,
            "an answered upload lost rows"
        );
        cut_short += u32::from(counted < 4_000);

        let again = server.upload(&collection, &csv).unwrap();
        assert_eq!(again["summary"]["accepted"], 4_000 - counted);
        assert_eq!(again["summary"]["dedup_skipped"], counted);
        assert_eq!(names(&server, &collection).0.len(), 4_000);
        let usage = server.get("/portal/usage");
        assert_eq!(usage["records"]["used"], 4_000 * (round + 1));
        assert_eq!(server.stop(), Some(0));
    }
    assert!(
        cut_short > 0,
        "no round was cut short: the test shows nothing"
    );
}

#[test]
fn a_signal_lets_a_running_upload_end() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path());
    let rows: Vec<String> = (0..3_000).map(|n| format!("Thing {n},t")).collect();
    let csv = format!(
        "name,text
{}
",
        rows.join(
            "
"
        )
    );
    let form = form(&csv);
    let (first, rest) = form.split_at(form.len() / 2);
    let mut uploading = begin_upload(&server, "things", form.len());
    uploading.write_all(first.as_bytes()).unwrap();
    server.signal("-TERM");
    // Once the signal has arrived, nobody else is let in.
    let signalled = Instant::now();
    while TcpStream::connect(host(&server)).is_ok() {
        assert!(signalled.elapsed() < PATIENCE, "it goes on");
        thread::sleep(Duration::from_millis(10));
    }
    uploading.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    uploading.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 201 "), "{answer}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["summary"]["accepted"], 3_000);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));

    let mut server = Server::start(folder.path());
    assert_eq!(server.get("/portal/usage")["records"]["used"], 3_000);
    server.signal("-INT");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_work_is_one_clear_line() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();

    let line = refused(&["--addr", &port, "--memory"], &[]);
    assert!(line.contains(&port) && line.contains("in use"), "{line}");
    let arguments = [
        "--addr",
        "127.0.0.1:0",
        "--memory",
        "--dynamodb-addr",
        &port,
    ];
    let line = refused(&arguments, &[]);
    assert!(line.contains(&port) && line.contains("in use"), "{line}");

    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let line = refused(&["--data-dir", file.to_str().unwrap()], &[]);
    assert!(
        line.contains("data folder") && line.contains("file"),
        "{line}"
    );

    let secret = "no-more-than-28-bytes-of-it!";
    let line = refused(&["--data-dir", data], &[("JWT_SECRET", secret)]);
    assert!(
        line.contains("JWT_SECRET") && line.contains("28 bytes"),
        "{line}"
    );
    assert!(!line.contains(secret));
    let line = refused(&["--memory"], &[("DEFAULT_PLAN", "gold")]);
    assert!(line.contains("DEFAULT_PLAN"), "{line}");
    let line = refused(&["--memory"], &[("RATE_LIMIT_ENABLED", "perhaps")]);
    assert!(line.contains("RATE_LIMIT_ENABLED"), "{line}");

    let server = Server::start(folder.path());
    let line = refused(&["--addr", "127.0.0.1:0", "--data-dir", data], &[]);
    assert!(line.contains("another portal-local"), "{line}");
    assert_eq!(server.stop(), Some(0));

    std::fs::write(
        folder.path().join("portal.db"),
        "this is no database, whatever its name says",
    )
    .unwrap();
    let line = refused(&["--addr", "127.0.0.1:0", "--data-dir", data], &[]);
    assert!(line.contains("portal.db"), "{line}");
}

#[test]
fn the_kept_secret_is_for_its_owner_alone_and_signs_the_next_token() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let server = Server::start(folder.path());
    let mode = std::fs::metadata(folder.path().join("jwt-secret"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let token = |more: &[&str]| {
        let mut arguments = vec![
            "token",
            "--tenant",
            "t_x",
            "--user",
            "u_x",
            "--data-dir",
            data,
        ];
        arguments.extend(more);
        let output = command(&arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let status = |token: &str, method: &str| {
        let url = format!("{}/portal/account", server.api);
        let bearer = format!("Bearer {token}");
        let answer = match method {
            "GET" => ureq::get(url).header("Authorization", bearer).call(),
            _ => ureq::patch(url)
                .header("Authorization", bearer)
                .send_json(json!({})),
        };
        match answer {
            Ok(answer) => answer.status().as_u16(),
            Err(ureq::Error::StatusCode(status)) => status,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(status(&token(&[]), "PATCH"), 200);
    let viewer = token(&["--role", "viewer", "--expires", "5m"]);
    assert_eq!(status(&viewer, "GET"), 200);
    assert_eq!(status(&viewer, "PATCH"), 403);
    assert_eq!(status("x.y.z", "GET"), 401);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_plan_is_set_while_the_folder_is_served_and_while_it_is_not() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let set = |plan: &str| {
        let arguments = ["plan", "--tenant", "t_demo", plan, "--data-dir", data];
        let output = command(&arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    set("scale");
    let server = Server::start(folder.path());
    assert_eq!(server.get("/portal/usage")["plan"], "scale");
    set("free");
    assert_eq!(server.get("/portal/usage")["plan"], "free");
    assert_eq!(server.stop(), Some(0));
    set("enterprise");
    let server = Server::start(folder.path());
    assert_eq!(server.get("/portal/usage")["plan"], "enterprise");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_demo_catalogue_is_there_once_however_often_it_is_loaded() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    for _ in 0..2 {
        let arguments = [
            "serve",
            "--addr",
            "127.0.0.1:0",
            "--dynamodb-addr",
            "off",
            "--data-dir",
            data,
            "--demo",
        ];
        let server = Server::run(command(&arguments));
        assert_eq!(server.get("/portal/collections")["total_records"], 80);
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn other_programs_reach_the_same_table() {
    let arguments = [
        "--addr",
        "127.0.0.1:0",
        "--memory",
        "--dynamodb-addr",
        "127.0.0.1:0",
    ];
    let server = Server::run(command(&arguments));
    let line = server
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("DynamoDB"))
        .unwrap();
    let arguments = [
        "plan",
        "--tenant",
        "t_demo",
        "free",
        "--endpoint",
        line.trim(),
    ];
    assert!(command(&arguments).status().unwrap().success());
    assert_eq!(server.get("/portal/usage")["plan"], "free");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path());
    let mut idle = TcpStream::connect(host(&server)).unwrap();
    let request = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n";
    idle.write_all(request).unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let started = Instant::now();
    assert_eq!(server.stop(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(30));
}
