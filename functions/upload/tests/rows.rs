//! What a row becomes: a new record, a change of one, a repetition, or an error of its own.

mod common;

use chrono::TimeDelta;
use common::{assert_untouched, post_file, recounted, taken};
use model::id::TenantId;
use model::plan::Plan;
use model::record::{Record, Visibility};
use model::time::Moment;
use serde_json::{Value, json};
use table::record::Place;
use testkit::{Answer, Form, NOW, TestApp};

/// Which parts are public.
type Rule = fn(u32) -> bool;

/// Rows that no record can be made of: the row, the field at fault and the kind of fault.
const BAD_ROWS: [(&str, Option<&str>, &str); 15] = [
    ("{}", Some("name"), "missing"),
    (r#"{"name": null}"#, Some("name"), "missing"),
    (r#"{"name": "  "}"#, Some("name"), "missing"),
    (r#"{"name": 7}"#, Some("name"), "string_type"),
    (
        r#"{"name": "x", "description": 1}"#,
        Some("description"),
        "string_type",
    ),
    (
        r#"{"name": "x", "source_id": 1.5}"#,
        Some("source_id"),
        "string_type",
    ),
    (
        r#"{"name": "x", "source_id": ""}"#,
        Some("source_id"),
        "string_too_short",
    ),
    (
        r#"{"name": "x", "visibility": "secret"}"#,
        Some("visibility"),
        "enum",
    ),
    ("7", None, "model_attributes_type"),
    ("[]", None, "model_attributes_type"),
    (r#"{"name":"#, None, "json_invalid"),
    (r#"{"name": "x", "name": "y"}"#, None, "json_invalid"),
    (r#"{"name": "x", "n": NaN}"#, None, "json_invalid"),
    (r#"{"name": "x", "n": 1e400}"#, None, "json_invalid"),
    (r#"{"name": "\ud800"}"#, None, "json_invalid"),
];

fn start() -> Moment {
    NOW.parse().expect("a moment")
}

fn names(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.name.as_str()).collect()
}

fn public(records: &[Record]) -> usize {
    records
        .iter()
        .filter(|record| record.visibility == Visibility::Public)
        .count()
}

/// The listed errors without their sentences, of which each has one.
fn errors(answer: &Answer) -> Vec<(u64, Value, String)> {
    let body = answer.json();
    let listed = body["errors"].as_array().expect("a list");
    listed
        .iter()
        .map(|error| {
            assert_eq!(
                error.as_object().map(serde_json::Map::len),
                Some(4),
                "{error}"
            );
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            );
            let kind = error["error_type"].as_str().expect("a type");
            (
                error["row"].as_u64().expect("a row"),
                error["field"].clone(),
                kind.to_owned(),
            )
        })
        .collect()
}

/// Changes a record as a call after its upload would.
async fn rename(app: &TestApp, tenant: &TenantId, record: &Record, name: &str) -> Record {
    let now = app.app.clock.now();
    let summary = app.app.summary(tenant).await.expect("a summary");
    let (collection, _) = &summary.collections[0];
    let place = Place::new(tenant, collection.number, collection.generation);
    let changed = Record {
        name: name.to_owned(),
        updated_at: now,
        version: record.version + 1,
        ..record.clone()
    };
    let done = app
        .app
        .table
        .change_record(&place, record, &changed, app.app.ids.upload(now))
        .await;
    assert!(done.expect("a change"));
    changed
}

#[tokio::test]
async fn a_repeated_file_changes_nothing() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = "source_id,name,visibility,price\n\
                1,Bolt,public,1.5\n2,Nut,,2\n,Washer,,3\n,Screw,public,4\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", file).await),
        [4, 4, 0, 0]
    );
    let before = recounted(&app, &client.tenant).await;
    let counted = app.app.summary(&client.tenant).await.unwrap();

    for _ in 0..2 {
        app.advance(TimeDelta::hours(1));
        let again = post_file(&client, "a.csv", file).await;
        assert_eq!(taken(&again), [4, 0, 0, 4]);
        assert_eq!(again.json()["status"], json!("complete"));
        assert_eq!(again.json()["errors"], json!([]));
    }

    assert_eq!(recounted(&app, &client.tenant).await, before);
    let counted_again = app.app.summary(&client.tenant).await.unwrap();
    assert_eq!(counted_again.collections, counted.collections);
    assert_eq!(counted_again.checklist, counted.checklist);
}

#[tokio::test]
async fn content_is_known_again_in_another_order_of_rows_and_columns() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = "name,price,note\nBolt,1.5,a\nNut,2,b\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", first).await),
        [2, 2, 0, 0]
    );

    let other = "note;name;price\nb;Nut;2.0\na;Bolt;1.50\n";
    assert_eq!(
        taken(&post_file(&client, "b.csv", other).await),
        [2, 0, 0, 2]
    );

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(names(&records), ["Bolt", "Nut"]);
}

