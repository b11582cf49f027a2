//! `POST /portal/search/{collection}`: searches a collection.

use std::time::Duration;

use auth::Role;
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{RecordId, TenantId};
use model::period::Period;
use model::plan::Plan;
use model::quickstart::Step;
use model::time::Moment;
use serde_json::{Value, json};
use testkit::{Answer, Client, Fault, NOW, TestApp, assert_faults, assert_unauthorized};

/// The collection and record type of most of these tests.
const PRODUCTS: (&str, &str) = ("manufacturing", "product");
const SEARCH: &str = "/portal/search/manufacturing";

fn bearing() -> Value {
    json!({
        "name": "Linear Bearing LM16UU",
        "description": "16mm linear motion bearing",
        "price_eur": 12.5,
        "sku": "LM16UU",
    })
}

fn bolt(number: u32) -> Value {
    json!({"name": format!("Bolt {number}"), "price_eur": number})
}

fn bolts(count: u32) -> Vec<Value> {
    (1..=count).map(bolt).collect()
}

/// The body of an answer with its measured times taken out, which have to be there.
#[track_caller]
fn untimed(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let mut body = answer.json();
    for place in [
        "/metadata/processing_time_ms",
        "/metadata/timings/classify_ms",
        "/metadata/timings/search_ms",
        "/metadata/timings/hydrate_ms",
    ] {
        let time = body.pointer_mut(place).expect("a time");
        assert!(time.as_f64().is_some_and(|ms| ms >= 0.0), "{place}: {time}");
        *time = json!("measured");
    }
    body
}

#[track_caller]
fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["results"]
        .as_array()
        .expect("results")
        .clone()
}

#[track_caller]
fn names(answer: &Answer) -> Vec<String> {
    let name = |row: &Value| row["name"].as_str().expect("a name").to_owned();
    results(answer).iter().map(name).collect()
}

#[track_caller]
fn ids(answer: &Answer) -> Vec<RecordId> {
    results(answer)
        .iter()
        .map(|row| row["record_id"].as_str().expect("an id"))
        .map(|id| id.parse().expect("an id"))
        .collect()
}

/// How many searches are counted this month.
async fn counted(app: &TestApp, tenant: &TenantId) -> u64 {
    let period = Period::of(app.app.clock.now());
    let summary = app.app.table.summary(tenant, period).await;
    summary.expect("a summary").searches
}

async fn first_search(app: &TestApp, tenant: &TenantId) -> Option<Moment> {
    let checklist = app.app.table.checklist(tenant).await;
    checklist
        .expect("a checklist")
        .completed_at(Step::FirstSearch)
}

