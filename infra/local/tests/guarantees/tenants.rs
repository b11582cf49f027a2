//! A tenant's things are nobody else's.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use model::key::Scope;
use model::plan::Plan;
use serde_json::json;

use crate::common::{Things, app};
use crate::routes::method;

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
async fn another_tenants_records_and_collections_are_as_unknown_by_token_and_by_key() {
    let app = app().await;
    let (owner, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    let things = Things::of(&app, &owner).await;
    let schema = owner.call(Method::PUT, "/portal/schemas/c/p", Some(json!({})));
    assert_eq!(schema.await.status, StatusCode::OK);
    // The same numbers on the other side.
    Things::of(&app, &other).await;
    let emptied = other.delete("/portal/collections/c").await;
    assert_eq!(emptied.status, StatusCode::NO_CONTENT, "{emptied:?}");
    let key = app.with_key(&other.tenant, &[Scope::Admin]).await;
    let unknown = "550e8400-e29b-41d4-a716-446655440000";
    let Things {
        record,
        upload,
        key: theirs,
    } = &things;
    for (client, name, path, own, body) in [
        (&other, "GET", "/portal/records/{}", record, None),
        (
            &other,
            "PATCH",
            "/portal/records/{}",
            record,
            Some(json!({"name": "x"})),
        ),
        (&other, "DELETE", "/portal/records/{}", record, None),
        (
            &other,
            "DELETE",
            "/portal/collections/{}",
            &"c".to_owned(),
            None,
        ),
        (&key, "GET", "/records/{}", record, None),
        (
            &key,
            "PATCH",
            "/records/{}",
            record,
            Some(json!({"name": "x"})),
        ),
        (
            &key,
            "PATCH",
            "/records/{}/visibility",
            record,
            Some(json!({"visibility": "public"})),
        ),
        (&key, "DELETE", "/records/{}", record, None),
        (&key, "GET", "/records?collection={}", &"c".to_owned(), None),
        (
            &key,
            "PATCH",
            "/collections/{}",
            &"c".to_owned(),
            Some(json!({"description": "x"})),
        ),
        (&key, "GET", "/schemas/{}/p", &"c".to_owned(), None),
        (&key, "GET", "/search/{}", &"c".to_owned(), None),
        (&key, "GET", "/uploads/{}", upload, None),
        (&key, "GET", "/uploads/{}/dlq", upload, None),
        (&key, "DELETE", "/auth/keys/{}", theirs, None),
        (&key, "POST", "/auth/keys/{}/rotate", theirs, None),
    ] {
        let ask = async |id: &str| {
            let path = path.replace("{}", id);
            client.call(method(name), &path, body.clone()).await
        };
        let (foreign, unknown) = (ask(own).await, ask(unknown).await);
        assert_eq!(
            foreign.status,
            StatusCode::NOT_FOUND,
            "{name} {path} {foreign:?}"
        );
        assert_eq!(foreign.text, unknown.text, "{name} {path}");
    }
    for (name, path, answer) in [
        ("PATCH", "/records/bulk", json!({"records": []})),
        ("POST", "/records/bulk-visibility", json!({"records": []})),
        ("POST", "/records/bulk-delete", json!({"archived": 0})),
    ] {
        let body = things.body(name, path);
        let told = key.call(method(name), path, body).await;
        assert_eq!(told.json(), answer, "{name} {path}");
    }
    assert_eq!(key.get("/schemas").await.json(), json!({"schemas": []}));
    let left = owner.get(&format!("/portal/records/{record}")).await.json();
    assert_eq!(left["name"], "Nut");
    assert_eq!(left["visibility"], "private");
    assert_eq!(
        owner.get("/portal/usage").await.json()["records"]["used"],
        2
    );
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
