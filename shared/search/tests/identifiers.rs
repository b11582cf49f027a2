//! What identifiers find: exactly what they name, with the score 1, or else what words would.

mod common;

use common::{find, index, numbers, record};
use model::cell;
use search::{Class, Index, Mode, Page};
use serde_json::json;

fn catalog() -> Index {
    index(&[
        record(
            1,
            json!({"name": "Hex bolt", "sku": "SS-M8-40-A2", "standard": "ISO 4017"}),
        ),
        record(
            2,
            json!({"name": "LM16UU", "description": "linear bearing"}),
        ),
        record(3, json!({"name": "Notebook", "ean": 4_006_381_333_931_u64})),
        record(4, json!({"name": "Ball bearing", "source_id": "BRG-6204"})),
        record(
            5,
            json!({"name": "Kit", "parts": [{"codes": {"old": "X-77-B"}}]}),
        ),
        record(
            6,
            json!({
                "name": "Thread locker",
                "description": "goes with the LM16UU, contains CAS 80-15-9",
            }),
        ),
    ])
}

fn scores(page: &Page) -> Vec<f64> {
    page.hits.iter().map(|hit| hit.score).collect()
}

#[test]
fn an_identifier_is_found_whatever_its_case_and_separators() {
    let index = catalog();
    for (query, found) in [
        ("SS-M8-40-A2", 1),
        ("ss-m8-40-a2", 1),
        ("ssm840a2", 1),
        ("SS M8 40 A2", 1),
        ("ss m8 40 a2", 1),
        ("SS_M8/40.A2", 1),
        (" SS-M8-40-A2 ", 1),
        ("ISO 4017", 1),
        ("iso 4017", 1),
        ("iso4017", 1),
        ("Iso-4017", 1),
        ("LM16UU", 2),
        ("lm-16-uu", 2),
        ("LM 16 UU", 2),
        ("4006381333931", 3),
        ("400-6381-333931", 3),
        ("BRG-6204", 4),
        ("brg6204", 4),
        ("BRG 6204", 4),
        ("x77b", 5),
        ("X-77-B", 5),
    ] {
        let page = find(&index, &json!({"query": query}));
        assert_eq!(numbers(&page), [found], "{query}");
        assert_eq!(scores(&page), [1.0], "{query}");
        assert_eq!(
            (page.mode, page.class, page.total, page.fell_back),
            (Mode::Identifier, Class::Identifier, 1, false),
            "{query}"
        );
    }
}

#[test]
fn a_whole_number_identifies_as_its_digits_do() {
    for (value, query) in [
        (json!(4_006_381_333_931_u64), "4006381333931"),
        (cell::infer("4006381333931").unwrap(), "4006381333931"),
        (cell::infer("0212345052068").unwrap(), "0212345052068"),
        (json!("4006381333931"), "4006381333931"),
        (json!([1, 96_385_074]), "96385074"),
        (json!(96_385_074.0), "96385074"),
        (json!({"gtin": 96_385_074}), "9638-5074"),
        (json!(u64::MAX), "18446744073709551615"),
    ] {
        let index = index(&[
            record(1, json!({"name": "Notebook", "code": value})),
            record(2, json!({"name": "Pencil", "code": 96_385_075})),
        ]);
        let page = find(&index, &json!({"query": query}));
        assert_eq!(numbers(&page), [1], "{value}");
        assert_eq!(scores(&page), [1.0], "{value}");
    }
}

#[test]
fn only_what_is_identified_is_found_and_not_what_mentions_it() {
    let page = find(&catalog(), &json!({"query": "LM16UU"}));
    assert_eq!((numbers(&page), page.total), (vec![2], 1));
}

#[test]
fn an_identifier_that_nothing_has_is_searched_for_as_words() {
    let page = find(&catalog(), &json!({"query": "80-15-9"}));
    assert_eq!(numbers(&page), [6]);
    assert_eq!(
        (page.mode, page.class, page.total, page.fell_back),
        (Mode::Fulltext, Class::Identifier, 1, true)
    );
    assert!(page.hits[0].score < 1.0);
}

#[test]
fn a_part_of_an_identifier_does_not_identify() {
    let page = find(&catalog(), &json!({"query": "SS-M8-40"}));
    assert_eq!(numbers(&page), [1]);
    assert_eq!((page.mode, page.fell_back), (Mode::Fulltext, true));
    assert!(page.hits[0].score < 1.0);
}