async fn search_times(client: &Client<'_>, times: u32) {
    for _ in 0..times {
        let answer = client.post(SEARCH, json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
}

#[track_caller]
fn assert_used_up(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(
        answer.json(),
        json!({"detail": "The free plan includes 50 searches a month, and they are used up"})
    );
}

#[tokio::test]
async fn a_search_answers_with_results_pagination_and_metadata() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let ids = app.add(&client.tenant, PRODUCTS, &[bearing()]).await;

    let first = client.post(SEARCH, json!({"query": "lm-16-uu"})).await;

    let mut expected = json!({
        "results": [{
            "record_id": ids[0],
            "name": "Linear Bearing LM16UU",
            "description": "16mm linear motion bearing",
            "score": 1.0,
            "collection": "manufacturing",
            "record_type": "product",
            "collection_data": {"price_eur": 12.5, "sku": "LM16UU"},
            "description_llm": null,
            "source_type": "file_upload",
            "updated_at": "2026-03-08T12:00:00Z",
        }],
        "pagination": {"offset": 0, "limit": 20, "has_more": false},
        "metadata": {
            "search_mode": "identifier",
            "query_type": "identifier",
            "processing_time_ms": "measured",
            "total_estimate": 1,
            "zero_result_fallback_used": false,
            "cache_hit": false,
            "timings": {
                "classify_ms": "measured",
                "search_ms": "measured",
                "hydrate_ms": "measured",
            },
        },
    });
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(untimed(&first), expected);

    let second = client.post(SEARCH, json!({"query": "LM16UU"})).await;
    expected["metadata"]["cache_hit"] = json!(true);
    assert_eq!(untimed(&second), expected);
}

#[tokio::test]
async fn the_metadata_tell_how_a_query_was_answered() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bearing(), bolt(1), bolt(2)])
        .await;

    for (body, mode, class, total, fell_back) in [
        (json!({}), "filter", "filter", 3, false),
        (json!({"query": " "}), "filter", "filter", 3, false),
        (
            json!({"filters": {"price_eur_max": 2}}),
            "filter",
            "filter",
            2,
            false,
        ),
        (
            json!({"query": "LM16UU"}),
            "identifier",
            "identifier",
            1,
            false,
        ),
        (
            json!({"query": "ZZ-99-ZZ"}),
            "fulltext",
            "identifier",
            0,
            true,
        ),
        (
            json!({"query": "bearings"}),
            "fulltext",
            "keyword",
            1,
            false,
        ),
        (
            json!({"query": "helicopter"}),
            "fulltext",
            "keyword",
            0,
            false,
        ),
        (
            json!({"query": "bearing helicopter"}),
            "fulltext",
            "keyword",
            1,
            true,
        ),
        (
            json!({"query": "a bearing for linear motion"}),
            "fulltext",
            "natural_language",
            1,
            false,
        ),
    ] {
        let answer = untimed(&client.post(SEARCH, body.clone()).await);
        let metadata = &answer["metadata"];
        assert_eq!(metadata["search_mode"], mode, "{body}");
        assert_eq!(metadata["query_type"], class, "{body}");
        assert_eq!(metadata["total_estimate"], total, "{body}");
        assert_eq!(metadata["zero_result_fallback_used"], fell_back, "{body}");
    }
}

#[tokio::test]
async fn filters_and_order_are_applied() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let rows = [bearing(), bolt(1), bolt(2), bolt(3)];
    app.add(&client.tenant, PRODUCTS, &rows).await;

    let body = json!({
        "query": "bolt",
        "filters": {"price_eur_min": "2", "record_type": "Product"},
        "sort": "-price_eur",
    });
    let answer = client.post(SEARCH, body).await;

    assert_eq!(names(&answer), ["Bolt 3", "Bolt 2"]);
    assert_eq!(answer.json()["metadata"]["total_estimate"], 2);
}

#[tokio::test]
async fn null_and_unknown_fields_mean_nothing() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &bolts(3)).await;

    let body = json!({
        "query": null, "limit": null, "offset": null, "sort": null, "format": null,
        "filters": null, "tenant_id": "t_0", "collection": "hotels", "anything": {"else": []},
    });
    let answer = client.post(SEARCH, body).await;

    assert_eq!(ids(&answer).len(), 3);
    assert_eq!(
        answer.json()["pagination"],
        json!({"offset": 0, "limit": 20, "has_more": false})
    );
}

#[tokio::test]
async fn pages_say_whether_there_is_more() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &bolts(5)).await;

    for (limit, offset, count, has_more) in [
        (2, 0, 2, true),
        (2, 2, 2, true),
        (2, 3, 2, false),
        (2, 4, 1, false),
        (2, 5, 0, false),
        (1, 0, 1, true),
        (5, 0, 5, false),
        (100, 0, 5, false),
        (100, 100_000, 0, false),
    ] {
        let body = json!({"query": "bolt", "limit": limit, "offset": offset});
        let answer = client.post(SEARCH, body.clone()).await;
        assert_eq!(ids(&answer).len(), count, "{body}");
        assert_eq!(
            answer.json()["pagination"],
            json!({"offset": offset, "limit": limit, "has_more": has_more})
        );
        assert_eq!(answer.json()["metadata"]["total_estimate"], 5, "{body}");
    }
}

