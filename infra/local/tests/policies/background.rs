//! The functions that nobody waits for.

use auth::Role;
use aws_sdk_lambda::Client as Lambda;
use chrono::TimeDelta;
use files::Received;
use futures_util::stream;
use indexer::Indexer;
use ingest::Ingest;
use model::Fault;
use model::id::UploadId;
use model::upload::{RowError, Status};
use serde_json::{Value, json};

use crate::stage::{PARTS, Stage, ok};

/// Announces a file to others and sends it to where the function finds it. It may be one that a process
/// has begun before it died.
async fn arrive(stage: &Stage, rows: &Value, is_begun: bool) -> UploadId {
    let (file, tenant) = (rows.to_string(), &stage.tenant);
    let announced = json!({
        "collection": PARTS.0,
        "record_type": PARTS.1,
        "file_name": "parts.json",
        "size_bytes": file.len(),
    });
    let client = stage.others.client(tenant.as_str(), Role::Member);
    let answer = ok(client.post("/portal/uploads", announced).await).json();
    let id = answer["upload_id"].as_str().expect("an id").parse();
    let (id, size): (UploadId, _) = (id.expect("an id"), file.len() as u64);
    let body = stream::iter([Ok::<_, std::io::Error>(file.into())]);
    let received = stage.function.files.receive(tenant, id, size, body).await;
    assert_eq!(received.expect("an answer"), Received::Stored);
    if is_begun {
        let (table, now) = (&stage.others.app.table, stage.others.app.clock.now());
        let job = table.find_upload(tenant, id).await.expect("an answer");
        let mut job = job.expect("an upload");
        job.status = Status::Processing;
        job.checkpoint.begun = true;
        job.schema = Some(1);
        table.save_upload(tenant, &job, now).await.expect("a write");
        let errors = [RowError::new(1, Fault::missing().at("name"))];
        let kept = table.keep_errors(tenant, id, (0, 0), &errors, now).await;
        kept.expect("a write");
    }
    id
}

#[tokio::test]
async fn ingest() {
    let stage = Stage::new(api::Router::new()).await;
    let nobody = Lambda::from_conf(aws_sdk_lambda::Config::builder().build());
    let ingest = Ingest::new(stage.function.app.clone(), nobody);
    let send = async |rows: Value, is_begun: bool| {
        let id = arrive(&stage, &rows, is_begun).await;
        let event = json!({"upload": {"tenant": stage.tenant, "id": id, "step": 1}});
        let event = serde_json::from_value(event).expect("an event");
        let deadline = stage.function.app.clock.now() + TimeDelta::minutes(15);
        let done = ingest.handle(event, "portal-ingest".to_owned(), deadline);
        done.await.expect("no failure");
        let job = stage.others.app.table.find_upload(&stage.tenant, id).await;
        let job = job.expect("an answer").expect("an upload");
        assert_eq!(job.status, Status::Complete, "{job:?}");
    };
    let row = |n: usize, visibility: &str| {
        let source = format!("S-{n}");
        json!([
            {"name": format!("Part {n}"), "source_id": source, "visibility": visibility},
            {"source_id": "without a name"},
        ])
    };
    send(row(0, "private"), false).await;
    stage.abandon("Cut short").await;
    send(row(1, "private"), false).await;
    send(row(1, "public"), true).await;
    let other = json!([{"name": "Other", "source_id": "S-1", "visibility": "public"}]);
    send(other, false).await;
    stage.hold_lease().await;
    send(row(7, "public"), false).await;
    stage.both_advance(TimeDelta::hours(2));
    stage.forge_marker().await;
    send(row(2, "public"), false).await;
    for n in 3..6 {
        stage.folded(&format!("Washer {n}")).await;
        stage.objects.lose().await;
        stage.both_advance(TimeDelta::hours(2));
        send(row(n, "public"), false).await;
    }
    stage.judge("Ingest");
}

#[tokio::test]
async fn indexer() {
    let stage = Stage::new(api::Router::new()).await;
    stage.function.calls.record();
    let indexer = Indexer::new(stage.function.app.indexes().expect("indexes").clone());
    let touched = json!({"Records": [{
        "eventName": "INSERT",
        "dynamodb": {
            "Keys": {
                "pk": {"S": format!("TENANT#{}#SUMMARY", stage.tenant)},
                "sk": {"S": "COLL#parts"},
            },
            "SequenceNumber": "1",
        },
    }]});
    let handle = async |event: &Value| {
        let event = serde_json::from_value(event.clone()).expect("an event");
        let answer = indexer.handle(event).await.expect("an answer");
        assert_eq!(
            serde_json::to_value(answer).expect("JSON"),
            json!({"batchItemFailures": []})
        );
    };
    for round in 0..3 {
        stage.left_unfolded(&format!("Nut {round}")).await;
        stage.both_advance(TimeDelta::hours(2));
        handle(&touched).await;
        stage.forge_marker().await;
        stage.both_advance(TimeDelta::hours(2));
        handle(&touched).await;
    }
    // A lost index is built anew, and an hour later its old packs go.
    stage.unlisted("Shown").await;
    for round in 3..5 {
        stage.folded(&format!("Washer {round}")).await;
        stage.left_unfolded(&format!("Nut {round}")).await;
        stage.objects.lose().await;
        stage.both_advance(TimeDelta::hours(2));
        handle(&touched).await;
    }
    // What was replaced goes too, with what was marked in it.
    stage.left_unfolded("Replaced").await;
    stage.replaced().await;
    stage.both_advance(TimeDelta::hours(2));
    handle(&touched).await;
    // What is deleted goes with its schemas.
    stage.left_unfolded("Deleted").await;
    stage.schema().await;
    stage.deleted().await;
    stage.both_advance(TimeDelta::hours(2));
    handle(&json!({"source": "aws.events"})).await;
    stage.judge("Indexer");
}
