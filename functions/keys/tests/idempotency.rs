//! `Idempotency-Key` on keys: a key is made or rotated once, however often the call is sent, and no
//! secret is told again.

mod common;

use auth::Role;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::TimeDelta;
use common::{KEYS, create, hash, list, secret};
use futures_util::future::join_all;
use model::id::TenantId;
use model::key::Scope;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{
    Answer, Client, Fault, SDK_ATTEMPTS, TestApp, assert_faults, assert_reused, assert_unavailable,
    items,
};

/// The same by the main API.
const AUTH_KEYS: &str = "/auth/keys";

/// What a call is called.
const CALL: &str = "0001-call-of-a-test";

fn draft(name: &str) -> Value {
    json!({"name": name, "scopes": ["search"]})
}

fn id(key: &Value) -> &str {
    key["id"].as_str().expect("an id")
}

/// A user of a new tenant and an admin's key of another, each with the path of keys.
async fn callers(app: &TestApp) -> [(Client<'_>, &'static str); 2] {
    let user = app.tenant(Plan::Free).await;
    let tenant = app.tenant(Plan::Free).await.tenant;
    let admin = app.with_key(&tenant, &[Scope::Admin]).await;
    [(user, KEYS), (admin, AUTH_KEYS)]
}

/// The keys of a tenant that have this name.
async fn named(app: &TestApp, tenant: &TenantId, name: &str) -> Vec<Value> {
    let listed = list(&app.client(tenant.as_str(), Role::Member)).await;
    let keys = listed["keys"].as_array().expect("a list");
    keys.iter()
        .filter(|key| key["name"] == name)
        .cloned()
        .collect()
}

async fn make(client: &Client<'_>, path: &str, name: &str) -> Value {
    let answer = client.post(path, draft(name)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

async fn rotate(client: &Client<'_>, path: &str, key: &Value) -> Answer {
    let path = format!("{path}/{}/rotate", id(key));
    client.call(Method::POST, &path, None).await
}

/// Sends the draft of a key with these values of the header.
async fn post_under(app: &TestApp, client: &Client<'_>, values: &[&[u8]]) -> Answer {
    let request = client
        .request(Method::POST, KEYS)
        .header(header::CONTENT_TYPE, "application/json");
    let request = values.iter().fold(request, |request, value| {
        request.header("Idempotency-Key", *value)
    });
    let body = Body::from(draft("ci").to_string());
    app.send(request.body(body).expect("a request")).await
}

/// Checks that an answer says that the call was answered with a secret of this key, and not with
/// which.
#[track_caller]
fn assert_told_before(answer: &Answer, id: &str) {
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    let detail = answer.detail();
    let detail = detail.as_str().expect("a sentence");
    assert!(
        detail.contains(id) && !detail.contains("sk_live_"),
        "{detail}"
    );
    assert_eq!(answer.header("retry-after"), None);
}

/// Checks that this secret is live.
async fn assert_live(app: &TestApp, key: &Value) {
    let live = format!("KEYHASH#{}", hash(key));
    assert!(app.dump().await.contains(&live));
}

#[tokio::test]
async fn a_key_is_made_once_and_the_repetition_names_it() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let client = client.under(CALL);
        let key = make(&client, path, "ci").await;

        assert_told_before(&client.post(path, draft("ci")).await, id(&key));
        assert_told_before(&client.post(path, draft("ci")).await, id(&key));

        assert_eq!(named(&app, &client.tenant, "ci").await.len(), 1, "{path}");
        assert_live(&app, &key).await;
    }
}

#[tokio::test]
async fn the_key_that_a_repetition_names_can_be_rotated() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let key = make(&client.under(CALL), path, "ci").await;
        let again = client.under(CALL).post(path, draft("ci")).await;
        assert_told_before(&again, id(&key));

        let rotated = rotate(&client, path, &key).await;

        assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text);
        assert_live(&app, &rotated.json()).await;
    }
}

#[tokio::test]
async fn a_key_is_rotated_once_and_its_new_secret_lives() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let key = make(&client, path, "ci").await;
        let client = client.under(CALL);
        let rotated = rotate(&client, path, &key).await;
        assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text);

        assert_told_before(&rotate(&client, path, &key).await, id(&key));

        let rotated = rotated.json();
        assert_ne!(secret(&rotated), secret(&key));
        assert_live(&app, &rotated).await;
        let next = rotate(&client.under("0002-call-of-a-test"), path, &key).await;
        assert_eq!(next.status, StatusCode::OK, "{}", next.text);
    }
}