#[tokio::test]
async fn pages_cover_every_result_once_and_with_the_same_score() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &bolts(25)).await;

    for query in ["", "bolt", "bolt 7"] {
        let body = json!({"query": query, "limit": 100});
        let all = results(&client.post(SEARCH, body).await);
        assert_eq!(all.len(), if query == "bolt 7" { 1 } else { 25 }, "{query}");
        let mut walked = Vec::new();
        while walked.len() < all.len() {
            let body = json!({"query": query, "limit": 7, "offset": walked.len()});
            let page = results(&client.post(SEARCH, body).await);
            assert!(!page.is_empty(), "{query}");
            walked.extend(page);
        }
        assert_eq!(walked, all, "{query}");
    }
}

#[tokio::test]
async fn what_is_written_later_is_found_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    let body = json!({"query": "bolt"});
    assert_eq!(ids(&client.post(SEARCH, body.clone()).await).len(), 1);

    for number in 2..=5 {
        app.add(&client.tenant, PRODUCTS, &[bolt(number)]).await;
        let answer = client.post(SEARCH, body.clone()).await;
        assert_eq!(answer.json()["metadata"]["total_estimate"], number);
    }
}

#[tokio::test]
async fn the_compact_format_is_a_table() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let rows = [
        bearing(),
        json!({"name": "a|b\nc\\d", "note": "x|y", "sku": "B-1000"}),
    ];
    app.add(&client.tenant, PRODUCTS, &rows).await;

    for (query, row) in [
        (
            "LM16UU",
            "| 1 | Linear Bearing LM16UU | 1.00 | price_eur: 12.5, sku: LM16UU |\n",
        ),
        (
            "B-1000",
            "| 1 | a\\|b c\\\\d | 1.00 | note: x\\|y, sku: B-1000 |\n",
        ),
        ("helicopter", ""),
    ] {
        let body = json!({"query": query, "format": "compact"});
        let answer = client.post(SEARCH, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(
            answer.text,
            format!("| # | Name | Score | Key Data |\n|---|---|---|---|\n{row}")
        );
    }
}

#[tokio::test]
async fn the_yaml_format_lists_the_same_results() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let odd = json!({
        "name": "- a: \"b\" #c",
        "description": "one\ntwo: three\n",
        "code": "007",
        "flag": "no",
        "nothing": "null",
        "number": "1e5",
        "nested": {"list": [1, "2", true, [], {}], "empty": ""},
    });
    app.add(&client.tenant, PRODUCTS, &[bearing(), odd]).await;

    for query in ["", "LM16UU", "helicopter"] {
        let json = client.post(SEARCH, json!({"query": query})).await;
        let body = json!({"query": query, "format": "yaml"});
        let yaml = client.post(SEARCH, body).await;
        assert_eq!(yaml.status, StatusCode::OK, "{query}");
        assert_eq!(
            yaml.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        let read: Value = serde_saphyr::from_str(&yaml.text).unwrap();
        assert_eq!(read, json.json()["results"], "{query}");
    }
}

#[tokio::test]
async fn json_is_a_format_too() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bearing()]).await;

    let answer = client.post(SEARCH, json!({"format": "json"})).await;

    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(names(&answer), ["Linear Bearing LM16UU"]);
}

#[tokio::test]
async fn an_unknown_collection_and_anothers_are_the_same_404() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    app.add(&owner.tenant, PRODUCTS, &[bolt(1)]).await;
    assert_eq!(owner.post(SEARCH, json!({})).await.status, StatusCode::OK);

    let theirs = other.post(SEARCH, json!({})).await;
    let nobodys = other.post("/portal/search/nowhere", json!({})).await;

    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    assert_eq!(theirs.json(), json!({"detail": "Collection not found"}));
    assert_eq!((nobodys.status, nobodys.text), (theirs.status, theirs.text));
}

