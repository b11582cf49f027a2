//! How often each endpoint asks the table, in a process that has seen its caller before, with the
//! limiter on.

use axum::http::{Method, StatusCode};
use model::key::Scope;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Call, Client, TestApp};

/// How many collections a tenant has whose summary is still one page of a query.
const COLLECTIONS: usize = 400;

/// What an endpoint was seen to ask.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    reads: usize,
    writes: usize,
}

impl Asked {
    /// What calls ask beside the limiter.
    fn of(calls: &[Call]) -> Self {
        let reads = calls.iter().filter(|call| call.is_read()).count();
        let limiter = calls.iter().filter(|call| writes_window(call)).count();
        Self {
            reads,
            writes: calls.len() - reads - limiter,
        }
    }
}

async fn app() -> TestApp {
    TestApp::with_open(portal_local::routes(), open::router(), &[]).await
}

/// Calls an endpoint until it is warm, and counts what one more call asks.
async fn asked(app: &TestApp, client: &Client<'_>, (method, path): (&str, &str)) -> Asked {
    let calls = calls(app, client, (method, path)).await;
    for call in &calls {
        let units = call.units.expect("consumed capacity");
        assert!(units > 0.0, "{method} {path}: {call:?}");
    }
    let limiter = calls.iter().filter(|call| writes_window(call)).count();
    assert_eq!(limiter, 1, "{method} {path}: {calls:?}");
    Asked::of(&calls)
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
    let is_window = |key: &str| key.ends_with("#LIMIT") || key.starts_with("OPEN#LIMIT#");
    !call.is_read() && keys.all(is_window)
}

async fn fill(client: &Client<'_>, collections: usize) {
    let rows: Vec<String> = (0..40).map(|row| format!("Bolt {row},B-{row}")).collect();
    let csv = format!("name,sku\n{}\n", rows.join("\n"));
    for number in 0..collections {
        let answer = client.upload_csv(&format!("parts-{number:03}"), &csv).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }
}

