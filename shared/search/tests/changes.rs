//! What a change makes searches find, whoever comes first.

mod common;

use common::{changes, empty, find, index, numbers, record};
use model::record::Record;
use search::{Change, Index};
use serde_json::json;

fn apply(index: &Index, records: &[Record]) {
    index
        .apply(&changes(records))
        .expect("an index with changes");
}

fn by(index: &Index, query: &str) -> Vec<u32> {
    numbers(&find(index, &json!({"query": query})))
}

#[test]
fn a_record_is_found_as_soon_as_it_is_applied() {
    let index = index(&[record(1, json!({"name": "Bolt"}))]);
    assert_eq!(by(&index, "nut"), [0; 0]);
    apply(&index, &[record(2, json!({"name": "Nut"}))]);
    assert_eq!(by(&index, "nut"), [2]);
    assert_eq!(find(&index, &json!({})).total, 2);
}

#[test]
fn a_later_version_takes_the_place_of_the_earlier() {
    let index = index(&[
        record(
            1,
            json!({"name": "Bolt", "sku": "B-1000", "size": 8, "old": true}),
        ),
        record(2, json!({"name": "Nut", "sku": "N-1000", "size": 10})),
    ]);
    let next = json!({"name": "Washer", "sku": "W-1000", "size": 12, "new": true});
    apply(&index, &[record(1, next)]);

    for (body, found) in [
        (json!({"query": "bolt"}), vec![]),
        (json!({"query": "washer"}), vec![1]),
        (json!({"query": "W-1000"}), vec![1]),
        (json!({"filters": {"size": 8}}), vec![]),
        (json!({"filters": {"size_min": 12}}), vec![1]),
        (json!({"filters": {"old": true}}), vec![]),
        (json!({"filters": {"new": true}}), vec![1]),
        (json!({"sort": "-size"}), vec![1, 2]),
        (json!({"sort": "name"}), vec![2, 1]),
    ] {
        let page = find(&index, &body);
        assert_eq!(
            (numbers(&page), page.total),
            (found.clone(), found.len()),
            "{body}"
        );
    }
}

#[test]
fn what_an_earlier_version_was_called_identifies_nothing_any_more() {
    let index = index(&[record(1, json!({"name": "Bolt", "sku": "B-1000"}))]);
    apply(
        &index,
        &[record(1, json!({"name": "Bolt", "sku": "B-2000"}))],
    );
    assert_eq!(by(&index, "B-2000"), [1]);
    let page = find(&index, &json!({"query": "b1000"}));
    assert_eq!((page.hits.len(), page.total), (0, 0));
}

#[test]
fn of_two_changes_in_one_call_the_later_counts() {
    let index = empty();
    let bolt = record(1, json!({"name": "Bolt"}));
    let washer = record(1, json!({"name": "Washer"}));
    apply(&index, &[bolt, washer]);
    assert_eq!(by(&index, "washer"), [1]);
    assert_eq!(by(&index, "bolt"), [0; 0]);
    assert_eq!(find(&index, &json!({})).total, 1);
}

#[test]
fn what_is_gone_is_not_found_and_may_come_back() {
    let bolt = record(1, json!({"name": "Bolt", "size": 8}));
    let index = index(&[bolt.clone(), record(2, json!({"name": "Nut"}))]);
    let gone = Change {
        id: bolt.id,
        record: None,
        is_new: false,
    };
    index.apply(&[gone]).unwrap();
    assert_eq!(by(&index, "bolt"), [0; 0]);
    assert_eq!(find(&index, &json!({"filters": {"size": 8}})).total, 0);
    assert_eq!(numbers(&find(&index, &json!({}))), [2]);
    apply(&index, &[bolt]);
    assert_eq!(by(&index, "bolt"), [1]);
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let bolts: Vec<Record> = (1..=10)
        .map(|number| record(number, json!({"name": "Bolt"})))
        .collect();
    let index = index(&bolts);
    let before = find(&index, &json!({"query": "bolt"})).hits;
    for _ in 0..3 {
        apply(&index, &bolts);
    }
    let page = find(&index, &json!({"query": "bolt"}));
    assert_eq!((page.hits, page.total), (before, 10));
}

#[test]
fn applying_nothing_changes_nothing() {
    let index = index(&[record(1, json!({"name": "Bolt"}))]);
    index.apply(&[]).unwrap();
    assert_eq!(by(&index, "bolt"), [1]);
}

#[test]
fn many_small_changes_add_up() {
    let index = empty();
    for number in 1..=40 {
        let row = json!({"name": "Bolt", "size": number, "half": f64::from(number) / 2.0});
        apply(&index, &[record(number, row)]);
    }
    for number in (2..=40).step_by(2) {
        let row = json!({"name": "Nut", "size": 100 + number});
        apply(&index, &[record(number, row)]);
    }
    for (body, total, first) in [
        (json!({"query": "bolt"}), 20, 1),
        (json!({"query": "nut"}), 20, 2),
        (json!({"filters": {"size_gt": 100}, "sort": "size"}), 20, 2),
        (
            json!({"filters": {"size_lt": 100}, "sort": "-size"}),
            20,
            39,
        ),
        (json!({"filters": {"half_min": 0.5}, "sort": "half"}), 20, 1),
        (json!({"sort": "-size"}), 40, 40),
        (json!({"sort": "half"}), 40, 1),
    ] {
        let page = find(&index, &body);
        assert_eq!((page.total, numbers(&page)[0]), (total, first), "{body}");
    }
}

#[test]
fn a_search_during_a_change_sees_the_old_or_the_new() {
    let bolts: Vec<Record> = (1..=5)
        .map(|number| record(number, json!({"name": "Bolt"})))
        .collect();
    let index = index(&bolts);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for version in 2..=20_u64 {
                let name = if version.is_multiple_of(2) {
                    "Nut"
                } else {
                    "Bolt"
                };
                let next: Vec<Record> = (1..=5)
                    .map(|number| record(number, json!({"name": name})))
                    .collect();
                apply(&index, &next);
            }
        });
        while !writer.is_finished() {
            assert_eq!(numbers(&find(&index, &json!({}))), [5, 4, 3, 2, 1]);
            let bolts = find(&index, &json!({"query": "bolt"})).total;
            assert!([0, 5].contains(&bolts), "{bolts} of 5 are changed");
        }
    });
    assert_eq!(find(&index, &json!({"query": "nut"})).total, 5);
}

#[test]
fn a_record_of_very_many_fields_is_found_by_all_of_its_words() {
    let mut row = json!({"name": "Bolt"});
    for number in 0..1_500 {
        row[format!("field{number}")] = json!(format!("word{number}"));
    }
    let index = index(&[record(1, row), record(2, json!({"name": "Nut"}))]);
    for query in ["bolt", "word0", "word1499"] {
        assert_eq!(by(&index, query), [1], "{query}");
    }
}
