//! Many who search at once: each search is counted, and no counter is written often.

#[expect(dead_code, reason = "nothing becomes public or private here")]
mod common;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use common::{public, unlimited};
use futures_util::future::join_all;
use model::id::SHARDS;
use model::period::Day;
use model::plan::Plan;
use open::Counting;
use serde_json::json;
use testkit::Call;
use tower::ServiceExt;

/// How many search at once, and how often each.
const CLIENTS: usize = 8;
const EACH: usize = 100;

/// How many of the calls write to a partition.
fn writes(calls: &[Call], partition: &str) -> usize {
    let is_write = |call: &&Call| {
        let mut keys = call.accesses.iter();
        !call.is_read() && keys.any(|access| access.key == partition)
    };
    calls.iter().filter(is_write).count()
}

#[tokio::test]
async fn no_counter_is_written_more_than_ten_times_a_second() {
    let app = unlimited().await;
    let tenant = app.tenant(Plan::Pro).await.tenant;
    app.add(
        &tenant,
        ("parts", "product"),
        &[public(json!({"name": "Bolt"}))],
    )
    .await;
    let counting = Counting::gathering(&app.app.table);
    let open = open::router_with(counting.clone());
    let router = api::serve_with_open(api::Router::new(), open, &app.app);
    let search = || async {
        for _ in 0..EACH {
            let request =
                Request::get("/open/v1/search/parts?q=bolt").header("x-agent-id", "crowd");
            let request = request.body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(request).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
        }
    };

    app.calls.record();
    let started = Instant::now();
    join_all((0..CLIENTS).map(|_| search())).await;
    counting.flush().await;
    let moments = started
        .elapsed()
        .div_duration_f64(Duration::from_millis(100));
    let calls = app.calls.take();

    // A partition has all shards of a counter, so that none of them is written more often.
    let of_collection = writes(&calls, &format!("TENANT#{tenant}#OPEN"));
    let of_agent = writes(&calls, &format!("TENANT#{tenant}#AGENTS"));
    #[expect(clippy::cast_precision_loss, reason = "they are few")]
    let at_most = |count: usize| count as f64 <= moments + 1.0;
    assert!(
        of_collection > 0 && at_most(of_collection),
        "{of_collection} in {moments}"
    );
    // The first add to each shard finds that it has not counted the agent that day: the agent is given
    // its name, and the add is sent again.
    let first = 2 * usize::from(SHARDS);
    assert!(
        of_agent > 0 && at_most(of_agent.saturating_sub(first)),
        "{of_agent} in {moments}"
    );

    let (table, day) = (&app.app.table, Day::of(app.app.clock.now()));
    let searches = table.open_searches(&tenant, day.period()).await;
    let counts: Vec<u64> = searches
        .expect("searches")
        .values()
        .map(|it| it.on(day))
        .collect();
    assert_eq!(counts, [(CLIENTS * EACH) as u64]);
    let agents = table.agents(&tenant, day.period()).await.expect("agents");
    assert_eq!(agents.named["crowd"].on(day), (CLIENTS * EACH) as u64);
}
