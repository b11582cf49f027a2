//! The caps of a plan, exact to the record, and counts that stay true under concurrency.

mod common;

use std::ops::Range;

use axum::http::StatusCode;
use chrono::TimeDelta;
use common::{PATH, assert_untouched, post_file, recounted, taken};
use futures_util::future::join_all;
use model::id::TenantId;
use model::plan::Plan;
use model::record::{Record, Visibility};
use testkit::{Answer, Client, Form, TestApp, insist};

const OTHER_PATH: &str = "/portal/upload/tools/product/upload";

/// A file of so many parts, each known by its content.
fn parts(numbers: Range<u32>) -> String {
    let rows: Vec<String> = numbers.map(|n| format!("Part {n:04},{n}")).collect();
    format!("name,n\n{}\n", rows.join("\n"))
}

/// A file of so many parts, each known by its `source_id`, as `version` describes them.
fn sourced(numbers: Range<u32>, version: &str, visibility: &str) -> String {
    let rows: Vec<String> = numbers
        .map(|n| format!("{n},Part {n:04} {version},{visibility}"))
        .collect();
    format!("source_id,name,visibility\n{}\n", rows.join("\n"))
}

#[track_caller]
fn assert_over(answer: &Answer, cap: &str) {
    assert_eq!(
        answer.status,
        StatusCode::PAYMENT_REQUIRED,
        "{}",
        answer.text
    );
    let detail = answer.detail();
    assert!(
        detail.as_str().is_some_and(|text| text.contains(cap)),
        "{detail}"
    );
}

/// How many uploads hold a part of the caps.
async fn holds(app: &TestApp, tenant: &TenantId) -> usize {
    let summary = app.app.summary(tenant).await.expect("a summary");
    let later = app.app.clock.now() + TimeDelta::days(1);
    summary.caps.abandoned(later, None).len()
}

/// Uploads all of these files at once.
async fn post_at_once(client: &Client<'_>, files: impl IntoIterator<Item = String>) -> Vec<Answer> {
    let posts = files.into_iter().map(|file| async move {
        let post = || post_file(client, "a.csv", &file);
        insist(post).await
    });
    join_all(posts).await
}

/// What became of all rows of several files.
fn total(answers: &[Answer]) -> [u64; 4] {
    answers.iter().map(taken).fold([0; 4], |sum, summary| {
        [0, 1, 2, 3].map(|part: usize| sum[part] + summary[part])
    })
}

#[tokio::test]
async fn fifty_records_fit_the_free_plan() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = post_file(&client, "a.csv", parts(0..50)).await;

    assert_eq!(taken(&answer), [50, 50, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 50);
    assert_eq!(holds(&app, &client.tenant).await, 0);
}

#[tokio::test]
async fn fifty_one_records_do_not_and_none_is_written() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let answer = post_file(&client, "a.csv", parts(0..51)).await;

    assert_over(&answer, "50 records");
    assert_untouched(&app, &client.tenant).await;
}

#[tokio::test]
async fn at_the_cap_not_one_more_is_written() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let filled = post_file(&client, "a.csv", parts(0..50)).await;
    assert_eq!(taken(&filled), [50, 50, 0, 0]);
    let before = recounted(&app, &client.tenant).await;

    let answer = post_file(&client, "b.csv", parts(49..51)).await;

    assert_over(&answer, "50 records");
    assert_eq!(recounted(&app, &client.tenant).await, before);
    assert_eq!(holds(&app, &client.tenant).await, 0);
}

#[tokio::test]
async fn only_new_good_rows_count_towards_the_cap() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    // 50 records, ten of them twice, and ten rows that are none.
    let repeated = parts(0..10).replace("name,n\n", "");
    let file = format!("{}{repeated}{}", parts(0..50), ",0\n".repeat(10));

    let answer = post_file(&client, "a.csv", file).await;

    assert_eq!(taken(&answer), [70, 50, 10, 10]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 50);
}

#[tokio::test]
async fn repetitions_and_changes_are_free_at_the_cap() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for (file, expected) in [
        (sourced(0..50, "old", ""), [50, 50, 0, 0]),
        (sourced(0..50, "old", ""), [50, 0, 0, 50]),
        (sourced(0..50, "new", ""), [50, 50, 0, 0]),
        (sourced(25..50, "newer", "public"), [25, 25, 0, 0]),
        (sourced(0..50, "new", ""), [50, 25, 0, 25]),
    ] {
        assert_eq!(taken(&post_file(&client, "a.csv", file).await), expected);
        assert_eq!(recounted(&app, &client.tenant).await.len(), 50);
    }
    assert_eq!(holds(&app, &client.tenant).await, 0);
}

#[tokio::test]
async fn a_file_over_the_cap_changes_nothing_either() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let filled = post_file(&client, "a.csv", sourced(0..50, "old", "")).await;
    assert_eq!(taken(&filled), [50, 50, 0, 0]);
    let before = recounted(&app, &client.tenant).await;

    let answer = post_file(&client, "b.csv", sourced(0..51, "new", "public")).await;

    assert_over(&answer, "50 records");
    assert_eq!(recounted(&app, &client.tenant).await, before);
}

#[tokio::test]
async fn a_second_collection_does_not_fit_the_free_plan() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let first = post_file(&client, "a.csv", parts(0..1)).await;
    assert_eq!(taken(&first), [1, 1, 0, 0]);

    let form = Form::new().file("a.csv", parts(0..1));
    let answer = client.upload(OTHER_PATH, form).await;

    assert_over(&answer, "1 collection");
    let summary = app.app.summary(&client.tenant).await.unwrap();
    assert_eq!(summary.collections.len(), 1);
    assert!(summary.reserved.is_empty());
    assert_eq!(recounted(&app, &client.tenant).await.len(), 1);
}