#[tokio::test]
async fn of_a_half_known_file_only_the_new_half_is_written() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = "name,price\na,1\nb,1\nc,1\nd,1\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", first).await),
        [4, 4, 0, 0]
    );
    app.advance(TimeDelta::hours(1));

    let second = "name,price\nc,1\nd,1\ne,1\nf,1\n";
    assert_eq!(
        taken(&post_file(&client, "b.csv", second).await),
        [4, 2, 0, 2]
    );

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(names(&records), ["a", "b", "c", "d", "e", "f"]);
    let ages: Vec<i64> = records
        .iter()
        .map(|record| (record.updated_at - start()).num_hours())
        .collect();
    assert_eq!(ages, [0, 0, 0, 0, 1, 1]);
}

#[tokio::test]
async fn content_that_stands_twice_in_one_file_is_one_record() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let file = "name,price\nBolt,1\nNut,2\nBolt,1.0\nBolt,1\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", file).await),
        [4, 2, 0, 2]
    );

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(names(&records), ["Bolt", "Nut"]);
}

#[tokio::test]
async fn content_that_differs_in_anything_is_another_record() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let rows = json!([
        {"name": "Bolt"},
        {"name": "bolt"},
        {"name": "Bolt", "description": "steel"},
        {"name": "Bolt", "size": 1},
        {"name": "Bolt", "size": "1"},
        {"name": "Bolt", "size": [1]},
        {"name": "Bolt", "size": {"a": 1}},
        {"name": "Bolt", "Size": 1},
    ]);

    let answer = post_file(&client, "a.json", rows.to_string()).await;

    assert_eq!(taken(&answer), [8, 8, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 8);
}

#[tokio::test]
async fn known_content_says_nothing_about_visibility() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = "name,visibility\nBolt,public\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", first).await),
        [1, 1, 0, 0]
    );

    let again = "name,visibility\nBolt,private\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", again).await),
        [1, 0, 0, 1]
    );

    assert_eq!(public(&recounted(&app, &client.tenant).await), 1);
}

#[tokio::test]
async fn known_content_says_nothing_about_visibility_within_one_file_either() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let file = "name,visibility\nBolt,public\nBolt,private\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", file).await),
        [2, 1, 0, 1]
    );

    assert_eq!(public(&recounted(&app, &client.tenant).await), 1);
}

#[tokio::test]
async fn known_content_never_undoes_a_later_change() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = "name,price\nBolt,1\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", file).await),
        [1, 1, 0, 0]
    );
    let records = recounted(&app, &client.tenant).await;
    app.advance(TimeDelta::hours(1));
    let changed = rename(&app, &client.tenant, &records[0], "Bolt M8").await;

    app.advance(TimeDelta::hours(1));
    assert_eq!(
        taken(&post_file(&client, "a.csv", file).await),
        [1, 0, 0, 1]
    );

    assert_eq!(recounted(&app, &client.tenant).await, [changed]);
}

#[tokio::test]
async fn a_row_with_a_source_id_changes_the_record_of_that_id() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = "source_id,name,price\n1,Bolt,1\n2,Nut,2\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", first).await),
        [2, 2, 0, 0]
    );
    let before = recounted(&app, &client.tenant).await;
    app.advance(TimeDelta::hours(1));

    let second = "source_id,name,price\n1,Bolt,1\n2,Nut,3\n3,Washer,4\n";
    let answer = post_file(&client, "b.csv", second).await;

    assert_eq!(taken(&answer), [3, 2, 0, 1]);
    let after = recounted(&app, &client.tenant).await;
    assert_eq!(names(&after), ["Bolt", "Nut", "Washer"]);
    assert_eq!(after[0], before[0]);
    let changed = Record {
        data: json!({"price": 3}).as_object().cloned().unwrap(),
        updated_at: start() + TimeDelta::hours(1),
        version: 2,
        ..before[1].clone()
    };
    assert_eq!(after[1], changed);
    assert_eq!(after[1].created_at, start());
    assert_eq!(after[2].version, 1);
    let summary = app.app.summary(&client.tenant).await.unwrap();
    let (_, counts) = &summary.collections[0];
    assert_eq!(counts.last_updated, Some(start() + TimeDelta::hours(1)));
}

