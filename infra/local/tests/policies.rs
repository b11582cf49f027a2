//! What a function may do in AWS is what it does: each function is played through all that it has
//! to do with the table and the packs, and its role in `template.yaml` grants that and no more.

mod aws;

use std::collections::BTreeSet;

use auth::Role;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::Client as Lambda;
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use files::Received;
use futures_util::future::join_all;
use futures_util::stream;
use indexer::Indexer;
use ingest::Ingest;
use model::Fault;
use model::id::{CollectionName, TenantId, UploadId};
use model::plan::Plan;
use model::upload::{RowError, Status};
use serde_json::{Value, json};
use table::cap::Tally;
use table::replace::{Begun, Swapped};
use testkit::{Access, Answer, Client, Form, Objects, TABLE, TestApp, Upload, dynamodb, engine};

/// Where rows go.
const PARTS: (&str, &str) = ("parts", "product");

/// What a role grants: actions, each on the partitions whose keys are like a pattern.
type Grants = BTreeSet<(String, String)>;

/// The actions of a role on the table, and those on the bucket.
fn granted(function: &str) -> (Grants, BTreeSet<String>) {
    let template = aws::template();
    let resources = &template["Resources"];
    let mut statements = Vec::new();
    for policy in list(&resources[function]["Properties"]["Policies"]) {
        let document = match policy.as_str() {
            Some(name) => &resources[name]["Properties"]["PolicyDocument"],
            None => policy,
        };
        statements.extend(list(&document["Statement"]));
    }
    let (mut table, mut bucket) = (Grants::new(), BTreeSet::new());
    for statement in statements {
        for action in list(&statement["Action"]) {
            let action = action.as_str().expect("an action");
            if action.starts_with("s3:") {
                bucket.insert(action.to_owned());
                continue;
            }
            let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
            for key in list(keys) {
                let pattern = key.as_str().expect("a pattern");
                table.insert((action.to_owned(), pattern.to_owned()));
            }
        }
    }
    (table, bucket)
}

/// The elements of a list, or the one value that is none.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

/// `StringLike`: a star is any text.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| is_like(&text[at..], rest))
        }),
    }
}

/// Checks that a role grants what was done and nothing else.
fn assert_least(function: &str, accesses: &BTreeSet<Access>, done: &BTreeSet<&str>) {
    let (table, bucket) = granted(function);
    let mut used = Grants::new();
    for Access { action, key } in accesses {
        let grants: Vec<_> = table
            .iter()
            .filter(|(granted, pattern)| granted == action && is_like(key, pattern))
            .collect();
        assert!(!grants.is_empty(), "{function} may not {action} on {key}");
        used.extend(grants.into_iter().cloned());
    }
    let idle: Vec<_> = table.difference(&used).collect();
    assert!(
        idle.is_empty(),
        "{function} is granted and never does: {idle:?}"
    );
    let mut done: BTreeSet<String> = done.iter().map(|action| (*action).to_owned()).collect();
    // Only to whom may list does S3 say that an object is missing.
    if done.contains("s3:GetObject") {
        done.insert("s3:ListBucket".to_owned());
    }
    // What is written in parts and fails half way is given up.
    if done.contains("s3:PutObject") {
        done.insert("s3:AbortMultipartUpload".to_owned());
    }
    assert_eq!(bucket, done, "{function} on the bucket");
}

/// A function beside a service that plays everybody else, over one table and one bucket.
struct Stage {
    others: TestApp,
    function: TestApp,
    objects: Objects,
    tenant: TenantId,
}

impl Stage {
    async fn new(routes: api::Router) -> Self {
        let (endpoint, objects) = (engine().await, Objects::default());
        let store = objects.apart().store();
        let off = [("RATE_LIMIT_ENABLED", "false")];
        let others = TestApp::at((&endpoint, &store), upload::router(), &off, None).await;
        let function = TestApp::at((&endpoint, &objects.store()), routes, &[], None).await;
        function.calls.record();
        function.app.table.connect().await;
        let tenant = others.tenant(Plan::Pro).await.tenant;
        Self {
            others,
            function,
            objects,
            tenant,
        }
    }

    /// Somebody else folds, for a minute.
    async fn hold_lease(&self) {
        let (table, now) = (&self.others.app.table, self.others.app.clock.now());
        let name = PARTS.0.parse().expect("a collection");
        let times = (now, now + TimeDelta::minutes(1));
        let taken = table.take_lease(&self.tenant, &name, times, None).await;
        assert!(taken.expect("an answer").is_some());
    }

