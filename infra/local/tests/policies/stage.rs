//! What a function is played on.

use auth::Role;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{CollectionName, TenantId};
use model::key::Scope;
use model::plan::Plan;
use model::record::{Record, Visibility};
use serde_json::{Value, json};
use table::cap::Tally;
use table::replace::{Begun, Swapped};
use testkit::{Answer, Client, Objects, TABLE, TestApp, Upload, dynamodb, engine};

use crate::grants::assert_least;

/// Where rows go.
pub(crate) const PARTS: (&str, &str) = ("parts", "product");

/// A function beside a service that plays everybody else, over one table and one bucket.
pub(crate) struct Stage {
    pub(crate) others: TestApp,
    pub(crate) function: TestApp,
    pub(crate) objects: Objects,
    pub(crate) tenant: TenantId,
}

impl Stage {
    pub(crate) async fn new(routes: api::Router) -> Self {
        Self::with_open(routes, api::Router::new()).await
    }

    pub(crate) async fn with_open(routes: api::Router, open: api::Router) -> Self {
        let (endpoint, objects) = (engine().await, Objects::default());
        let store = objects.apart().store();
        let off = [("RATE_LIMIT_ENABLED", "false")];
        let others = TestApp::at((&endpoint, &store), upload::router(), &off, None).await;
        let place = (endpoint.as_str(), &objects.store());
        let function = TestApp::at_with_open(place, (routes, open), &[]).await;
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
    pub(crate) async fn hold_lease(&self) {
        let (table, now) = (&self.others.app.table, self.others.app.clock.now());
        let name = PARTS.0.parse().expect("a collection");
        let times = (now, now + TimeDelta::minutes(1));
        let taken = table.take_lease(&self.tenant, &name, times, None).await;
        assert!(taken.expect("an answer").is_some());
    }

    /// The caller.
    pub(crate) fn client(&self) -> Client<'_> {
        self.function.client(self.tenant.as_str(), Role::Member)
    }

    /// The caller's tenant by somebody who made a key elsewhere.
    pub(crate) async fn program(&self, scope: Scope) -> Client<'_> {
        let (_, secret) = self.others.key(&self.tenant, &[scope], None).await;
        self.client().with_token(secret.reveal())
    }

    /// A schema of the rows, which somebody else has put.
    pub(crate) async fn schema(&self) {
        let client = self.others.client(self.tenant.as_str(), Role::Member);
        let path = format!("/portal/schemas/{}/{}", PARTS.0, PARTS.1);
        ok(client.put(&path, json!({})).await);
    }

    /// A public record that is older than the directory of collections that have any.
    pub(crate) async fn unlisted(&self, name: &str) {
        let (table, rows) = (&self.others.app.table, [json!({"name": name})]);
        let ids = self.others.add(&self.tenant, PARTS, &rows).await;
        let found = table.find_records(&self.tenant, &ids).await;
        let located = found.expect("an answer").remove(0);
        let old = &located.records[&ids[0]];
        let new = Record {
            visibility: Visibility::Public,
            version: old.version + 1,
            ..old.clone()
        };
        let place = located.place(&self.tenant);
        let updated = table.update_record(&place, old, &new).await;
        assert!(updated.expect("an answer"));
    }

    /// The collection is deleted by somebody who erases nothing.
    pub(crate) async fn deleted(&self) {
        let (table, now) = (&self.others.app.table, self.others.app.clock.now());
        let name = PARTS.0.parse().expect("a collection");
        let gone = table.delete_collection(&self.tenant, &name, now).await;
        assert!(gone.expect("an answer").is_some());
    }

    /// The first calls of a tenant and of a user, by one path.
    pub(crate) async fn welcome(&self, path: &str) {
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
    pub(crate) async fn abandon(&self, name: &str) {
        self.upload([json!({"name": name})]).await;
        self.both_advance(TimeDelta::minutes(20));
    }

    pub(crate) fn both_advance(&self, by: TimeDelta) {
        self.others.advance(by);
        self.function.advance(by);
    }

    /// Records that are settled by an upload that never folded them.
    pub(crate) async fn left_unfolded(&self, name: &str) {
        let (upload, tally) = self.upload([json!({"name": name})]).await;
        upload.settle(&tally).await;
    }

    /// Records that another process has folded.
    pub(crate) async fn folded(&self, name: &str) {
        let rows = [json!({"name": name})];
        self.others.add(&self.tenant, PARTS, &rows).await;
    }

    /// A replace, by nothing, that another process has swapped.
    pub(crate) async fn replaced(&self) {
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
    pub(crate) async fn forge_marker(&self) {
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
    pub(crate) fn judge(&self, name: &str) {
        let calls = self.function.calls.take();
        let accesses = calls.into_iter().flat_map(|call| call.accesses).collect();
        assert_least(name, &accesses, &self.objects.done());
    }
}

pub(crate) fn ok(answer: Answer) -> Answer {
    assert!(answer.status.is_success(), "{answer:?}");
    answer
}

/// Several calls at once, which all meet an upload that was cut short.
pub(crate) async fn meet<'a, F>(stage: &'a Stage, call: impl Fn(Client<'a>, usize) -> F)
where
    F: Future<Output = Answer>,
{
    stage.abandon("Cut short").await;
    let calls = (0..8).map(|number| call(stage.client(), number));
    for answer in join_all(calls).await {
        ok(answer);
    }
}
