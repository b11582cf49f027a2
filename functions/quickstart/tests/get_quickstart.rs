//! `GET /portal/quickstart`: each step is stamped by its act, once.

use auth::Role;
use axum::http::StatusCode;
use chrono::TimeDelta;
use futures_util::future::join_all;
use model::id::{KeyId, TenantId};
use model::key::{Key, KeyDraft, Scope};
use model::plan::Plan;
use model::quickstart::Step;
use serde_json::{Value, json};
use table::cap::Tally;
use table::key::Created;
use testkit::{TestApp, assert_unauthorized};

/// Creates a key, as its endpoint does.
async fn create_key(app: &TestApp, tenant: &TenantId) -> KeyId {
    let now = app.app.clock.now();
    let draft = KeyDraft {
        name: "production-key".to_owned(),
        scopes: vec![Scope::Search],
        expires_at: None,
    };
    let key = Key::new(draft, app.app.ids.key(now), now);
    let hash = app.app.ids.secret().hash();
    let created = app.app.table.create_key(tenant, &key, &hash, None).await;
    assert_eq!(created.expect("an outcome"), Created::Yes);
    key.id
}

/// Reserves and settles, as an upload does; `tally` is what it wrote in between.
async fn upload(app: &TestApp, tenant: &TenantId, tally: &Tally) {
    let place = ("manufacturing", "product");
    app.reserve(tenant, place, 1).await.settle(tally).await;
}

/// What an upload wrote that accepted one row.
fn one_row() -> Tally {
    testkit::tally(&[(0, 1, 0)])
}

/// The answer in which the steps were completed at these times, in the checklist's order.
fn checklist(completed_at: [Option<&str>; 4]) -> Value {
    let step = |id: &str, title: &str, at: Option<&str>| json!({"id": id, "title": title, "completed": at.is_some(), "completed_at": at});
    let [key, schema, upload, search] = completed_at;
    json!({
        "steps": [
            step("create_api_key", "Create an API key", key),
            step("define_schema", "Define a schema", schema),
            step("upload_data", "Upload sample data", upload),
            step("first_search", "Run your first search", search),
        ],
        "all_completed": completed_at.iter().all(Option::is_some),
    })
}

const NOON: Option<&str> = Some("2026-03-08T12:00:00Z");

#[tokio::test]
async fn a_new_tenant_has_everything_to_do() {
    let app = TestApp::new(quickstart::router()).await;
    let client = app.client("newcomer", Role::Member);
    let answer = client.get("/portal/quickstart").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({
            "steps": [
                {
                    "id": "create_api_key",
                    "title": "Create an API key",
                    "completed": false,
                    "completed_at": null
                },
                {
                    "id": "define_schema",
                    "title": "Define a schema",
                    "completed": false,
                    "completed_at": null
                },
                {
                    "id": "upload_data",
                    "title": "Upload sample data",
                    "completed": false,
                    "completed_at": null
                },
                {
                    "id": "first_search",
                    "title": "Run your first search",
                    "completed": false,
                    "completed_at": null
                }
            ],
            "all_completed": false
        })
    );
}

#[tokio::test]
async fn a_key_completes_its_step_and_revoking_it_does_not_undo_that() {
    let app = TestApp::new(quickstart::router()).await;
    let client = app.tenant(Plan::Free).await;
    let key = create_key(&app, &client.tenant).await;
    let created = checklist([NOON, None, None, None]);
    assert_eq!(client.get("/portal/quickstart").await.json(), created);

    app.advance(TimeDelta::minutes(5));
    let revoked = app.app.table.revoke_key(&client.tenant, key).await;
    assert!(revoked.unwrap());
    assert_eq!(client.get("/portal/quickstart").await.json(), created);

    create_key(&app, &client.tenant).await;
    assert_eq!(client.get("/portal/quickstart").await.json(), created);
}

#[tokio::test]
async fn an_upload_completes_its_step_and_a_later_one_does_not_move_it() {
    let app = TestApp::new(quickstart::router()).await;
    let client = app.tenant(Plan::Free).await;
    upload(&app, &client.tenant, &one_row()).await;
    app.advance(TimeDelta::hours(1));
    upload(&app, &client.tenant, &one_row()).await;
    assert_eq!(
        client.get("/portal/quickstart").await.json(),
        checklist([None, None, NOON, None])
    );
}

