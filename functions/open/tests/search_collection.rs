//! `POST|GET /open/v1/search/{collection}`: the public records of all collections of a name.

#[expect(dead_code, reason = "what is deleted is in another file")]
mod common;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use common::{counted, counted_of, names, public, results, show, total, unlimited};
use model::plan::Plan;
use model::record::Visibility;
use serde_json::{Value, json};
use testkit::{TestApp, assert_faults};

const PRODUCTS: (&str, &str) = ("fasteners", "product");
const SEARCH: &str = "/search/fasteners";

/// Two tenants with ten public bolts each, which are numbered through, and ten private ones of numbers
/// above 100.
async fn bolts(app: &TestApp) -> [testkit::Client<'_>; 2] {
    let clients = [app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await];
    for (client, first) in clients.iter().zip([1, 2]) {
        let rows: Vec<Value> = (0..20)
            .map(|n| first + 2 * (n / 2) + 100 * (n % 2))
            .map(|number: u32| {
                let row = json!({"name": format!("Bolt {number}"), "price": number});
                if number < 100 { public(row) } else { row }
            })
            .collect();
        app.add(&client.tenant, PRODUCTS, &rows).await;
    }
    clients
}

#[tokio::test]
async fn an_answer_has_what_a_search_of_the_portal_has() {
    let app = unlimited().await;
    let client = app.tenant(Plan::Free).await;
    let row = public(json!({"name": "Linear Bearing", "sku": "LM16UU", "source_id": "secret"}));
    let ids = app.add(&client.tenant, PRODUCTS, &[row]).await;

    let answer = app.anybody().post(SEARCH, json!({"query": "lm16uu"})).await;

    assert_eq!(
        results(&answer),
        [json!({
            "record_id": ids[0],
            "name": "Linear Bearing",
            "description": null,
            "score": 1.0,
            "collection": "fasteners",
            "record_type": "product",
            "collection_data": {"sku": "LM16UU"},
            "description_llm": null,
            "source_type": "file_upload",
            "updated_at": "2026-03-08T12:00:00Z",
        })]
    );
    let body = answer.json();
    assert_eq!(
        body["pagination"],
        json!({"offset": 0, "limit": 20, "has_more": false})
    );
    assert_eq!(body["metadata"]["search_mode"], "identifier");
    assert_eq!(body["metadata"]["total_estimate"], 1);
    assert!(!answer.text.contains(client.tenant.as_str()));
    assert!(!answer.text.contains("secret"));
}

#[tokio::test]
async fn collections_of_one_name_are_one_and_pages_of_it_never_overlap() {
    let app = unlimited().await;
    bolts(&app).await;
    let anybody = app.anybody();
    for (sort, expected) in [
        ("price", (1..=20).collect::<Vec<u32>>()),
        ("-price", (1..=20).rev().collect()),
    ] {
        let mut found = Vec::new();
        for offset in (0..20).step_by(7) {
            let body = json!({"sort": sort, "limit": 7, "offset": offset});
            let answer = anybody.post(SEARCH, body).await;
            assert_eq!(total(&answer), 20, "{sort}");
            let more = offset + 7 < 20;
            assert_eq!(answer.json()["pagination"]["has_more"], more, "{sort}");
            found.extend(names(&answer));
        }
        let expected: Vec<String> = expected.iter().map(|n| format!("Bolt {n}")).collect();
        assert_eq!(found, expected, "{sort}");
    }
}

#[tokio::test]
async fn hits_of_all_tenants_are_ordered_by_score_and_then_by_id() {
    let app = unlimited().await;
    bolts(&app).await;
    let body = json!({"query": "bolt", "limit": 100});
    let all = results(&app.anybody().post(SEARCH, body).await);
    assert_eq!(all.len(), 20);
    let key = |row: &Value| {
        let score = row["score"].as_f64().expect("a score");
        let id = row["record_id"].as_str().expect("an id").to_owned();
        (score, id)
    };
    let keys: Vec<(f64, String)> = all.iter().map(key).collect();
    let is_ordered = keys.is_sorted_by(|one, next| {
        let by_score = next.0.total_cmp(&one.0);
        by_score.then_with(|| one.1.cmp(&next.1)).is_lt()
    });
    assert!(is_ordered, "{keys:?}");
}

