//! Keys that end while they are used: after the answer that ended one, no request with it succeeds.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use chrono::TimeDelta;
use model::key::Scope;
use model::plan::Plan;
use serde_json::json;
use testkit::{TestApp, assert_bad_key};

use crate::client::{Sdk, World};

/// How many use a key at once.
const CLIENTS: usize = 8;

/// How long they do before it ends, and after that, once each has had its answers.
const BEFORE: Duration = Duration::from_millis(700);
const AFTER: Duration = Duration::from_millis(700);

/// How long all of them together may take for these answers, and how often they are counted.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(10);

/// What they ask for.
const PATHS: [&str; 4] = [
    "/usage",
    "/collections",
    "/records?limit=1",
    "/search/parts?q=bolt",
];

/// When a request was sent, and the status of its answer.
type Seen = (Instant, u16);

/// What clients see who use a key all the time while `end` ends it; and when that was answered.
fn hammer(world: &World, key: &str, end: impl FnOnce()) -> (Vec<Vec<Seen>>, Instant) {
    let is_over = AtomicBool::new(false);
    let answered = [const { AtomicUsize::new(0) }; CLIENTS];
    let use_it = |number: usize| {
        let sdk = Sdk::new(&world.server, key);
        let mut seen = Vec::new();
        while !is_over.load(Ordering::SeqCst) {
            let path = PATHS[(number + seen.len()) % PATHS.len()];
            let sent = Instant::now();
            seen.push((sent, sdk.send("GET", path, None).status().as_u16()));
            answered[number].store(seen.len(), Ordering::SeqCst);
        }
        seen
    };
    // If it takes too long, the test says who has seen what.
    let wait_for = |more: usize| {
        let counts = || answered.iter().map(|count| count.load(Ordering::SeqCst));
        let enough: Vec<usize> = counts().map(|count| count + more).collect();
        let begun = Instant::now();
        while counts().zip(&enough).any(|(count, enough)| count < *enough)
            && begun.elapsed() < PATIENCE
        {
            thread::sleep(LOOK);
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || use_it(number)))
            .collect();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            wait_for(1);
            thread::sleep(BEFORE);
            end();
            let ended = Instant::now();
            // The first of them may have been asked for before.
            wait_for(2);
            thread::sleep(AFTER);
            ended
        }));
        // Whatever came, or they would go on for ever.
        is_over.store(true, Ordering::SeqCst);
        let ended = match ended {
            Ok(ended) => ended,
            Err(panic) => resume_unwind(panic),
        };
        let seen = clients
            .into_iter()
            .map(|client| client.join().expect("a client"));
        (seen.collect(), ended)
    })
}

/// Checks that everybody was served until the key ended, and nobody after that.
fn assert_ended(seen: &[Vec<Seen>], ended: Instant) {
    for of_client in seen {
        let statuses = |is_after: bool| {
            let of_time = of_client
                .iter()
                .filter(move |(sent, _)| (*sent > ended) == is_after);
            of_time.map(|(_, status)| *status).collect::<Vec<_>>()
        };
        let (before, after) = (statuses(false), statuses(true));
        assert_eq!(before.first(), Some(&200));
        // One that was sent before the end may be refused; after one that was, none is served.
        let ends = before.iter().position(|status| *status != 200);
        let (served, refused) = before.split_at(ends.unwrap_or(before.len()));
        assert!(served.iter().all(|status| *status == 200), "{before:?}");
        assert!(refused.iter().all(|status| *status == 401), "{before:?}");
        assert!(!after.is_empty(), "nobody asked after the end");
        assert!(after.iter().all(|status| *status == 401), "{after:?}");
    }
}

/// A server with a collection to search.
fn world() -> (World, Sdk) {
    let world = World::start();
    let sdk = world.sdk();
    let rows = json!([{"name": "Hex Bolt"}]);
    sdk.batch(("parts", "product"), &rows).expect("a batch");
    (world, sdk)
}

#[test]
fn a_key_that_is_rotated_under_eight_clients_is_dead_with_the_answer() {
    let (world, sdk) = world();
    let key = world.key(&["search"]);
    let (old, mut new) = (key.key.expect("a secret"), None);
    let (seen, ended) = hammer(&world, &old, || {
        new = sdk.rotate(&key.id).expect("a rotation").key;
    });
    assert_ended(&seen, ended);
    let renewed = Sdk::new(&world.server, &new.expect("a secret"));
    assert_eq!(renewed.records(1).expect("records").len(), 1);
}

#[test]
fn a_key_that_is_revoked_under_eight_clients_is_dead_with_the_answer() {
    let (world, sdk) = world();
    let key = world.key(&["search"]);
    let secret = key.key.expect("a secret");
    let (seen, ended) = hammer(&world, &secret, || {
        sdk.revoke(&key.id).expect("a revocation");
    });
    assert_ended(&seen, ended);
    assert!(sdk.keys().expect("keys").iter().all(|it| it.id != key.id));
}

#[tokio::test]
async fn a_key_that_a_key_made_ends_to_the_millisecond() {
    let app = TestApp::new(portal_local::routes()).await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    let admin = app.with_key(&tenant, &[Scope::Admin]).await;
    let scopes = ["search", "upload", "records", "admin"];
    let body = json!({"name": "k", "scopes": scopes, "expires_at": "2026-03-08T12:00:10Z"});
    let made = admin.post("/auth/keys", body).await.json();
    let client = admin.with_token(made["key"].as_str().expect("a secret"));
    app.advance(TimeDelta::milliseconds(9_999));
    for path in ["/usage", "/collections", "/records", "/auth/keys"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} {answer:?}");
    }
    app.advance(TimeDelta::milliseconds(1));
    for path in ["/usage", "/collections", "/records", "/auth/keys"] {
        assert_bad_key(&client.get(path).await);
    }
    assert_eq!(admin.get("/usage").await.status, StatusCode::OK);
}
