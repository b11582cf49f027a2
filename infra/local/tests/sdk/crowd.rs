//! Many who search at once without a key: each search is counted, once.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::World;

/// How many search at once.
const CLIENTS: usize = 8;

/// How many searches they make, if `OPEN_SEARCHES` says nothing else.
const SEARCHES: usize = 2_000;

/// How long a count may take to be true.
const PATIENCE: Duration = Duration::from_secs(5);

fn searches() -> usize {
    #[expect(clippy::disallowed_methods, reason = "the setting is this test's own")]
    let told = std::env::var("OPEN_SEARCHES").ok();
    told.map_or(SEARCHES, |text| text.parse().expect("a number"))
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
    let (ended, expected) = (Instant::now(), json!(each * CLIENTS));
    loop {
        let counted = world.server.get("/portal/analytics");
        if counted["total_open_searches"] == expected {
            assert_eq!(counted["collections"][0]["open_searches"], expected);
            return;
        }
        assert!(ended.elapsed() < PATIENCE, "{expected}: {counted}");
        thread::sleep(Duration::from_millis(50));
    }
}
