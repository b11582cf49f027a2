//! The function that takes files and batches of rows.

use auth::Role;
use axum::http::Method;
use chrono::TimeDelta;
use model::key::Scope;
use serde_json::{Value, json};
use testkit::{Client, Form};

use crate::stage::{Stage, meet, ok};

/// Calls under an `Idempotency-Key`: one that is sent again, and one that comes to nothing.
async fn repeat(stage: &Stage) {
    let path = "/portal/upload/parts/product/upload";
    for _ in 0..2 {
        let form = Form::new().file("parts.csv", "name\nSent again\n");
        let client = stage.client().under("0001-call");
        ok(client.upload(path, form).await);
    }
    let broken = Form::new().file("parts.csv", "name,a\nx,\"open\n");
    let client = stage.client().under("0002-call");
    let refused = client.upload(path, broken).await;
    assert!(refused.status.is_client_error(), "{refused:?}");
}

#[tokio::test]
async fn upload() {
    let stage = Stage::new(upload::router()).await;
    let send = async |client: Client<'_>, rows: Value| {
        let form = Form::new().file("parts.json", rows.to_string());
        let path = "/portal/upload/parts/product/upload";
        ok(client.upload(path, form).await)
    };
    let row = |n: usize, visibility: &str| {
        let source = format!("S-{n}");
        json!([{"name": format!("Part {n}"), "source_id": source, "visibility": visibility}])
    };
    let newcomer = stage.function.client("t_first", Role::Member);
    for _ in 0..2 {
        send(newcomer.clone(), row(0, "private")).await;
    }
    meet(&stage, |client, number| {
        send(client, row(number, "private"))
    })
    .await;
    send(stage.client(), row(1, "public")).await;
    send(
        stage.client(),
        json!([{"name": "Other", "source_id": "S-1", "visibility": "public"}]),
    )
    .await;
    stage.hold_lease().await;
    send(stage.client(), row(7, "public")).await;
    stage.both_advance(TimeDelta::hours(2));
    stage.forge_marker().await;
    send(stage.client(), row(2, "public")).await;
    for n in 3..6 {
        stage.folded(&format!("Washer {n}")).await;
        stage.objects.lose().await;
        stage.both_advance(TimeDelta::hours(2));
        send(stage.client(), row(n, "public")).await;
    }
    let replace = async |name: &str, then: &str| {
        let form = Form::new().file("parts.json", json!([{"name": name}]).to_string());
        let path = "/portal/collections/parts/replace?record_type=product";
        ok(stage.client().upload(path, form).await);
        let path = "/portal/collections/parts/replace-status";
        ok(stage.client().get(path).await);
        let path = format!("/portal/collections/parts/{then}");
        ok(stage.client().post(&path, json!({})).await);
    };
    let schema = "/portal/schemas/parts/product";
    for version in 1..3 {
        let body = json!({"maxProperties": version + 8});
        let client = stage.client();
        ok(client.call(Method::PUT, schema, Some(body)).await);
    }
    for path in [
        schema,
        "/portal/schemas/parts/product?version=1",
        "/portal/schemas",
    ] {
        ok(stage.client().get(path).await);
    }
    ok(stage.client().delete(schema).await);
    let announced = json!({
        "collection": "parts",
        "record_type": "product",
        "file_name": "parts.json",
        "size_bytes": 1,
    });
    ok(stage.client().post("/portal/uploads", announced).await);
    let rows = json!([{"name": "Good"}, {"no": "name"}]);
    let uploaded = send(stage.client(), rows).await.json();
    let id = uploaded["upload_id"].as_str().expect("an id");
    for path in ["", &format!("/{id}"), &format!("/{id}/errors")] {
        ok(stage.client().get(&format!("/portal/uploads{path}")).await);
    }
    let program = stage.program(Scope::Upload).await;
    let batch = json!([{"name": "In a batch"}, {"no": "name"}]);
    let uploaded = program.post("/ingest/batch/parts/product", batch).await;
    let uploaded = ok(uploaded).json();
    let id = uploaded["upload_id"].as_str().expect("an id");
    for path in ["", "/dlq"] {
        ok(program.get(&format!("/uploads/{id}{path}")).await);
    }
    let program = stage.program(Scope::Admin).await;
    let registration = json!({
        "collection": "parts",
        "record_type": "product",
        "json_schema": {"maxProperties": 9},
    });
    ok(program.post("/schemas", registration).await);
    for path in ["?collection=parts", "/parts/product"] {
        ok(program.get(&format!("/schemas{path}")).await);
    }
    ok(stage.client().delete(schema).await);
    repeat(&stage).await;
    replace("Cancelled", "cancel-replace").await;
    replace("Swapped", "swap").await;
    stage.judge("Upload");
}
