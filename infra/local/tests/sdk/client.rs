//! The public Python SDK as far as a server sees it: the requests that it sends, when it sends one
//! again, and what it takes out of the answers.

use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use crate::common::{Server, command};

/// How often it sends a request at most.
const ATTEMPTS: u32 = 3;

/// What makes it send one again.
const RETRIED: [u16; 4] = [429, 502, 503, 504];

/// A client, with an API key or without.
pub(crate) struct Sdk {
    agent: Agent,
    root: String,
    key: Option<String>,
}

/// What it raises in place of an answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) detail: Value,
}

/// What a call returns.
pub(crate) type Returned<T> = Result<T, Refusal>;

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) collection: String,
    pub(crate) record_type: String,
    pub(crate) data: Map<String, Value>,
    pub(crate) description: Option<String>,
    pub(crate) source_type: String,
    pub(crate) source_id: Option<String>,
    pub(crate) visibility: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Hit {
    pub(crate) record_id: String,
    pub(crate) name: String,
    pub(crate) score: f64,
    pub(crate) collection: String,
    pub(crate) record_type: String,
    pub(crate) collection_data: Map<String, Value>,
    pub(crate) description: Option<String>,
    pub(crate) description_llm: Option<String>,
    pub(crate) source_type: String,
    pub(crate) updated_at: String,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Pagination {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    pub(crate) has_more: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Found {
    pub(crate) results: Vec<Hit>,
    pub(crate) pagination: Pagination,
    pub(crate) metadata: Map<String, Value>,
}

impl Found {
    pub(crate) fn names(&self) -> Vec<&str> {
        self.results.iter().map(|hit| hit.name.as_str()).collect()
    }
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Summary {
    pub(crate) submitted: usize,
    pub(crate) accepted: usize,
    pub(crate) rejected: usize,
    pub(crate) dedup_skipped: usize,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct RowError {
    pub(crate) row: usize,
    pub(crate) field: Option<String>,
    pub(crate) error_type: String,
    pub(crate) message: String,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Ingested {
    pub(crate) upload_id: String,
    pub(crate) status: String,
    pub(crate) summary: Summary,
    pub(crate) errors: Vec<RowError>,
    pub(crate) metadata: Map<String, Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Collection {
    pub(crate) collection: String,
    pub(crate) description: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) record_types: Vec<String>,
    pub(crate) record_count: u64,
    pub(crate) has_schema: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) key: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires_at: Option<String>,
    pub(crate) created_at: String,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Schema {
    pub(crate) collection: String,
    pub(crate) record_type: String,
    pub(crate) json_schema: Map<String, Value>,
}

/// Reads what the SDK reads of a value.
#[track_caller]
fn read<T: DeserializeOwned>(value: Value) -> T {
    let text = value.to_string();
    match serde_json::from_value(value) {
        Ok(read) => read,
        Err(error) => panic!("the SDK misses something: {error} in {text}"),
    }
}

/// The list that an answer is or has.
fn list<T: DeserializeOwned>(mut answer: Value, name: &str) -> Vec<T> {
    if answer.is_array() {
        read(answer)
    } else {
        read(answer[name].take())
    }
}

/// How long it waits before it sends a request again.
pub(crate) fn pause(answer: &Response<Body>, attempt: u32) -> Duration {
    let told = answer.headers().get("retry-after");
    let told = told.map(|value| value.to_str().expect("a text"));
    let told: Option<f64> = told.map(|text| text.parse().expect("a number"));
    let seconds = told.filter(|seconds| *seconds > 0.0);
    Duration::from_secs_f64(seconds.unwrap_or_else(|| f64::from(2_u32.pow(attempt).min(8))))
}

impl Sdk {
    pub(crate) fn new(server: &Server, key: &str) -> Self {
        Self::at(server, "/api/v1", Some(key))
    }

    /// The one that has no key.
    pub(crate) fn open(server: &Server) -> Self {
        Self::at(server, "/open/v1", None)
    }

    fn at(server: &Server, prefix: &str, key: Option<&str>) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).build();
        let base = server.api.strip_suffix("/api/v1").expect("an address");
        Self {
            agent: config.into(),
            root: format!("{base}{prefix}"),
            key: key.map(str::to_owned),
        }
    }

    /// Sends a request once.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Response<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.root))
            .header("Content-Type", "application/json")
            .header("User-Agent", "qanatix-python/0.1.0");
        if let Some(key) = &self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let answer = match body {
            Some(body) => self
                .agent
                .run(request.body(body.to_string()).expect("a request")),
            None if method == "POST" => self.agent.run(request.body("").expect("a request")),
            None => self.agent.run(request.body(()).expect("a request")),
        };
        answer.expect("an answer")
    }

    /// Sends a request as often as it may.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Returned<Value> {
        let mut attempt = 0;
        let mut answer = loop {
            let answer = self.send(method, path, body);
            if !RETRIED.contains(&answer.status().as_u16()) || attempt + 1 == ATTEMPTS {
                break answer;
            }
            thread::sleep(pause(&answer, attempt));
            attempt += 1;
        };
        let status = answer.status().as_u16();
        if status == 204 {
            return Ok(Value::Null);
        }
        let mut body: Value = answer.body_mut().read_json().expect("JSON");
        if status < 400 {
            return Ok(body);
        }
        let detail = body["detail"].take();
        Err(Refusal { status, detail })
    }

    fn get(&self, path: &str) -> Returned<Value> {
        self.request("GET", path, None)
    }

    fn post(&self, path: &str, body: &Value) -> Returned<Value> {
        self.request("POST", path, Some(body))
    }

    fn patch(&self, path: &str, body: &Value) -> Returned<Value> {
        self.request("PATCH", path, Some(body))
    }

    /// `search(collection, query, filters=, limit=, offset=, sort=)`; `more` has those that are given.
    pub(crate) fn search(&self, collection: &str, query: &str, more: Value) -> Returned<Found> {
        let mut body = json!({"query": query, "limit": 20, "offset": 0, "format": "json"});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.post(&format!("/search/{collection}"), &body).map(read)
    }

    /// `search.iter(collection, query, page_size=)`.
    pub(crate) fn iterate(&self, collection: &str, query: &str, size: usize) -> Vec<Hit> {
        let (mut hits, mut offset) = (Vec::new(), 0);
        loop {
            let page = json!({"limit": size, "offset": offset});
            let found = self.search(collection, query, page).expect("a page");
            assert_eq!(
                (found.pagination.offset, found.pagination.limit),
                (offset, size)
            );
            hits.extend(found.results);
            if !found.pagination.has_more {
                return hits;
            }
            offset += size;
        }
    }

    /// `ingest.batch(collection, record_type, records)` of no more than it sends at once.
    pub(crate) fn batch(&self, place: (&str, &str), records: &Value) -> Returned<Ingested> {
        let path = format!("/ingest/batch/{}/{}", place.0, place.1);
        self.post(&path, records).map(read)
    }

    /// `ingest.status(upload_id)`.
    pub(crate) fn status(&self, upload: &str) -> Returned<Value> {
        self.get(&format!("/uploads/{upload}"))
    }

    /// `ingest.errors(upload_id)`.
    pub(crate) fn errors(&self, upload: &str) -> Returned<Vec<RowError>> {
        let errors = self.get(&format!("/uploads/{upload}/dlq"));
        errors.map(|errors| list(errors, "entries"))
    }

    /// `schemas.register(collection, record_type, json_schema)`.
    pub(crate) fn register(&self, place: (&str, &str), schema: &Value) -> Returned<Schema> {
        let (collection, record_type) = place;
        let body = json!({
            "collection": collection,
            "record_type": record_type,
            "json_schema": schema,
        });
        self.post("/schemas", &body).map(read)
    }

    /// `schemas.list(collection=)`.
    pub(crate) fn schemas(&self, collection: Option<&str>) -> Returned<Vec<Schema>> {
        let of = collection.map_or_else(String::new, |name| format!("?collection={name}"));
        let schemas = self.get(&format!("/schemas{of}"));
        schemas.map(|schemas| list(schemas, "schemas"))
    }

    /// `schemas.get(collection, record_type)`.
    pub(crate) fn schema(&self, place: (&str, &str)) -> Returned<Schema> {
        let (collection, record_type) = place;
        self.get(&format!("/schemas/{collection}/{record_type}"))
            .map(read)
    }

    /// `records.create(...)`.
    pub(crate) fn create(&self, body: &Value) -> Returned<Record> {
        self.post("/records", body).map(read)
    }

    /// `records.get(record_id)`.
    pub(crate) fn record(&self, id: &str) -> Returned<Record> {
        self.get(&format!("/records/{id}")).map(read)
    }

    /// `records.list(limit=)`.
    pub(crate) fn records(&self, limit: usize) -> Returned<Vec<Record>> {
        let records = self.get(&format!("/records?limit={limit}"));
        records.map(|records| list(records, "records"))
    }

    /// `records.update(record_id, **fields)`.
    pub(crate) fn update(&self, id: &str, fields: &Value) -> Returned<Record> {
        self.patch(&format!("/records/{id}"), fields).map(read)
    }

    /// `records.delete(record_id)`.
    pub(crate) fn delete(&self, id: &str) -> Returned<()> {
        let deleted = self.request("DELETE", &format!("/records/{id}"), None);
        deleted.map(drop)
    }

    /// `records.bulk_update(record_ids, **fields)`.
    pub(crate) fn bulk_update(&self, ids: &[&str], mut fields: Value) -> Returned<Vec<Record>> {
        fields["record_ids"] = json!(ids);
        let updated = self.patch("/records/bulk", &fields);
        updated.map(|updated| list(updated, "records"))
    }

    /// `records.bulk_delete(record_ids)`.
    pub(crate) fn bulk_delete(&self, ids: &[&str]) -> Returned<u64> {
        let deleted = self.post("/records/bulk-delete", &json!({"record_ids": ids}));
        deleted.map(|deleted| deleted["archived"].as_u64().expect("a number"))
    }

    /// `collections.list()`.
    pub(crate) fn collections(&self) -> Returned<Vec<Collection>> {
        let collections = self.get("/collections");
        collections.map(|collections| list(collections, "collections"))
    }

    /// `collections.update(collection, **fields)`.
    pub(crate) fn describe(&self, collection: &str, fields: &Value) -> Returned<Value> {
        self.patch(&format!("/collections/{collection}"), fields)
    }

    /// `keys.create(name, scopes, expires_at=)`.
    pub(crate) fn create_key(&self, body: &Value) -> Returned<Key> {
        self.post("/auth/keys", body).map(read)
    }

    /// `keys.list()`.
    pub(crate) fn keys(&self) -> Returned<Vec<Key>> {
        self.get("/auth/keys").map(|keys| list(keys, "keys"))
    }

    /// `keys.rotate(key_id)`.
    pub(crate) fn rotate(&self, id: &str) -> Returned<Key> {
        let rotated = self.request("POST", &format!("/auth/keys/{id}/rotate"), None);
        rotated.map(read)
    }

    /// `keys.revoke(key_id)`.
    pub(crate) fn revoke(&self, id: &str) -> Returned<()> {
        let revoked = self.request("DELETE", &format!("/auth/keys/{id}"), None);
        revoked.map(drop)
    }
}

/// A server that keeps what it has until the test is over.
pub(crate) struct World {
    pub(crate) server: Server,
    _folder: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// The same under settings of the environment.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let data = folder.path().to_str().expect("a path");
        let address = ["--addr", "127.0.0.1:0", "--dynamodb-addr", "off"];
        let mut start = command(&[&address[..], &["--data-dir", data]].concat());
        start.envs(settings.iter().copied());
        Self {
            server: Server::run(start),
            _folder: folder,
        }
    }

    /// A new key, made in the portal.
    pub(crate) fn key(&self, scopes: &[&str]) -> Key {
        let body = json!({"name": "sdk", "scopes": scopes});
        read(self.server.post("/portal/keys", &body))
    }

    /// A client that may do everything.
    pub(crate) fn sdk(&self) -> Sdk {
        let key = self.key(&["admin"]).key;
        Sdk::new(&self.server, &key.expect("a secret"))
    }

    pub(crate) fn open(&self) -> Sdk {
        Sdk::open(&self.server)
    }
}