#[tokio::test]
async fn tenants_with_collections_of_one_name_find_their_own() {
    let app = TestApp::new(records::router()).await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let own = app.add(&owner.tenant, PRODUCTS, &[bearing()]).await;
    let theirs = app.add(&other.tenant, PRODUCTS, &[bearing()]).await;

    let body = json!({"query": "LM16UU", "tenant_id": owner.tenant});
    assert_eq!(ids(&owner.post(SEARCH, body.clone()).await), own);
    assert_eq!(ids(&other.post(SEARCH, body).await), theirs);
    let body = json!({"filters": {"tenant_id": owner.tenant}});
    assert!(ids(&other.post(SEARCH, body).await).is_empty());
}

#[tokio::test]
async fn a_malformed_name_of_a_collection_is_a_fault_of_the_path() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    for name in [
        "-a",
        "_a",
        ".a",
        "a%20b",
        "a%23KEY",
        "a%2Fb",
        "a%00",
        "%C3%A9",
        &"a".repeat(65),
        &"a".repeat(10_000),
    ] {
        let answer = client
            .post(&format!("/portal/search/{name}"), json!({}))
            .await;
        assert_faults(
            &answer,
            &[(&["path", "collection"], "string_pattern_mismatch")],
        );
    }
}

#[tokio::test]
async fn a_faulty_field_is_named() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    for (field, value, kind) in [
        ("query", json!("x".repeat(501)), "string_too_long"),
        ("query", json!("\u{1f600}".repeat(501)), "string_too_long"),
        ("query", json!(7), "string_type"),
        ("query", json!(["bolt"]), "string_type"),
        ("limit", json!(0), "greater_than_equal"),
        ("limit", json!(-1), "greater_than_equal"),
        ("limit", json!(101), "less_than_equal"),
        ("limit", json!(1e2), "int_from_float"),
        ("limit", json!(1.5), "int_from_float"),
        ("limit", json!("5"), "int_type"),
        ("limit", json!(" 5"), "int_type"),
        ("limit", json!(true), "int_type"),
        ("offset", json!(-1), "greater_than_equal"),
        ("offset", json!(100_001), "less_than_equal"),
        ("offset", json!("0"), "int_type"),
        ("sort", json!(""), "string_too_short"),
        ("sort", json!("-"), "string_too_short"),
        ("sort", json!("x".repeat(501)), "string_too_long"),
        ("sort", json!(["name"]), "string_type"),
        ("format", json!("xml"), "enum"),
        ("format", json!("JSON"), "enum"),
        ("format", json!(1), "string_type"),
        ("filters", json!([]), "dict_type"),
        ("filters", json!("size=8"), "dict_type"),
    ] {
        let answer = client.post(SEARCH, json!({field: value})).await;
        assert_faults(&answer, &[(&["body", field], kind)]);
    }
}

#[tokio::test]
async fn a_faulty_filter_is_named() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    for (filter, value) in [
        ("price_eur", json!(null)),
        ("price_eur", json!({"min": 1})),
        ("unknown", json!(null)),
        ("price_eur_min", json!([1, 2])),
    ] {
        let body = json!({"filters": {filter: value}});
        let answer = client.post(SEARCH, body).await;
        assert_faults(&answer, &[(&["body", "filters", filter], "value_error")]);
    }
    let body = json!({"filters": {"price_eur_in": [1, null]}});
    let answer = client.post(SEARCH, body).await;
    assert_faults(
        &answer,
        &[(&["body", "filters", "price_eur_in", "1"], "value_error")],
    );
}

#[tokio::test]
async fn more_than_20_filters_are_too_many() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    let filters = |count: u32| -> Value {
        (0..count)
            .map(|number| (format!("price_eur_{number}"), json!(1)))
            .collect()
    };

    let answer = client.post(SEARCH, json!({"filters": filters(20)})).await;
    assert!(ids(&answer).is_empty());

    let answer = client.post(SEARCH, json!({"filters": filters(21)})).await;
    assert_faults(&answer, &[(&["body", "filters"], "too_long")]);
}

