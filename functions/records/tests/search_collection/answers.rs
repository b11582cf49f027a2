//! What a search answers with: results, pages and metadata.

use axum::http::StatusCode;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Answer, TestApp};

use crate::common::{PRODUCTS, SEARCH, bearing, bolt, bolts, ids, names, results};

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
