//! Who may call a route, and what is said to everybody else.

use std::collections::BTreeSet;

use auth::{Grant, JwtSecret, Role, mint};
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use model::key::Scope;
use model::plan::Plan;
use serde_json::json;
use testkit::{Answer, TestApp, assert_bad_key, assert_refusal};

use crate::common::{Things, app};
use crate::routes::{Access, ROUTES, both, by_key, called, filled, method};

/// Every scope that a key can have.
const SCOPES: [Scope; 4] = [Scope::Search, Scope::Upload, Scope::Records, Scope::Admin];

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
async fn every_route_of_the_main_api_refuses_whatever_is_no_good_key_alike() {
    let app = app().await;
    let (tenant, now) = (app.tenant(Plan::Pro).await.tenant, app.app.clock.now());
    let (_, good) = app.key(&tenant, &[Scope::Admin], None).await;
    let (_, expired) = app.key(&tenant, &[Scope::Admin], Some(now)).await;
    let (key, revoked) = app.key(&tenant, &[Scope::Admin], None).await;
    let is_gone = app.app.table.revoke_key(&tenant, key.id).await;
    assert!(is_gone.expect("an answer"));
    let unknown = app.app.ids.secret();
    let mut mistyped = good.reveal().to_owned();
    let last = mistyped.pop();
    mistyped.push(if last == Some('0') { '1' } else { '0' });
    let token = app.token(&tenant, Role::Member);
    for (name, path, _) in by_key() {
        let (method, path) = (method(name), filled(path));
        for key in [
            None,
            Some(expired.reveal()),
            Some(revoked.reveal()),
            Some(unknown.reveal()),
            Some(&mistyped),
            Some(&token),
        ] {
            let answer = send(&app, &method, &path, key).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_bad_key(&answer);
        }
        let answer = send(&app, &method, &path, Some(good.reveal())).await;
        assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_opens_the_routes_of_its_scope_and_changes_nothing_by_others() {
    let app = app().await;
    let owner = app.tenant(Plan::Pro).await;
    let things = Things::of(&app, &owner).await;
    let mut keys = Vec::new();
    for scope in SCOPES {
        keys.push((scope, app.with_key(&owner.tenant, &[scope]).await));
    }
    let pairs = || {
        keys.iter()
            .flat_map(|key| by_key().map(move |route| (key, route)))
    };
    let is_open = |scope: Scope, needed: Option<Scope>| {
        scope == Scope::Admin || needed.is_none_or(|needed| needed == scope)
    };
    // First what is refused: what is taken changes things.
    let before = app.dump().await;
    for ((scope, client), (name, path, needed)) in pairs() {
        if is_open(*scope, needed) {
            continue;
        }
        let (at, body) = (things.path(path), things.body(name, path));
        let answer = client.call(method(name), &at, body).await;
        assert_eq!(
            answer.status,
            StatusCode::FORBIDDEN,
            "{scope:?} {name} {path}"
        );
        assert_refusal(&answer, StatusCode::FORBIDDEN, "Insufficient permissions");
        assert_eq!(app.dump().await, before, "{scope:?} {name} {path}");
    }
    for ((scope, client), (name, path, needed)) in pairs() {
        if !is_open(*scope, needed) {
            continue;
        }
        let (at, body) = (things.path(path), things.body(name, path));
        let answer = client.call(method(name), &at, body).await;
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        let is_taken = !refused.contains(&answer.status) && !answer.status.is_server_error();
        assert!(is_taken, "{scope:?} {name} {path} {answer:?}");
    }
}

#[tokio::test]
async fn the_open_routes_ask_for_nothing_and_look_at_no_credential() {
    let app = app().await;
    let token = app.token(&app.tenant(Plan::Pro).await.tenant, Role::Viewer);
    for (name, path, _) in ROUTES.into_iter().filter(|it| it.2 == Access::Open) {
        let path = path.strip_prefix("/open/v1").expect("an open path");
        let (path, body) = (filled(path), (name == "POST").then(|| json!({})));
        let mut seen = BTreeSet::new();
        for client in [
            app.anybody(),
            app.anybody().with_token("nonsense"),
            app.anybody().with_token(&token),
        ] {
            let answer = client.call(method(name), &path, body.clone()).await;
            seen.insert(answer.status);
        }
        assert_eq!(seen.len(), 1, "{name} {path}: {seen:?}");
        let found = [StatusCode::OK, StatusCode::NOT_FOUND];
        assert!(
            found.contains(seen.first().expect("one")),
            "{name} {path}: {seen:?}"
        );
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
async fn no_secret_and_no_hash_is_ever_listed() {
    let app = app().await;
    let client = app.tenant(Plan::Pro).await;
    let body = json!({"name": "k", "scopes": ["admin"]});
    let issued = client.post("/portal/keys", body).await.json();
    let secret = issued["key"].as_str().unwrap();
    let by_key = client.with_token(secret);
    let listed = both().filter(|(method, _)| method == Method::GET);
    for (method, path) in listed {
        let client = if path.starts_with("/portal/") {
            &client
        } else {
            &by_key
        };
        let answer = client.call(method, &path, None).await;
        assert!(
            !answer.text.contains(secret) && !answer.text.contains("hash"),
            "{path}"
        );
    }
}
