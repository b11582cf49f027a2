//! Every call of the SDK that is served, one after the other as its examples have them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Found, Refusal, Sdk, Summary, World, pause};

const FASTENERS: (&str, &str) = ("parts_catalog", "fastener");

fn fasteners() -> Value {
    json!([
        {"name": "Hex Bolt M8x40", "material": "stainless", "price_eur": 0.12, "stock": 300},
        {"name": "Hex Bolt M10x50", "material": "carbon steel", "price_eur": 0.31, "stock": 20},
        {"name": "Hex Nut M8", "material": "carbon steel", "price_eur": 0.04, "stock": 0},
        {"name": "Washer M8", "material": "stainless", "price_eur": 0.02, "stock": 9000},
        {"name": "Threaded Rod M8", "material": "stainless", "price_eur": 1.5},
    ])
}

/// A server with the five of them.
fn filled() -> (World, Sdk) {
    let world = World::start();
    let sdk = world.sdk();
    let ingested = sdk.batch(FASTENERS, &fasteners()).expect("a batch");
    assert_eq!(ingested.summary, summary([5, 5, 0, 0]));
    (world, sdk)
}

fn summary([submitted, accepted, rejected, dedup_skipped]: [usize; 4]) -> Summary {
    Summary {
        submitted,
        accepted,
        rejected,
        dedup_skipped,
    }
}

fn not_found(what: &str) -> Refusal {
    Refusal {
        status: 404,
        detail: json!(format!("{what} not found")),
    }
}

#[test]
fn a_batch_of_five_is_taken_once() {
    let world = World::start();
    let sdk = world.sdk();
    let first = sdk.batch(FASTENERS, &fasteners()).unwrap();
    assert_eq!(first.status, "complete");
    assert_eq!(first.summary, summary([5, 5, 0, 0]));
    assert!(first.errors.is_empty());
    assert!(first.metadata.contains_key("processing_time_ms"));

    let again = sdk.batch(FASTENERS, &fasteners()).unwrap();
    assert_eq!(again.status, "complete");
    assert_eq!(again.summary, summary([5, 0, 0, 5]));

    let rows = json!([{"name": "Rivet"}, {"material": "none"}]);
    let mixed = sdk.batch(FASTENERS, &rows).unwrap();
    assert_eq!(mixed.summary, summary([2, 1, 1, 0]));
    let [error] = &mixed.errors[..] else {
        panic!("{mixed:?}");
    };
    assert_eq!((error.row, error.error_type.as_str()), (2, "missing"));
    assert_eq!(error.field.as_deref(), Some("name"));
    assert_eq!(error.message, "Field required");
    let status = sdk.status(&mixed.upload_id).unwrap();
    assert_eq!(status["status"], "complete");
    assert_eq!(sdk.errors(&mixed.upload_id).unwrap(), mixed.errors);
    assert!(sdk.errors(&first.upload_id).unwrap().is_empty());
}

#[test]
fn a_schema_is_registered_listed_read_and_asked_of_rows() {
    let world = World::start();
    let sdk = world.sdk();
    let schema = json!({
        "type": "object",
        "properties": {"color": {"type": "string"}},
        "required": ["color"],
    });
    let widgets = ("widgets", "widget");
    let registered = sdk.register(widgets, &schema).unwrap();
    assert_eq!(
        (
            registered.collection.as_str(),
            registered.record_type.as_str()
        ),
        widgets
    );
    assert_eq!(json!(registered.json_schema), schema);
    assert_eq!(sdk.schema(widgets).unwrap(), registered);
    assert_eq!(sdk.schemas(None).unwrap(), [registered]);
    assert_eq!(sdk.schemas(Some("widgets")).unwrap().len(), 1);
    assert_eq!(sdk.schemas(Some("others")).unwrap(), []);
    assert_eq!(
        sdk.schema(("widgets", "gadget")).unwrap_err(),
        not_found("Schema")
    );
    assert!(sdk.collections().unwrap()[0].has_schema);

    let rows = json!([{"name": "Red Widget", "color": "red"}, {"name": "Bare Widget"}]);
    let checked = sdk.batch(widgets, &rows).unwrap();
    assert_eq!(checked.summary, summary([2, 1, 1, 0]));
    assert_eq!(checked.errors[0].row, 2);
}

