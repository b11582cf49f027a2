//! Many who search at once without a key: each search is counted, once.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::World;

/// How many search at once.
const CLIENTS: usize = 8;

/// How many searches they make, if `OPEN_SEARCHES` says nothing else.
const SEARCHES: usize = 2_000;

/// How long a count may take to be true.
const PATIENCE: Duration = Duration::from_mins(1);

fn searches() -> usize {
    #[expect(clippy::disallowed_methods, reason = "the setting is this test's own")]
    let told = std::env::var("OPEN_SEARCHES").ok();
    told.map_or(SEARCHES, |text| text.parse().expect("a number"))
}

/// The month that it is.
fn month(world: &World) -> String {
    let answer = world.server.get("/portal/analytics");
    answer["period"].as_str().expect("a month").to_owned()
}

/// The open searches of these months: of the tenant, and of its only collection.
fn counted(world: &World, months: &BTreeSet<String>) -> [u64; 2] {
    let mut sums = [0; 2];
    for month in months {
        let path = format!("/portal/analytics?period={month}");
        let answer = world.server.get(&path);
        let of_collection = &answer["collections"][0]["open_searches"];
        let counts = [&answer["total_open_searches"], of_collection];
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count.as_u64().expect("a count");
        }
    }
    sums
}

#[test]
fn every_open_search_of_a_crowd_is_counted() {
    let world = World::start();
    let rows = json!([
        {"name": "Hex Bolt", "visibility": "public"},
        {"name": "Hex Nut", "visibility": "public"},
        {"name": "Secret"},
    ]);
    let batch = world.sdk().batch(("parts", "product"), &rows);
    batch.expect("a batch");
    let each = searches() / CLIENTS;
    let begun = month(&world);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let open = world.open();
                for _ in 0..each {
                    let found = open.search("parts", "hex", json!({}));
                    assert_eq!(found.expect("a search").results.len(), 2);
                }
            });
        }
    });
    let (ended, expected) = (Instant::now(), [(each * CLIENTS) as u64; 2]);
    loop {
        // Where a month has ended meanwhile, some are counted in it and the rest in the next.
        let months = BTreeSet::from([begun.clone(), month(&world)]);
        let counted = counted(&world, &months);
        if counted == expected {
            break;
        }
        assert!(ended.elapsed() < PATIENCE, "{expected:?}: {counted:?}");
        thread::sleep(Duration::from_millis(50));
    }
}
