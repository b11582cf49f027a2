//! A collection of 20,000 records is replaced while others search it: every answer is of the old
//! records or of the new ones, all of it, and none fails.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures_util::future::join_all;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, Form, TestApp};

const SEARCH: &str = "/portal/search/parts";
const REPLACE: &str = "/portal/collections/parts/replace?record_type=product";
const STATUS: &str = "/portal/collections/parts/replace-status";
const SWAP: &str = "/portal/collections/parts/swap";

/// How many search at once.
const CLIENTS: usize = 8;

/// How long each of them rests after an answer, so that the replace gets its share of the machine.
const REST: Duration = Duration::from_millis(50);

/// How long all of them together may take until each has seen new records.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long they go on after that.
const AFTER: Duration = Duration::from_secs(1);

/// How far the replace is: before the swap, in it, behind it, and over.
const BEFORE: u8 = 0;
const SWAPPING: u8 = 1;
const BEHIND: u8 = 2;
const OVER: u8 = 3;

/// The records of a generation: they are told by their names, and by how many there are.
struct Records {
    kind: &'static str,
    count: u32,
}

const OLD: Records = Records {
    kind: "Old",
    count: 20_000,
};
const NEW: Records = Records {
    kind: "New",
    count: 16_000,
};

impl Records {
    fn file(&self) -> String {
        let rows: Vec<String> = (0..self.count)
            .map(|n| format!("{} bolt {n:05},P-{n:05},{n}\n", self.kind))
            .collect();
        format!("name,sku,n\n{}", rows.concat())
    }

    /// The names of the records with these numbers.
    fn names(&self, numbers: impl Iterator<Item = u32>) -> Vec<String> {
        numbers
            .map(|n| format!("{} bolt {n:05}", self.kind))
            .collect()
    }
}

/// A search, and whether an answer to it is all that it has to be of some records.
struct Search {
    body: Value,
    is_of: fn(&[&str], u64, &Records) -> bool,
}

/// Each asks for something else of the collection.
fn searches() -> [Search; 4] {
    [
        Search {
            body: json!({"limit": 20}),
            is_of: |names, total, records| {
                let are_all = names.iter().all(|name| name.starts_with(records.kind));
                are_all && names.len() == 20 && total == u64::from(records.count)
            },
        },
        Search {
            body: json!({"query": "bolt", "limit": 50}),
            is_of: |names, total, records| {
                let are_all = names.iter().all(|name| name.starts_with(records.kind));
                are_all && names.len() == 50 && total == u64::from(records.count)
            },
        },
        Search {
            body: json!({
                "filters": {"n_min": 5_000, "n_max": 5_099}, "sort": "n", "limit": 100,
            }),
            is_of: |names, total, records| names == records.names(5_000..5_100) && total == 100,
        },
        Search {
            body: json!({"sort": "-n", "limit": 10}),
            is_of: |names, total, records| {
                let last = (records.count - 10..records.count).rev();
                names == records.names(last) && total == u64::from(records.count)
            },
        },
    ]
}

/// Searches once: whether the answer is of the new records.
async fn shows_new(client: &Client<'_>, search: &Search) -> bool {
    let answer = client.post(SEARCH, search.body.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    let total = body["metadata"]["total_estimate"].as_u64();
    let total = total.expect("a total");
    let results = body["results"].as_array().expect("results");
    let names: Vec<&str> = results
        .iter()
        .map(|row| row["name"].as_str().expect("a name"))
        .collect();
    let is_of = |records| (search.is_of)(&names, total, records);
    let (old, new) = (is_of(&OLD), is_of(&NEW));
    assert!(old != new, "{} has {total}: {names:?}", search.body);
    new
}

/// Searches over and over: how often the old and the new records were shown. How often the new ones
/// were is told in `news` meanwhile.
async fn keep_searching(
    client: &Client<'_>,
    first: usize,
    stage: &AtomicU8,
    news: &AtomicU32,
) -> [u32; 2] {
    let searches = searches();
    let mut seen = [0, 0];
    for turn in first.. {
        let begun = stage.load(Ordering::SeqCst);
        if begun == OVER {
            break;
        }
        let is_new = shows_new(client, &searches[turn % searches.len()]).await;
        let ended = stage.load(Ordering::SeqCst);
        assert!(!is_new || ended >= SWAPPING, "new records before the swap");
        assert!(is_new || begun < BEHIND, "old records behind the swap");
        assert!(is_new || seen[1] == 0, "old records after new ones");
        seen[usize::from(is_new)] += 1;
        news.store(seen[1], Ordering::SeqCst);
        tokio::time::sleep(REST).await;
    }
    seen
}

/// Fills the replace, swaps it in, and waits until everybody who searches has seen it.
async fn replace(client: &Client<'_>, stage: &AtomicU8, news: &[AtomicU32; CLIENTS]) {
    let form = Form::new().file("new.csv", NEW.file());
    let filled = client.upload(REPLACE, form).await;
    assert_eq!(filled.status, StatusCode::OK, "{}", filled.text);
    assert_eq!(filled.json()["summary"]["accepted"], NEW.count);
    let mut looks = 0;
    while client.get(STATUS).await.json()["status"] != "ready" {
        looks += 1;
        assert!(looks < 1_200, "it is not indexed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    stage.store(SWAPPING, Ordering::SeqCst);
    let swapped = client.post(SWAP, json!({})).await;
    assert_eq!(swapped.status, StatusCode::OK, "{}", swapped.text);
    stage.store(BEHIND, Ordering::SeqCst);
    let begun = Instant::now();
    // If it takes too long, the test says who has seen what.
    while news.iter().any(|of| of.load(Ordering::SeqCst) == 0) && begun.elapsed() < PATIENCE {
        tokio::time::sleep(REST).await;
    }
    tokio::time::sleep(AFTER).await;
    stage.store(OVER, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_under_load_see_all_of_the_old_records_or_all_of_the_new_ones() {
    let app = TestApp::new(portal_local::routes()).await;
    let client = app.tenant(Plan::Enterprise).await;
    let uploaded = client.upload_csv("parts", &OLD.file()).await;
    assert_eq!(uploaded.status, StatusCode::CREATED, "{}", uploaded.text);
    assert_eq!(uploaded.json()["summary"]["accepted"], OLD.count);

    let stage = AtomicU8::new(BEFORE);
    let news = [const { AtomicU32::new(0) }; CLIENTS];
    let numbered = news.iter().enumerate();
    let searching = numbered.map(|(first, news)| keep_searching(&client, first, &stage, news));
    let (seen, ()) = tokio::join!(join_all(searching), replace(&client, &stage, &news));

    for [old, new] in seen {
        assert!(
            old > 0 && new > 0,
            "{old} answers of old records, {new} of new"
        );
    }
    let collections = client.get("/portal/collections").await.json();
    assert_eq!(collections["total_records"], NEW.count);
    for search in &searches() {
        assert!(shows_new(&client, search).await);
    }
}
