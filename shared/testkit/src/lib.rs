//! A world for tests: real routers over a DynamoDB engine in memory, a stopped clock, callers
//! with tokens. Requests go through every layer of the edge; nothing is mocked.

#![expect(
    clippy::missing_panics_doc,
    reason = "a test kit panics where a test is to fail"
)]

mod answer;
mod calls;
mod faults;
mod form;
mod objects;
mod raw;
mod seed;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use api::{App, Clock, Config};
use auth::{Grant, JwtSecret, Role, mint};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use chrono::TimeDelta;
use dynoxide::Database;
use files::{Door, Files};
use model::id::TenantId;
use model::key::{Key, KeyDraft, KeySecret, Scope};
use model::plan::Plan;
use model::time::Moment;
use search::{Caches, Store};
use serde_json::Value;
use table::Table;
use table::key::Created;
use tower::ServiceExt;

pub use answer::{
    Answer, assert_bad_key, assert_faults, assert_indistinguishable, assert_refusal, assert_reused,
    assert_unauthorized, assert_unavailable,
};
pub use calls::{Access, Call, Calls};
pub use faults::{Fault, Faults, SDK_ATTEMPTS, TRANSACTION_ATTEMPTS};
pub use form::Form;
pub use objects::Objects;
pub use raw::{Item, dynamodb, items};
pub use seed::{Upload, shard_records, tally};

/// The secret that every test token is signed with.
pub const SECRET: &str = "test-secret-test-secret-test-secret!";

/// When a test's clock stands still.
pub const NOW: &str = "2026-03-08T12:00:00Z";

/// Where the portal's routes and the main API's lie.
const API: &str = "/api/v1";

/// Where the open routes lie.
const OPEN: &str = "/open/v1";

/// The service, or a family of it.
pub struct TestApp {
    /// The app behind the router.
    pub app: App,
    /// What the SDK will be answered instead of the engine.
    pub faults: Faults,
    /// What is asked of the table, once it is recorded.
    pub calls: Calls,
    /// The engine's address.
    pub endpoint: String,
    /// Where the packs of search indexes are.
    pub store: Store,
    /// Where uploaded files are.
    pub files: Files,
    router: Router,
}

/// The table's name in tests.
pub const TABLE: &str = "portal";

/// Starts an engine that keeps its items in memory, and returns its address.
pub async fn engine() -> String {
    let database = Database::memory().expect("an engine in memory");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port on loopback");
    let address = listener.local_addr().expect("a bound address");
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    format!("http://{address}")
}

/// An empty table in an engine of its own.
pub async fn table() -> Table {
    let table = Table::at_endpoint(&engine().await, TABLE);
    table.create().await.expect("a table");
    table
}

/// The same, reached by a client that meets faults.
pub async fn faulty_table() -> (Table, Faults) {
    let (_, table, faults) = faulty_engine().await;
    (table, faults)
}

/// The same with the address of its engine.
pub async fn faulty_engine() -> (String, Table, Faults) {
    let (endpoint, faults) = (engine().await, Faults::default());
    let table = faults.table(&endpoint, TABLE);
    table.create().await.expect("a table");
    (endpoint, table, faults)
}

/// A search store that keeps its packs in memory.
#[must_use]
pub fn store() -> Store {
    Store::open("memory:///", Caches::default(), None).expect("a store in memory")
}

/// A store of uploaded files in memory, with a server at an address that nobody listens at.
#[must_use]
pub fn files() -> Files {
    let door = Door::new("http://127.0.0.1:3000", SECRET.as_bytes());
    Files::open("memory:///", None, Some(door)).expect("a store in memory")
}

impl TestApp {
    /// The routes over an empty table, without a rate limit.
    pub async fn new(routes: api::Router) -> Self {
        Self::with(routes, &[("RATE_LIMIT_ENABLED", "false")]).await
    }

    /// The same under settings of the environment.
    pub async fn with(routes: api::Router, settings: &[(&str, &str)]) -> Self {
        Self::at((&engine().await, &store()), routes, settings, None).await
    }

    /// The same with open routes beside them.
    pub async fn with_open(
        routes: api::Router,
        open: api::Router,
        settings: &[(&str, &str)],
    ) -> Self {
        let (endpoint, store) = (engine().await, store());
        let place = (endpoint.as_str(), &store, files());
        Self::over(place, (routes, open), settings, None).await
    }

