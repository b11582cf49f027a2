//! `kill -9` at random moments of uploads and folds: what was accepted is found, nothing is there
//! twice, the counts are true, and no pack is left that no index names.
//!
//! `KILLS` says how often (4); `KILLS_SEED`, which is printed, makes the same choices again.

#[expect(dead_code, reason = "each test takes what it needs of it")]
mod common;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use api::Clock;
use model::id::{CollectionName, SHARDS, TenantId};
use model::time::Moment;
use serde_json::{Value, json};
use table::Table;
use table::index::IndexView;
use table::marker::Markers;
use table::record::Place;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use common::{Server, command, send_file};

const TENANT: &str = "t_demo";

/// So many rounds go into one collection: no more than can be listed.
const ROUNDS: u64 = 8;

/// How many rows of each file are searched for, each time.
const SAMPLE: usize = 3;

/// How long changes may wait for their fold.
const PATIENCE: Duration = Duration::from_mins(2);

/// The most packs that an index may come to after so many folds.
const FEW: usize = 32;

/// Numbers from a seed, by `SplitMix64`.
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.draw() % most as u64).expect("it is less")
    }

    /// 50 to 3,000, rather few than many.
    fn rows(&mut self) -> usize {
        50 + self.below(2_951) * self.below(1_001) / 1_000
    }
}

/// A file of rows, each with an identifier of its own.
struct File {
    number: usize,
    rows: usize,
    /// The revision that was sent last.
    sent: u32,
    /// The one of the last answered upload.
    known: Option<u32>,
    /// Whether the last upload was not answered.
    owed: bool,
}

impl File {
    fn identifiers(&self) -> impl Iterator<Item = String> {
        (0..self.rows).map(|row| self.identifier(row))
    }

    fn identifier(&self, row: usize) -> String {
        format!("f{:04}r{row:05}", self.number)
    }

    fn csv(&self) -> String {
        let mut csv = "name,source_id,sku,revision\n".to_owned();
        for sku in self.identifiers() {
            csv += &format!("Part {sku},{sku},{sku},rev{}\n", self.sent);
        }
        csv
    }

    /// Whether a row may say so.
    fn may_be(&self, revision: &str) -> bool {
        let said = |number: u32| revision == format!("rev{number}");
        said(self.sent) || self.known.is_some_and(said)
    }

    /// Takes note of an answered upload, in which every row has to have been taken.
    fn settle(&mut self, answer: &Value) {
        let summary = &answer["summary"];
        assert_eq!(summary["submitted"], self.rows, "{answer}");
        assert_eq!(summary["rejected"], 0, "{answer}");
        assert_eq!(answer["metadata"]["reconciliation_passed"], true);
        self.known = Some(self.sent);
        self.owed = false;
    }
}

/// A collection and the files that went into it.
struct Collection {
    name: String,
    files: Vec<File>,
}

impl Collection {
    /// Two to four files for a round, by their places: new ones, and one that was there before,
    /// as it was or revised.
    fn choose(&mut self, random: &mut Random) -> Vec<usize> {
        let before = self.files.len();
        let mut chosen = Vec::new();
        if before > 0 {
            let again = random.below(before);
            self.files[again].sent += u32::from(random.below(2) == 0);
            chosen.push(again);
        }
        for _ in chosen.len()..2 + random.below(3) {
            chosen.push(self.files.len());
            self.files.push(File {
                number: self.files.len(),
                rows: random.rows(),
                sent: 1,
                known: None,
                owed: true,
            });
        }
        chosen
    }

    /// Uploads the files all at once, and kills the server meanwhile. Returns how many were not
    /// answered.
    fn kill_in_the_middle(&mut self, server: Server, random: &mut Random) -> usize {
        let chosen = self.choose(random);
        let uploads: Vec<_> = chosen
            .into_iter()
            .map(|at| {
                let (api, token) = (server.api.clone(), server.token.clone());
                let (name, csv) = (self.name.clone(), self.files[at].csv());
                let uploading = thread::spawn(move || send_file(&api, &token, &name, &csv));
                (at, uploading)
            })
            .collect();
        thread::sleep(Duration::from_millis(random.below(1_501) as u64));
        server.kill();
        let mut cut_short = 0;
        for (at, uploading) in uploads {
            match uploading.join().expect("its end") {
                Ok(answer) => self.files[at].settle(&answer),
                Err(ureq::Error::StatusCode(status)) => panic!("refused with {status}"),
                Err(_) => {
                    self.files[at].owed = true;
                    cut_short += 1;
                }
            }
        }
        cut_short
    }

