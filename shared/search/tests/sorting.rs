//! The orders of results, each to its last tie.

mod common;

use common::{find, index, numbers, page, record};
use model::id::{RecordId, RecordType};
use model::record::Record;
use model::time::Moment;
use search::{Index, Request};
use serde_json::json;
use uuid::Uuid;

fn by(index: &Index, sort: &str) -> Vec<u32> {
    numbers(&find(index, &json!({"sort": sort, "limit": 100})))
}

#[track_caller]
fn assert_orders(index: &Index, orders: &[(&str, &[u32])]) {
    for (sort, expected) in orders {
        assert_eq!(by(index, sort), *expected, "{sort}");
    }
}

fn at(text: &str) -> Moment {
    text.parse().expect("a moment")
}

/// A record of that type that was made and changed at these moments.
fn dated(number: u32, kind: &str, created_at: &str, updated_at: &str) -> Record {
    Record {
        record_type: kind.parse().expect("a record type"),
        created_at: at(created_at),
        updated_at: at(updated_at),
        ..record(number, json!({"name": "Bolt"}))
    }
}

fn dates() -> Index {
    index(&[
        dated(
            1,
            "bolt",
            "2026-03-08T12:00:00.000001Z",
            "2026-03-09T00:00:00Z",
        ),
        dated(2, "Nut", "2026-03-08T12:00:00Z", "2026-03-10T00:00:00Z"),
        dated(
            3,
            "anchor",
            "2026-03-08T11:59:59.999999Z",
            "2026-03-11T00:00:00Z",
        ),
        dated(4, "bolt", "2026-03-08T12:00:00Z", "2026-03-10T00:00:00Z"),
        dated(5, "bolt", "1969-12-31T23:59:59Z", "2026-03-08T12:00:00Z"),
    ])
}

/// 45 records of few names, prices and materials; every third one has neither of the latter.
fn many() -> Index {
    let materials = ["steel", "Brass", "tin", "zinc"];
    let records = (1..=45).map(|number: u32| {
        let mut row = json!({"name": format!("Bolt {}", number % 4)});
        if !number.is_multiple_of(3) {
            row["price"] = json!(f64::from(number % 7) / 2.0);
            row["material"] = json!(materials[number as usize % materials.len()]);
        }
        record(number, row)
    });
    index(&records.collect::<Vec<Record>>())
}

#[test]
fn names_are_ordered_without_case_and_accents() {
    let index = index(&[
        record(1, json!({"name": "\u{c9}crou"})),
        record(2, json!({"name": "Zebra"})),
        record(3, json!({"name": "apple"})),
        record(4, json!({"name": "Banana"})),
        record(5, json!({"name": "e\u{301}crou"})),
    ]);
    assert_orders(
        &index,
        &[("name", &[3, 4, 1, 5, 2]), ("-name", &[2, 1, 5, 4, 3])],
    );
}

#[test]
fn times_are_ordered_to_the_microsecond() {
    assert_orders(
        &dates(),
        &[
            ("created_at", &[5, 3, 2, 4, 1]),
            ("-created_at", &[1, 2, 4, 3, 5]),
            ("updated_at", &[5, 1, 2, 4, 3]),
            ("-updated_at", &[3, 2, 4, 1, 5]),
        ],
    );
}

#[test]
fn record_types_are_ordered_without_case() {
    assert_orders(
        &dates(),
        &[
            ("record_type", &[3, 1, 4, 5, 2]),
            ("-record_type", &[2, 1, 4, 5, 3]),
        ],
    );
}

#[test]
fn numbers_are_ordered_by_size_and_missing_ones_come_last() {
    let index = index(&[
        record(1, json!({"name": "a", "price": 10})),
        record(2, json!({"name": "b", "price": -5})),
        record(3, json!({"name": "c"})),
        record(4, json!({"name": "d", "price": 0.5})),
        record(5, json!({"name": "e", "price": 100})),
        record(6, json!({"name": "f", "price": 10.0})),
        record(7, json!({"name": "g"})),
    ]);
    assert_orders(
        &index,
        &[
            ("price", &[2, 4, 1, 6, 5, 3, 7]),
            ("-price", &[5, 1, 6, 4, 2, 3, 7]),
        ],
    );
}

