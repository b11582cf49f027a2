//! `POST|GET /open/v1/search`: all public records.

#[expect(dead_code, reason = "records are as they were added")]
mod common;

use common::{counted, names, public, results, total, unlimited};
use model::plan::Plan;
use serde_json::{Value, json};

#[tokio::test]
async fn the_public_records_of_all_collections_are_searched_as_one() {
    let app = unlimited().await;
    let (one, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    for (client, collection, name) in [
        (&one, "fasteners", "Alpha bolt"),
        (&one, "tools", "Beta bolt"),
        (&other, "spares", "Gamma bolt"),
    ] {
        let rows = [
            public(json!({"name": name})),
            json!({"name": "Secret bolt"}),
        ];
        app.add(&client.tenant, (collection, "product"), &rows)
            .await;
    }
    let body = json!({"query": "bolt", "sort": "name"});
    let answer = app.anybody().post("/search", body).await;
    assert_eq!(names(&answer), ["Alpha bolt", "Beta bolt", "Gamma bolt"]);
    assert_eq!(total(&answer), 3);
    for (client, collection) in [(&one, "fasteners"), (&one, "tools"), (&other, "spares")] {
        assert_eq!(counted(&app, &client.tenant, collection).await, 1);
    }
    let short = app.anybody().get("/search?q=gamma").await;
    assert_eq!(names(&short), ["Gamma bolt"]);
}

#[tokio::test]
async fn where_nothing_is_public_nothing_is_found() {
    let app = unlimited().await;
    let client = app.tenant(Plan::Pro).await;
    let rows = [json!({"name": "Secret bolt"})];
    app.add(&client.tenant, ("fasteners", "product"), &rows)
        .await;
    let answer = app.anybody().get("/search").await;
    assert_eq!(results(&answer), [] as [Value; 0]);
    assert_eq!(total(&answer), 0);
}
