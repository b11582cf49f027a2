//! What filters leave: which values match, in which spelling, and what is no filter.

mod common;

use common::{find, index, numbers, record};
use model::fault::{Fault, Fields, Step};
use model::record::Record;
use search::{Error, Index, Request};
use serde_json::{Map, Value, json};

fn catalog() -> Index {
    index(&[
        record(
            1,
            json!({
                "name": "Alpha", "size": 8, "price": 0.5, "material": "Stainless Steel",
                "in_stock": true, "listed": "2026-01-15", "tags": ["red", "Blue"],
                "location": {"city": "Z\u{fc}rich", "lat": 47.4},
            }),
        ),
        record(
            2,
            json!({
                "name": "Beta", "size": 10, "price": 12.5, "material": "brass",
                "in_stock": false, "listed": "2026-02-01", "tags": ["green"],
                "location": {"city": "Lisbon", "lat": 38.7},
            }),
        ),
        record(
            3,
            json!({
                "name": "Gamma", "size": 12, "price": 100, "material": "steel, hardened",
                "in_stock": true, "listed": "2026-02-01T08:30:00Z", "tags": [],
                "location": {"city": "Sa\u{303}o Paulo", "lat": -23.5},
            }),
        ),
        record(4, json!({"name": "Delta"})),
    ])
}

/// The numbers of what filters leave, least first.
fn left(index: &Index, filters: &Value) -> Vec<u32> {
    let page = find(index, &json!({"filters": filters, "limit": 100}));
    let mut numbers = numbers(&page);
    assert_eq!(numbers.len(), page.total, "{filters}");
    numbers.sort_unstable();
    numbers
}

#[track_caller]
fn assert_left(index: &Index, cases: &[(Value, &[u32])]) {
    for (filters, expected) in cases {
        assert_eq!(left(index, filters), *expected, "{filters}");
    }
}

/// The place of a fault, with slashes between its steps.
fn place(fault: &Fault) -> String {
    let steps = fault.path.iter().map(|step| match step {
        Step::Name(name) => name.clone(),
        Step::Index(index) => index.to_string(),
    });
    steps.collect::<Vec<_>>().join("/")
}

/// What is wrong with filters, as place and kind.
fn faults(filters: &Value) -> Vec<(String, &'static str)> {
    let body = json!({"filters": filters});
    let mut fields = Fields::of(&body).expect("an object");
    assert!(Request::read(&mut fields).is_none(), "{body}");
    let faults = fields.into_faults();
    faults
        .iter()
        .map(|fault| (place(fault), fault.kind))
        .collect()
}

/// So many fields, each with its number as value.
fn fields(count: u32) -> Map<String, Value> {
    (0..count)
        .map(|number| (format!("f{number}"), json!(number)))
        .collect()
}

#[test]
fn a_value_has_to_be_equal() {
    assert_left(
        &catalog(),
        &[
            (json!({"size": 8}), &[1]),
            (json!({"size": 8.0}), &[1]),
            (json!({"size": "8"}), &[1]),
            (json!({"price": 12.5}), &[2]),
            (json!({"price": "12.50"}), &[2]),
            (json!({"price": 100}), &[3]),
            (json!({"size": 9}), &[]),
            (json!({"size": "eight"}), &[]),
            (json!({"material": 8}), &[]),
            (json!({"material": "stainless"}), &[]),
        ],
    );
}

#[test]
fn strings_are_compared_without_case_and_accents() {
    assert_left(
        &catalog(),
        &[
            (json!({"material": "STAINLESS STEEL"}), &[1]),
            (json!({"material": "Brass"}), &[2]),
            (json!({"location.city": "zurich"}), &[1]),
            (json!({"location.city": "Z\u{dc}RICH"}), &[1]),
            (json!({"location.city": "Zu\u{308}rich"}), &[1]),
            (json!({"location.city": "s\u{e3}o paulo"}), &[3]),
            (
                json!({"location.city_in": ["ZURICH", "LISBO\u{301}N"]}),
                &[1, 2],
            ),
        ],
    );
}

#[test]
fn booleans_may_come_as_text() {
    assert_left(
        &catalog(),
        &[
            (json!({"in_stock": true}), &[1, 3]),
            (json!({"in_stock": "true"}), &[1, 3]),
            (json!({"in_stock": "True"}), &[1, 3]),
            (json!({"in_stock": "TRUE"}), &[1, 3]),
            (json!({"in_stock": false}), &[2]),
            (json!({"in_stock": "False"}), &[2]),
            (json!({"in_stock_in": [true, "False"]}), &[1, 2, 3]),
        ],
    );
}