#[test]
fn a_search_filters_sorts_and_says_how_it_went() {
    let (_world, sdk) = filled();
    let search =
        |query: &str, more: Value| -> Found { sdk.search(FASTENERS.0, query, more).unwrap() };

    let found = search("hex bolt", json!({}));
    assert_eq!(found.results.len(), 2, "{found:?}");
    assert!(found.metadata.contains_key("search_mode"));
    let hit = &found.results[0];
    assert!(hit.score > 0.0 && hit.score <= 1.0, "{hit:?}");
    assert_eq!(
        (hit.collection.as_str(), hit.record_type.as_str()),
        FASTENERS
    );
    assert_eq!(hit.source_type, "api");
    assert!(hit.collection_data.contains_key("price_eur"));
    assert_eq!((&hit.description, &hit.description_llm), (&None, &None));
    assert!(hit.updated_at.ends_with('Z'), "{hit:?}");
    assert_eq!(sdk.record(&hit.record_id).unwrap().name, hit.name);

    let cheap =
        json!({"filters": {"material": "stainless", "price_eur_max": 1}, "sort": "-price_eur"});
    assert_eq!(search("", cheap).names(), ["Hex Bolt M8x40", "Washer M8"]);
    let any = json!({"filters": {"stock_gt": 10, "material_in": ["stainless"]}, "sort": "stock"});
    assert_eq!(search("", any).names(), ["Hex Bolt M8x40", "Washer M8"]);
    let sorted = search("", json!({"sort": "name", "limit": 2, "offset": 1}));
    assert_eq!(sorted.names(), ["Hex Bolt M8x40", "Hex Nut M8"]);
    assert!(sorted.pagination.has_more);
    let missing = sdk.search("nowhere", "x", json!({}));
    assert_eq!(missing.unwrap_err(), not_found("Collection"));
}

#[test]
fn a_query_of_nothing_walks_through_every_record_once() {
    let (_world, sdk) = filled();
    for size in [1, 2, 3, 5, 20] {
        let hits = sdk.iterate(FASTENERS.0, "", size);
        let ids: BTreeSet<&str> = hits.iter().map(|hit| hit.record_id.as_str()).collect();
        assert_eq!((hits.len(), ids.len()), (5, 5), "{size}");
    }
}

#[test]
fn a_record_is_made_read_changed_listed_and_deleted() {
    let world = World::start();
    let sdk = world.sdk();
    let made = sdk
        .create(&json!({
            "collection": FASTENERS.0,
            "record_type": FASTENERS.1,
            "name": "New Part",
            "data": {"price_eur": 1.5, "color": "red"},
            "description": "A part",
            "source_id": "P-1",
        }))
        .unwrap();
    assert_eq!(
        (made.collection.as_str(), made.record_type.as_str()),
        FASTENERS
    );
    assert_eq!(made.description.as_deref(), Some("A part"));
    assert_eq!(made.source_id.as_deref(), Some("P-1"));
    assert_eq!(
        (made.source_type.as_str(), made.visibility.as_str()),
        ("api", "private")
    );
    assert_eq!(made.created_at, made.updated_at);
    assert_eq!(sdk.record(&made.id).unwrap(), made);
    assert_eq!(sdk.records(5).unwrap(), [made]);

    let made = sdk.records(5).unwrap().remove(0);
    let changes = json!({"name": "Old Part", "data": {"price_eur": 2, "color": null}});
    let changed = sdk.update(&made.id, &changes).unwrap();
    assert_eq!(changed.name, "Old Part");
    assert_eq!(json!(changed.data), json!({"price_eur": 2}));
    assert_eq!(sdk.record(&made.id).unwrap(), changed);
    let found = sdk.search(FASTENERS.0, "old part", json!({})).unwrap();
    assert_eq!(found.names(), ["Old Part"]);

    sdk.delete(&made.id).unwrap();
    assert_eq!(sdk.record(&made.id).unwrap_err(), not_found("Record"));
    assert_eq!(sdk.delete(&made.id).unwrap_err(), not_found("Record"));
    let found = sdk.search(FASTENERS.0, "old part", json!({})).unwrap();
    assert!(found.results.is_empty(), "{found:?}");
}

#[test]
fn many_records_are_changed_and_deleted_at_once() {
    let (_world, sdk) = filled();
    let records = sdk.records(100).unwrap();
    let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let unknown = "550e8400-e29b-41d4-a716-446655440000";

    let fields = json!({"description": "On sale", "data": {"sale": true}});
    let updated = sdk.bulk_update(&[ids[0], unknown, ids[1]], fields).unwrap();
    let seen: Vec<&str> = updated.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(seen, [ids[0], ids[1]]);
    for record in &updated {
        assert_eq!(record.description.as_deref(), Some("On sale"));
        assert_eq!(record.data["sale"], true);
    }
    let on_sale = json!({"filters": {"sale": true}});
    let found = sdk.search(FASTENERS.0, "", on_sale).unwrap();
    assert_eq!(found.results.len(), 2);

    assert_eq!(sdk.bulk_delete(&[ids[0], unknown, ids[2]]).unwrap(), 2);
    assert_eq!(sdk.bulk_delete(&[ids[0], ids[2]]).unwrap(), 0);
    assert_eq!(sdk.records(100).unwrap().len(), 3);
}

#[test]
fn collections_are_listed_and_described() {
    let (_world, sdk) = filled();
    let said = json!({"description": "Parts", "category": "hardware"});
    let described = sdk.describe(FASTENERS.0, &said).unwrap();
    assert_eq!(described["category"], "hardware");
    let collections = sdk.collections().unwrap();
    let [parts] = &collections[..] else {
        panic!("{collections:?}");
    };
    assert_eq!(parts.collection, FASTENERS.0);
    assert_eq!(parts.description.as_deref(), Some("Parts"));
    assert_eq!(parts.category.as_deref(), Some("hardware"));
    assert_eq!(parts.record_types, [FASTENERS.1]);
    assert_eq!((parts.record_count, parts.has_schema), (5, false));
    let refused = sdk.describe("nowhere", &said);
    assert_eq!(refused.unwrap_err(), not_found("Collection"));
}