#[tokio::test]
async fn a_changed_row_replaces_all_that_the_record_said() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = "source_id,name,description,price,note\n1,Bolt,steel,1,a\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", first).await),
        [1, 1, 0, 0]
    );

    let second = "source_id,name,price,size\n1,Bolt M8,1,8\n";
    assert_eq!(
        taken(&post_file(&client, "b.csv", second).await),
        [1, 1, 0, 0]
    );

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(names(&records), ["Bolt M8"]);
    assert_eq!(records[0].description, None);
    assert_eq!(
        Value::Object(records[0].data.clone()),
        json!({"price": 1, "size": 8})
    );
}

#[tokio::test]
async fn of_rows_with_one_source_id_the_last_wins() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let file = "source_id,name\n1,a\n2,x\n1,b\n1,c\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", file).await),
        [4, 2, 0, 2]
    );

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(names(&records), ["c", "x"]);
    assert!(records.iter().all(|record| record.version == 1));
}

#[tokio::test]
async fn a_rejected_row_does_not_count_as_the_last() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let file = "source_id,name\n1,a\n1,\n";
    assert_eq!(
        taken(&post_file(&client, "a.csv", file).await),
        [2, 1, 1, 0]
    );

    assert_eq!(names(&recounted(&app, &client.tenant).await), ["a"]);
}

#[tokio::test]
async fn a_source_id_is_one_thing_within_its_collection_and_type_only() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    for place in ["parts/product", "parts/service", "tools/product"] {
        let form = Form::new().file("a.csv", "source_id,name\n1,Bolt\n");
        let path = format!("/portal/upload/{place}/upload");
        assert_eq!(taken(&client.upload(&path, form).await), [1, 1, 0, 0]);
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 3);
}

#[tokio::test]
async fn a_source_id_is_the_same_as_number_and_as_text() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let csv = "source_id,name\n17,Bolt\n007,Nut\n";
    assert_eq!(taken(&post_file(&client, "a.csv", csv).await), [2, 2, 0, 0]);

    let json = r#"[{"source_id": 17, "name": "Bolt"}, {"source_id": "007", "name": "Nut"}]"#;
    assert_eq!(
        taken(&post_file(&client, "a.json", json).await),
        [2, 0, 0, 2]
    );

    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].source_id.as_deref(), Some("17"));
    assert_eq!(records[1].source_id.as_deref(), Some("007"));
}

#[tokio::test]
async fn visibility_moves_the_public_count_exactly() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for (row, expected, count) in [
        ("1,Bolt,private", [1, 1, 0, 0], 0),
        ("1,Bolt,public", [1, 1, 0, 0], 1),
        ("1,Bolt,public", [1, 0, 0, 1], 1),
        // A row that does not say leaves it as it is.
        ("1,Bolt M8,", [1, 1, 0, 0], 1),
        ("1,Bolt M8,", [1, 0, 0, 1], 1),
        ("1,Bolt,private", [1, 1, 0, 0], 0),
        ("2,Nut,public", [1, 1, 0, 0], 1),
    ] {
        let file = format!("source_id,name,visibility\n{row}\n");
        let answer = post_file(&client, "a.csv", file).await;
        assert_eq!(taken(&answer), expected, "{row}");
        assert_eq!(
            public(&recounted(&app, &client.tenant).await),
            count,
            "{row}"
        );
    }
}

