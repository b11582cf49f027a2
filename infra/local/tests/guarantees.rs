//! What holds for the whole API: every route of every family, through every layer.

mod aws;

use std::collections::{BTreeMap, BTreeSet};

use auth::{Grant, JwtSecret, Role, mint};
use aws::Route;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::TimeDelta;
use model::plan::Plan;
use serde_json::json;
use testkit::{Answer, Form, TestApp};

/// What a route needs of its caller.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Public,
    Read,
    Change,
}

/// A route: method, path, and what it needs.
///
/// If you are here because `the_table_of_routes_is_complete` failed, you have added a route: put
/// it here, and every guarantee below is tested for it.
const ROUTES: [(&str, &str, Access); 27] = [
    ("GET", "/health", Access::Public),
    ("GET", "/portal/account", Access::Read),
    ("PATCH", "/portal/account", Access::Change),
    ("GET", "/portal/analytics", Access::Read),
    ("GET", "/portal/collections", Access::Read),
    (
        "POST",
        "/portal/collections/{name}/cancel-replace",
        Access::Change,
    ),
    ("POST", "/portal/collections/{name}/replace", Access::Change),
    (
        "GET",
        "/portal/collections/{name}/replace-status",
        Access::Read,
    ),
    ("POST", "/portal/collections/{name}/swap", Access::Change),
    ("GET", "/portal/keys", Access::Read),
    ("POST", "/portal/keys", Access::Change),
    ("DELETE", "/portal/keys/{key_id}", Access::Change),
    ("PATCH", "/portal/keys/{key_id}", Access::Change),
    ("POST", "/portal/keys/{key_id}/rotate", Access::Change),
    ("GET", "/portal/quickstart", Access::Read),
    ("GET", "/portal/records", Access::Read),
    ("GET", "/portal/schemas", Access::Read),
    (
        "DELETE",
        "/portal/schemas/{collection}/{record_type}",
        Access::Change,
    ),
    (
        "GET",
        "/portal/schemas/{collection}/{record_type}",
        Access::Read,
    ),
    (
        "PUT",
        "/portal/schemas/{collection}/{record_type}",
        Access::Change,
    ),
    ("POST", "/portal/search/{collection}", Access::Read),
    (
        "POST",
        "/portal/upload/{collection}/{record_type}/upload",
        Access::Change,
    ),
    ("GET", "/portal/uploads", Access::Read),
    ("POST", "/portal/uploads", Access::Change),
    ("GET", "/portal/uploads/{id}", Access::Read),
    ("GET", "/portal/uploads/{id}/errors", Access::Read),
    ("GET", "/portal/usage", Access::Read),
];

/// Routes with a caller, with something in the place of each variable.
fn called() -> impl Iterator<Item = (Method, String, Access)> {
    ROUTES
        .into_iter()
        .filter(|(_, _, access)| *access != Access::Public)
        .map(|(method, path, access)| {
            let path = path
                .replace("{id}", "550e8400-e29b-41d4-a716-446655440000")
                .replace("{key_id}", "550e8400-e29b-41d4-a716-446655440000")
                .replace("{collection}", "c")
                .replace("{name}", "c")
                .replace("{record_type}", "p");
            (method.parse().expect("a method"), path, access)
        })
}

async fn app() -> TestApp {
    TestApp::new(portal_local::routes()).await
}

async fn send(app: &TestApp, method: &Method, path: &str, token: Option<&str>) -> Answer {
    let client = match token {
        Some(token) => app.stranger().with_token(token),
        None => app.stranger(),
    };
    client.call(method.clone(), path, None).await
}

fn signed(app: &TestApp, secret: &str, lasts: TimeDelta) -> String {
    let now = app.app.clock.now();
    let secret: JwtSecret = secret.parse().expect("a secret");
    let grant = Grant {
        tenant: &"t_claimed".parse().expect("a tenant"),
        user: &"u_claimed".parse().expect("a user"),
        role: Role::Member,
        email: None,
        name: None,
        issued_at: now - TimeDelta::days(1),
        expires_at: now + lasts,
    };
    mint(&secret, &grant).expect("a token")
}