#[tokio::test]
async fn every_faulty_field_is_named_at_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let body = json!({
        "query": 7, "limit": 0, "offset": -1, "sort": "", "filters": [], "format": "xml",
    });
    let answer = client.post(SEARCH, body).await;

    assert_faults(
        &answer,
        &[
            (&["body", "query"], "string_type"),
            (&["body", "limit"], "greater_than_equal"),
            (&["body", "offset"], "greater_than_equal"),
            (&["body", "sort"], "string_too_short"),
            (&["body", "filters"], "dict_type"),
            (&["body", "format"], "enum"),
        ],
    );
}

#[tokio::test]
async fn the_body_has_to_be_an_object() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let answer = client.call(Method::POST, SEARCH, None).await;
    assert_faults(&answer, &[(&["body"], "missing")]);
    for body in [json!(null), json!([]), json!("bolt"), json!(7)] {
        let answer = client.post(SEARCH, body).await;
        assert_faults(&answer, &[(&["body"], "model_attributes_type")]);
    }
}

#[tokio::test]
async fn no_text_makes_a_search_fail() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bearing(), bolt(1)])
        .await;

    for query in [
        "\"".repeat(500),
        "a ".repeat(250),
        "\u{e9}".repeat(500),
        "\u{1f600}".repeat(500),
        "the of and".to_owned(),
        "\u{1f600}".to_owned(),
        "\u{202e}tlob \u{5d1}\u{5d5}\u{5e8}\u{5d2} \u{628}\u{631}\u{63a}\u{64a}".to_owned(),
        "bo\0lt".to_owned(),
        "\0".to_owned(),
        "\" OR *".to_owned(),
        "+bolt -hex name:bolt^9 bolt~2 [a TO z] {} \\ / ?".to_owned(),
        "t#KEY#x".to_owned(),
    ] {
        let answer = client.post(SEARCH, json!({"query": query})).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    }
    for query in [
        "\"".repeat(1_000),
        "bolt ".repeat(1_000),
        "x".repeat(10_240),
    ] {
        let answer = client.post(SEARCH, json!({"query": query})).await;
        assert_faults(&answer, &[(&["body", "query"], "string_too_long")]);
    }
}

#[tokio::test]
async fn a_search_is_counted_once_it_is_answered() {
    let app = TestApp::new(records::router()).await;
    for plan in Plan::ALL {
        let client = app.tenant(plan).await;
        app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
        for count in 1..=3 {
            search_times(&client, 1).await;
            assert_eq!(counted(&app, &client.tenant).await, count, "{plan}");
        }
    }
}

