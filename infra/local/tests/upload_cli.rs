//! `portal-local upload` as a process: what it prints, and what it ends with.

#[expect(dead_code, reason = "each test takes what it needs of it")]
mod common;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use common::{Server, command};

/// How long a watched file may take to be uploaded.
const PATIENCE: Duration = Duration::from_mins(1);

/// What an upload ended with and printed.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    /// The number of a line such as `accepted   1,234`.
    fn count(&self, name: &str) -> u64 {
        let line = self.out.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {self:?}"));
        line.trim().replace(',', "").parse().expect("a number")
    }

    fn counts(&self) -> [u64; 4] {
        ["submitted", "accepted", "rejected", "dedup_skipped"].map(|name| self.count(name))
    }
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{:?}\n{}\n{}", self.code, self.out, self.err)
    }
}

fn upload(file: &Path, url: &str, more: &[&str]) -> Ended {
    let output = line(file, url, more).output().expect("the binary");
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

fn line(file: &Path, url: &str, more: &[&str]) -> Command {
    let file = file.to_str().expect("a path");
    let mut arguments = vec!["upload", file, "--collection", "parts", "--type", "product"];
    arguments.extend(["--url", url]);
    arguments.extend(more);
    command(&arguments)
}

/// A file in a folder that is not the data folder.
fn file(folder: &TempDir, name: &str, content: &str) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("a file");
    path
}

#[test]
fn a_good_file_is_taken_and_found_by_whoever_has_the_data_folder() {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::start(data.path());
    let folder = data.path().to_str().unwrap();
    let csv = file(&files, "my parts.csv", "title,price\nBolt,1.5\nNut,2\n");
    let more = ["--data-dir", folder, "--name-column", "title"];
    let ended = upload(&csv, &server.api, &more);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.counts(), [2, 2, 0, 0]);
    assert!(ended.out.starts_with("my parts.csv: complete in "));
    assert_eq!(ended.err, "", "it is quiet where there is no terminal");
    let records = server.get("/portal/records?collection=parts");
    assert_eq!(records["total"], 2);

    // With a token of whoever calls, the folder is of no interest.
    let mut again = line(&csv, &server.api, &["--name-column", "title"]);
    let output = again.env("PORTAL_TOKEN", &server.token).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("dedup_skipped             2"), "{out}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn rejected_rows_are_told_and_end_with_1() {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::start(data.path());
    let mut csv = "name,price\nBolt,1\n".to_owned();
    for n in 0..15 {
        let _ = writeln!(csv, ",{n}");
    }
    let csv = file(&files, "parts.csv", &csv);
    let ended = upload(&csv, &server.api, &["--token", &server.token]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.counts(), [16, 1, 15, 0]);
    let told = ended.out.lines().filter(|line| line.starts_with("row "));
    assert_eq!(told.count(), 10);
    assert!(ended.out.contains("\nrow 2, name: "), "{ended:?}");
    assert!(
        ended.out.contains("\nand 5 more rejected rows"),
        "{ended:?}"
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_refused_file_is_told_in_the_services_words_and_ends_with_1() {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::start(data.path());
    let csv = file(&files, "parts.csv", "title\nBolt\n");
    let ended = upload(&csv, &server.api, &["--token", &server.token]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.starts_with("portal-local: name_column: "));
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    assert_eq!(ended.out, "");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_cannot_be_sent_is_one_clear_line_and_ends_with_2() {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::start(data.path());
    let csv = file(&files, "parts.csv", "name\nBolt\n");
    let token = ["--token", server.token.as_str()];
    // A port that no test is ever given.
    let nobody = "http://127.0.0.1:1";
    let other = files.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let other = ["--data-dir", other.to_str().unwrap()];
    for (ended, words) in [
        (upload(&csv, nobody, &token), nobody),
        (
            upload(&files.path().join("none.csv"), &server.api, &token),
            "none.csv",
        ),
        (upload(files.path(), &server.api, &token), "not a file"),
        (
            upload(&csv, &server.api, &["--token", "x.y.z"]),
            "Invalid or expired token",
        ),
        (upload(&csv, &server.api, &other), "--data-dir"),
        (
            upload(&csv, &server.api, &["--data-dir", "/nowhere"]),
            "/nowhere",
        ),
    ] {
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.starts_with("portal-local: "), "{ended:?}");
        assert!(ended.err.contains(words), "{words}: {ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
        assert_eq!(ended.out, "");
    }
    assert_eq!(server.stop(), Some(0));
}

/// Reads a request to its end.
fn read_request(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
}

#[test]
fn a_service_that_is_busy_is_asked_again_when_it_says() {
    const TAKEN: &str = r#"{"upload_id": "u", "status": "complete", "errors": [], "summary":
        {"submitted": 1, "accepted": 1, "rejected": 0, "dedup_skipped": 0}}"#;
    let files = TempDir::new().unwrap();
    let csv = file(&files, "parts.csv", "name\nBolt\n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = thread::spawn(move || {
        for (status, body) in [
            ("429 Too Many Requests\r\nRetry-After: 1", "{}"),
            ("503 Service Unavailable\r\nRetry-After: 1", "{}"),
            ("201 Created", TAKEN),
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            read_request(&stream);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let started = Instant::now();
    let ended = upload(&csv, &url, &["--token", "t"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(started.elapsed() >= Duration::from_secs(2));
    service.join().unwrap();
}

#[test]
fn a_watched_file_is_sent_again_when_it_has_changed() {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::start(data.path());
    let csv = file(&files, "parts.csv", "name\nBolt\n");
    let mut watching = line(&csv, &server.api, &["--token", &server.token, "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(watching.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let accepted = |count: u64| {
        loop {
            let line = lines.recv_timeout(PATIENCE).expect("an upload");
            if let Some(number) = line.strip_prefix("accepted") {
                assert_eq!(number.trim().parse::<u64>(), Ok(count));
                break;
            }
        }
    };
    accepted(1);
    file(&files, "parts.csv", "name\nBolt\nNut\nScrew\n");
    accepted(2);
    let interrupt = ["-INT".to_owned(), watching.id().to_string()];
    assert!(
        Command::new("kill")
            .args(interrupt)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(watching.wait().unwrap().code(), Some(0));
    assert_eq!(server.get("/portal/records?collection=parts")["total"], 3);
    assert_eq!(server.stop(), Some(0));
}

/// Over 50 MB the file goes to an address of its own, and is processed in the background.
#[test]
fn a_large_file_takes_the_other_way_to_the_same_end() {
    const ROWS: usize = 1_250;
    const DIFFERENT: usize = 25;
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::start(data.path());
    let path = files.path().join("parts.ndjson");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    let note = "x".repeat(45_000);
    for row in 0..ROWS {
        let number = row % DIFFERENT;
        writeln!(
            out,
            "{{\"name\": \"Part {number}\", \"sku\": \"S-{number}\", \"note\": \"{note}\"}}"
        )
        .unwrap();
    }
    writeln!(out, "{{\"sku\": \"nameless\"}}").unwrap();
    out.into_inner().unwrap().sync_all().unwrap();
    assert!(path.metadata().unwrap().len() > 50 * 1024 * 1024);

    let ended = upload(&path, &server.api, &["--token", &server.token]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let (rows, different) = (ROWS as u64, DIFFERENT as u64);
    assert_eq!(ended.counts(), [rows + 1, different, 1, rows - different]);
    let told = format!("\nrow {}, name: ", rows + 1);
    assert!(ended.out.contains(&told), "{ended:?}");
    assert_eq!(
        server.get("/portal/records?collection=parts")["total"],
        different
    );
    assert_eq!(server.stop(), Some(0));
}
