//! The functions that answer with what is small.

use std::collections::BTreeSet;

use model::key::Scope;
use serde_json::json;

use crate::grants::assert_least;
use crate::stage::{Stage, meet, ok};

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
    let key = ok(client.post("/portal/keys", draft.clone()).await).json();
    let path = format!("/portal/keys/{}", key["id"].as_str().expect("an id"));
    let change = json!({"name": "l", "scopes": ["upload"]});
    ok(client.patch(&path, change).await);
    ok(client.post(&format!("{path}/rotate"), json!({})).await);
    ok(client.delete(&path).await);
    ok(client.under("0001-call").post("/portal/keys", draft).await);
    ok(stage.program(Scope::Admin).await.get("/auth/keys").await);
    stage.judge("Keys");
}

#[tokio::test]
async fn those_that_read_the_counters() {
    for (name, path, more, routes) in [
        (
            "Analytics",
            "/portal/analytics",
            vec!["/portal/analytics/daily", "/portal/analytics/agents"],
            analytics::router(),
        ),
        (
            "Quickstart",
            "/portal/quickstart",
            vec![],
            quickstart::router(),
        ),
        (
            "Usage",
            "/portal/usage",
            vec!["/portal/usage/daily", "/portal/usage/keys"],
            usage::router(),
        ),
    ] {
        let stage = Stage::new(routes).await;
        stage.welcome(path).await;
        meet(&stage, |client, _| async move { client.get(path).await }).await;
        for path in more {
            ok(stage.client().get(path).await);
        }
        if name == "Usage" {
            ok(stage.program(Scope::Search).await.get("/usage").await);
        }
        stage.judge(name);
    }
}

#[tokio::test]
async fn those_that_ask_nobody() {
    for name in ["Authorizer", "Health"] {
        assert_least(name, &BTreeSet::new(), &BTreeSet::new());
    }
}