#[tokio::test]
async fn a_token_or_a_key_may_be_another_when_the_call_is_sent_again() {
    let app = TestApp::new(keys::router()).await;
    let user = app.tenant(Plan::Free).await;
    let admin = app.with_key(&user.tenant, &[Scope::Admin]).await;
    let by_user = make(&user.under(CALL), KEYS, "by a user").await;
    let by_key = make(&admin.under(CALL), AUTH_KEYS, "by a key").await;
    app.advance(TimeDelta::hours(1));

    let user = app.client(user.tenant.as_str(), Role::Member);
    let admin = app.with_key(&user.tenant, &[Scope::Admin]).await;
    let again = user.under(CALL).post(KEYS, draft("by a user")).await;
    assert_told_before(&again, id(&by_user));
    let again = admin.under(CALL).post(AUTH_KEYS, draft("by a key")).await;
    assert_told_before(&again, id(&by_key));
}

#[tokio::test]
async fn another_body_is_refused_and_makes_nothing() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let client = client.under(CALL);
        let key = make(&client, path, "ci").await;

        assert_reused(&client.post(path, draft("other")).await);

        assert!(named(&app, &client.tenant, "other").await.is_empty());
        assert_told_before(&client.post(path, draft("ci")).await, id(&key));
    }
}

#[tokio::test]
async fn of_20_calls_at_once_one_makes_a_key_and_the_others_name_it() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let client = client.under(CALL);

        let answers = join_all((0..20).map(|_| client.post(path, draft("ci")))).await;

        let (made, others): (Vec<Answer>, Vec<Answer>) = answers
            .into_iter()
            .partition(|answer| answer.status == StatusCode::CREATED);
        assert_eq!(made.len(), 1, "{path}");
        let key = made[0].json();
        for answer in &others {
            assert_told_before(answer, id(&key));
        }
        assert_eq!(named(&app, &client.tenant, "ci").await.len(), 1, "{path}");
        assert_live(&app, &key).await;
    }
}

#[tokio::test]
async fn of_20_calls_at_once_one_rotates_a_key() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let key = make(&client, path, "ci").await;
        let client = client.under(CALL);

        let answers = join_all((0..20).map(|_| rotate(&client, path, &key))).await;

        let (rotated, others): (Vec<Answer>, Vec<Answer>) = answers
            .into_iter()
            .partition(|answer| answer.status == StatusCode::OK);
        assert_eq!(rotated.len(), 1, "{path}");
        for answer in &others {
            assert_told_before(answer, id(&key));
        }
        assert_live(&app, &rotated[0].json()).await;
    }
}

#[tokio::test]
async fn a_key_whose_answer_never_came_is_not_made_again() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        // Whoever calls for the first time is noted by transactions of their own.
        client.get(path).await;
        let client = client.under(CALL);
        app.faults
            .inject("TransactWriteItems", Fault::Lost, SDK_ATTEMPTS);
        assert_unavailable(&client.post(path, draft("ci")).await);

        let again = client.post(path, draft("ci")).await;

        let made = named(&app, &client.tenant, "ci").await;
        assert_eq!(made.len(), 1, "{path}");
        assert_told_before(&again, id(&made[0]));
    }
}

#[tokio::test]
async fn a_rotation_whose_answer_never_came_is_not_made_again() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let key = make(&client, path, "ci").await;
        app.faults
            .inject("TransactWriteItems", Fault::Lost, SDK_ATTEMPTS);
        assert_unavailable(&rotate(&client.under(CALL), path, &key).await);
        let before = app.dump().await;

        let again = rotate(&client.under(CALL), path, &key).await;

        assert_told_before(&again, id(&key));
        let hashes = |dump: &str| dump.matches("KEYHASH#").count();
        let after = app.dump().await;
        assert_eq!(hashes(&after), hashes(&before));
        assert!(!after.contains(&hash(&key)), "the old secret is dead");
    }
}

#[tokio::test]
async fn a_call_that_was_refused_may_be_sent_again() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let client = client.under(CALL);
        let refused = client.post(path, draft("")).await;
        assert_faults(&refused, &[(&["body", "name"], "string_too_short")]);
        make(&client, path, "ci").await;

        let unknown = json!({"id": "550e8400-e29b-41d4-a716-446655440000"});
        for _ in 0..2 {
            let answer = rotate(&client, path, &unknown).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_database_that_throttles_leaves_no_call_behind() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    client.get(KEYS).await;
    let client = client.under(CALL);
    app.faults
        .inject("TransactWriteItems", Fault::Throttled, SDK_ATTEMPTS);
    assert_unavailable(&client.post(KEYS, draft("ci")).await);

    create(&client, draft("ci")).await;
}

#[tokio::test]
async fn a_repetition_names_the_key_also_when_its_expiry_is_over() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await.under(CALL);
    let mut body = draft("ci");
    body["expires_at"] = json!("2026-03-08T12:00:01Z");
    let key = create(&client, body.clone()).await;
    app.advance(TimeDelta::seconds(2));

    assert_told_before(&client.post(KEYS, body).await, id(&key));
}