#[tokio::test]
async fn a_search_without_results_is_counted_too() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let answer = client.post(SEARCH, json!({"query": "helicopter"})).await;

    assert!(ids(&answer).is_empty());
    assert_eq!(counted(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn a_search_that_is_refused_is_neither_counted_nor_a_first_one() {
    let app = TestApp::new(records::router()).await;
    for plan in [Plan::Free, Plan::Pro] {
        let client = app.tenant(plan).await;
        app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
        for (path, body, status) in [
            (
                SEARCH,
                json!({"limit": 0}),
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            (
                SEARCH,
                json!({"filters": {"price_eur_min": [1, 2]}}),
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            (
                "/portal/search/-a",
                json!({}),
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            ("/portal/search/nowhere", json!({}), StatusCode::NOT_FOUND),
        ] {
            let answer = client.post(path, body).await;
            assert_eq!(answer.status, status, "{}", answer.text);
            assert_eq!(counted(&app, &client.tenant).await, 0, "{path}");
            assert_eq!(first_search(&app, &client.tenant).await, None, "{path}");
        }
    }
}

#[tokio::test]
async fn the_free_plan_ends_after_50_searches() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    search_times(&client, 50).await;

    for _ in 0..2 {
        assert_used_up(&client.post(SEARCH, json!({})).await);
        assert_used_up(&client.viewer().post(SEARCH, json!({})).await);
    }
    let answer = client.post(SEARCH, json!({"limit": 0})).await;
    assert_faults(&answer, &[(&["body", "limit"], "greater_than_equal")]);
    assert_eq!(counted(&app, &client.tenant).await, 50);
}

#[tokio::test]
async fn a_refused_search_is_given_back_to_the_free_plan() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    search_times(&client, 49).await;

    let faulty = json!({"filters": {"price_eur_min": [1, 2]}});
    let answer = client.post(SEARCH, faulty).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);

    search_times(&client, 1).await;
    assert_used_up(&client.post(SEARCH, json!({})).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_searches_at_once_the_free_plan_answers_exactly_50() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let answers = join_all((0..100).map(|_| client.post(SEARCH, json!({})))).await;

    let (answered, refused): (Vec<Answer>, Vec<Answer>) = answers
        .into_iter()
        .partition(|answer| answer.status == StatusCode::OK);
    assert_eq!((answered.len(), refused.len()), (50, 50));
    for answer in &refused {
        assert_used_up(answer);
    }
    assert_eq!(counted(&app, &client.tenant).await, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_searches_at_once_a_charged_plan_counts_each() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;

    let answers = join_all((0..100).map(|_| client.post(SEARCH, json!({})))).await;

    for answer in &answers {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    assert_eq!(counted(&app, &client.tenant).await, 100);
}

#[tokio::test]
async fn a_new_month_has_searches_of_its_own() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    search_times(&client, 50).await;

    // To the last millisecond of March, then to the first of April.
    app.advance(TimeDelta::days(23) + TimeDelta::hours(12) - TimeDelta::milliseconds(1));
    let client = app.client(client.tenant.as_str(), Role::Member);
    assert_used_up(&client.post(SEARCH, json!({})).await);
    assert_eq!(counted(&app, &client.tenant).await, 50);

    app.advance(TimeDelta::milliseconds(1));
    search_times(&client, 1).await;
    assert_eq!(counted(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn a_search_over_the_rate_limit_is_not_counted() {
    let app = TestApp::with(records::router(), &[]).await;
    let client = app.tenant(Plan::Free).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    search_times(&client, 20).await;

    let answer = client.post(SEARCH, json!({})).await;

    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let detail = answer.detail();
    let told = detail.as_str().unwrap_or_default();
    assert!(
        told.starts_with("Rate limit exceeded. Retry after "),
        "{detail}"
    );
    assert_eq!(counted(&app, &client.tenant).await, 20);
}

#[tokio::test]
async fn the_first_search_is_stamped_once() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bolt(1)]).await;
    assert_eq!(first_search(&app, &client.tenant).await, None);

    for _ in 0..3 {
        search_times(&client, 1).await;
        let stamp = first_search(&app, &client.tenant).await;
        assert_eq!(stamp, Some(NOW.parse().unwrap()));
        app.advance(TimeDelta::minutes(1));
    }
}

#[tokio::test]
async fn a_viewer_may_search() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let added = app.add(&client.tenant, PRODUCTS, &[bearing()]).await;

    let answer = client
        .viewer()
        .post(SEARCH, json!({"query": "LM16UU"}))
        .await;

    assert_eq!(ids(&answer), added);
    assert_eq!(counted(&app, &client.tenant).await, 1);
}

#[tokio::test]
async fn a_stranger_may_not_search() {
    let app = TestApp::new(records::router()).await;

    let answer = app.stranger().post(SEARCH, json!({})).await;

    assert_unauthorized(&answer);
}

#[tokio::test]
async fn a_search_that_nobody_waits_for_is_given_back() {
    let app = TestApp::new(records::router()).await;
    let client = app.tenant(Plan::Pro).await;
    app.add(&client.tenant, PRODUCTS, &[bearing()]).await;
    // Building the index is slow then, and comes after the search was counted.
    app.faults.inject("Query", Fault::Throttled, 4);

    let search = client.post(SEARCH, json!({"query": "bearing"}));
    let hung_up = tokio::time::timeout(Duration::from_millis(100), search).await;

    assert!(hung_up.is_err(), "it was answered too soon");
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if counted(&app, &client.tenant).await == 0 {
            break;
        }
    }
    assert_eq!(counted(&app, &client.tenant).await, 0);
    let answer = client.post(SEARCH, json!({"query": "bearing"})).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(counted(&app, &client.tenant).await, 1);
}
