//! A large file by an address of its own, through a process that is killed twice on the way: every
//! count is exact in the end.
//!
//! `LARGE_BYTES` says how large the file of the ignored test is (1,000,000,000). It is for a fast
//! build: `cargo test --profile measure -p portal-local --test large -- --ignored --nocapture`.

#[expect(dead_code, reason = "each test takes what it needs of it")]
mod common;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use common::{Server, command};

const TENANT: &str = "t_demo";

/// About as many bytes has a row.
const ROW: u64 = 600;

/// So many rows lie between a row and its repetition, where there are as many before it.
const FAR: u64 = 250_001;

/// Rows that are counted together before the count is told.
const PART: u64 = 100_000;

/// How often an upload is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long an upload may take.
const PATIENCE: Duration = Duration::from_hours(1);

/// What a row is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A record of its own.
    New,
    /// The same as a row before.
    Again(u64),
    /// No record: it has no name.
    Bad,
}

fn kind(row: u64) -> Kind {
    match row % 10 {
        0 if row.is_multiple_of(50) => Kind::Bad,
        // Both are as a row whose number ends in 2.
        3 if row > FAR => Kind::Again(row - FAR),
        3 => Kind::Again(row - 1),
        7 => Kind::Again(row - 5),
        _ => Kind::New,
    }
}

fn sku(row: u64) -> String {
    format!("L-{row:09}")
}

/// Every other row has an identity of its source, the rest their content.
fn line(row: u64) -> String {
    const WORDS: [&str; 8] = [
        "bearing", "flange", "gasket", "housing", "piston", "spindle", "valve", "washer",
    ];
    let row = match kind(row) {
        Kind::New => row,
        Kind::Again(before) => before,
        Kind::Bad => return json!({"sku": sku(row)}).to_string(),
    };
    let mut text = String::new();
    let mut bits = row.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while text.len() < 535 {
        bits ^= bits >> 29;
        bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        text += WORDS[usize::try_from(bits >> 61).expect("three bits")];
        text.push(' ');
    }
    let mut line = json!({
        "name": format!("Part {row}"),
        "sku": sku(row),
        "price": row % 1_000,
        "text": text,
    });
    if (row / 2).is_multiple_of(2) {
        line["source_id"] = json!(format!("part-{row}"));
    }
    line.to_string()
}

/// Writes a file of so many rows and returns its size.
fn write(path: &Path, rows: u64) -> u64 {
    let mut out = BufWriter::new(File::create(path).expect("a file"));
    for row in 1..=rows {
        writeln!(out, "{}", line(row)).expect("a row");
    }
    let file = out.into_inner().expect("a whole file");
    file.metadata().expect("its size").len()
}

/// How many rows are to be accepted, rejected and skipped.
fn counts(rows: u64) -> [u64; 3] {
    let mut counts = [0; 3];
    for row in 1..=rows {
        let at = match kind(row) {
            Kind::New => 0,
            Kind::Bad => 1,
            Kind::Again(_) => 2,
        };
        counts[at] += 1;
    }
    counts
}

fn lift_the_caps(data: &Path) {
    let data = data.to_str().expect("a path");
    let arguments = ["plan", "--tenant", TENANT, "enterprise", "--data-dir", data];
    let output = command(&arguments).output().expect("the binary");
    assert!(output.status.success(), "{output:?}");
}

/// Announces a file, puts it to its address, and returns the path of the upload.
fn send(server: &Server, file: &Path, size: u64) -> String {
    let announced = server.post(
        "/portal/uploads",
        &json!({
            "collection": "parts",
            "record_type": "product",
            "file_name": "parts.ndjson",
            "size_bytes": size,
        }),
    );
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut request = ureq::put(text(&announced["url"]));
    for (name, value) in announced["headers"].as_object().expect("headers") {
        // The client says the length itself.
        if !name.eq_ignore_ascii_case("content-length") {
            request = request.header(name, text(value));
        }
    }
    let sent = request.send(File::open(file).expect("the file"));
    assert!(sent.expect("an answer").status().is_success());
    format!("/portal/uploads/{}", text(&announced["upload_id"]))
}

/// Waits until something holds for an upload, and returns it.
fn wait(server: &Server, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let job = server.get(path);
        if holds(&job) {
            return job;
        }
        assert!(Instant::now() < give_up, "it does not go on: {job}");
        thread::sleep(LOOK);
    }
}

fn is_over(job: &Value) -> bool {
    job["status"] == "complete" || job["status"] == "failed"
}