#[test]
fn a_comma_means_any_of() {
    assert_left(
        &catalog(),
        &[
            (json!({"material": "brass,stainless steel"}), &[1, 2]),
            (json!({"material": " Brass , STAINLESS STEEL "}), &[1, 2]),
            (json!({"size": "8,12"}), &[1, 3]),
            (json!({"in_stock": "true,false"}), &[1, 2, 3]),
            (json!({"material": "brass,,"}), &[2]),
            (json!({"material": "tin,lead"}), &[]),
        ],
    );
}

#[test]
fn a_value_with_a_comma_of_its_own_is_found_by_it() {
    assert_left(
        &catalog(),
        &[
            (json!({"material": "steel, hardened"}), &[3]),
            (json!({"material_in": ["Steel, Hardened"]}), &[3]),
        ],
    );
}

#[test]
fn in_takes_a_list_or_a_string_with_commas() {
    assert_left(
        &catalog(),
        &[
            (json!({"size_in": [8, 12]}), &[1, 3]),
            (json!({"size_in": ["8", 12]}), &[1, 3]),
            (json!({"size_in": "8,12"}), &[1, 3]),
            (json!({"size_in": "8, 12"}), &[1, 3]),
            (json!({"size_in": 8}), &[1]),
            (json!({"size_in": []}), &[]),
            (json!({"material_in": ["BRASS", "nothing"]}), &[2]),
            (json!({"tags_in": ["green", "blue"]}), &[1, 2]),
        ],
    );
}

#[test]
fn ranges_of_numbers_have_four_ends() {
    assert_left(
        &catalog(),
        &[
            (json!({"size_min": 10}), &[2, 3]),
            (json!({"size_gt": 10}), &[3]),
            (json!({"size_max": 10}), &[1, 2]),
            (json!({"size_lt": 10}), &[1]),
            (json!({"size_min": 10.5}), &[3]),
            (json!({"size_lt": 10.5}), &[1, 2]),
            (json!({"size_min": 8, "size_lt": 12}), &[1, 2]),
            (json!({"size_gt": 8, "size_max": 10}), &[2]),
            (json!({"size_gt": 12}), &[]),
            (json!({"size_lt": 8}), &[]),
            (json!({"price_min": -1}), &[1, 2, 3]),
            (json!({"price_max": 0.4}), &[]),
            (json!({"location.lat_lt": 0}), &[3]),
            (
                json!({"location.lat_max": 38.7, "location.lat_gt": -23.5}),
                &[2],
            ),
        ],
    );
}

#[test]
fn the_end_of_a_range_may_come_as_text() {
    assert_left(
        &catalog(),
        &[
            (json!({"size_min": "10"}), &[2, 3]),
            (json!({"price_gt": "0.50"}), &[2, 3]),
            (json!({"price_max": "12.5"}), &[1, 2]),
            (json!({"location.lat_lt": "-1"}), &[3]),
        ],
    );
}

#[test]
fn dates_are_ordered_as_text() {
    assert_left(
        &catalog(),
        &[
            (json!({"listed_min": "2026-02-01"}), &[2, 3]),
            (json!({"listed_gt": "2026-02-01"}), &[3]),
            (json!({"listed_max": "2026-02-01"}), &[1, 2]),
            (json!({"listed_lt": "2026-02-01"}), &[1]),
            (
                json!({"listed_min": "2026-01-15", "listed_lt": "2026-01-16"}),
                &[1],
            ),
            (json!({"listed_gt": "2026-02-01T08:00:00Z"}), &[3]),
            (json!({"listed_max": "2026-02-01T08:30:00Z"}), &[1, 2, 3]),
            (json!({"listed_min": "2027-01-01"}), &[]),
            (json!({"listed_lt": "2025-01-01"}), &[]),
            (json!({"listed": "2026-01-15"}), &[1]),
        ],
    );
}

#[test]
fn every_filter_has_to_hold() {
    assert_left(
        &catalog(),
        &[
            (json!({"size_min": 10, "in_stock": true}), &[3]),
            (
                json!({"size": 8, "material": "stainless steel", "tags": "red"}),
                &[1],
            ),
            (json!({"size": 8, "material": "brass"}), &[]),
            (json!({}), &[1, 2, 3, 4]),
        ],
    );
}

#[test]
fn one_value_of_a_list_suffices() {
    let kits = index(&[
        record(
            1,
            json!({"name": "Kit", "parts": [{"code": "a", "n": 1}, {"code": "B", "n": 5}]}),
        ),
        record(
            2,
            json!({"name": "Set", "parts": [{"code": "c", "n": 2}], "sizes": [6, [8, 10]]}),
        ),
    ]);
    assert_left(
        &kits,
        &[
            (json!({"parts.code": "b"}), &[1]),
            (json!({"parts.code_in": "a,c"}), &[1, 2]),
            (json!({"parts.n": 5}), &[1]),
            (json!({"parts.n_min": 2}), &[1, 2]),
            (json!({"parts.n_gt": 2}), &[1]),
            (json!({"parts.n_lt": 2}), &[1]),
            (json!({"sizes": 10}), &[2]),
            (json!({"sizes_min": 9}), &[2]),
            (json!({"sizes_gt": 10}), &[]),
            (json!({"parts": "a"}), &[]),
        ],
    );
    assert_left(
        &catalog(),
        &[
            (json!({"tags": "blue"}), &[1]),
            (json!({"tags": "purple"}), &[]),
        ],
    );
}