    /// The service started again over what this one has written.
    pub async fn again(
        &self,
        routes: api::Router,
        settings: &[(&str, &str)],
        alone_since: Option<Moment>,
    ) -> Self {
        let place = (self.endpoint.as_str(), &self.store, self.files.clone());
        let routes = (routes, api::Router::new());
        Self::over(place, routes, settings, alone_since).await
    }

    /// The same over an engine and a store that are there already; `alone_since` as [`App::new`]
    /// has it.
    pub async fn at(
        (endpoint, store): (&str, &Store),
        routes: api::Router,
        settings: &[(&str, &str)],
        alone_since: Option<Moment>,
    ) -> Self {
        let routes = (routes, api::Router::new());
        Self::over((endpoint, store, files()), routes, settings, alone_since).await
    }

    /// The same with open routes beside them.
    pub async fn at_with_open(
        (endpoint, store): (&str, &Store),
        routes: (api::Router, api::Router),
        settings: &[(&str, &str)],
    ) -> Self {
        Self::over((endpoint, store, files()), routes, settings, None).await
    }

    async fn over(
        (endpoint, store, files): (&str, &Store, Files),
        (routes, open): (api::Router, api::Router),
        settings: &[(&str, &str)],
        alone_since: Option<Moment>,
    ) -> Self {
        let (faults, calls) = (Faults::default(), Calls::default());
        let table = faults.recorded_table(endpoint, TABLE, &calls);
        table.create().await.expect("a table");
        let config = Config::read(|name| {
            let secret = ("JWT_SECRET", SECRET);
            let mut known = settings.iter().chain([&secret]);
            known
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
        .expect("settings of a test");
        let clock = Clock::stopped_at(NOW.parse().expect("a moment"));
        let app = App::new(table, Some(store.clone()), config, clock, alone_since);
        let app = app.with_files(files.clone());
        Self {
            router: api::serve_with_open(routes, open, &app),
            endpoint: endpoint.to_owned(),
            store: store.clone(),
            files,
            app,
            faults,
            calls,
        }
    }

    /// Moves the clock.
    pub fn advance(&self, by: TimeDelta) {
        self.app.clock.advance(by);
    }

    /// Moves the clock to a moment.
    pub fn travel(&self, to: &str) {
        let to: Moment = to.parse().expect("a moment");
        self.advance(to - self.app.clock.now());
    }

    /// A member of a new tenant on `plan`.
    pub async fn tenant(&self, plan: Plan) -> Client<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tenant: TenantId = format!("t_{number}").parse().expect("a tenant");
        self.app
            .table
            .set_plan(&tenant, plan, self.app.clock.now())
            .await
            .expect("a plan");
        self.client(tenant.as_str(), Role::Member)
    }

    /// A user of a tenant that need not exist.
    #[must_use]
    pub fn client(&self, tenant: &str, role: Role) -> Client<'_> {
        let tenant: TenantId = tenant.parse().expect("a tenant");
        let token = self.token(&tenant, role);
        Client {
            app: self,
            tenant,
            token: Some(token),
            call: None,
            root: API,
        }
    }

