//! `GET /portal/account`: who the caller is, from the first call on.

use auth::{Grant, Role, mint};
use axum::http::StatusCode;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::TenantId;
use model::plan::Plan;
use serde_json::json;
use testkit::{Client, Fault, NOW, SECRET, TestApp, assert_unauthorized, assert_unavailable};

const ACCOUNT: &str = "/portal/account";

/// A token that says of its user what is given.
fn token(
    app: &TestApp,
    tenant: &TenantId,
    user: &str,
    email: Option<&str>,
    name: Option<&str>,
) -> String {
    let now = app.app.clock.now();
    let grant = Grant {
        tenant,
        user: &user.parse().expect("a user"),
        role: Role::Member,
        email,
        name,
        issued_at: now,
        expires_at: now + TimeDelta::days(1),
    };
    mint(&SECRET.parse().expect("a secret"), &grant).expect("a token")
}

/// Another process over the same table.
async fn restarted(app: &TestApp) -> TestApp {
    let settings = [("RATE_LIMIT_ENABLED", "false")];
    TestApp::at(
        (&app.endpoint, &app.store),
        account::router(),
        &settings,
        None,
    )
    .await
}

async fn plan_of(app: &TestApp, client: &Client<'_>) -> Plan {
    let found = app.app.table.find_tenant(&client.tenant).await;
    found.expect("an answer").expect("a tenant").plan
}

#[tokio::test]
async fn a_new_user_is_who_the_token_says() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = client.get(ACCOUNT).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.json(),
        json!({
            "user_id": "user_1",
            "email": "developer@example.com",
            "tenant_id": client.tenant.as_str(),
            "display_name": "Jane Developer",
            "company": null,
            "created_at": NOW,
        })
    );
}

#[tokio::test]
async fn a_token_that_says_little_makes_an_account_with_little() {
    let app = TestApp::new(account::router()).await;
    let tenant: TenantId = "t_quiet".parse().unwrap();
    let client = app
        .stranger()
        .with_token(&token(&app, &tenant, "auth0|7#x", None, None));

    let answer = client.get(ACCOUNT).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({
            "user_id": "auth0|7#x",
            "email": null,
            "tenant_id": "t_quiet",
            "display_name": null,
            "company": null,
            "created_at": NOW,
        })
    );
}

#[tokio::test]
async fn a_name_that_no_profile_may_have_is_cut() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let long = "\u{e9}".repeat(201);
    let token = token(&app, &client.tenant, "user_2", None, Some(long.as_str()));

    let answer = client.with_token(&token).get(ACCOUNT).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["display_name"], "\u{e9}".repeat(200));
}

#[tokio::test]
async fn the_first_call_is_remembered_and_no_later_one_moves_it() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = client.get(ACCOUNT).await;
    assert_eq!(first.status, StatusCode::OK);

    app.advance(TimeDelta::hours(1));
    let second = client.get(ACCOUNT).await;
    assert_eq!(second.text, first.text);

    let later = restarted(&app).await;
    later.advance(TimeDelta::hours(2));
    let other = token(
        &later,
        &client.tenant,
        "user_1",
        Some("other@example.com"),
        Some("Other Name"),
    );
    let third = later.stranger().with_token(&other).get(ACCOUNT).await;
    assert_eq!(third.status, StatusCode::OK);
    assert_eq!(third.text, first.text);
}

#[tokio::test]
async fn each_user_of_a_tenant_has_an_account() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let token = token(
        &app,
        &client.tenant,
        "user_2",
        Some("joe@example.com"),
        Some("Joe"),
    );

    let one = client.get(ACCOUNT).await;
    let two = client.with_token(&token).get(ACCOUNT).await;

    assert_eq!(one.json()["user_id"], "user_1");
    assert_eq!(one.json()["display_name"], "Jane Developer");
    assert_eq!(two.status, StatusCode::OK);
    assert_eq!(
        two.json(),
        json!({
            "user_id": "user_2",
            "email": "joe@example.com",
            "tenant_id": client.tenant.as_str(),
            "display_name": "Joe",
            "company": null,
            "created_at": NOW,
        })
    );
}