#[test]
fn keys_are_made_listed_rotated_and_revoked() {
    let (world, sdk) = filled();
    let body = json!({
        "name": "reader",
        "scopes": ["search"],
        "expires_at": "2099-01-01T00:00:00Z",
    });
    let made = sdk.create_key(&body).unwrap();
    assert_eq!(
        (made.name.as_str(), &made.scopes[..]),
        ("reader", &["search".to_owned()][..])
    );
    let secret = made.key.clone().unwrap();
    let listed = sdk.keys().unwrap();
    let seen = listed.iter().find(|key| key.id == made.id).unwrap();
    assert_eq!(
        (&seen.expires_at, &seen.created_at),
        (&made.expires_at, &made.created_at)
    );
    assert!(listed.iter().all(|key| key.key.is_none()));

    let reader = Sdk::new(&world.server, &secret);
    assert_eq!(reader.records(5).unwrap().len(), 5);
    let narrow = reader.keys().unwrap_err();
    assert_eq!(
        (narrow.status, narrow.detail),
        (403, json!("Insufficient permissions"))
    );

    let rotated = sdk.rotate(&made.id).unwrap();
    assert_eq!((&rotated.id, &rotated.scopes), (&made.id, &made.scopes));
    let dead = Refusal {
        status: 401,
        detail: json!("Invalid or expired API key"),
    };
    assert_eq!(reader.records(5).unwrap_err(), dead);
    let reader = Sdk::new(&world.server, &rotated.key.unwrap());
    assert_eq!(reader.records(5).unwrap().len(), 5);
    sdk.revoke(&made.id).unwrap();
    assert_eq!(reader.records(5).unwrap_err(), dead);
    assert_eq!(sdk.revoke(&made.id).unwrap_err(), not_found("API key"));
}

#[test]
fn what_is_public_is_found_without_a_key() {
    let (world, sdk) = filled();
    let open = world.open();
    assert!(open.collections().unwrap().is_empty());
    let records = sdk.records(100).unwrap();
    let stainless = records
        .iter()
        .filter(|it| it.data["material"] == "stainless");
    let ids: Vec<&str> = stainless.map(|record| record.id.as_str()).collect();
    sdk.bulk_update(&ids, json!({"visibility": "public"}))
        .unwrap();

    let collections = open.collections().unwrap();
    let [parts] = &collections[..] else {
        panic!("{collections:?}");
    };
    assert_eq!(
        (parts.collection.as_str(), parts.record_count),
        (FASTENERS.0, 3)
    );
    let found = open
        .search(FASTENERS.0, "m8", json!({"sort": "name"}))
        .unwrap();
    let public = ["Hex Bolt M8x40", "Threaded Rod M8", "Washer M8"];
    assert!(
        found.names().iter().all(|name| public.contains(name)),
        "{found:?}"
    );
    assert_eq!(open.iterate(FASTENERS.0, "", 2).len(), 3);
    let nowhere = open.search("nonexistent-collection-xyz", "test", json!({}));
    assert!(nowhere.unwrap().results.is_empty());
    for record in &records {
        let path = format!("/records/{}", record.id);
        let is_public = ids.contains(&record.id.as_str());
        let shown = open.request("GET", &path, None);
        assert_eq!(shown.is_ok(), is_public, "{shown:?}");
    }
}

#[test]
fn what_is_not_served_is_not_found() {
    let world = World::start();
    let sdk = world.sdk();
    for (method, path) in [
        ("POST", "/chat/parts"),
        ("GET", "/export/parts"),
        ("GET", "/connectors"),
        ("POST", "/connectors"),
        ("GET", "/webhooks"),
        ("POST", "/webhooks"),
    ] {
        let answer = sdk.request(method, path, None);
        assert_eq!(
            answer.unwrap_err(),
            not_found("Resource"),
            "{method} {path}"
        );
    }
}

#[test]
fn who_is_over_the_limit_is_told_when_to_come_again_in_a_form_that_the_sdk_reads() {
    let world = World::with(&[("RATE_LIMIT_ENABLED", "true")]);
    let sdk = world.sdk();
    sdk.batch(FASTENERS, &fasteners()).unwrap();
    let body = json!({"query": "bolt"});
    let path = format!("/search/{}", FASTENERS.0);
    // The pro plan has 100 searches a minute, and a minute may end while they are made.
    let refused = (0..250)
        .map(|_| sdk.send("POST", &path, Some(&body)))
        .find(|answer| answer.status().as_u16() != 200)
        .expect("a refusal");
    assert_eq!(refused.status().as_u16(), 429);
    let pause = pause(&refused, 0);
    assert!(pause >= Duration::from_secs(1), "{pause:?}");
    assert!(pause <= Duration::from_secs(121), "{pause:?}");
}