#[tokio::test]
async fn an_upload_that_accepted_no_row_completes_nothing() {
    let app = TestApp::new(quickstart::router()).await;
    let client = app.tenant(Plan::Free).await;
    upload(&app, &client.tenant, &Tally::default()).await;
    assert_eq!(
        client.get("/portal/quickstart").await.json(),
        checklist([None; 4])
    );
}

#[tokio::test]
async fn a_stamp_never_moves_neither_on_nor_back() {
    let app = TestApp::new(quickstart::router()).await;
    let client = app.tenant(Plan::Free).await;
    let now = app.app.clock.now();
    for moment in [now, now + TimeDelta::days(1), now - TimeDelta::days(1)] {
        for step in [Step::DefineSchema, Step::FirstSearch] {
            let stamped = app.app.table.stamp(&client.tenant, step, moment).await;
            stamped.unwrap();
        }
        assert_eq!(
            client.get("/portal/quickstart").await.json(),
            checklist([None, NOON, None, NOON])
        );
    }
}

#[tokio::test]
async fn of_many_stamps_at_once_one_stays() {
    let app = TestApp::new(quickstart::router()).await;
    let client = app.tenant(Plan::Free).await;
    let now = app.app.clock.now();
    let stamps = (0..20).map(|n| {
        let moment = now + TimeDelta::seconds(n);
        let (table, tenant) = (&app.app.table, &client.tenant);
        table.stamp(tenant, Step::FirstSearch, moment)
    });
    for stamped in join_all(stamps).await {
        stamped.unwrap();
    }
    let first = client.get("/portal/quickstart").await.json();
    assert_eq!(first["steps"][3]["completed"], json!(true));

    let later = now + TimeDelta::days(1);
    let stamped = app
        .app
        .table
        .stamp(&client.tenant, Step::FirstSearch, later)
        .await;
    stamped.unwrap();
    assert_eq!(client.get("/portal/quickstart").await.json(), first);
}

#[tokio::test]
async fn all_is_completed_by_the_fourth_step() {
    let app = TestApp::new(quickstart::router()).await;
    let client = app.tenant(Plan::Free).await;
    let table = &app.app.table;
    create_key(&app, &client.tenant).await;
    app.advance(TimeDelta::minutes(5));
    let now = app.app.clock.now();
    table
        .stamp(&client.tenant, Step::DefineSchema, now)
        .await
        .unwrap();
    app.advance(TimeDelta::minutes(5));
    upload(&app, &client.tenant, &one_row()).await;
    assert_eq!(
        client.get("/portal/quickstart").await.json()["all_completed"],
        json!(false)
    );
    app.advance(TimeDelta::milliseconds(250));
    let now = app.app.clock.now();
    table
        .stamp(&client.tenant, Step::FirstSearch, now)
        .await
        .unwrap();
    assert_eq!(
        client.get("/portal/quickstart").await.json(),
        checklist([
            NOON,
            Some("2026-03-08T12:05:00Z"),
            Some("2026-03-08T12:10:00Z"),
            Some("2026-03-08T12:10:00.250Z"),
        ])
    );
}

#[tokio::test]
async fn a_checklist_is_its_own_tenants() {
    let app = TestApp::new(quickstart::router()).await;
    let (client, other) = (app.tenant(Plan::Free).await, app.tenant(Plan::Free).await);
    create_key(&app, &client.tenant).await;
    assert_eq!(
        other.get("/portal/quickstart").await.json(),
        checklist([None; 4])
    );
}

#[tokio::test]
async fn a_viewer_may_read() {
    let app = TestApp::new(quickstart::router()).await;
    let viewer = app.tenant(Plan::Free).await.viewer();
    let answer = viewer.get("/portal/quickstart").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), checklist([None; 4]));
}

#[tokio::test]
async fn a_stranger_may_not() {
    let app = TestApp::new(quickstart::router()).await;
    let answer = app.stranger().get("/portal/quickstart").await;
    assert_unauthorized(&answer);
}

#[tokio::test]
async fn the_checklist_is_only_read() {
    let app = TestApp::new(quickstart::router()).await;
    let client = app.tenant(Plan::Free).await;
    client.assert_only_read("/portal/quickstart").await;
}
