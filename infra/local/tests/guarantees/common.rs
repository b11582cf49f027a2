//! What the tests share.

use model::key::Scope;
use serde_json::{Value, json};
use testkit::{Client, TestApp};

use crate::routes::filled;

pub(crate) async fn app() -> TestApp {
    let off = [("RATE_LIMIT_ENABLED", "false")];
    TestApp::with_open(portal_local::routes(), open::router(), &off).await
}

/// A tenant's things, by which every route of the main API would change or show something.
pub(crate) struct Things {
    pub(crate) record: String,
    pub(crate) upload: String,
    pub(crate) key: String,
}

impl Things {
    pub(crate) async fn of(app: &TestApp, owner: &Client<'_>) -> Self {
        let client = app.with_key(&owner.tenant, &[Scope::Admin]).await;
        let uploaded = client.post("/ingest/batch/c/p", json!([{"name": "Bolt"}]));
        let uploaded = uploaded.await.json();
        let record = json!({"collection": "c", "record_type": "p", "name": "Nut"});
        let record = client.post("/records", record).await.json();
        let (key, _) = app.key(&owner.tenant, &[Scope::Search], None).await;
        Self {
            record: record["id"].as_str().expect("an id").to_owned(),
            upload: uploaded["upload_id"].as_str().expect("an id").to_owned(),
            key: key.id.to_string(),
        }
    }

    pub(crate) fn path(&self, path: &str) -> String {
        let id = if path.starts_with("/uploads") {
            &self.upload
        } else {
            &self.record
        };
        filled(&path.replace("{key_id}", &self.key).replace("{id}", id))
    }

    /// A body that the route takes, but for files.
    pub(crate) fn body(&self, name: &str, path: &str) -> Option<Value> {
        let ids = [&self.record];
        Some(match (name, path) {
            ("POST", "/auth/keys") => json!({"name": "k", "scopes": ["search"]}),
            ("PATCH", "/collections/{collection}") => json!({"description": "x"}),
            ("POST", path) if path.contains("/batch") => json!([{"name": "Screw"}]),
            ("POST", "/records") => {
                json!({"collection": "c", "record_type": "p", "name": "Screw"})
            }
            ("PATCH", "/records/bulk") => json!({"record_ids": ids, "name": "x"}),
            ("POST", "/records/bulk-delete") => json!({"record_ids": ids}),
            ("POST", "/records/bulk-visibility") => {
                json!({"record_ids": ids, "visibility": "public"})
            }
            ("PATCH", "/records/{id}") => json!({"name": "x"}),
            ("PATCH", "/records/{id}/visibility") => json!({"visibility": "public"}),
            ("POST", "/schemas") => json!({
                "collection": "c",
                "record_type": "p",
                "json_schema": {"maxProperties": 9},
            }),
            ("POST", "/search/{collection}") => json!({"query": "nut"}),
            _ => return None,
        })
    }
}