#[tokio::test]
async fn many_changes_of_visibility_in_one_file_are_each_counted_once() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = |is_public: Rule| {
        let rows: Vec<String> = (0..40)
            .map(|n| {
                let visibility = if is_public(n) { "public" } else { "private" };
                format!("{n},Part {n},{visibility}")
            })
            .collect();
        format!("source_id,name,visibility\n{}\n", rows.join("\n"))
    };
    let steps: [(Rule, [u64; 4], usize); 4] = [
        (|_| true, [40, 40, 0, 0], 40),
        (|n| n.is_multiple_of(2), [40, 20, 0, 20], 20),
        (|n| !n.is_multiple_of(2), [40, 40, 0, 0], 20),
        (|_| false, [40, 20, 0, 20], 0),
    ];
    for (is_public, expected, count) in steps {
        let answer = post_file(&client, "a.csv", file(is_public)).await;
        assert_eq!(taken(&answer), expected);
        assert_eq!(public(&recounted(&app, &client.tenant).await), count);
    }
}

#[tokio::test]
async fn beyond_the_window_rows_apply_in_their_order() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    // Two good rows, then rejected ones up to row 100,000, then the first two again.
    let rejected = ",\n".repeat(99_998);
    let file = format!("source_id,name\n1,first\n,Plain\n{rejected}1,last\n,Plain\n");

    let answer = post_file(&client, "a.csv", file).await;

    assert_eq!(taken(&answer), [100_002, 3, 99_998, 1]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(names(&records), ["Plain", "last"]);
    assert_eq!(records[1].version, 2);
}

#[tokio::test]
async fn rows_are_counted_from_one_in_every_format() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for (name, file) in [
        ("a.csv", "name,visibility\nA,\nB,\n\n,\nD,secret\n"),
        (
            "a.json",
            r#"[{"name": "A"}, {"name": "B"}, {}, {"name": "D", "visibility": "secret"}]"#,
        ),
        (
            "b.json",
            r#"{"records": [{"name": "A"}, {"name": "B"}, {}, {"name": "D", "visibility": "x"}]}"#,
        ),
        (
            "a.ndjson",
            "{\"name\": \"A\"}\n{\"name\": \"B\"}\n\n{}\n{\"name\": \"D\", \"visibility\": 1}\n",
        ),
    ] {
        let answer = post_file(&client, name, file).await;

        let [submitted, _, rejected, _] = taken(&answer);
        assert_eq!((submitted, rejected), (4, 2), "{file}");
        assert_eq!(answer.json()["status"], json!("complete"), "{file}");
        let places: Vec<(u64, Value)> = errors(&answer)
            .into_iter()
            .map(|(row, field, _)| (row, field))
            .collect();
        assert_eq!(
            places,
            [(3, json!("name")), (4, json!("visibility"))],
            "{file}"
        );
    }
    assert_eq!(names(&recounted(&app, &client.tenant).await), ["A", "B"]);
}

#[tokio::test]
async fn a_bad_row_is_rejected_alone_and_says_why() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file: Vec<&str> = BAD_ROWS.iter().map(|(row, _, _)| *row).collect();

    let answer = post_file(&client, "a.ndjson", file.join("\n")).await;

    let all = BAD_ROWS.len() as u64;
    assert_eq!(taken(&answer), [all, 0, all, 0]);
    assert_eq!(answer.json()["status"], json!("failed"));
    let expected: Vec<(u64, Value, String)> = (1..)
        .zip(BAD_ROWS)
        .map(|(row, (_, field, kind))| (row, json!(field), kind.to_owned()))
        .collect();
    assert_eq!(errors(&answer), expected);
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn a_row_beyond_a_limit_is_rejected_alone_and_says_which() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"name": "deep", "d": {open}{close}}}"#)
    };
    let rows = [
        json!({"name": "n".repeat(1_001)}).to_string(),
        json!({"name": "long", "source_id": "y".repeat(256)}).to_string(),
        json!({"name": "large", "text": "y".repeat(50_000)}).to_string(),
        deep(33),
        deep(10_000),
        json!({"name": "m".repeat(1_000), "source_id": "z".repeat(255)}).to_string(),
    ];

    let answer = post_file(&client, "a.ndjson", rows.join("\n")).await;

    assert_eq!(taken(&answer), [6, 1, 5, 0]);
    assert_eq!(
        errors(&answer),
        [
            (1, json!("name"), "string_too_long".to_owned()),
            (2, json!("source_id"), "string_too_long".to_owned()),
            (3, Value::Null, "too_large".to_owned()),
            (4, Value::Null, "too_deep".to_owned()),
            (5, Value::Null, "too_deep".to_owned()),
        ]
    );
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}

