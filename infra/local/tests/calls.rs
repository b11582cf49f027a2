//! How often each endpoint asks the table, in a process that has seen its caller before, with the
//! limiter on.

use axum::http::{Method, StatusCode};
use model::plan::Plan;
use serde_json::json;
use testkit::{Call, Client, TestApp};

/// How many collections a tenant has whose summary is still one page of a query.
const COLLECTIONS: usize = 400;

/// What an endpoint was seen to ask.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    reads: usize,
    writes: usize,
}

async fn app() -> TestApp {
    TestApp::with(portal_local::routes(), &[]).await
}

/// Calls an endpoint until it is warm, and counts what one more call asks.
async fn asked(app: &TestApp, client: &Client<'_>, (method, path): (&str, &str)) -> Asked {
    let calls = calls(app, client, (method, path)).await;
    for call in &calls {
        let units = call.units.expect("consumed capacity");
        assert!(units > 0.0, "{method} {path}: {call:?}");
    }
    let reads = calls.iter().filter(|call| call.is_read()).count();
    let limiter = calls.iter().filter(|call| writes_window(call)).count();
    assert_eq!(limiter, 1, "{method} {path}: {calls:?}");
    Asked {
        reads,
        writes: calls.len() - reads - limiter,
    }
}

async fn calls(app: &TestApp, client: &Client<'_>, (method, path): (&str, &str)) -> Vec<Call> {
    let method: Method = method.parse().expect("a method");
    let body = (method == Method::POST).then(|| json!({"query": "bolt", "limit": 10}));
    for _ in 0..3 {
        app.calls.record();
        let answer = client.call(method.clone(), path, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        assert!(answer.header("x-ratelimit-remaining").is_some());
    }
    app.calls.take()
}

/// Whether a call is the limiter's write.
fn writes_window(call: &Call) -> bool {
    let mut keys = call.accesses.iter().map(|access| access.key.as_str());
    !call.is_read() && keys.all(|key| key.ends_with("#LIMIT"))
}

async fn fill(client: &Client<'_>, collections: usize) {
    let rows: Vec<String> = (0..40).map(|row| format!("Bolt {row},B-{row}")).collect();
    let csv = format!("name,sku\n{}\n", rows.join("\n"));
    for number in 0..collections {
        let answer = client.upload_csv(&format!("parts-{number:03}"), &csv).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }
}

#[tokio::test]
async fn an_endpoint_asks_the_table_no_more_than_it_must() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    client
        .post("/portal/keys", json!({"name": "k", "scopes": ["search"]}))
        .await;
    fill(&client, COLLECTIONS).await;
    let schema = "/portal/schemas/parts-007/product";
    client.call(Method::PUT, schema, Some(json!({}))).await;
    let nameless = "name,sku\nNut,N-1\n,N-2\n";
    let uploaded = client.upload_csv("parts-007", nameless).await.json();
    let id = uploaded["upload_id"].as_str().expect("an id");
    let upload = format!("/portal/uploads/{id}");
    let errors = format!("{upload}/errors");

    for (endpoint, reads) in [
        (("GET", "/portal/account"), 1),
        (("GET", "/portal/keys"), 1),
        (("GET", "/portal/usage"), 1),
        (("GET", "/portal/quickstart"), 1),
        (("GET", "/portal/analytics"), 2),
        (("GET", "/portal/collections"), 2),
        (("GET", "/portal/collections/parts-007/replace-status"), 1),
        (("GET", "/portal/records?collection=parts-007"), 3),
        (("GET", "/portal/schemas"), 1),
        (("GET", schema), 1),
        (("GET", "/portal/uploads?limit=100"), 1),
        (("GET", upload.as_str()), 1),
        (("GET", errors.as_str()), 2),
    ] {
        let asked = asked(&app, &client, endpoint).await;
        assert_eq!(asked, Asked { reads, writes: 0 }, "{endpoint:?}");
    }
    let search = ("POST", "/portal/search/parts-007");
    let asked = asked(&app, &client, search).await;
    assert_eq!(
        asked,
        Asked {
            reads: 3,
            writes: 1
        }
    );
}

#[tokio::test]
async fn a_schema_is_one_transaction_and_the_same_again_none() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    fill(&client, 1).await;
    for (schema, writes) in [
        (json!({}), 1),
        (json!({"type": "object"}), 1),
        (json!({"type": "object"}), 0),
    ] {
        app.calls.record();
        let path = "/portal/schemas/parts-000/product";
        let answer = client.call(Method::PUT, path, Some(schema)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let calls = app.calls.take();
        let reads = calls.iter().filter(|call| call.is_read()).count();
        let limiter = calls.iter().filter(|call| writes_window(call)).count();
        assert_eq!(
            (reads, calls.len() - reads - limiter),
            (2, writes),
            "{calls:?}"
        );
    }
}

#[tokio::test]
async fn a_search_under_a_cap_asks_no_more() {
    let app = app().await;
    let client = app.tenant(Plan::Free).await;
    fill(&client, 1).await;
    let asked = asked(&app, &client, ("POST", "/portal/search/parts-000")).await;
    assert_eq!(
        asked,
        Asked {
            reads: 3,
            writes: 1
        }
    );
    // The cap knows all of them, those too that were counted before the plan changed.
    assert_eq!(
        client.get("/portal/usage").await.json()["searches"]["used"],
        3
    );
}

#[tokio::test]
async fn a_cap_counts_what_was_searched_under_another_plan() {
    let app = TestApp::new(portal_local::routes()).await;
    let client = app.tenant(Plan::Free).await;
    fill(&client, 1).await;
    let search = async || {
        let body = json!({"query": "bolt"});
        client.post("/portal/search/parts-000", body).await.status
    };
    let plan = async |plan| {
        let set = app
            .app
            .table
            .set_plan(&client.tenant, plan, app.app.clock.now());
        set.await.expect("a plan");
    };
    assert_eq!(search().await, StatusCode::OK);
    plan(Plan::Enterprise).await;
    for _ in 0..48 {
        assert_eq!(search().await, StatusCode::OK);
    }
    plan(Plan::Free).await;
    // The process learns of the cap by the first of them and reads what counts with the second.
    assert_eq!(search().await, StatusCode::OK);
    assert_eq!(search().await, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(search().await, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(
        client.get("/portal/usage").await.json()["searches"]["used"],
        50
    );
}

#[tokio::test]
async fn a_preflight_and_health_ask_nothing() {
    let app = app().await;
    app.calls.record();
    let health = app.stranger().get("/health").await;
    assert_eq!(health.status, StatusCode::OK);
    let preflight = app
        .stranger()
        .call(Method::OPTIONS, "/portal/keys", None)
        .await;
    assert_eq!(preflight.status, StatusCode::OK);
    assert!(app.calls.take().is_empty());
}