#[test]
fn a_key_with_dots_of_its_own_is_reached_like_a_nested_one() {
    let dotted = index(&[
        record(1, json!({"name": "Flat", "a.b": 1})),
        record(2, json!({"name": "Nested", "a": {"b": 2}})),
        record(3, json!({"name": "Half", "a": {"b.c": 3}})),
        record(4, json!({"name": "Other half", "a.b": {"c": 4}})),
    ]);
    assert_left(
        &dotted,
        &[
            (json!({"a.b": 1}), &[1]),
            (json!({"a.b": 2}), &[2]),
            (json!({"a.b_min": 1}), &[1, 2]),
            (json!({"a.b_in": "1,2"}), &[1, 2]),
            (json!({"a.b.c": 3}), &[3]),
            (json!({"a.b.c_gt": 3}), &[4]),
            (json!({"a.b.c_lt": 9}), &[3, 4]),
        ],
    );
}

#[test]
fn a_field_whose_own_name_ends_in_a_suffix_wins() {
    let named = index(&[
        record(1, json!({"name": "One", "size_min": 5, "size": 100})),
        record(2, json!({"name": "Two", "size_min": 50, "size": 1})),
        record(3, json!({"name": "Three", "size": 5})),
        record(
            4,
            json!({"name": "Four", "made_in": "Germany", "made": "2020"}),
        ),
        record(
            5,
            json!({"name": "Five", "spec": {"load_max": 10, "load": 3}}),
        ),
    ]);
    assert_left(
        &named,
        &[
            (json!({"size_min": 5}), &[1]),
            (json!({"size_min": 6}), &[]),
            (json!({"size_min_gt": 5}), &[2]),
            (json!({"size_min_min": 5}), &[1, 2]),
            (json!({"size_max": 5}), &[2, 3]),
            (json!({"made_in": "germany"}), &[4]),
            (json!({"made_in_in": ["France", "Germany"]}), &[4]),
            (json!({"spec.load_max": 10}), &[5]),
            (json!({"spec.load_max": 11}), &[]),
        ],
    );
}

#[test]
fn the_record_type_is_filtered_like_a_field() {
    let typed = |number, kind: &str, row| Record {
        record_type: kind.parse().unwrap(),
        ..record(number, row)
    };
    let index = index(&[
        typed(1, "Bolt", json!({"name": "One", "size": 8})),
        typed(2, "nut", json!({"name": "Two", "size": 8})),
        typed(
            3,
            "product",
            json!({"name": "Three", "record_type": "bolt"}),
        ),
    ]);
    assert_left(
        &index,
        &[
            (json!({"record_type": "Bolt"}), &[1]),
            (json!({"record_type": "BOLT"}), &[1]),
            (json!({"record_type": "bolt,nut"}), &[1, 2]),
            (json!({"record_type_in": ["nut", "product"]}), &[2, 3]),
            (json!({"record_type": "nut", "size": 8}), &[2]),
            (json!({"record_type": "nut", "size": 9}), &[]),
            (json!({"record_type": "washer"}), &[]),
        ],
    );
}

#[test]
fn a_field_that_no_record_has_matches_nothing() {
    assert_left(
        &catalog(),
        &[
            (json!({"unknown": 8}), &[]),
            (json!({"unknown": "8"}), &[]),
            (json!({"unknown_min": 0}), &[]),
            (json!({"unknown_lt": "2099-01-01"}), &[]),
            (json!({"unknown_in": [8, "8"]}), &[]),
            (json!({"size.unit": 8}), &[]),
            (json!({"tenant_id": "t_1"}), &[]),
            (json!({"_min": 8}), &[]),
            (json!({"": 8}), &[]),
            (json!({"size": 8, "unknown": 8}), &[]),
        ],
    );
}