#[tokio::test]
async fn a_larger_plan_takes_more_at_once() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    let refused = post_file(&client, "a.csv", parts(0..51)).await;
    assert_over(&refused, "50 records");

    let now = app.app.clock.now();
    let table = &app.app.table;
    table
        .set_plan(&client.tenant, Plan::Pro, now)
        .await
        .unwrap();

    let answer = post_file(&client, "a.csv", parts(0..51)).await;
    assert_eq!(taken(&answer), [51, 51, 0, 0]);
    let form = Form::new().file("a.csv", parts(0..1));
    assert_eq!(taken(&client.upload(OTHER_PATH, form).await), [1, 1, 0, 0]);
    assert_eq!(recounted(&app, &client.tenant).await.len(), 52);
}

#[tokio::test]
async fn a_tenant_beyond_its_cap_can_still_change_and_repeat() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;
    let filled = post_file(&client, "a.csv", sourced(0..60, "old", "")).await;
    assert_eq!(taken(&filled), [60, 60, 0, 0]);
    let now = app.app.clock.now();
    let table = &app.app.table;
    table
        .set_plan(&client.tenant, Plan::Free, now)
        .await
        .unwrap();

    let same = post_file(&client, "a.csv", sourced(0..60, "old", "")).await;
    assert_eq!(taken(&same), [60, 0, 0, 60]);
    let changed = post_file(&client, "a.csv", sourced(0..1, "new", "")).await;
    assert_eq!(taken(&changed), [1, 1, 0, 0]);
    let new = post_file(&client, "a.csv", sourced(60..61, "old", "")).await;
    assert_over(&new, "50 records");
    assert_eq!(recounted(&app, &client.tenant).await.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_parallel_files_that_fit_only_alone_exactly_one_is_written() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let files = [parts(0..30), parts(30..60)];
    let mut answers = post_at_once(&client, files).await;

    answers.sort_by_key(|answer| answer.status);
    assert_eq!(taken(&answers[0]), [30, 30, 0, 0]);
    assert_over(&answers[1], "50 records");
    assert_eq!(recounted(&app, &client.tenant).await.len(), 30);
    assert_eq!(holds(&app, &client.tenant).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_parallel_first_collections_exactly_one_is_made() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let form = || Form::new().file("a.csv", parts(0..10));
    let uploads = [PATH, OTHER_PATH].map(|path| {
        let client = &client;
        insist(move || client.upload(path, form()))
    });
    let mut answers = join_all(uploads).await;

    answers.sort_by_key(|answer| answer.status);
    assert_eq!(taken(&answers[0]), [10, 10, 0, 0]);
    assert_over(&answers[1], "1 collection");
    let summary = app.app.summary(&client.tenant).await.unwrap();
    assert_eq!(summary.collections.len(), 1);
    assert!(summary.reserved.is_empty());
    assert_eq!(recounted(&app, &client.tenant).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_twice_in_parallel_fills_the_cap_once() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;
    for expected in [[100, 50, 0, 50], [100, 0, 0, 100]] {
        let files = [parts(0..50), parts(0..50)];
        let answers = post_at_once(&client, files).await;

        assert_eq!(total(&answers), expected);
        assert_eq!(recounted(&app, &client.tenant).await.len(), 50);
    }
    assert_eq!(holds(&app, &client.tenant).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_parallel_files_fill_the_cap_exactly() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Free).await;

    let files = (0..8).map(|n| parts(n * 10..n * 10 + 10));
    let answers = post_at_once(&client, files).await;

    let (written, refused): (Vec<Answer>, Vec<Answer>) = answers
        .into_iter()
        .partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(written.len(), 5);
    for answer in &written {
        assert_eq!(taken(answer), [10, 10, 0, 0]);
    }
    for answer in &refused {
        assert_over(answer, "50 records");
    }
    assert_eq!(recounted(&app, &client.tenant).await.len(), 50);
    assert_eq!(holds(&app, &client.tenant).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_overlapping_files_make_no_duplicate_and_true_counts() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;

    let files = (0..8).map(|n| parts(n * 10..n * 10 + 40));
    let answers = post_at_once(&client, files).await;

    assert_eq!(total(&answers), [320, 110, 0, 210]);
    let records = recounted(&app, &client.tenant).await;
    let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    let expected: Vec<String> = (0..110).map(|n| format!("Part {n:04}")).collect();
    assert_eq!(names, expected);
    assert!(records.iter().all(|record| record.version == 1));
    assert_eq!(holds(&app, &client.tenant).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_changes_of_the_same_records_are_all_applied_and_counted() {
    let app = TestApp::new(upload::router()).await;
    let client = app.tenant(Plan::Pro).await;

    let files = (0..8_u32).map(|n| {
        let visibility = if n.is_multiple_of(2) {
            "public"
        } else {
            "private"
        };
        sourced(n * 10..n * 10 + 40, &format!("of {n}"), visibility)
    });
    let answers = post_at_once(&client, files).await;

    assert_eq!(total(&answers), [320, 320, 0, 0]);
    let records = recounted(&app, &client.tenant).await;
    assert_eq!(records.len(), 110);
    // Each row that was accepted made one version of one record.
    let versions: u64 = records.iter().map(|record| record.version).sum();
    assert_eq!(versions, 320);
    let is_whole = |record: &Record| {
        let (_, of) = record.name.rsplit_once(' ').expect("a name of a file");
        let is_even = of.parse::<u32>().expect("a file").is_multiple_of(2);
        (record.visibility == Visibility::Public) == is_even
    };
    assert!(records.iter().all(is_whole), "{records:?}");
    assert_eq!(holds(&app, &client.tenant).await, 0);
}
