//! Schemas in the table: versions that no race loses, and collections that live from them.

use futures_util::future::join_all;
use model::id::{CollectionName, RecordType, TenantId};
use model::period::Period;
use model::plan::Plan;
use model::quickstart::Step;
use model::time::Moment;
use serde_json::{Value, json};
use table::Table;
use table::schema::{NewSchema, Put, Schema};
use table::summary::Summary;
use testkit::NOW;

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn now() -> Moment {
    NOW.parse().expect("a moment")
}

fn bolts() -> CollectionName {
    "bolts".parse().expect("a name")
}

fn product() -> RecordType {
    "product".parse().expect("a record type")
}

async fn summary(table: &Table, tenant: &TenantId) -> Summary {
    let summary = table.summary(tenant, Period::of(now())).await;
    summary.expect("a summary")
}

/// Puts a schema, given what was known of the tenant at some time.
async fn put(table: &Table, known: &Summary, collection: &str, schema: &Value) -> Put {
    put_under(Plan::Free, table, known, collection, schema).await
}

async fn put_under(
    plan: Plan,
    table: &Table,
    known: &Summary,
    collection: &str,
    schema: &Value,
) -> Put {
    let collection: CollectionName = collection.parse().expect("a name");
    let record_type = product();
    let new = NewSchema {
        collection: &collection,
        record_type: &record_type,
        schema,
        at: now(),
        format: 1,
    };
    let put = table
        .put_schema(&tenant(), known, plan.limits(), &new)
        .await;
    put.expect("an outcome")
}

#[track_caller]
fn taken(put: Put) -> Schema {
    match put {
        Put::Yes(schema) => schema,
        refused => panic!("{refused:?}"),
    }
}

async fn find(table: &Table, tenant: &TenantId) -> Option<Schema> {
    let found = table.find_schema(tenant, &bolts(), &product()).await;
    found.expect("an answer")
}

async fn version(table: &Table, version: u64) -> Option<Schema> {
    let found = table
        .find_schema_version(&tenant(), &bolts(), &product(), version)
        .await;
    found.expect("an answer")
}

async fn delete(table: &Table) -> bool {
    let deleted = table
        .delete_schema(&tenant(), &bolts(), &product(), now())
        .await;
    deleted.expect("an answer")
}

#[tokio::test]
async fn a_schema_its_version_its_collection_and_the_stamp_are_written_together() {
    let table = testkit::table().await;
    let known = summary(&table, &tenant()).await;
    let schema = json!({"type": "object"});

    let made = taken(put(&table, &known, "bolts", &schema).await);

    assert_eq!(made.version, 1);
    assert_eq!(made.schema, schema.to_string());
    assert_eq!(find(&table, &tenant()).await, Some(made.clone()));
    assert_eq!(version(&table, 1).await, Some(made));
    let after = summary(&table, &tenant()).await;
    assert_eq!(after.collections.len(), 1);
    let (collection, counts) = &after.collections[0];
    assert_eq!((collection.name.clone(), collection.number), (bolts(), 1));
    assert_eq!(counts.total, 0);
    assert!(collection.index().is_some());
    assert!(after.reserved.is_empty());
    assert_eq!(
        after.checklist.completed_at(Step::DefineSchema),
        Some(now())
    );
}