#[tokio::test]
async fn what_one_collection_falls_back_to_does_not_count_where_another_has_every_word() {
    let app = unlimited().await;
    let (one, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    app.add(&one.tenant, PRODUCTS, &[public(json!({"name": "Hex nut"}))])
        .await;
    app.add(
        &other.tenant,
        PRODUCTS,
        &[public(json!({"name": "Hex bolt"}))],
    )
    .await;

    let answer = app
        .anybody()
        .post(SEARCH, json!({"query": "hex bolt"}))
        .await;
    assert_eq!(names(&answer), ["Hex bolt"]);
    assert_eq!(total(&answer), 1);
    assert_eq!(
        answer.json()["metadata"]["zero_result_fallback_used"],
        false
    );

    let answer = app
        .anybody()
        .post(SEARCH, json!({"query": "hex rivet"}))
        .await;
    assert_eq!(total(&answer), 2);
    assert_eq!(answer.json()["metadata"]["zero_result_fallback_used"], true);
}

#[tokio::test]
async fn a_record_is_found_and_gone_with_its_visibility_at_once() {
    let app = unlimited().await;
    let client = app.tenant(Plan::Pro).await;
    let ids = app
        .add(&client.tenant, PRODUCTS, &[json!({"name": "Bolt"})])
        .await;
    let search = || async { total(&app.anybody().get("/search/fasteners?q=bolt").await) };
    assert_eq!(search().await, 0);
    for (visibility, found) in [
        (Visibility::Public, 1),
        (Visibility::Private, 0),
        (Visibility::Public, 1),
    ] {
        show(&app, &client.tenant, "fasteners", (ids[0], visibility)).await;
        assert_eq!(search().await, found, "{visibility:?}");
    }
}

#[tokio::test]
async fn a_swap_shows_the_public_records_of_the_new_generation_alone() {
    let app = unlimited().await;
    let client = app.tenant(Plan::Pro).await;
    let old = [public(json!({"name": "Old bolt"}))];
    app.add(&client.tenant, PRODUCTS, &old).await;
    let upload = app.begin_replace(&client.tenant, PRODUCTS, 2).await;
    let new = [
        json!({"name": "Secret bolt"}),
        public(json!({"name": "New bolt"})),
    ];
    upload.run(&new).await;
    let search = || async { names(&app.anybody().get("/search/fasteners").await) };
    assert_eq!(search().await, ["Old bolt"]);

    let (table, now) = (&app.app.table, app.app.clock.now());
    let name = "fasteners".parse().expect("a collection");
    let read = table.find_collection(&client.tenant, &name).await;
    let read = read.expect("an answer").expect("a collection");
    table
        .swap(&client.tenant, &read, now)
        .await
        .expect("a swap");
    assert_eq!(search().await, ["New bolt"]);
}

#[tokio::test]
async fn a_private_fields_values_and_counts_are_not_told() {
    let app = unlimited().await;
    bolts(&app).await;
    for body in [
        json!({"filters": {"price_min": 100}}),
        json!({"query": "101"}),
        json!({"query": "bolt 101", "filters": {"price": 101}}),
    ] {
        let answer = app.anybody().post(SEARCH, body.clone()).await;
        assert!(
            names(&answer).iter().all(|name| name != "Bolt 101"),
            "{body}"
        );
    }
    let filtered = json!({"filters": {"price_min": 100}});
    assert_eq!(total(&app.anybody().post(SEARCH, filtered).await), 0);
}

#[tokio::test]
async fn an_unknown_collection_has_no_results() {
    let app = unlimited().await;
    for (query, class, fell_back) in [
        ("", "filter", false),
        ("bolt", "keyword", false),
        ("hex bolt", "keyword", true),
        ("LM16UU", "identifier", true),
    ] {
        let answer = app
            .anybody()
            .post("/search/nowhere", json!({"query": query}))
            .await;
        assert_eq!(results(&answer), [] as [Value; 0]);
        let metadata = &answer.json()["metadata"];
        assert_eq!(metadata["total_estimate"], 0);
        assert_eq!(metadata["query_type"], class);
        assert_eq!(metadata["zero_result_fallback_used"], fell_back, "{query}");
    }
}

#[tokio::test]
async fn the_short_form_is_the_same_search() {
    let app = unlimited().await;
    bolts(&app).await;
    let body = json!({"query": "bolt", "limit": 3, "offset": 2});
    let long = app.anybody().post(SEARCH, body).await;
    let path = "/search/fasteners?q=bolt&limit=3&offset=2";
    let short = app.anybody().get(path).await;
    assert_eq!(results(&short), results(&long));
}

#[tokio::test]
async fn what_is_wrong_with_a_search_is_told() {
    let app = unlimited().await;
    let anybody = app.anybody();
    let answer = anybody
        .post(SEARCH, json!({"limit": 101, "query": 7}))
        .await;
    assert_faults(
        &answer,
        &[
            (&["body", "query"], "string_type"),
            (&["body", "limit"], "less_than_equal"),
        ],
    );
    let long = "x".repeat(501);
    let answer = anybody
        .get(&format!("/search/fasteners?q={long}&limit=0"))
        .await;
    assert_faults(
        &answer,
        &[
            (&["query", "q"], "string_too_long"),
            (&["query", "limit"], "greater_than_equal"),
        ],
    );
    let answer = anybody.get("/search/-x").await;
    assert_faults(
        &answer,
        &[(&["path", "collection"], "string_pattern_mismatch")],
    );
}

#[tokio::test]
async fn a_search_counts_for_those_whose_records_it_returned() {
    let app = unlimited().await;
    let [one, other] = bolts(&app).await;
    let silent = app.tenant(Plan::Pro).await;
    app.add(&silent.tenant, PRODUCTS, &[json!({"name": "Bolt 1"})])
        .await;
    let count = || async {
        let mut counts = Vec::new();
        for client in [&one, &other, &silent] {
            counts.push(counted(&app, &client.tenant, "fasteners").await);
        }
        counts
    };
    app.anybody().post(SEARCH, json!({"query": "bolt"})).await;
    assert_eq!(count().await, [1, 1, 0]);
    app.anybody()
        .post(SEARCH, json!({"filters": {"price": 1}}))
        .await;
    assert_eq!(count().await, [2, 1, 0]);
    app.anybody()
        .post(SEARCH, json!({"query": "helicopter"}))
        .await;
    app.anybody().post(SEARCH, json!({"limit": 0})).await;
    assert_eq!(count().await, [2, 1, 0]);
}

#[tokio::test]
async fn an_agent_is_counted_once_for_each_tenant() {
    let app = unlimited().await;
    let clients = bolts(&app).await;
    let too_long = "x".repeat(101);
    let requests = [("claude", 2), (too_long.as_str(), 0), (" ", 0)];
    for (agent, _) in requests {
        for _ in 0..2 {
            let request = app
                .anybody()
                .request(Method::GET, "/search/fasteners?q=bolt")
                .header("x-agent-id", agent);
            let answer = app
                .send(request.body(Body::empty()).expect("a request"))
                .await;
            assert_eq!(answer.status, StatusCode::OK);
        }
    }
    for client in clients {
        assert_eq!(counted(&app, &client.tenant, "fasteners").await, 6);
        for (agent, expected) in requests {
            let counted = counted_of(&app, &client.tenant, agent).await;
            assert_eq!(counted, expected, "{agent}");
        }
    }
}
