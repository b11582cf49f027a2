//! The whole service over HTTP: uploads, searches, lists, and the first search after a restart.

use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use ureq::http::StatusCode;

use crate::catalogue::Catalogue;
use crate::classes::{Class, classes};
use crate::portal::{Answer, COLLECTION, Client, Memory, Portal};
use crate::stats::Durations;

/// The largest file that is uploaded; the service takes 50 MB.
const FILE: usize = 45_000_000;

/// Rows that are made up at once.
const STEP: u64 = 1_000;

/// How often each plain request is made.
const TIMES: usize = 100;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Different queries of a class.
    pub queries: usize,
    /// Requests of a class, after every query was asked once.
    pub requests: usize,
    /// Clients in the second run of each class.
    pub clients: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queries: 40,
            requests: 200,
            clients: 8,
        }
    }
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Report {
    /// The upload.
    pub upload: Upload,
    /// The first search after the upload.
    pub first_search: Duration,
    /// Memory once all searches were done.
    pub searched: Memory,
    /// The classes of queries.
    pub classes: Vec<Searches>,
    /// `GET /portal/account`.
    pub account: Durations,
    /// `GET /portal/records`: the offset and what it took.
    pub lists: Vec<(u64, Durations)>,
    /// Records changed, and found by their change.
    pub change: Change,
    /// The restart.
    pub restart: Restart,
}

/// How a catalogue came in.
#[derive(Debug, Clone, Copy)]
pub struct Upload {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many rows.
    pub rows: u64,
    /// From the first request to the last answer, without what making up the files took.
    pub took: Duration,
    /// Memory of the idle service before.
    pub before: Memory,
    /// Memory afterwards, and the most that was needed.
    pub after: Memory,
    /// Bytes of the data folder afterwards.
    pub disk: u64,
}

/// A class of searches.
#[derive(Debug, Clone)]
pub struct Searches {
    /// The class.
    pub name: &'static str,
    /// All matches of each query, as the service counts them.
    pub totals: Vec<u64>,
    /// Answers that say `cache_hit`: the index was in memory.
    pub warm: usize,
    /// One client.
    pub alone: Closed,
    /// Several.
    pub together: Closed,
}

/// Clients that ask again as soon as they are answered.
#[derive(Debug, Clone)]
pub struct Closed {
    /// How many clients.
    pub clients: usize,
    /// What each request took.
    pub requests: Durations,
    /// What all took.
    pub took: Duration,
}

/// A record changed.
#[derive(Debug, Clone)]
pub struct Change {
    /// The changes.
    pub patch: Durations,
    /// The searches right after them, all of which saw them.
    pub search: Durations,
}

/// A restart of the service with its data.
#[derive(Debug, Clone, Copy)]
pub struct Restart {
    /// Until it served.
    pub ready: Duration,
    /// Its first search.
    pub first: Duration,
    /// Its second.
    pub second: Duration,
    /// Memory after both.
    pub memory: Memory,
}

/// Measures everything, in order, on a service of its own.
pub fn run(binary: &Path, catalogue: &Catalogue, options: Options) -> Result<Report> {
    let mut portal = Portal::start(binary)?;
    let upload = upload(&portal, catalogue).context("upload")?;
    let classes = classes(catalogue, options.queries)?;
    let client = portal.client();
    let probe = &classes[0].queries[0].body.to_string();
    let first_search = search(&client, probe)?.0;
    let mut searches = Vec::new();
    for class in &classes {
        searches.push(self::searches(&portal, class, options).context(class.name)?);
    }
    let searched = portal.memory();
    let account = repeat(&client, "/portal/account")?;
    let mut lists = Vec::new();
    for offset in [0, 50_000.min(catalogue.count() / 2)] {
        let path = format!("/portal/records?collection={COLLECTION}&limit=20&offset={offset}");
        lists.push((offset, repeat(&client, &path)?));
    }
    let change = change(&client, catalogue).context("change")?;
    let ready = portal.restart()?;
    let client = portal.client();
    let restart = Restart {
        ready,
        first: search(&client, probe)?.0,
        second: search(&client, &classes[0].queries[1].body.to_string())?.0,
        memory: portal.memory(),
    };
    Ok(Report {
        upload,
        first_search,
        searched,
        classes: searches,
        account,
        lists,
        change,
        restart,
    })
}

/// Uploads a catalogue as CSV, in as few files as may be.
pub fn upload(portal: &Portal, catalogue: &Catalogue) -> Result<Upload> {
    let client = portal.client();
    // The first answer needs what later ones have.
    client.get("/portal/account")?.expect(StatusCode::OK)?;
    let before = portal.memory();
    let (mut files, mut bytes, mut took) = (0, 0, Duration::ZERO);
    let mut next = 0;
    while next < catalogue.count() {
        let (text, end) = file(catalogue, next)?;
        let path = format!("/portal/upload/{COLLECTION}/product/upload");
        let answer = client.upload(&path, "catalog.csv", "text/csv", &text)?;
        let summary = &answer.expect(StatusCode::CREATED)?["summary"];
        ensure!(
            summary["accepted"] == end - next,
            "rows from {next} to {end}: {summary}"
        );
        files += 1;
        bytes += text.len() as u64;
        took += answer.took;
        next = end;
    }
    Ok(Upload {
        files,
        bytes,
        rows: catalogue.count(),
        took,
        before,
        after: portal.memory(),
        disk: portal.disk()?,
    })
}