#[tokio::test]
async fn a_new_collection_has_a_number_that_none_had() {
    let table = testkit::table().await;
    let known = summary(&table, &tenant()).await;
    taken(put(&table, &known, "bolts", &json!({})).await);
    let limits = Plan::Pro.limits();
    let known = summary(&table, &tenant()).await;
    let new = NewSchema {
        collection: &"nuts".parse().expect("a name"),
        record_type: &product(),
        schema: &json!({}),
        at: now(),
        format: 1,
    };

    let put = table.put_schema(&tenant(), &known, limits, &new).await;

    taken(put.expect("an outcome"));
    let after = summary(&table, &tenant()).await;
    let numbers = after.collections.iter().map(|(made, _)| made.number);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn who_knew_an_earlier_state_asks_again() {
    let table = testkit::table().await;
    let known = summary(&table, &tenant()).await;
    taken(put(&table, &known, "bolts", &json!({"minProperties": 1})).await);

    // The collection was made meanwhile, and the caps moved.
    let late = put(&table, &known, "bolts", &json!({"minProperties": 2})).await;
    assert_eq!(late, Put::Again);
    let other = put(&table, &known, "nuts", &json!({})).await;
    assert_eq!(other, Put::Again);

    let known = summary(&table, &tenant()).await;
    let other = put(&table, &known, "nuts", &json!({})).await;
    assert_eq!(other, Put::CollectionCap);
    let next = put(&table, &known, "bolts", &json!({"minProperties": 2})).await;
    assert_eq!(taken(next).version, 2);
}

#[tokio::test]
async fn of_different_schemas_at_once_each_version_is_one() {
    let table = testkit::table().await;
    let known = summary(&table, &tenant()).await;
    taken(put(&table, &known, "bolts", &json!({})).await);
    let known = summary(&table, &tenant()).await;

    let schemas: Vec<Value> = (0..8).map(|n| json!({"minProperties": n})).collect();
    let puts = schemas
        .iter()
        .map(|schema| put(&table, &known, "bolts", schema));
    let mut made = Vec::new();
    for put in join_all(puts).await {
        match put {
            Put::Yes(schema) => made.push(schema),
            refused => assert_eq!(refused, Put::Again),
        }
    }

    made.sort_by_key(|schema| schema.version);
    assert!(!made.is_empty());
    for (schema, number) in made.iter().zip(2..) {
        assert_eq!(schema.version, number);
        assert_eq!(version(&table, number).await.as_ref(), Some(schema));
    }
    assert_eq!(find(&table, &tenant()).await.as_ref(), made.last());
}

#[tokio::test]
async fn a_deleted_schema_leaves_its_number_and_its_versions() {
    let table = testkit::table().await;
    let known = summary(&table, &tenant()).await;
    let schema = json!({"type": "object"});
    let first = taken(put(&table, &known, "bolts", &schema).await);

    assert!(delete(&table).await);
    assert!(!delete(&table).await);

    assert_eq!(find(&table, &tenant()).await, None);
    assert_eq!(version(&table, 1).await, Some(first));
    let listed = table.list_schemas(&tenant(), None, usize::MAX).await;
    assert!(listed.expect("a list").is_empty());
    let known = summary(&table, &tenant()).await;
    let next = taken(put(&table, &known, "bolts", &schema).await);
    assert_eq!(next.version, 2);
}

#[tokio::test]
async fn a_tenant_finds_its_own_schemas_only() {
    let table = testkit::table().await;
    let known = summary(&table, &tenant()).await;
    taken(put(&table, &known, "bolts", &json!({})).await);
    let other: TenantId = "t_other".parse().expect("a tenant");

    assert_eq!(find(&table, &other).await, None);
    let listed = table.list_schemas(&other, None, usize::MAX).await;
    assert!(listed.expect("a list").is_empty());
    let deleted = table
        .delete_schema(&other, &bolts(), &product(), now())
        .await;
    assert!(!deleted.expect("an answer"));
    assert!(find(&table, &tenant()).await.is_some());
}

#[tokio::test]
async fn a_list_may_be_of_one_collection() {
    let table = testkit::table().await;
    for collection in ["bolts", "bolts-2", "nuts"] {
        let known = summary(&table, &tenant()).await;
        taken(put_under(Plan::Pro, &table, &known, collection, &json!({})).await);
    }

    let list = async |collection: Option<&str>| {
        let collection = collection.map(|name| name.parse().expect("a name"));
        let listed = table
            .list_schemas(&tenant(), collection.as_ref(), usize::MAX)
            .await;
        let listed = listed.expect("a list").into_iter();
        listed
            .map(|schema| schema.collection.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(None).await, ["bolts", "bolts-2", "nuts"]);
    assert_eq!(list(Some("bolts")).await, ["bolts"]);
    assert!(list(Some("screws")).await.is_empty());
}

#[tokio::test]
async fn a_list_leaves_out_what_would_be_too_much() {
    let table = testkit::table().await;
    let known = summary(&table, &tenant()).await;
    let schema = json!({"description": "x".repeat(1_000)});
    taken(put(&table, &known, "bolts", &schema).await);

    let list = async |most| {
        let listed = table.list_schemas(&tenant(), None, most).await;
        listed.expect("a list").remove(0)
    };
    assert_eq!(list(2_000).await.schema, schema.to_string());
    let left_out = list(1_000).await;
    assert_eq!((left_out.version, left_out.schema.as_str()), (1, ""));
}
