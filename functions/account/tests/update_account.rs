//! `PATCH /portal/account`: what a user may say of themselves, and what stays whatever is sent.

use auth::{Grant, Role, mint};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::TenantId;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Client, Fault, NOW, SECRET, TestApp, assert_faults, assert_unavailable};

const ACCOUNT: &str = "/portal/account";

/// The account of the test kit's user with this name and company.
fn account_of(tenant: &TenantId, display_name: Value, company: Value) -> Value {
    let mut account = json!({
        "user_id": "user_1",
        "email": "developer@example.com",
        "tenant_id": tenant.as_str(),
        "created_at": NOW,
    });
    account["display_name"] = display_name;
    account["company"] = company;
    account
}

/// A token of another user of the tenant.
fn token(app: &TestApp, tenant: &TenantId, user: &str) -> String {
    let now = app.app.clock.now();
    let grant = Grant {
        tenant,
        user: &user.parse().expect("a user"),
        role: Role::Member,
        email: None,
        name: None,
        issued_at: now,
        expires_at: now + TimeDelta::days(1),
    };
    mint(&SECRET.parse().expect("a secret"), &grant).expect("a token")
}

async fn account(client: &Client<'_>) -> Value {
    let answer = client.get(ACCOUNT).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn both_fields_change_and_nothing_else() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    account(&client).await;
    app.advance(TimeDelta::hours(1));

    let body = json!({"display_name": "Jane D.", "company": "Acme Industries"});
    let answer = client.patch(ACCOUNT, body).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let changed = account_of(&client.tenant, json!("Jane D."), json!("Acme Industries"));
    assert_eq!(answer.json(), changed);
    assert_eq!(account(&client).await, changed);
}

#[tokio::test]
async fn the_first_call_of_all_may_be_a_change() {
    let app = TestApp::new(account::router()).await;
    let client = app.client("t_new", Role::Member);

    let answer = client.patch(ACCOUNT, json!({"company": "Acme"})).await;

    assert_eq!(answer.status, StatusCode::OK);
    let changed = account_of(&client.tenant, json!("Jane Developer"), json!("Acme"));
    assert_eq!(answer.json(), changed);
}

#[tokio::test]
async fn what_is_not_named_stays_and_null_clears() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    for (body, display_name, company) in [
        (json!({}), json!("Jane Developer"), json!(null)),
        (
            json!({"company": "Acme"}),
            json!("Jane Developer"),
            json!("Acme"),
        ),
        (
            json!({"display_name": "Jane"}),
            json!("Jane"),
            json!("Acme"),
        ),
        (json!({}), json!("Jane"), json!("Acme")),
        (json!({"display_name": null}), json!(null), json!("Acme")),
        (json!({"display_name": null}), json!(null), json!("Acme")),
        (
            json!({"display_name": "J", "company": null}),
            json!("J"),
            json!(null),
        ),
        (
            json!({"display_name": null, "company": null}),
            json!(null),
            json!(null),
        ),
    ] {
        let answer = client.patch(ACCOUNT, body).await;

        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let changed = account_of(&client.tenant, display_name, company);
        assert_eq!(answer.json(), changed);
        assert_eq!(account(&client).await, changed);
    }
}

#[tokio::test]
async fn any_text_of_up_to_200_characters_is_kept_as_it_is() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let longest = "\u{1f511}".repeat(200);
    for text in [
        "",
        " ",
        " padded ",
        "\u{645}\u{641}\u{62a}\u{627}\u{62d}",
        "<script>alert(1)</script>",
        "#name :value SET",
        longest.as_str(),
    ] {
        let body = json!({"display_name": text, "company": text});
        let answer = client.patch(ACCOUNT, body).await;

        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let changed = account_of(&client.tenant, json!(text), json!(text));
        assert_eq!(answer.json(), changed);
        assert_eq!(account(&client).await, changed);
    }
}

#[tokio::test]
async fn a_bad_field_is_named_and_changes_nothing() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let before = account(&client).await;
    for field in ["display_name", "company"] {
        let other = if field == "company" {
            "display_name"
        } else {
            "company"
        };
        for (value, kind) in [
            (json!(7), "string_type"),
            (json!(0.5), "string_type"),
            (json!(true), "string_type"),
            (json!(["x"]), "string_type"),
            (json!({"x": 1}), "string_type"),
            (json!("x".repeat(201)), "string_too_long"),
            (json!("\u{1f511}".repeat(201)), "string_too_long"),
        ] {
            let mut body = json!({});
            body[field] = value;
            body[other] = json!("changed");
            let answer = client.patch(ACCOUNT, body).await;
            assert_faults(&answer, &[(&["body", field], kind)]);
        }
    }
    assert_eq!(account(&client).await, before);
}

#[tokio::test]
async fn both_fields_are_named_in_one_answer() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;

    let body = json!({"display_name": 7, "company": "x".repeat(201)});
    let answer = client.patch(ACCOUNT, body).await;

    assert_faults(
        &answer,
        &[
            (&["body", "display_name"], "string_type"),
            (&["body", "company"], "string_too_long"),
        ],
    );
}