#[test]
fn an_identifier_that_stands_nowhere_finds_nothing() {
    let page = find(&catalog(), &json!({"query": "ZZ-99-ZZ"}));
    assert_eq!(numbers(&page), [0; 0]);
    assert_eq!(
        (page.mode, page.class, page.total, page.fell_back),
        (Mode::Fulltext, Class::Identifier, 0, true)
    );
}

#[test]
fn words_score_below_1_however_well_they_fit() {
    let alone = index(&[record(1, json!({"name": "Bearing"}))]);
    for query in ["bearing", "Bearing", "bearing bearing"] {
        let page = find(&alone, &json!({"query": query}));
        assert_eq!(numbers(&page), [1], "{query}");
        assert!(page.hits[0].score < 1.0, "{query}");
    }
    let page = find(&catalog(), &json!({"query": "linear bearing"}));
    assert_eq!(numbers(&page)[0], 2);
    assert!(scores(&page).iter().all(|score| *score < 1.0));
}

#[test]
fn an_identifier_among_words_is_a_word() {
    let page = find(&catalog(), &json!({"query": "LM16UU bearing"}));
    assert_eq!(numbers(&page), [2]);
    assert_eq!((page.mode, page.class), (Mode::Fulltext, Class::Keyword));
    assert!(page.hits[0].score < 1.0);
}

#[test]
fn all_that_share_an_identifier_score_1_and_are_ordered_by_id() {
    let washers = index(&[
        record(
            9,
            json!({"name": "Washer", "standard": "DIN 125", "size": 8}),
        ),
        record(
            3,
            json!({"name": "Washer M10", "standard": "din-125", "size": 10}),
        ),
        record(
            7,
            json!({"name": "Ring", "standard": ["ISO 7089", "DIN125"], "size": 6}),
        ),
        record(
            5,
            json!({"name": "Other", "standard": "DIN 1250", "size": 12}),
        ),
    ]);
    let page = find(&washers, &json!({"query": "DIN 125"}));
    assert_eq!(numbers(&page), [3, 7, 9]);
    assert_eq!(scores(&page), [1.0, 1.0, 1.0]);

    let page = find(&washers, &json!({"query": "DIN 125", "sort": "-size"}));
    assert_eq!(numbers(&page), [3, 9, 7]);
    assert_eq!(scores(&page), [1.0, 1.0, 1.0]);
}

#[test]
fn what_is_identified_is_filtered_and_paged() {
    let washers = index(&[
        record(
            1,
            json!({"name": "Washer", "standard": "DIN 125", "size": 8}),
        ),
        record(
            2,
            json!({"name": "Washer", "standard": "DIN 125", "size": 10}),
        ),
        record(
            3,
            json!({"name": "Washer", "standard": "DIN 127", "size": 10}),
        ),
    ]);
    for (body, found, total) in [
        (
            json!({"query": "din125", "filters": {"size": 10}}),
            vec![2],
            1,
        ),
        (
            json!({"query": "din125", "limit": 1, "offset": 1}),
            vec![2],
            2,
        ),
        (json!({"query": "din125", "offset": 2}), vec![], 2),
    ] {
        let page = find(&washers, &body);
        assert_eq!(
            (numbers(&page), page.total, page.mode),
            (found, total, Mode::Identifier),
            "{body}"
        );
    }
    let page = find(
        &washers,
        &json!({"query": "din125", "filters": {"size": 99}}),
    );
    assert_eq!((page.hits.len(), page.total), (0, 0));
}

#[test]
fn what_looks_like_an_identifier_is_one() {
    let index = catalog();
    for query in [
        "LM16UU",
        "6204-2RS",
        "SS M8 40 A2",
        "ISO 4017",
        "DIN EN ISO 4017:2014",
        "MIL-STD-810",
        "4006381333931",
        "96385074",
        "7732-18-5",
    ] {
        let page = find(&index, &json!({"query": query}));
        assert_eq!(page.class, Class::Identifier, "{query}");
    }
    for query in ["bearing", "16mm shaft", "2.5 kg", "top 10", "m8 bolt"] {
        let page = find(&index, &json!({"query": query}));
        assert_eq!(page.class, Class::Keyword, "{query}");
    }
}