/// The id of a record of the first collection.
async fn first_record(client: &Client<'_>) -> String {
    let path = "/portal/records?collection=parts-000&limit=1";
    let listed = client.get(path).await.json();
    let id = listed["items"][0]["id"].as_str();
    id.expect("a record").to_owned()
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
    let record = format!("/portal/records/{}", first_record(&client).await);

    for (endpoint, reads) in [
        (("GET", "/portal/account"), 1),
        (("GET", "/portal/keys"), 1),
        (("GET", "/portal/usage"), 1),
        (("GET", "/portal/usage?period=2026-02"), 2),
        (("GET", "/portal/usage/daily"), 1),
        (("GET", "/portal/usage/keys"), 2),
        (("GET", "/portal/quickstart"), 1),
        (("GET", "/portal/analytics"), 2),
        (("GET", "/portal/analytics/daily"), 1),
        (("GET", "/portal/analytics/agents"), 1),
        (("GET", "/portal/collections"), 2),
        (("GET", "/portal/collections/parts-007/replace-status"), 1),
        (("GET", "/portal/records?collection=parts-007"), 3),
        (("GET", record.as_str()), 2),
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
async fn a_call_by_key_asks_whose_it_is_and_counts_it_and_else_as_much_as_by_token() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    fill(&client, 2).await;
    let uploaded = client.upload_csv("parts-001", "name,sku\n,N-1\n").await;
    let uploaded = uploaded.json();
    let id = uploaded["upload_id"].as_str().expect("an id");
    let (upload, dlq) = (format!("/uploads/{id}"), format!("/uploads/{id}/dlq"));
    let record = format!("/records/{}", first_record(&client).await);
    let key = app.with_key(&client.tenant, &[Scope::Admin]).await;
    for (endpoint, reads, writes) in [
        (("GET", "/auth/keys"), 1, 0),
        (("GET", "/collections"), 2, 0),
        (("GET", "/records"), 4, 0),
        (("GET", "/records?collection=parts-001"), 3, 0),
        (("GET", record.as_str()), 2, 0),
        (("GET", "/search/parts-001?q=bolt"), 3, 1),
        (("POST", "/search/parts-001"), 3, 1),
        (("GET", upload.as_str()), 1, 0),
        (("GET", dlq.as_str()), 2, 0),
        (("GET", "/usage"), 1, 0),
    ] {
        let asked = asked(&app, &key, endpoint).await;
        let (reads, writes) = (reads + 1, writes + 1);
        assert_eq!(asked, Asked { reads, writes }, "{endpoint:?}");
    }
}

#[tokio::test]
async fn a_change_of_a_record_is_one_transaction() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    fill(&client, 1).await;
    let key = app.with_key(&client.tenant, &[Scope::Records]).await;
    let ask = async |(client, method, path): (&Client<'_>, Method, &str), body: Option<Value>| {
        app.calls.record();
        let answer = client.call(method, path, body).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        (Asked::of(&app.calls.take()), answer)
    };
    let record = json!({"collection": "parts-000", "record_type": "product", "name": "Nut"});
    // The first call of a key in a minute notes that it was used.
    key.post("/records", record.clone()).await;
    let (making, made) = ask((&key, Method::POST, "/records"), Some(record)).await;
    let made = made.json();
    let path = format!("/records/{}", made["id"].as_str().expect("an id"));
    let visibility = format!("{path}/visibility");
    let mut seen = vec![making];
    for (method, path, body) in [
        (Method::PATCH, &path, Some(json!({"name": "Screw"}))),
        (Method::PATCH, &path, Some(json!({"name": "Screw"}))),
        (
            Method::PATCH,
            &visibility,
            Some(json!({"visibility": "public"})),
        ),
        (
            Method::PATCH,
            &visibility,
            Some(json!({"visibility": "private"})),
        ),
        (
            Method::PATCH,
            &visibility,
            Some(json!({"visibility": "public"})),
        ),
        (Method::DELETE, &path, None),
    ] {
        seen.push(ask((&key, method, path.as_str()), body).await.0);
    }
    let by_key = |reads: usize, writes: usize| Asked {
        reads: reads + 1,
        writes: writes + 1,
    };
    let expected = [
        by_key(1, 1),
        by_key(2, 1),
        // It is that already.
        by_key(2, 0),
        // The collection's first public record: it has to be listed.
        by_key(3, 2),
        by_key(2, 1),
        by_key(2, 1),
        by_key(2, 1),
    ];
    assert_eq!(seen, expected);

    let of_collection = "/collections/parts-000";
    let said = Some(json!({"description": "x"}));
    let (changing, _) = ask((&key, Method::PATCH, of_collection), said).await;
    assert_eq!(changing, by_key(2, 1));
    let of_collection = "/portal/collections/parts-000";
    let (deleting, _) = ask((&client, Method::DELETE, of_collection), None).await;
    let (reads, writes) = (5, 1);
    assert_eq!(deleting, Asked { reads, writes });
}

#[tokio::test]
async fn an_open_call_asks_the_directory_and_the_collections_that_it_names() {
    let app = app().await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let row = json!({"name": "Bolt", "visibility": "public"});
    let ids = app.add(&tenant, ("parts", "product"), &[row]).await;
    let record = format!("/records/{}", ids[0]);
    let anybody = app.anybody();
    for (path, reads, writes) in [
        ("/collections", 3, 0),
        ("/collections/parts/schema", 4, 0),
        (record.as_str(), 3, 0),
        ("/search/parts?q=bolt", 4, 1),
        ("/search?q=bolt", 4, 1),
        ("/search/parts?q=nothing", 3, 0),
        ("/search/nowhere?q=bolt", 1, 0),
    ] {
        let asked = asked(&app, &anybody, ("GET", path)).await;
        assert_eq!(asked, Asked { reads, writes }, "{path}");
    }
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
        let reads = 2;
        assert_eq!(Asked::of(&calls), Asked { reads, writes }, "{calls:?}");
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