#[tokio::test]
async fn a_body_that_is_no_object_changes_nothing() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let before = account(&client).await;
    for body in [json!(null), json!([]), json!("company"), json!(7)] {
        let answer = client.patch(ACCOUNT, body).await;
        assert_faults(&answer, &[(&["body"], "model_attributes_type")]);
    }
    let answer = client.call(Method::PATCH, ACCOUNT, None).await;
    assert_faults(&answer, &[(&["body"], "missing")]);
    assert_eq!(account(&client).await, before);
}

#[tokio::test]
async fn a_body_that_is_not_json_changes_nothing() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let before = account(&client).await;
    for (content_type, body, status) in [
        ("application/json", "{", StatusCode::UNPROCESSABLE_ENTITY),
        (
            "application/json",
            r#"{"company": "a", "company": "b"}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "text/plain",
            r#"{"company": "a"}"#,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
    ] {
        let request = client
            .request(Method::PATCH, ACCOUNT)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .unwrap();
        let answer = app.send(request).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    assert_eq!(account(&client).await, before);
}

#[tokio::test]
async fn fields_that_are_not_the_users_to_change_are_ignored() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let before = account(&client).await;

    let body = json!({
        "user_id": "user_2",
        "email": "other@example.com",
        "tenant_id": "t_other",
        "created_at": "2001-01-01T00:00:00Z",
        "plan": "enterprise",
        "role": "admin",
    });
    let answer = client.patch(ACCOUNT, body).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), before);
    assert_eq!(account(&client).await, before);
    let tenant = app.app.table.find_tenant(&client.tenant).await.unwrap();
    assert_eq!(tenant.unwrap().plan, Plan::Free);
}

#[tokio::test]
async fn a_change_is_the_users_own() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let colleague = client.with_token(&token(&app, &client.tenant, "user_2"));
    let namesake = app.tenant(Plan::Free).await;
    let others = [account(&colleague).await, account(&namesake).await];

    let body = json!({"display_name": "changed", "company": "changed"});
    let answer = client.patch(ACCOUNT, body).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        [account(&colleague).await, account(&namesake).await],
        others
    );
}

#[tokio::test]
async fn no_later_token_undoes_a_change() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let body = json!({"display_name": null, "company": "Acme"});
    let changed = client.patch(ACCOUNT, body).await;
    assert_eq!(changed.status, StatusCode::OK);

    let settings = [("RATE_LIMIT_ENABLED", "false")];
    let later = TestApp::at(
        (&app.endpoint, &app.store),
        account::router(),
        &settings,
        None,
    )
    .await;
    let client = later.client(client.tenant.as_str(), Role::Member);

    assert_eq!(account(&client).await, changed.json());
}

#[tokio::test]
async fn a_viewer_may_not_change() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let before = account(&client).await;

    for body in [json!({"company": "Acme"}), json!({}), json!(7)] {
        let answer = client.viewer().patch(ACCOUNT, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.json(), json!({"detail": "Insufficient permissions"}));
    }

    assert_eq!(account(&client).await, before);
}

#[tokio::test]
async fn a_stranger_may_not_change() {
    let app = TestApp::new(account::router()).await;

    let answer = app
        .stranger()
        .patch(ACCOUNT, json!({"company": "Acme"}))
        .await;

    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json(), json!({"detail": "Invalid or expired token"}));
}

#[tokio::test]
async fn changes_of_different_fields_at_once_both_hold() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    account(&client).await;

    let patches = [json!({"display_name": "Jane"}), json!({"company": "Acme"})];
    let answers = join_all(patches.map(|body| client.patch(ACCOUNT, body))).await;

    for answer in answers {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    let changed = account_of(&client.tenant, json!("Jane"), json!("Acme"));
    assert_eq!(account(&client).await, changed);
}

#[tokio::test]
async fn a_throttled_change_is_tried_again() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("UpdateItem", Fault::Throttled, 1);

    let answer = client.patch(ACCOUNT, json!({"company": "Acme"})).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["company"], "Acme");
}

#[tokio::test]
async fn a_change_that_is_throttled_for_ever_is_a_503_and_changes_nothing() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    let before = account(&client).await;
    app.faults.inject("UpdateItem", Fault::Throttled, 100);

    let answer = client.patch(ACCOUNT, json!({"company": "Acme"})).await;

    assert_unavailable(&answer);
    assert_eq!(account(&client).await, before);
}

#[tokio::test]
async fn a_change_whose_reply_was_lost_is_answered_as_made() {
    let app = TestApp::new(account::router()).await;
    let client = app.tenant(Plan::Free).await;
    app.faults.inject("UpdateItem", Fault::Lost, 1);

    let answer = client.patch(ACCOUNT, json!({"company": "Acme"})).await;

    assert_eq!(answer.status, StatusCode::OK);
    let changed = account_of(&client.tenant, json!("Jane Developer"), json!("Acme"));
    assert_eq!(answer.json(), changed);
    assert_eq!(account(&client).await, changed);
}
