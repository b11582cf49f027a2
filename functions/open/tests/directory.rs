//! The directory of collections that have public records, by the table's verbs.

use model::id::{CollectionName, TenantId};
use model::plan::Plan;
use serde_json::json;
use table::directory::Listed;
use testkit::TestApp;

/// The directory as names and tenants.
async fn listed(app: &TestApp, name: Option<&str>) -> Vec<(String, String)> {
    let name: Option<CollectionName> = name.map(|name| name.parse().expect("a collection"));
    let listed = app.app.table.listed_openly(name.as_ref()).await;
    let listed = listed.expect("a directory").into_iter();
    let pair = |it: Listed| (it.collection.to_string(), it.tenant.to_string());
    listed.map(pair).collect()
}

/// Adds a private record to a collection and returns the collection's number.
async fn add(app: &TestApp, tenant: &TenantId, collection: &str) -> u32 {
    let rows = [json!({"name": "Bolt"})];
    let ids = app.add(tenant, (collection, "product"), &rows).await;
    ids[0].collection_number()
}

#[tokio::test]
async fn collections_are_listed_once_and_found_by_their_very_names() {
    let app = TestApp::new(api::Router::new()).await;
    let (one, other) = (app.tenant(Plan::Pro).await, app.tenant(Plan::Pro).await);
    for (tenant, name) in [
        (&one.tenant, "a"),
        (&other.tenant, "a"),
        (&one.tenant, "a-b"),
    ] {
        let number = add(&app, tenant, name).await;
        let name = name.parse().expect("a collection");
        for _ in 0..2 {
            let listed = app.app.table.list_openly(tenant, &name, number).await;
            listed.expect("a listing");
        }
        let collection = app.app.table.find_collection(tenant, &name).await;
        assert!(collection.expect("an answer").expect("a collection").listed);
    }
    let mut both = vec![
        ("a".to_owned(), one.tenant.to_string()),
        ("a".to_owned(), other.tenant.to_string()),
    ];
    both.sort();
    assert_eq!(listed(&app, Some("a")).await, both);
    both.push(("a-b".to_owned(), one.tenant.to_string()));
    assert_eq!(listed(&app, None).await, both);
}

#[tokio::test]
async fn a_collection_of_another_number_is_not_listed() {
    let app = TestApp::new(api::Router::new()).await;
    let client = app.tenant(Plan::Pro).await;
    let number = add(&app, &client.tenant, "a").await;
    for (name, number) in [("a", number + 1), ("b", number)] {
        let name = name.parse().expect("a collection");
        let done = app.app.table.list_openly(&client.tenant, &name, number);
        done.await.expect("nothing to do");
    }
    assert!(listed(&app, None).await.is_empty());
}

#[tokio::test]
async fn who_calls_at_once_lists_once() {
    let app = TestApp::new(api::Router::new()).await;
    let client = app.tenant(Plan::Pro).await;
    let number = add(&app, &client.tenant, "a").await;
    let name = "a".parse().expect("a collection");
    let table = &app.app.table;
    let list = || table.list_openly(&client.tenant, &name, number);
    let (one, other, third) = tokio::join!(list(), list(), list());
    for listed in [one, other, third] {
        listed.expect("a listing");
    }
    assert_eq!(listed(&app, None).await.len(), 1);
}