#[tokio::test]
async fn one_user_has_an_account_in_each_tenant() {
    let app = TestApp::new(account::router()).await;
    let one = app.tenant(Plan::Free).await;
    let other = app.tenant(Plan::Free).await;
    let answer = one.patch(ACCOUNT, json!({"company": "Acme Corp"})).await;
    assert_eq!(answer.status, StatusCode::OK);

    let answer = other.get(ACCOUNT).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["tenant_id"], other.tenant.as_str());
    assert_eq!(answer.json()["company"], json!(null));
}

#[tokio::test]
async fn the_token_alone_says_whose_account_it_is() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let plain = client.get(ACCOUNT).await;

    let path = format!("{ACCOUNT}?tenant_id=t_other&user_id=user_2");
    let answer = client.get(&path).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text, plain.text);
}

#[tokio::test]
async fn a_viewer_may_read() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = client.viewer().get(ACCOUNT).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["user_id"], "user_1");
}

#[tokio::test]
async fn a_stranger_may_not_read() {
    let app = TestApp::new(account::router()).await;

    let answer = app.stranger().get(ACCOUNT).await;

    assert_unauthorized(&answer);
}

#[tokio::test]
async fn a_new_tenant_gets_the_default_plan() {
    let app = TestApp::new(account::router()).await;
    let client = app.client("t_new", Role::Member);
    assert_eq!(client.get(ACCOUNT).await.status, StatusCode::OK);
    assert_eq!(plan_of(&app, &client).await, Plan::Free);

    let settings = [("RATE_LIMIT_ENABLED", "false"), ("DEFAULT_PLAN", "pro")];
    let app = TestApp::with(account::router(), &settings).await;
    let client = app.client("t_new", Role::Member);
    assert_eq!(client.get(ACCOUNT).await.status, StatusCode::OK);
    assert_eq!(plan_of(&app, &client).await, Plan::Pro);
}

#[tokio::test]
async fn a_plan_that_was_set_before_the_first_call_stays() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Scale).await;

    assert_eq!(client.get(ACCOUNT).await.status, StatusCode::OK);

    assert_eq!(plan_of(&app, &client).await, Plan::Scale);
}

#[tokio::test]
async fn of_many_first_calls_at_once_all_see_the_same_account() {
    let app = TestApp::new(account::router()).await;
    let tenant: TenantId = "t_new".parse().unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("Name {n}")).collect();
    let clients: Vec<Client<'_>> = names
        .iter()
        .map(|name| token(&app, &tenant, "user_1", None, Some(name.as_str())))
        .map(|token| app.stranger().with_token(&token))
        .collect();

    let answers = join_all(clients.iter().map(|client| client.get(ACCOUNT))).await;

    let name = answers[0].json()["display_name"].clone();
    assert!(names.iter().any(|known| name == known.as_str()));
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.text, answers[0].text);
    }
}

#[tokio::test]
async fn a_throttled_first_call_is_tried_again() {
    let app = TestApp::new(account::router()).await;
    let client = app.client("t_new", Role::Member);
    for operation in ["BatchGetItem", "PutItem", "GetItem"] {
        app.faults.inject(operation, Fault::Throttled, 1);
    }

    let answer = client.get(ACCOUNT).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["display_name"], "Jane Developer");
}

#[tokio::test]
async fn a_first_call_whose_writes_were_not_answered_is_answered() {
    let app = TestApp::new(account::router()).await;
    let client = app.client("t_new", Role::Member);
    app.faults.inject("PutItem", Fault::Lost, 2);

    let answer = client.get(ACCOUNT).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["created_at"], NOW);
    assert_eq!(plan_of(&app, &client).await, Plan::Free);
}

#[tokio::test]
async fn a_call_that_is_throttled_for_ever_is_a_503() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("BatchGetItem", Fault::Throttled, 100);

    let answer = client.get(ACCOUNT).await;

    assert_unavailable(&answer);

    app.faults.clear();
    assert_eq!(client.get(ACCOUNT).await.status, StatusCode::OK);
}