#[tokio::test]
async fn rows_of_an_array_that_no_record_can_hold_are_rejected_alone() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let file = format!(
        r#"[{{"name": "a"}}, {{"name": "b", "n": 1e400}}, {{"name": "\ud800"}}, {{"d": {deep}}}]"#
    );

    let answer = post_file(&client, "a.json", file).await;

    assert_eq!(taken(&answer), [4, 1, 3, 0]);
    let rows: Vec<u64> = errors(&answer).iter().map(|(row, _, _)| *row).collect();
    assert_eq!(rows, [2, 3, 4]);
    assert_eq!(names(&recounted(&app, &client.tenant).await), ["a"]);
}

#[tokio::test]
async fn a_row_of_another_width_is_rejected_alone() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = post_file(&client, "a.csv", "name,n\na,1\nb\nc,1,2\nd,2\n").await;

    assert_eq!(taken(&answer), [4, 2, 2, 0]);
    assert_eq!(
        errors(&answer),
        [
            (2, Value::Null, "column_count".to_owned()),
            (3, Value::Null, "column_count".to_owned()),
        ]
    );
    assert_eq!(names(&recounted(&app, &client.tenant).await), ["a", "d"]);
}

#[tokio::test]
async fn every_fault_of_a_row_is_listed() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let file = r#"[{"description": 1, "visibility": "secret"}]"#;
    let answer = post_file(&client, "a.json", file).await;

    assert_eq!(taken(&answer), [1, 0, 1, 0]);
    assert_eq!(
        errors(&answer),
        [
            (1, json!("name"), "missing".to_owned()),
            (1, json!("description"), "string_type".to_owned()),
            (1, json!("visibility"), "enum".to_owned()),
        ]
    );
}

#[tokio::test]
async fn the_first_hundred_row_errors_are_listed_and_all_are_counted() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = format!("name,price\nBolt,1\n{}Nut,2\n", ",1\n".repeat(150));

    let answer = post_file(&client, "a.csv", file).await;

    assert_eq!(taken(&answer), [152, 2, 150, 0]);
    let rows: Vec<u64> = errors(&answer).iter().map(|(row, _, _)| *row).collect();
    let expected: Vec<u64> = (2..=101).collect();
    assert_eq!(rows, expected);
    assert_eq!(
        names(&recounted(&app, &client.tenant).await),
        ["Bolt", "Nut"]
    );
}

#[tokio::test]
async fn nested_data_is_merged_into_the_record() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let rows = json!([
        {"name": "a", "collection_data": {"x": 1, "gone": null}, "y": 2},
        {"name": "b", "data": {"x": 1}, "y": 2},
        {"name": "c", "data": {"x": 1}, "collection_data": {"y": 2}},
        {"name": "d", "data": "text", "collection_data": [1]},
    ]);

    let answer = post_file(&client, "a.json", rows.to_string()).await;

    assert_eq!(taken(&answer), [4, 4, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    let data: Vec<Value> = records
        .into_iter()
        .map(|record| Value::Object(record.data))
        .collect();
    assert_eq!(
        data,
        [
            json!({"x": 1, "y": 2}),
            json!({"x": 1, "y": 2}),
            json!({"x": 1, "y": 2}),
            json!({"data": "text", "collection_data": [1]}),
        ]
    );
}

#[tokio::test]
async fn a_key_that_a_library_takes_for_its_own_is_a_key_like_any_other() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let private = "$serde_json::private::RawValue";
    let file = format!(r#"[{{"name": "x", "a": {{"{private}": "["}}, "{private}": "1"}}]"#);

    let answer = post_file(&client, "a.json", file).await;

    assert_eq!(taken(&answer), [1, 1, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    let expected = json!({"a": {private: "["}, private: "1"});
    assert_eq!(Value::Object(records[0].data.clone()), expected);
}

#[tokio::test]
async fn a_number_that_would_lose_digits_rejects_its_row() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let file = r#"[{"name": "x", "a": 12345678901234567890123}, {"name": "y", "a": 18446744073709551615}]"#;

    let answer = post_file(&client, "a.json", file).await;

    assert_eq!(taken(&answer), [2, 1, 1, 0]);
    assert_eq!(answer.json()["errors"][0]["error_type"], "number_precision");
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records[0].data["a"], json!(u64::MAX));
}