    /// Sends again what was not answered.
    fn complete(&mut self, server: &Server) {
        for file in &mut self.files {
            if file.owed {
                let sent = send_file(&server.api, &server.token, &self.name, &file.csv());
                file.settle(&sent.expect("an answer"));
            }
        }
    }

    /// Checks that every row of an answered upload is there, every row once, as it was sent, and
    /// that all counts agree.
    fn check(&self, server: &Server, random: &mut Random) {
        let Some(counts) = counts(server, &self.name) else {
            let known = self.files.iter().any(|file| file.known.is_some());
            assert!(!known, "{} is gone", self.name);
            return;
        };
        let mut listed = list(server, &self.name);
        let total = listed.len();
        assert_eq!(counts["total_records"], total, "{counts}");
        let states = ["indexed", "pending", "processing", "failed"];
        let states = states.map(|state| counts[state].as_u64().expect("a count"));
        assert_eq!(states.iter().sum::<u64>(), total as u64, "{counts}");
        assert_eq!(counts["failed"], 0, "{counts}");
        let (_, recount) = read_table(server, &self.name);
        assert_eq!(recount, total, "the table has another number of records");

        for file in &self.files {
            for sku in file.identifiers() {
                match listed.remove(&sku) {
                    Some(revision) => assert!(file.may_be(&revision), "{sku} is {revision}"),
                    None => assert!(file.known.is_none(), "{sku} is lost"),
                }
            }
            if file.known.is_some() {
                for _ in 0..SAMPLE {
                    self.assert_found(server, file, random.below(file.rows));
                }
            }
        }
        assert!(listed.is_empty(), "never sent: {listed:?}");
    }

    fn assert_found(&self, server: &Server, file: &File, row: usize) {
        let sku = file.identifier(row);
        let path = format!("/portal/search/{}", self.name);
        let found = server.post(&path, &json!({"query": sku, "limit": 5}));
        let results = found["results"].as_array().expect("results");
        assert_eq!(results.len(), 1, "{sku}: {found}");
        let data = &results[0]["collection_data"];
        assert_eq!(data["sku"], sku);
        let revision = data["revision"].as_str().expect("a revision");
        assert!(file.may_be(revision), "{sku} is found as {revision}");
    }