#[tokio::test]
async fn every_route_refuses_a_missing_an_expired_and_a_forged_token_alike() {
    let app = app().await;
    let expired = signed(&app, testkit::SECRET, TimeDelta::seconds(-31));
    let forged = signed(
        &app,
        "another-secret-another-secret-another!",
        TimeDelta::hours(1),
    );
    let good = signed(&app, testkit::SECRET, TimeDelta::hours(1));
    let none = good.rsplit_once('.').unwrap().0.to_owned() + ".";
    let api_key = format!("sk_{}_{}", "live", "0".repeat(64));
    for (method, path, _) in called() {
        let tokens = [
            None,
            Some(expired.as_str()),
            Some(&forged),
            Some(&none),
            Some(&api_key),
        ];
        for token in tokens {
            let answer = send(&app, &method, &path, token).await;
            assert_eq!(
                answer.status,
                StatusCode::UNAUTHORIZED,
                "{method} {path} {token:?}"
            );
            assert_eq!(answer.text, r#"{"detail":"Invalid or expired token"}"#);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let answer = send(&app, &method, &path, Some(&good)).await;
        assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let app = app().await;
    let member = app.tenant(Plan::Pro).await;
    let viewer = member.viewer();
    for (method, path, access) in called() {
        let answer = viewer.call(method.clone(), &path, None).await;
        if access == Access::Change {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
            assert_eq!(answer.detail(), "Insufficient permissions");
        } else {
            assert_ne!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
        }
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a list of pairs")]
async fn another_tenants_things_are_as_unknown_as_what_does_not_exist() {
    let app = app().await;
    let owner = app.tenant(Plan::Pro).await;
    let other = app.tenant(Plan::Pro).await;
    let body = json!({"name": "mine", "scopes": ["search"]});
    let key = owner.post("/portal/keys", body.clone()).await.json();
    let key = key["id"].as_str().unwrap();
    let uploaded = owner.upload_csv("mine", "name,sku\nBolt,B-1\n").await;
    assert_eq!(uploaded.status, StatusCode::CREATED);
    let uploaded = uploaded.json();
    let upload = uploaded["upload_id"].as_str().unwrap();
    let schema = "/portal/schemas/mine/product";
    let put = owner.call(Method::PUT, schema, Some(json!({}))).await;
    assert_eq!(put.status, StatusCode::OK);

    let unknown = "550e8400-e29b-41d4-a716-446655440000";
    let search = json!({"query": "bolt"});
    let pairs = [
        (
            other.delete(&format!("/portal/keys/{key}")).await,
            other.delete(&format!("/portal/keys/{unknown}")).await,
        ),
        (
            other
                .patch(&format!("/portal/keys/{key}"), json!({"name": "x"}))
                .await,
            other
                .patch(&format!("/portal/keys/{unknown}"), json!({"name": "x"}))
                .await,
        ),
        (
            other
                .post(&format!("/portal/keys/{key}/rotate"), json!({}))
                .await,
            other
                .post(&format!("/portal/keys/{unknown}/rotate"), json!({}))
                .await,
        ),
        (
            other.post("/portal/search/mine", search.clone()).await,
            other.post("/portal/search/nobodys", search.clone()).await,
        ),
        (
            other.get("/portal/records?collection=mine").await,
            other.get("/portal/records?collection=nobodys").await,
        ),
        (
            other.get(&format!("/portal/uploads/{upload}")).await,
            other.get(&format!("/portal/uploads/{unknown}")).await,
        ),
        (
            other.get(&format!("/portal/uploads/{upload}/errors")).await,
            other
                .get(&format!("/portal/uploads/{unknown}/errors"))
                .await,
        ),
        (
            other.get(schema).await,
            other.get("/portal/schemas/nobodys/product").await,
        ),
        (
            other.delete(schema).await,
            other.delete("/portal/schemas/nobodys/product").await,
        ),
        (
            other.get("/portal/collections/mine/replace-status").await,
            other
                .get("/portal/collections/nobodys/replace-status")
                .await,
        ),
        (
            other.post("/portal/collections/mine/swap", json!({})).await,
            other
                .post("/portal/collections/nobodys/swap", json!({}))
                .await,
        ),
        (
            other
                .post("/portal/collections/mine/cancel-replace", json!({}))
                .await,
            other
                .post("/portal/collections/nobodys/cancel-replace", json!({}))
                .await,
        ),
    ];
    for (foreign, unknown) in pairs {
        assert_eq!(foreign.status, StatusCode::NOT_FOUND);
        assert_eq!(foreign.text, unknown.text);
    }
    for path in [
        "/portal/keys",
        "/portal/collections",
        "/portal/analytics",
        "/portal/schemas",
        "/portal/uploads",
        "/portal/usage",
    ] {
        let seen = other.get(path).await.text;
        assert!(
            !seen.contains("mine") && !seen.contains(owner.tenant.as_str()),
            "{seen}"
        );
    }
    // A tenant cannot be named anywhere but in the token.
    let claims = other
        .request(
            Method::GET,
            &format!("/portal/usage?tenant_id={}", owner.tenant),
        )
        .header("X-Tenant-Id", owner.tenant.as_str());
    let answer = app.send(claims.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.json()["tenant_id"], other.tenant.as_str());
    assert_eq!(
        owner.get("/portal/usage").await.json()["records"]["used"],
        1
    );
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    let paths: BTreeSet<String> = called().map(|(_, path, _)| path).collect();
    for path in paths.iter().map(String::as_str).chain(["/health"]) {
        let answer = client.call(Method::TRACE, path, None).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.detail(), "Method not allowed");
        let allowed = answer.header("allow").unwrap().to_owned();
        for (method, of, _) in called().filter(|(_, of, _)| of == path) {
            assert!(allowed.contains(method.as_str()), "{of}: {allowed}");
        }
    }
}

#[tokio::test]
async fn garbage_is_a_clear_error_and_changes_nothing() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    let before = client.get("/portal/usage").await.text;
    let bodies: [&[u8]; 9] = [
        b"",
        b"null",
        b"[]",
        b"\"text\"",
        b"{",
        b"{\"name\": 1, \"name\": 2}",
        b"\xff\xfe",
        b"\0",
        b"--x\r\n\r\n--x--",
    ];
    let types = [
        None,
        Some("application/json"),
        Some("application/json; charset=utf-16"),
        Some("text/html"),
        Some("multipart/form-data"),
        Some("multipart/form-data; boundary=x"),
        Some("\u{7f}"),
    ];
    for (method, path, access) in called() {
        // Rotate takes no body, and reading takes none either.
        let bodiless =
            method == Method::GET || method == Method::DELETE || path.ends_with("rotate");
        for body in bodies {
            for content_type in types {
                let mut request = client.request(method.clone(), &path);
                if let Some(content_type) = content_type {
                    let bytes = content_type.as_bytes().to_vec();
                    let Ok(value) = header::HeaderValue::from_bytes(&bytes) else {
                        continue;
                    };
                    request = request.header(header::CONTENT_TYPE, value);
                }
                let answer = app
                    .send(request.body(Body::from(body.to_vec())).unwrap())
                    .await;
                assert!(
                    !answer.status.is_server_error(),
                    "{method} {path} {answer:?}"
                );
                if !bodiless && access == Access::Change {
                    assert!(
                        answer.status.is_client_error(),
                        "{method} {path} {body:?} {answer:?}"
                    );
                }
            }
        }
    }
    assert_eq!(client.get("/portal/usage").await.text, before);
    assert_eq!(client.get("/portal/keys").await.json(), json!({"keys": []}));
}

#[tokio::test]
async fn strange_paths_are_not_found() {
    let app = app().await;
    let client = app.tenant(Plan::Enterprise).await;
    let long = format!("/portal/keys/{}", "x".repeat(10_000));
    for path in [
        "/",
        "/portal",
        "/portal/",
        "/portal/keys/",
        "//portal/keys",
        "/portal//keys",
        "/portal/keys/a/b",
        "/portal/keys/%2e%2e",
        "/portal/keys/..%2Faccount",
        "/portal/keys/t%23KEY%23x",
        "/portal/keys/%00",
        "/portal/keys/%ff",
        "/PORTAL/keys",
        &long,
    ] {
        for method in [Method::GET, Method::DELETE] {
            let answer = client.call(method.clone(), path, None).await;
            let expected: &[StatusCode] = if method == Method::GET && path.len() > 14 {
                &[StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED]
            } else {
                &[StatusCode::NOT_FOUND]
            };
            assert!(
                expected.contains(&answer.status),
                "{method} {path} {answer:?}"
            );
        }
    }
    let request = axum::http::Request::get("/portal/keys")
        .body(Body::empty())
        .unwrap();
    assert_eq!(app.send(request).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tenants_do_not_bleed_into_each_other() {
    let app = app().await;
    let mut clients = Vec::new();
    for number in 0..10 {
        let client = app.tenant(Plan::Pro).await;
        let csv = format!("name,source_id\nThing of {number},1\n");
        assert_eq!(
            client.upload_csv("things", &csv).await.status,
            StatusCode::CREATED
        );
        clients.push(client);
    }
    for round in 0..100 {
        for (number, client) in clients.iter().enumerate() {
            let answer = match round % 3 {
                0 => {
                    client
                        .post("/portal/search/things", json!({"query": "thing"}))
                        .await
                }
                1 => client.get("/portal/records?collection=things").await,
                _ => client.get("/portal/usage").await,
            };
            assert_eq!(answer.status, StatusCode::OK);
            if round % 3 == 2 {
                assert_eq!(answer.json()["tenant_id"], client.tenant.as_str());
            } else {
                assert!(
                    answer.text.contains(&format!("Thing of {number}\"")),
                    "{}",
                    answer.text
                );
            }
        }
    }
}

#[tokio::test]
async fn no_secret_and_no_hash_is_ever_listed() {
    let app = app().await;
    let client = app.tenant(Plan::Pro).await;
    let body = json!({"name": "k", "scopes": ["admin"]});
    let issued = client.post("/portal/keys", body).await.json();
    let secret = issued["key"].as_str().unwrap();
    for (method, path, _) in called().filter(|(method, _, _)| method == Method::GET) {
        let answer = client.call(method, &path, None).await;
        assert!(
            !answer.text.contains(secret) && !answer.text.contains("hash"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_upload_form_reaches_the_same_collection_that_search_and_list_read() {
    let app = app().await;
    let client = app.tenant(Plan::Pro).await;
    let form = Form::new().file(
        "x.ndjson",
        "{\"name\": \"Bolt\", \"visibility\": \"public\"}\n",
    );
    let answer = client
        .upload("/portal/upload/a.b-c_d/Part-1/upload", form)
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let found = client
        .post("/portal/search/a.b-c_d", json!({"query": "bolt"}))
        .await
        .json();
    let listed = client
        .get("/portal/records?collection=a.b-c_d")
        .await
        .json();
    assert_eq!(found["results"][0]["record_id"], listed["items"][0]["id"]);
    let analytics = client.get("/portal/analytics").await.json();
    assert_eq!(analytics["collections"][0]["public_count"], 1);
    assert_eq!(
        analytics["collections"][0]["last_updated"],
        "2026-03-08T12:00:00Z"
    );
}

/// The routes that each family's code declares.
fn declared() -> BTreeMap<String, BTreeSet<Route>> {
    let mut routes = BTreeMap::<String, BTreeSet<Route>>::new();
    let functions = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions");
    for family in std::fs::read_dir(functions).expect("the families") {
        let family = family.expect("a family");
        let Ok(source) = std::fs::read_to_string(family.path().join("src/lib.rs")) else {
            continue;
        };
        let family = family.file_name().into_string().expect("a name");
        for route in source.split(".route(").skip(1) {
            let path = route.split('"').nth(1).expect("a path");
            let handlers = route.split(".route(").next().unwrap_or_default();
            for method in ["get", "post", "patch", "put", "delete"] {
                let call = format!("{method}(");
                let after = [' ', '\n', '.', ','].map(|before| format!("{before}{call}"));
                if after.iter().any(|call| handlers.contains(call)) {
                    let of_family = routes.entry(family.clone()).or_default();
                    of_family.insert((method.to_uppercase(), path.to_owned()));
                }
            }
        }
    }
    routes
}

/// The routes that the template leads to each family, preflights among them.
fn deployed() -> BTreeMap<String, BTreeSet<Route>> {
    aws::routes(&aws::template())
}

fn table() -> BTreeSet<Route> {
    ROUTES
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect()
}

#[test]
fn the_table_of_routes_is_complete() {
    let declared: BTreeSet<Route> = declared().into_values().flatten().collect();
    assert_eq!(declared, table());
}

#[test]
fn the_routes_of_a_family_are_its_functions_in_the_template() {
    let mut deployed = deployed();
    for routes in deployed.values_mut() {
        routes.retain(|(method, _)| method != "OPTIONS");
    }
    assert_eq!(deployed, declared());
}

/// A preflight warms the function that answers it, and a request follows.
#[test]
fn a_preflight_reaches_the_function_that_its_request_will_reach() {
    for (family, routes) in deployed() {
        let paths = |of_preflights: bool| -> BTreeSet<&str> {
            routes
                .iter()
                .filter(|(method, _)| (method == "OPTIONS") == of_preflights)
                .map(|(_, path)| path.as_str())
                .collect()
        };
        assert_eq!(paths(true), paths(false), "{family}");
    }
}

/// The functions that `cargo lambda watch` leads each path to.
#[test]
fn the_paths_of_the_watch_server_are_those_of_the_template() {
    let manifest = include_str!("../../../Cargo.toml");
    let (_, section) = manifest
        .split_once("[workspace.metadata.lambda.watch.router]")
        .expect("the watch server's routes");
    let watched: BTreeSet<(String, String)> = section
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (path, family) = line.split_once(" = ").expect("a path and a family");
            let path = path.trim_matches('"').strip_prefix("/api/v1");
            let path = path.expect("a path of the API");
            (path.to_owned(), family.trim_matches('"').to_owned())
        })
        .collect();
    let deployed = deployed();
    let deployed = deployed.iter().flat_map(|(family, routes)| {
        let paths = routes.iter().map(|(_, path)| path.clone());
        paths.map(|path| (path, family.clone()))
    });
    assert_eq!(watched, deployed.collect());
}