#[test]
fn strings_are_ordered_without_case_and_missing_ones_come_last() {
    let index = index(&[
        record(1, json!({"name": "a", "material": "steel"})),
        record(2, json!({"name": "b", "material": "Brass"})),
        record(3, json!({"name": "c"})),
        record(4, json!({"name": "d", "material": "zinc"})),
        record(5, json!({"name": "e", "material": "brass"})),
        record(6, json!({"name": "f", "material": ""})),
    ]);
    assert_orders(
        &index,
        &[
            ("material", &[6, 2, 5, 1, 4, 3]),
            ("-material", &[4, 1, 2, 5, 6, 3]),
        ],
    );
}

#[test]
fn dates_are_ordered_as_text() {
    let index = index(&[
        record(1, json!({"name": "a", "listed": "2026-02-01T08:30:00Z"})),
        record(2, json!({"name": "b", "listed": "2026-02-01"})),
        record(3, json!({"name": "c"})),
        record(4, json!({"name": "d", "listed": "2025-12-31"})),
    ]);
    assert_orders(
        &index,
        &[("listed", &[4, 2, 1, 3]), ("-listed", &[1, 2, 4, 3])],
    );
}

#[test]
fn a_field_that_only_the_later_records_have_is_an_order_too() {
    let index = index(&[
        record(1, json!({"name": "a"})),
        record(2, json!({"name": "b"})),
        record(3, json!({"name": "c", "price": 2, "material": "tin"})),
        record(4, json!({"name": "d", "price": 1, "material": "zinc"})),
    ]);
    assert_orders(
        &index,
        &[
            ("price", &[4, 3, 1, 2]),
            ("-price", &[3, 4, 1, 2]),
            ("material", &[3, 4, 1, 2]),
            ("-material", &[4, 3, 1, 2]),
        ],
    );
}

#[test]
fn nested_and_dotted_fields_are_orders_too() {
    let index = index(&[
        record(
            1,
            json!({"name": "a", "location": {"lat": 47.4}, "x.y": "b"}),
        ),
        record(
            2,
            json!({"name": "b", "location": {"lat": -23.5}, "x.y": "a"}),
        ),
        record(3, json!({"name": "c", "location": {"lon": 1}})),
        record(4, json!({"name": "d", "location": {"lat": 38}})),
    ]);
    assert_orders(
        &index,
        &[
            ("location.lat", &[2, 4, 1, 3]),
            ("-location.lat", &[1, 4, 2, 3]),
            ("x.y", &[2, 1, 3, 4]),
            ("-x.y", &[1, 2, 3, 4]),
        ],
    );
}

#[test]
fn a_field_of_numbers_and_strings_is_ordered_by_both() {
    let index = index(&[
        record(1, json!({"name": "a", "v": "b"})),
        record(2, json!({"name": "b", "v": 7})),
        record(3, json!({"name": "c"})),
        record(4, json!({"name": "d", "v": "a"})),
        record(5, json!({"name": "e", "v": 3})),
    ]);
    assert_orders(&index, &[("v", &[5, 2, 4, 1, 3]), ("-v", &[2, 5, 1, 4, 3])]);
}

#[test]
fn a_field_that_no_record_has_leaves_the_order_to_the_id() {
    let index = index(&[
        record(4, json!({"name": "d"})),
        record(2, json!({"name": "b"})),
        record(3, json!({"name": "c"})),
        record(1, json!({"name": "a"})),
    ]);
    for sort in [
        "unknown",
        "-unknown",
        "un.known",
        "--unknown",
        "description",
    ] {
        assert_eq!(by(&index, sort), [1, 2, 3, 4], "{sort}");
    }
}