/// A file of the products from `first` on that is not too large, and where the next one begins.
fn file(catalogue: &Catalogue, first: u64) -> Result<(String, u64)> {
    let mut text = String::new();
    let mut at = first;
    while at < catalogue.count() {
        let end = (at + STEP).min(catalogue.count());
        let part = catalogue.csv(at..end)?;
        let rows = if at == first {
            &part
        } else {
            part.split_once('\n').context("a CSV without a header")?.1
        };
        if text.len() + rows.len() > FILE {
            break;
        }
        text.push_str(rows);
        at = end;
    }
    Ok((text, at))
}

/// Asks all queries of a class once, then measures one client and several.
pub fn searches(portal: &Portal, class: &Class, options: Options) -> Result<Searches> {
    let bodies: Vec<String> = class
        .queries
        .iter()
        .map(|query| query.body.to_string())
        .collect();
    let client = portal.client();
    let mut totals = Vec::with_capacity(bodies.len());
    for body in &bodies {
        let (_, answer) = search(&client, body)?;
        let total = &answer["metadata"]["total_estimate"];
        totals.push(total.as_u64().context("no total")?);
    }
    let (alone, warm_alone) = closed(portal, &bodies, 1, options.requests)?;
    let (together, warm) = closed(portal, &bodies, options.clients, options.requests)?;
    Ok(Searches {
        name: class.name,
        totals,
        warm: warm_alone + warm,
        alone,
        together,
    })
}

/// So many requests by so many clients, and how many answers came from a cache.
fn closed(
    portal: &Portal,
    bodies: &[String],
    clients: usize,
    requests: usize,
) -> Result<(Closed, usize)> {
    ensure!(clients > 0 && !bodies.is_empty(), "nobody asks, or nothing");
    let each = requests.div_ceil(clients);
    let ready = Barrier::new(clients + 1);
    let one = |number: usize| -> Result<(Vec<Duration>, usize)> {
        let client = portal.client();
        let connected = client.get("/health");
        // Nobody asks before all are connected, and whoever could not connect lets the others go.
        ready.wait();
        connected?;
        let (mut durations, mut warm) = (Vec::with_capacity(each), 0);
        for at in 0..each {
            // Each begins at another place, so that they do not ask the same at the same time.
            let body = &bodies[(number * bodies.len() / clients + at) % bodies.len()];
            let answer = ask(&client, body)?;
            durations.push(answer.took);
            let answer = answer.expect(StatusCode::OK)?;
            warm += usize::from(answer["metadata"]["cache_hit"] == true);
        }
        Ok((durations, warm))
    };
    let (all, took) = thread::scope(|scope| -> Result<_> {
        let one = &one;
        let threads: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || one(number)))
            .collect();
        ready.wait();
        let started = Instant::now();
        let all: Result<Vec<_>> = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?)
            .collect();
        Ok((all?, started.elapsed()))
    })?;
    let warm = all.iter().map(|(_, warm)| warm).sum();
    let closed = Closed {
        clients,
        requests: all
            .into_iter()
            .flat_map(|(durations, _)| durations)
            .collect(),
        took,
    };
    Ok((closed, warm))
}

fn ask(client: &Client, body: &str) -> Result<Answer> {
    client.post(&format!("/portal/search/{COLLECTION}"), body)
}

fn search(client: &Client, body: &str) -> Result<(Duration, Value)> {
    let answer = ask(client, body)?;
    Ok((answer.took, answer.expect(StatusCode::OK)?))
}

/// The same request many times by one client, after a few that do not count.
fn repeat(client: &Client, path: &str) -> Result<Durations> {
    for _ in 0..5 {
        client.get(path)?.expect(StatusCode::OK)?;
    }
    let once = |_| {
        let answer = client.get(path)?;
        answer.expect(StatusCode::OK)?;
        Ok(answer.took)
    };
    (0..TIMES).map(once).collect()
}

/// Changes records one after the other; each change has to be found by a search at once.
pub fn change(client: &Client, catalogue: &Catalogue) -> Result<Change> {
    let (mut patches, mut searches) = (Vec::new(), Vec::new());
    for n in 0..20_u8 {
        let body = json!({"query": catalogue.product(u64::from(n)).sku}).to_string();
        let id = search(client, &body)?.1["results"][0]["record_id"].clone();
        let id = id.as_str().context("a record is not found by its SKU")?;
        // A word that nothing else has.
        let word = format!("xylograph{}k", char::from(b'a' + n));
        let change = json!({"name": format!("Changed {word}")}).to_string();
        let answer = client.patch(&format!("/portal/records/{id}"), &change)?;
        answer.expect(StatusCode::OK)?;
        let (took, found) = search(client, &json!({"query": word}).to_string())?;
        ensure!(
            found["results"][0]["record_id"] == id,
            "a changed record is not found: {found}"
        );
        patches.push(answer.took);
        searches.push(took);
    }
    Ok(Change {
        patch: patches.into_iter().collect(),
        search: searches.into_iter().collect(),
    })
}
