//! What a change makes searches find, whoever comes first.

mod common;

use common::{find, index, numbers, record};
use model::record::Record;
use search::Index;
use serde_json::{Value, json};

fn changed(number: u32, version: u64, row: Value) -> Record {
    Record {
        version,
        ..record(number, row)
    }
}

fn by(index: &Index, query: &str) -> Vec<u32> {
    numbers(&find(index, &json!({"query": query})))
}

#[test]
fn a_record_is_found_as_soon_as_it_is_applied() {
    let index = index(&[record(1, json!({"name": "Bolt"}))]);
    assert_eq!(by(&index, "nut"), [0; 0]);
    index.apply(&[record(2, json!({"name": "Nut"}))]).unwrap();
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
    index.apply(&[changed(1, 2, next)]).unwrap();

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
    index
        .apply(&[changed(1, 2, json!({"name": "Bolt", "sku": "B-2000"}))])
        .unwrap();
    assert_eq!(by(&index, "B-2000"), [1]);
    let page = find(&index, &json!({"query": "b1000"}));
    assert_eq!((page.hits.len(), page.total), (0, 0));
}

#[test]
fn an_earlier_version_is_passed_over() {
    let index = index(&[changed(1, 3, json!({"name": "Washer"}))]);
    for version in [1, 2, 3] {
        index
            .apply(&[changed(1, version, json!({"name": "Bolt"}))])
            .unwrap();
        assert_eq!(by(&index, "washer"), [1], "{version}");
        assert_eq!(by(&index, "bolt"), [0; 0], "{version}");
    }
}

#[test]
fn of_two_versions_in_one_call_the_later_counts() {
    let versions = [
        changed(1, 1, json!({"name": "Bolt"})),
        changed(1, 2, json!({"name": "Washer"})),
    ];
    let mut reversed = versions.clone();
    reversed.reverse();
    for versions in [versions, reversed] {
        let index = Index::new().unwrap();
        index.apply(&versions).unwrap();
        assert_eq!(by(&index, "washer"), [1]);
        assert_eq!(by(&index, "bolt"), [0; 0]);
        assert_eq!(find(&index, &json!({})).total, 1);
    }
}

#[test]
fn the_order_of_changes_does_not_matter() {
    let names = ["Bolt", "Nut", "Washer"];
    for order in [
        [1, 2, 3],
        [1, 3, 2],
        [2, 1, 3],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
    ] {
        let index = Index::new().unwrap();
        for version in order {
            let name = names[version - 1];
            let version = u64::try_from(version).unwrap();
            index
                .apply(&[changed(1, version, json!({"name": name}))])
                .unwrap();
        }
        assert_eq!(by(&index, "washer"), [1], "{order:?}");
        assert_eq!(find(&index, &json!({})).total, 1, "{order:?}");
    }
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let bolts: Vec<Record> = (1..=10)
        .map(|number| record(number, json!({"name": "Bolt"})))
        .collect();
    let index = index(&bolts);
    let before = find(&index, &json!({"query": "bolt"})).hits;
    for _ in 0..3 {
        index.apply(&bolts).unwrap();
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
    let index = Index::new().unwrap();
    for number in 1..=40 {
        let row = json!({"name": "Bolt", "size": number, "half": f64::from(number) / 2.0});
        index.apply(&[record(number, row)]).unwrap();
    }
    for number in (2..=40).step_by(2) {
        let row = json!({"name": "Nut", "size": 100 + number});
        index.apply(&[changed(number, 2, row)]).unwrap();
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
                    .map(|number| changed(number, version, json!({"name": name})))
                    .collect();
                index.apply(&next).unwrap();
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