#[test]
fn ties_are_ordered_by_the_whole_id() {
    let ids = [
        (2, 0),
        (1, u64::MAX),
        (1, 0),
        (u64::MAX, 1),
        (0, u64::MAX),
        (u64::MAX, 0),
    ]
    .map(|(high, low)| RecordId(Uuid::from_u64_pair(high, low)));
    let records = ids.map(|id| Record {
        id,
        ..record(1, json!({"name": "Bolt", "size": 8, "material": "steel"}))
    });
    let index = index(&records);
    let mut ordered = ids.to_vec();
    ordered.sort_unstable();
    for body in [
        json!({}),
        json!({"query": "bolt"}),
        json!({"filters": {"size": 8}}),
        json!({"sort": "name"}),
        json!({"sort": "-name"}),
        json!({"sort": "-created_at"}),
        json!({"sort": "record_type"}),
        json!({"sort": "-size"}),
        json!({"sort": "material"}),
        json!({"sort": "unknown"}),
    ] {
        let page = find(&index, &body);
        let found: Vec<RecordId> = page.hits.iter().map(|hit| hit.id).collect();
        assert_eq!(found, ordered, "{body}");
    }
}

#[test]
fn without_query_and_order_the_last_changed_come_first() {
    let index = dates();
    let page = find(&index, &json!({}));
    assert_eq!(numbers(&page), [3, 2, 4, 1, 5]);
    let page = find(&index, &json!({"filters": {"record_type": "bolt"}}));
    assert_eq!(numbers(&page), [4, 1, 5]);
}

#[test]
fn an_order_that_is_asked_for_goes_before_the_score() {
    let index = index(&[
        record(
            1,
            json!({"name": "Bolt bolt bolt", "price": 1, "note": "bolt"}),
        ),
        record(2, json!({"name": "Hex bolt with a long name", "price": 3})),
        record(3, json!({"name": "Nut", "price": 9})),
        record(
            4,
            json!({"name": "Washer", "note": "for a bolt", "price": 2}),
        ),
    ]);
    let page = find(&index, &json!({"query": "bolt", "sort": "-price"}));
    assert_eq!((numbers(&page), page.total), (vec![2, 4, 1], 3));

    let mut sorted = page.hits;
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    let best = find(&index, &json!({"query": "bolt"})).hits;
    assert_eq!(sorted, best);
}

#[test]
fn pages_of_every_order_cover_every_record_once() {
    let index = many();
    for sort in [
        "name",
        "-name",
        "created_at",
        "-updated_at",
        "record_type",
        "price",
        "-price",
        "material",
        "-material",
        "unknown",
    ] {
        let all = by(&index, sort);
        let mut once = all.clone();
        once.sort_unstable();
        assert_eq!(once, (1..=45).collect::<Vec<u32>>(), "{sort}");
        for limit in [1, 7, 44] {
            let mut walked = Vec::new();
            while walked.len() < 45 {
                let offset = walked.len();
                let body = json!({"sort": sort, "limit": limit, "offset": offset});
                let page = find(&index, &body);
                assert_eq!(page.hits.len(), limit.min(45 - offset), "{body}");
                walked.extend(numbers(&page));
            }
            assert_eq!(walked, all, "{sort}, {limit} a page");
        }
    }
}

#[test]
fn a_list_is_newest_first_and_of_one_record_type_or_of_all() {
    let index = dates();
    let list = |kind: Option<&str>, limit, offset| {
        let kind: Option<RecordType> = kind.map(|kind| kind.parse().unwrap());
        let page = page(&index, &Request::list(kind, limit, offset));
        (numbers(&page), page.total)
    };
    assert_eq!(list(None, 20, 0), (vec![1, 2, 4, 3, 5], 5));
    assert_eq!(list(None, 2, 1), (vec![2, 4], 5));
    assert_eq!(list(Some("bolt"), 20, 0), (vec![1, 4, 5], 3));
    assert_eq!(list(Some("washer"), 20, 0), (vec![], 0));
    assert_eq!(list(None, 100, 100_000), (vec![], 5));
}
