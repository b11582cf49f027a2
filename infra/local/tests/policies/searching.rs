//! The functions that search: a tenant's records, and those that everybody may see.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use model::key::Scope;
use serde_json::json;

use crate::stage::{PARTS, Stage, meet, ok};

#[tokio::test]
async fn records() {
    let stage = Stage::new(records::router()).await;
    stage.welcome("/portal/collections").await;
    let list = "/portal/records?collection=parts";
    meet(&stage, |client, _| async move {
        client.get("/portal/collections").await
    })
    .await;
    let search = async || {
        let query = json!({"query": "part"});
        let answer = stage.client().post("/portal/search/parts", query).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    };
    search().await;
    stage.left_unfolded("Part one").await;
    ok(stage.client().get("/portal/collections").await);
    ok(stage.client().get(list).await);
    stage.forge_marker().await;
    search().await;
    for round in 3..6 {
        stage.folded(&format!("Washer {round}")).await;
        stage.left_unfolded(&format!("Part {round}")).await;
        stage.objects.lose().await;
        stage.both_advance(TimeDelta::hours(2));
        search().await;
    }
    change_records(&stage).await;
    stage.schema().await;
    let path = "/portal/collections/parts";
    ok(stage.client().delete(path).await);
    stage.judge("Records");
}

/// All that the main API does with records and collections, and the portal with one of them.
async fn change_records(stage: &Stage) {
    let program = stage.program(Scope::Admin).await;
    let record = |name: &str| {
        json!({
            "collection": "parts",
            "record_type": "part",
            "name": name,
            "visibility": "public",
        })
    };
    let mut ids = Vec::new();
    for name in ["First", "Second", "Third"] {
        let made = ok(program.post("/records", record(name)).await).json();
        ids.push(made["id"].as_str().expect("an id").to_owned());
    }
    let one = format!("/records/{}", ids[0]);
    for path in ["/records", &one, "/search/parts?q=first", "/collections"] {
        ok(program.get(path).await);
    }
    let private = json!({"visibility": "private"});
    ok(program.patch(&one, json!({"name": "Changed"})).await);
    ok(program.patch(&format!("{one}/visibility"), private).await);
    let said = json!({"description": "x"});
    ok(program.patch("/collections/parts", said).await);
    ok(program.patch("/collections/parts", json!({})).await);
    let many = json!({"record_ids": ids, "name": "Changed", "visibility": "public"});
    ok(program.patch("/records/bulk", many.clone()).await);
    ok(program.post("/records/bulk-visibility", many.clone()).await);
    ok(program.delete(&one).await);
    let one = format!("/portal/records/{}", ids[1]);
    ok(stage.client().get(&one).await);
    ok(stage.client().patch(&one, json!({"name": "Again"})).await);
    ok(stage.client().delete(&one).await);
    ok(program.post("/records/bulk-delete", many).await);
}

#[tokio::test]
async fn open() {
    let stage = Stage::with_open(api::Router::new(), open::router()).await;
    let row = json!({"name": "Shown part", "visibility": "public"});
    let ids = stage.others.add(&stage.tenant, PARTS, &[row]).await;
    let search = async || {
        let anybody = stage.function.anybody();
        let request = anybody
            .request(Method::GET, "/search/parts?q=part")
            .header("x-agent-id", "agent")
            .body(Body::empty());
        let answer = stage.function.send(request.expect("a request")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_ne!(answer.json()["results"], json!([]));
    };
    search().await;
    stage.left_unfolded("Part one").await;
    let record = format!("/records/{}", ids[0]);
    for path in [
        "/collections",
        "/collections/parts/schema",
        "/search?q=part",
        &record,
    ] {
        ok(stage.function.anybody().get(path).await);
    }
    stage.forge_marker().await;
    search().await;
    for round in 3..6 {
        stage.folded(&format!("Washer {round}")).await;
        stage.left_unfolded(&format!("Part {round}")).await;
        stage.objects.lose().await;
        stage.both_advance(TimeDelta::hours(2));
        search().await;
    }
    stage.judge("Open");
}