    /// Somebody without a token.
    #[must_use]
    pub fn stranger(&self) -> Client<'_> {
        Client {
            app: self,
            tenant: "nobody".parse().expect("a tenant"),
            token: None,
            call: None,
            root: API,
        }
    }

    /// Somebody who calls the open routes: the paths of this client lie under `/open/v1`.
    #[must_use]
    pub fn anybody(&self) -> Client<'_> {
        Client {
            root: OPEN,
            ..self.stranger()
        }
    }

    /// Somebody who calls the main API with a new key of a tenant; the key never ends.
    pub async fn with_key(&self, tenant: &TenantId, scopes: &[Scope]) -> Client<'_> {
        let (_, secret) = self.key(tenant, scopes, None).await;
        self.client(tenant.as_str(), Role::Member)
            .with_token(secret.reveal())
    }

    /// A new key of a tenant, which need not exist, and its secret.
    pub async fn key(
        &self,
        tenant: &TenantId,
        scopes: &[Scope],
        expires_at: Option<Moment>,
    ) -> (Key, KeySecret) {
        let (table, now) = (&self.app.table, self.app.clock.now());
        let tenant_made = table.create_tenant(tenant, Plan::Free, now).await;
        tenant_made.expect("a tenant");
        let draft = KeyDraft {
            name: "test-key".to_owned(),
            scopes: scopes.to_vec(),
            expires_at,
        };
        let key = Key::new(draft, self.app.ids.key(now), now);
        let secret = self.app.ids.secret();
        let created = table.create_key(tenant, &key, &secret.hash(), None).await;
        assert_eq!(created.expect("a key"), Created::Yes);
        (key, secret)
    }

    /// A token that lasts a day from the stopped clock's time.
    #[must_use]
    pub fn token(&self, tenant: &TenantId, role: Role) -> String {
        let now = self.app.clock.now();
        let secret: JwtSecret = SECRET.parse().expect("a secret");
        let grant = Grant {
            tenant,
            user: &"user_1".parse().expect("a user"),
            role,
            email: Some("developer@example.com"),
            name: Some("Jane Developer"),
            issued_at: now,
            expires_at: now + TimeDelta::days(1),
        };
        mint(&secret, &grant).expect("a token")
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await;
        let Ok(response) = response;
        Answer::read(response).await
    }
}

/// How often a call is made again that is asked to come again.
const REPEATS: u32 = 10;

/// A call that is given up sooner than this did not wait for others.
const SOON: Duration = Duration::from_secs(2);

/// Makes a call, and makes it again while it is answered, after some waiting, by a 503 that says when to.
/// Of many calls at once that change the same, the last have their turn only after their patience where
/// the machine is slow; they have written nothing by then, so what becomes of all of them is the same.
pub async fn insist<F: Future<Output = Answer>>(call: impl Fn() -> F) -> Answer {
    let mut begun = Instant::now();
    let mut answer = call().await;
    for _ in 0..REPEATS {
        let has_waited = begun.elapsed() >= SOON;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE || !has_waited {
            break;
        }
        let seconds = answer.header("retry-after").expect("when to come again");
        let after = Duration::from_secs(seconds.parse().expect("seconds"));
        tokio::time::sleep(after).await;
        begun = Instant::now();
        answer = call().await;
    }
    answer
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Client<'a> {
    app: &'a TestApp,
    /// The tenant of the caller.
    pub tenant: TenantId,
    token: Option<String>,
    /// What it calls its calls, as `Idempotency-Key`.
    call: Option<String>,
    root: &'static str,
}

impl Client<'_> {
    /// The same caller with another token, or with a key.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same caller under an `Idempotency-Key`.
    #[must_use]
    pub fn under(&self, key: &str) -> Self {
        Self {
            call: Some(key.to_owned()),
            ..self.clone()
        }
    }

    /// The same tenant's viewer.
    #[must_use]
    pub fn viewer(&self) -> Self {
        let token = self.app.token(&self.tenant, Role::Viewer);
        self.with_token(&token)
    }

    /// `GET /api/v1<path>`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// `DELETE /api/v1<path>`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// `POST /api/v1<path>` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `PUT /api/v1<path>` with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// `PATCH /api/v1<path>` with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// `POST /api/v1<path>` with a form.
    pub async fn upload(&self, path: &str, form: Form) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, form.content_type());
        self.app
            .send(request.body(form.body()).expect("a request"))
            .await
    }

    /// Checks that a path is only read: what would change something is a 405.
    pub async fn assert_only_read(&self, path: &str) {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = self.call(method, path, None).await;
            let status = StatusCode::METHOD_NOT_ALLOWED;
            assert_refusal(&answer, status, "Method not allowed");
            assert_eq!(answer.header("allow"), Some("GET,HEAD"));
        }
    }

    /// Uploads CSV text to a collection, as record type `product`.
    pub async fn upload_csv(&self, collection: &str, csv: &str) -> Answer {
        let path = format!("/portal/upload/{collection}/product/upload");
        self.upload(&path, Form::new().file("catalog.csv", csv))
            .await
    }

    /// Any method, with a JSON body or none.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.app.send(request.expect("a request")).await
    }

    /// A request with the caller's token, to be completed.
    pub fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.root));
        let request = match &self.call {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }
}