/// The rows of all errors, page by page.
fn rejected(server: &Server, path: &str) -> Vec<u64> {
    let mut rows = Vec::new();
    let mut page = format!("{path}/errors?limit=100");
    loop {
        let answer = server.get(&page);
        for error in answer["errors"].as_array().expect("errors") {
            assert_eq!(error["field"], "name", "{error}");
            rows.push(error["row"].as_u64().expect("a row"));
        }
        let Some(cursor) = answer["cursor"].as_str() else {
            assert_eq!(answer["has_more"], false, "{answer}");
            return rows;
        };
        page = format!("{path}/errors?limit=100&cursor={cursor}");
    }
}

/// Uploads so many bytes, and kills the server where about a quarter and half of the rows are done.
fn survive(bytes: u64) {
    let rows = bytes / ROW;
    let [accepted, rejected_rows, skipped] = counts(rows);
    assert!(accepted > 0 && rejected_rows > 0 && skipped > 0);
    let (data, files) = (
        TempDir::new().expect("a good one"),
        TempDir::new().expect("a good one"),
    );
    let file = files.path().join("parts.ndjson");
    let size = write(&file, rows);
    println!("{size} bytes, {rows} rows");
    lift_the_caps(data.path());

    let mut server = Server::start(data.path());
    let started = Instant::now();
    let path = send(&server, &file, size);
    println!("sent after {:.1} s", started.elapsed().as_secs_f64());
    std::fs::remove_file(&file).expect("a good one");
    for (number, pause) in [(1, 100), (2, 400)] {
        // Of few rows none is told as done until all are.
        let done = rows * number / 4 / PART * PART;
        let job = wait(&server, &path, |job| {
            let there = job["progress"]["rows"].as_u64().expect("rows") >= done;
            is_over(job) || (job["status"] == "processing" && there)
        });
        assert!(!is_over(&job), "too early an end: {job}");
        // Into the middle of a part.
        thread::sleep(Duration::from_millis(pause));
        server.kill();
        server = Server::start(data.path());
        let job = server.get(&path);
        assert_eq!(job["status"], "processing", "nothing was cut short: {job}");
        let at = started.elapsed().as_secs_f64();
        println!("killed after {at:.1} s, at {}", job["progress"]);
    }
    let job = wait(&server, &path, is_over);
    println!("over after {:.1} s", started.elapsed().as_secs_f64());
    assert_eq!(job["status"], "complete", "{job}");
    let summary = json!({
        "submitted": rows,
        "accepted": accepted,
        "rejected": rejected_rows,
        "dedup_skipped": skipped,
    });
    assert_eq!(job["summary"], summary, "{job}");
    let progress = &job["progress"];
    assert_eq!(progress["rows"], rows, "{job}");
    assert_eq!(progress["bytes"], size, "{job}");
    assert_eq!(progress["total_bytes"], size, "{job}");

    let bad: Vec<u64> = (1..=rows).filter(|row| kind(*row) == Kind::Bad).collect();
    assert!(rejected(&server, &path) == bad, "other errors are listed");
    let collections = server.get("/portal/collections");
    assert_eq!(collections["total_records"], accepted, "{collections}");
    assert_eq!(server.get("/portal/usage")["records"]["used"], accepted);
    for share in 0..=8 {
        let mut row = 1 + (rows - 1) * share / 8;
        while kind(row) != Kind::New {
            row -= 1;
        }
        let body = json!({"query": sku(row), "limit": 5});
        let found = server.post("/portal/search/parts", &body);
        let results = found["results"].as_array().expect("results");
        assert_eq!(results.len(), 1, "row {row}: {found}");
        assert_eq!(results[0]["collection_data"]["sku"], sku(row));
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_file_is_counted_exactly_though_the_process_is_killed_twice() {
    survive(5_000_000);
}

#[test]
#[ignore = "it takes minutes, and a release build"]
fn a_large_file_is_counted_exactly_though_the_process_is_killed_twice() {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever runs the test says how large"
    )]
    let bytes = std::env::var("LARGE_BYTES").ok();
    survive(bytes.map_or(1_000_000_000, |bytes| bytes.parse().expect("a number")));
}

#[test]
fn what_is_repeated_was_a_row_of_its_own() {
    for row in (1..2_000).chain(FAR..FAR + 2_000) {
        if let Kind::Again(before) = kind(row) {
            assert_eq!(kind(before), Kind::New, "{row}");
            assert_eq!(line(row), line(before));
        }
    }
    let length: usize = (1..=1_000).map(|row| line(row).len() + 1).sum();
    assert!((550_000..650_000).contains(&length), "{length}");
}