#[test]
fn a_field_that_half_of_the_records_have_is_filtered_all_the_same() {
    let rows = (1..=40).map(|number: u32| {
        let mut row = json!({"name": "Bolt"});
        if number.is_multiple_of(2) {
            row["even"] = json!(number);
            row["note"] = json!(format!("number {number}"));
        }
        if number > 20 {
            row["late"] = json!(number);
        }
        record(number, row)
    });
    let index = index(&rows.collect::<Vec<Record>>());
    assert_left(
        &index,
        &[
            (json!({"even": 8}), &[8]),
            (json!({"even": 7}), &[]),
            (json!({"even_min": 31}), &[32, 34, 36, 38, 40]),
            (json!({"even_lt": 7}), &[2, 4, 6]),
            (json!({"note": "Number 22"}), &[22]),
            (json!({"late_max": 22}), &[21, 22]),
            (json!({"late_lt": 26, "even_gt": 20}), &[22, 24]),
        ],
    );
}

#[test]
fn a_field_may_have_values_of_every_type() {
    let mixed = index(&[
        record(1, json!({"name": "One", "v": 8})),
        record(2, json!({"name": "Two", "v": "XL"})),
        record(3, json!({"name": "Three", "v": true})),
        record(4, json!({"name": "Four", "v": [9.5, "xs"]})),
        record(5, json!({"name": "Five", "v": {"w": 8}})),
        record(6, json!({"name": "Six"})),
    ]);
    assert_left(
        &mixed,
        &[
            (json!({"v": 8}), &[1]),
            (json!({"v": "xl"}), &[2]),
            (json!({"v": true}), &[3]),
            (json!({"v": 9.5}), &[4]),
            (json!({"v": "xs"}), &[4]),
            (json!({"v_in": [8, "XL", "true"]}), &[1, 2, 3]),
            (json!({"v_min": 8}), &[1, 4]),
            (json!({"v_gt": "xm"}), &[4]),
            (json!({"v.w": 8}), &[5]),
        ],
    );
}

#[test]
fn codes_and_amounts_are_told_apart() {
    let codes = index(&[
        record(
            1,
            json!({"name": "One", "code": "007", "n": 9_007_199_254_740_992_u64}),
        ),
        record(
            2,
            json!({"name": "Two", "code": 7, "n": 9_007_199_254_740_993_u64}),
        ),
    ]);
    assert_left(
        &codes,
        &[
            (json!({"code": "007"}), &[1]),
            (json!({"code": 7}), &[2]),
            (json!({"code": "7"}), &[2]),
            (json!({"n": 9_007_199_254_740_992_u64}), &[1]),
            (json!({"n": 9_007_199_254_740_993_u64}), &[2]),
            (json!({"n": "9007199254740993"}), &[2]),
        ],
    );
}

#[test]
fn filters_leave_the_scores_of_a_query_as_they_are() {
    let bolts: Vec<Record> = (1..=6)
        .map(|number| record(number, json!({"name": "Steel bolt", "size": number})))
        .collect();
    let index = index(&bolts);
    let all = find(&index, &json!({"query": "bolt"}));
    let page = find(
        &index,
        &json!({"query": "bolt", "filters": {"size_min": 4}}),
    );
    assert_eq!(page.total, 3);
    assert_eq!(page.hits.as_slice(), &all.hits[3..]);
}

#[test]
fn null_and_an_object_are_no_values() {
    for (filters, place, kind) in [
        (json!({"size": null}), "filters/size", "value_error"),
        (json!({"size_min": null}), "filters/size_min", "value_error"),
        (json!({"unknown": {}}), "filters/unknown", "value_error"),
        (json!({"size": {"min": 1}}), "filters/size", "value_error"),
        (
            json!({"size_in": [8, null]}),
            "filters/size_in/1",
            "value_error",
        ),
        (
            json!({"size_in": [{}, 8]}),
            "filters/size_in/0",
            "value_error",
        ),
        (json!([]), "filters", "dict_type"),
        (json!("size=8"), "filters", "dict_type"),
        (json!(8), "filters", "dict_type"),
    ] {
        assert_eq!(faults(&filters), [(place.to_owned(), kind)], "{filters}");
    }
}

#[test]
fn a_range_takes_one_number_or_one_string() {
    let index = catalog();
    for end in [json!([8, 10]), json!([]), json!(true)] {
        let body = json!({"filters": {"size_min": end}});
        let mut fields = Fields::of(&body).unwrap();
        let request = Request::read(&mut fields).unwrap();
        let Err(Error::Filter(fault)) = common::wait(index.search(&request)) else {
            panic!("{body} is taken");
        };
        assert_eq!(
            (place(&fault).as_str(), fault.kind),
            ("size_min", "value_error")
        );
    }
}

#[test]
fn there_are_at_most_20_filters() {
    let mut row = fields(21);
    row.insert("name".to_owned(), json!("Bolt"));
    let index = index(&[
        record(1, Value::Object(row)),
        record(2, json!({"name": "Nut"})),
    ]);
    assert_eq!(left(&index, &Value::Object(fields(20))), [1]);
    let too_many = faults(&Value::Object(fields(21)));
    assert_eq!(too_many, [("filters".to_owned(), "too_long")]);
}