    /// Waits until the index holds everything.
    fn await_folded(&self, server: &Server) {
        let give_up = Instant::now() + PATIENCE;
        while let Some(counts) = counts(server, &self.name) {
            if counts["indexed"] == counts["total_records"] {
                break;
            }
            assert!(Instant::now() < give_up, "not folded: {counts}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The packs that the collection's index is made of, and those that went out of use after
    /// `since`.
    fn packs(&self, server: &Server, since: Moment) -> (HashSet<String>, HashSet<String>) {
        let (view, _) = read_table(server, &self.name);
        assert!(view.markers.values().all(Markers::is_empty));
        let collection = view.collection;
        let (mut live, mut retired) = (HashSet::new(), HashSet::new());
        for (generation, pointer) in &collection.indexes {
            let prefix = format!("{TENANT}/{}/{}/{generation}", self.name, collection.number);
            let path = |build, name: &str| search::pack_path(&prefix, build, name);
            let packs = pointer.packs.iter();
            live.extend(packs.map(|pack| path(pointer.build, &pack.name)));
            let lately = pointer.retired.iter().filter(|pack| pack.at > since);
            retired.extend(lately.map(|pack| path(pack.build, &pack.name)));
        }
        assert!(live.len() <= FEW, "{} packs in {}", live.len(), self.name);
        (live, retired)
    }
}

/// Starts it with its DynamoDB within reach.
fn start(data: &Path) -> Server {
    let arguments = [
        "--addr",
        "127.0.0.1:0",
        "--dynamodb-addr",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().expect("a path"),
    ];
    Server::run(command(&arguments))
}

/// The counts of a collection; `None` if there is none.
fn counts(server: &Server, collection: &str) -> Option<Value> {
    let answer = server.get("/portal/collections");
    let rows = answer["collections"].as_array().expect("collections");
    let totals = rows.iter().map(|row| row["total_records"].as_u64());
    let sum: u64 = totals.map(|total| total.expect("a total")).sum();
    assert_eq!(answer["total_records"], sum, "{answer}");
    rows.iter().find(|row| row["name"] == collection).cloned()
}

/// The revisions of all records of a collection by their identifiers, read page by page.
fn list(server: &Server, collection: &str) -> HashMap<String, String> {
    let mut listed = HashMap::new();
    let mut ids = HashSet::new();
    loop {
        let path = format!("/portal/records?collection={collection}&limit=100");
        let page = server.get(&format!("{path}&offset={}", ids.len()));
        let items = page["items"].as_array().expect("items");
        for item in items {
            let id = item["id"].as_str().expect("an id");
            assert!(ids.insert(id.to_owned()), "twice: {item}");
            let text = |key: &str| {
                let text = item["collection_data"][key].as_str();
                text.expect("a text").to_owned()
            };
            let before = listed.insert(text("sku"), text("revision"));
            assert!(before.is_none(), "two records of one row: {item}");
        }
        if items.is_empty() {
            assert_eq!(page["total"], ids.len());
            return listed;
        }
    }
}

/// The collection as the table has it, and how many records it has there.
fn read_table(server: &Server, collection: &str) -> (IndexView, usize) {
    let mut lines = server.lines.iter();
    let endpoint = lines.find_map(|line| line.strip_prefix("DynamoDB"));
    let endpoint = endpoint.expect("its address").trim();
    let tenant: TenantId = TENANT.parse().expect("a tenant");
    let name: CollectionName = collection.parse().expect("a collection");
    let reading = async {
        let table = Table::at_endpoint(endpoint, portal_local::TABLE);
        let view = table.index_view(&tenant, &name).await.expect("a table");
        let view = view.expect("a collection");
        let collection = &view.collection;
        let place = Place::new(&tenant, collection.number, collection.generation);
        let mut records = 0;
        for shard in 0..SHARDS {
            let mut after = None;
            loop {
                let page = table.shard_records(&place, &name, shard, after).await;
                let (page, next) = page.expect("records");
                assert!(page.corrupt.is_empty());
                records += page.records.len();
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        (view, records)
    };
    // Of this call alone: with it goes its connection, which would hold up the server's end.
    Runtime::new().expect("a runtime").block_on(reading)
}

/// The files below a folder, by their paths in it.
fn files(folder: &Path) -> HashSet<String> {
    let mut files = HashSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(folder).expect("a path in it");
                files.insert(path.to_str().expect("a name").to_owned());
            }
        }
    }
    files
}

/// Lets it fold, ends it well, and looks at what the next start leaves on the store.
fn assert_nothing_is_left_over(data: &Path, collections: &[Collection], random: &mut Random) {
    let server = start(data);
    for collection in collections {
        collection.await_folded(&server);
        collection.check(&server, random);
    }
    assert_eq!(server.stop(), Some(0));

    let since = Clock::System.now() - search::RETIRED_FOR;
    let server = start(data);
    let mut stored = files(&data.join("search"));
    for collection in collections {
        let (live, retired) = collection.packs(&server, since);
        for pack in live {
            assert!(stored.remove(&pack), "{pack} is missing");
        }
        stored.retain(|path| !retired.contains(path));
    }
    assert!(stored.is_empty(), "left over: {stored:?}");
    for collection in collections {
        collection.check(&server, random);
    }
    assert_eq!(server.stop(), Some(0));
}

fn lift_the_caps(data: &Path) {
    let data = data.to_str().expect("a path");
    let arguments = ["plan", "--tenant", TENANT, "enterprise", "--data-dir", data];
    let output = command(&arguments).output().expect("the binary");
    assert!(output.status.success(), "{output:?}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the test says how long"
)]
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn whenever_it_is_killed_what_was_accepted_is_found_once_and_counted_right() {
    let kills = setting("KILLS").unwrap_or(4);
    let seed = setting("KILLS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0_u8));
    println!("KILLS={kills} KILLS_SEED={seed}");
    let mut random = Random(seed);
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    lift_the_caps(data);

    let mut collections: Vec<Collection> = Vec::new();
    let mut cut_short = 0;
    for round in 0..kills {
        if round % ROUNDS == 0 {
            collections.push(Collection {
                name: format!("parts{}", collections.len()),
                files: Vec::new(),
            });
        }
        let collection = collections.last_mut().unwrap();
        cut_short += collection.kill_in_the_middle(start(data), &mut random);

        let server = start(data);
        collection.check(&server, &mut random);
        collection.complete(&server);
        collection.check(&server, &mut random);
        collection.await_folded(&server);
        assert_eq!(server.stop(), Some(0));
    }
    println!("{cut_short} uploads were cut short");
    assert_nothing_is_left_over(data, &collections, &mut random);
}
