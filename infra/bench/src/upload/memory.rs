//! The memory that an upload needs over that of the idle service.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ureq::http::StatusCode;

use super::Options;
use super::files::{Files, Format, Most, RECORD_TAG, Written};
use crate::portal::{COLLECTION, Client, Memory, Portal};
use crate::stats::{megabytes, rate, thousands, verdict};
use crate::table::Table;

/// A file that goes with the request, and one that does not.
const FILE: u64 = 50_000_000;
const LARGE: u64 = 1_000_000_000;

/// The most that they may need.
const MOST: u64 = 80_000_000;
const MOST_LARGE: u64 = 120_000_000;

/// How long to wait between two looks at an upload.
const PAUSE: Duration = Duration::from_millis(200);

/// What a file needed.
struct Needed {
    written: Written,
    took: Duration,
    /// Memory of the idle service.
    before: Memory,
    /// Memory afterwards, and the most that was needed.
    after: Memory,
}

pub(crate) fn run(options: &Options, files: &Files) -> Result<Table> {
    let columns = [
        "",
        "rows",
        "rows/s",
        "idle",
        "peak",
        "over idle",
        "at most",
        "",
    ];
    let mut table = Table::new(&columns);
    let mut put = |name: String, needed: &Needed, most: u64| {
        let over = needed.after.peak.saturating_sub(needed.before.resident);
        table.row([
            name,
            thousands(needed.written.rows),
            rate(needed.written.rows, needed.took),
            megabytes(needed.before.resident),
            megabytes(needed.after.peak),
            megabytes(over),
            megabytes(most),
            verdict(over <= most).to_owned(),
        ]);
    };
    for format in Format::ALL {
        let needed = with_request(&options.binary, files, format);
        let needed = needed.context(format.name())?;
        let size = megabytes(needed.written.bytes);
        put(format!("{}, {size}", format.name()), &needed, MOST);
    }
    if options.large {
        let needed = by_address(&options.binary, files).context("a large file")?;
        let size = megabytes(needed.written.bytes);
        put(
            format!("NDJSON, {size}, to an address"),
            &needed,
            MOST_LARGE,
        );
    }
    Ok(table)
}

/// Starts a service, lets something upload, and looks at its memory.
fn measure(
    binary: &Path,
    written: Written,
    upload: impl FnOnce(&Client) -> Result<()>,
) -> Result<Needed> {
    let portal = Portal::start(binary)?;
    let client = portal.client();
    // The first answer needs what later ones have.
    client.get("/portal/account")?.expect(StatusCode::OK)?;
    portal.forget_peak()?;
    let before = portal.memory();
    ensure!(before.resident > 0, "the kernel counts no memory");
    let started = Instant::now();
    upload(&client)?;
    let took = started.elapsed();
    Ok(Needed {
        written,
        took,
        before,
        after: portal.memory(),
    })
}

fn with_request(binary: &Path, files: &Files, format: Format) -> Result<Needed> {
    let most = Most {
        rows: u64::MAX,
        bytes: FILE,
    };
    let (text, written) = files.text(format, most)?;
    measure(binary, written, |client| {
        let path = format!("/portal/upload/{COLLECTION}/product/upload?record_tag={RECORD_TAG}");
        let answer = client.upload(&path, format.file_name(), format.kind(), &text)?;
        let answer = answer.expect(StatusCode::CREATED)?;
        let accepted = &answer["summary"]["accepted"];
        ensure!(*accepted == written.rows, "{answer}");
        Ok(())
    })
}

fn by_address(binary: &Path, files: &Files) -> Result<Needed> {
    let most = Most {
        rows: u64::MAX,
        bytes: LARGE,
    };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(Format::Ndjson.file_name());
    let mut out = BufWriter::new(File::create(&path)?);
    let written = files.write(Format::Ndjson, most, &mut out)?;
    out.flush()?;
    measure(binary, written, |client| {
        let announced = json!({
            "collection": COLLECTION,
            "record_type": "product",
            "file_name": Format::Ndjson.file_name(),
            "size_bytes": written.bytes,
        });
        let answer = client.post("/portal/uploads", &announced.to_string())?;
        let announced = answer.expect(StatusCode::CREATED)?;
        let text = |name: &str| announced[name].as_str().context("no address");
        let headers = announced["headers"].as_object().context("no headers")?;
        let sent = client.put(text("url")?, headers, &File::open(&path)?)?;
        ensure!(sent.status.is_success(), "{} for the file", sent.status);
        let job = ended(client, text("upload_id")?)?;
        ensure!(job["summary"]["accepted"] == written.rows, "{job}");
        Ok(())
    })
}

fn ended(client: &Client, upload: &str) -> Result<Value> {
    loop {
        let job = client.get(&format!("/portal/uploads/{upload}"))?;
        let job = job.expect(StatusCode::OK)?;
        match job["status"].as_str() {
            Some("pending" | "processing") => thread::sleep(PAUSE),
            _ => return Ok(job),
        }
    }
}