    /// The caller.
    fn client(&self) -> Client<'_> {
        self.function.client(self.tenant.as_str(), Role::Member)
    }

    /// The first calls of a tenant and of a user, by one path.
    async fn welcome(&self, path: &str) {
        for tenant in ["t_first", self.tenant.as_str()] {
            for _ in 0..2 {
                let client = self.function.client(tenant, Role::Member);
                ok(client.get(path).await);
            }
        }
    }

    /// Another process's upload, which is in flight.
    async fn upload(&self, rows: impl IntoIterator<Item = Value>) -> (Upload<'_>, Tally) {
        let upload = self.others.reserve(&self.tenant, PARTS, 10).await;
        let mut tally = Tally::default();
        for record in upload.write(rows).await {
            tally.add(record.id, record.visibility);
        }
        (upload, tally)
    }

    /// An upload whose process died, and whose time is over.
    async fn abandon(&self, name: &str) {
        self.upload([json!({"name": name})]).await;
        self.both_advance(TimeDelta::minutes(20));
    }

    fn both_advance(&self, by: TimeDelta) {
        self.others.advance(by);
        self.function.advance(by);
    }

    /// Records that are settled by an upload that never folded them.
    async fn left_unfolded(&self, name: &str) {
        let (upload, tally) = self.upload([json!({"name": name})]).await;
        upload.settle(&tally).await;
    }

    /// Records that another process has folded.
    async fn folded(&self, name: &str) {
        let rows = [json!({"name": name})];
        self.others.add(&self.tenant, PARTS, &rows).await;
    }

    /// A replace, by nothing, that another process has swapped.
    async fn replaced(&self) {
        let app = &self.others.app;
        let (table, now) = (&app.table, app.clock.now());
        let name: CollectionName = PARTS.0.parse().expect("a collection");
        let record_type = PARTS.1.parse().expect("a record type");
        let (tenant, upload) = (&self.tenant, app.ids.upload(now));
        let begun = table
            .begin_replace(tenant, &name, upload, &record_type, now, search::FORMAT)
            .await;
        let Begun::Yes(collection, _) = begun.expect("an answer") else {
            panic!("no replace");
        };
        let swapped = table.swap(tenant, &collection, now).await;
        assert_eq!(swapped.expect("an answer"), Swapped::Yes);
    }

    /// A marker whose record is not there yet, as a read may see it while both are written.
    async fn forge_marker(&self) {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let number = |value: u32| AttributeValue::N(value.to_string());
        let marked = "parts#0000000001#000001#R#00000001-0000-8000-8000-000000000000";
        dynamodb(&self.others.endpoint)
            .put_item()
            .table_name(TABLE)
            .item("pk", text(&format!("TENANT#{}#MARKERS", self.tenant)))
            .item("sk", text(marked))
            .item("ver", number(1))
            .item("version", number(1))
            .item("upload", text("00000000-0000-7000-8000-000000000000"))
            .item("row", number(1))
            .item("at", text("2026-03-08T12:00:00.000000000Z"))
            .send()
            .await
            .expect("a marker");
    }

    /// What the function did so far.
    fn judge(&self, name: &str) {
        let calls = self.function.calls.take();
        let accesses = calls.into_iter().flat_map(|call| call.accesses).collect();
        assert_least(name, &accesses, &self.objects.done());
    }
}

fn ok(answer: Answer) -> Answer {
    assert!(answer.status.is_success(), "{answer:?}");
    answer
}

/// Several calls at once, which all meet an upload that was cut short.
async fn meet<'a, F>(stage: &'a Stage, call: impl Fn(Client<'a>, usize) -> F)
where
    F: Future<Output = Answer>,
{
    stage.abandon("Cut short").await;
    let calls = (0..8).map(|number| call(stage.client(), number));
    for answer in join_all(calls).await {
        ok(answer);
    }
}

#[tokio::test]
async fn account() {
    let stage = Stage::new(account::router()).await;
    stage.welcome("/portal/account").await;
    let change = json!({"company": "Acme"});
    ok(stage.client().patch("/portal/account", change).await);
    stage.judge("Account");
}

#[tokio::test]
async fn keys() {
    let stage = Stage::new(keys::router()).await;
    stage.welcome("/portal/keys").await;
    let client = stage.client();
    let draft = json!({"name": "k", "scopes": ["search"]});
    let key = ok(client.post("/portal/keys", draft).await).json();
    let path = format!("/portal/keys/{}", key["id"].as_str().expect("an id"));
    let change = json!({"name": "l", "scopes": ["upload"]});
    ok(client.patch(&path, change).await);
    ok(client.post(&format!("{path}/rotate"), json!({})).await);
    ok(client.delete(&path).await);
    stage.judge("Keys");
}

#[tokio::test]
async fn those_that_read_the_counters() {
    for (name, path, routes) in [
        ("Analytics", "/portal/analytics", analytics::router()),
        ("Quickstart", "/portal/quickstart", quickstart::router()),
        ("Usage", "/portal/usage", usage::router()),
    ] {
        let stage = Stage::new(routes).await;
        stage.welcome(path).await;
        meet(&stage, |client, _| async move { client.get(path).await }).await;
        stage.judge(name);
    }
}

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
    stage.judge("Records");
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
    replace("Cancelled", "cancel-replace").await;
    replace("Swapped", "swap").await;
    stage.judge("Upload");
}

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
    handle(&json!({"source": "aws.events"})).await;
    stage.judge("Indexer");
}

#[tokio::test]
async fn those_that_ask_nobody() {
    for name in ["Authorizer", "Health"] {
        assert_least(name, &BTreeSet::new(), &BTreeSet::new());
    }
}