#[tokio::test]
async fn a_call_is_remembered_for_a_day() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let tenant = client.tenant.clone();
        let now = app.app.clock.now();
        let key = make(&client.under(CALL), path, "ci").await;
        // A token lasts no longer.
        let caller = || {
            if path == KEYS {
                app.client(tenant.as_str(), Role::Member).under(CALL)
            } else {
                client.under(CALL)
            }
        };

        app.advance(TimeDelta::days(1) - TimeDelta::milliseconds(1));
        let again = caller().post(path, draft("ci")).await;
        assert_told_before(&again, id(&key));

        app.advance(TimeDelta::milliseconds(1));
        assert_eq!(app.app.clock.now(), now + TimeDelta::days(1));
        let next = make(&caller(), path, "ci").await;
        assert_ne!(id(&next), id(&key));
        let again = caller().post(path, draft("ci")).await;
        assert_told_before(&again, id(&next));
    }
}

#[tokio::test]
async fn calls_of_other_tenants_and_paths_are_others() {
    let app = TestApp::new(keys::router()).await;
    let user = app.tenant(Plan::Free).await;
    let admin = app.with_key(&user.tenant, &[Scope::Admin]).await;
    let other = app.tenant(Plan::Free).await;

    let first = make(&user.under(CALL), KEYS, "ci").await;
    let second = make(&admin.under(CALL), AUTH_KEYS, "ci").await;
    make(&other.under(CALL), KEYS, "ci").await;
    for key in [&first, &second] {
        let rotated = rotate(&user.under(CALL), KEYS, key).await;
        assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text);
    }

    assert_eq!(named(&app, &user.tenant, "ci").await.len(), 2);
    assert_eq!(named(&app, &other.tenant, "ci").await.len(), 1);
}

#[tokio::test]
async fn what_is_no_idempotency_key_is_refused_and_makes_nothing() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    client.get(KEYS).await;
    let before = app.dump().await;
    let (long, longer) = ("x".repeat(201), "x".repeat(1024));
    let cases: [(&[u8], &str); 7] = [
        (b"", "string_too_short"),
        (b"1234567", "string_too_short"),
        (long.as_bytes(), "string_too_long"),
        (longer.as_bytes(), "string_too_long"),
        ("schl\u{fc}ssel".as_bytes(), "string_pattern_mismatch"),
        (b"latin-1-\xfc", "string_pattern_mismatch"),
        (b"1234\t5678", "string_pattern_mismatch"),
    ];
    let place: &[&str] = &["header", "Idempotency-Key"];
    for (value, kind) in cases {
        let answer = post_under(&app, &client, &[value]).await;
        assert_faults(&answer, &[(place, kind)]);
    }
    for twice in [[CALL, CALL], [CALL, "0002-call-of-a-test"]] {
        let answer = post_under(&app, &client, &twice.map(str::as_bytes)).await;
        assert_faults(&answer, &[(place, "value_error")]);
    }
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn the_shortest_and_the_longest_idempotency_key_are_good() {
    let app = TestApp::new(keys::router()).await;
    let client = app.tenant(Plan::Free).await;
    for value in ["12345678", "~ a b !\"#", &"x".repeat(200)] {
        let answer = post_under(&app, &client, &[value.as_bytes()]).await;
        let key = answer.json();
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let again = post_under(&app, &client, &[value.as_bytes()]).await;
        assert_told_before(&again, id(&key));
    }
}

#[tokio::test]
async fn what_is_kept_of_calls_tells_no_secret_no_body_and_not_what_they_were_called() {
    let app = TestApp::new(keys::router()).await;
    for (client, path) in callers(&app).await {
        let client = client.under(CALL);
        let key = make(&client, path, "name-of-a-key").await;
        let rotated = rotate(&client, path, &key).await.json();

        let partition = format!("TENANT#{}#CALLS", client.tenant);
        let kept = items(&app.endpoint).await;
        let kept: Vec<String> = kept.iter().map(|item| format!("{item:?}")).collect();
        let kept: Vec<&String> = kept.iter().filter(|it| it.contains(&partition)).collect();
        assert_eq!(kept.len(), 2, "{path}");
        for item in kept {
            assert!(item.contains(id(&key)), "{item}");
            let told = [CALL, "sk_live_", "name-of-a-key", "search"];
            let secrets = [&key, &rotated].map(|key| secret(key).to_owned());
            let hashes = [&key, &rotated].map(hash);
            let all = told.map(str::to_owned).into_iter();
            for text in all.chain(secrets).chain(hashes) {
                assert!(!item.contains(&text), "{text} in {item}");
            }
        }
    }
}
