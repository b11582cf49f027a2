//! What words find, and how what they find is scored and paged.

mod common;

use common::{find, index, numbers, record};
use model::record::Record;
use search::{Class, Hit, Index, Mode};
use serde_json::json;

fn by(index: &Index, query: &str) -> Vec<u32> {
    numbers(&find(index, &json!({"query": query})))
}

/// Every hit of a query, page by page.
fn walk(index: &Index, query: &str, limit: u32) -> Vec<Hit> {
    let mut hits = Vec::new();
    loop {
        let body = json!({"query": query, "limit": limit, "offset": hits.len()});
        let page = find(index, &body);
        if page.hits.is_empty() {
            return hits;
        }
        hits.extend(page.hits);
    }
}

/// 45 records of three names; every second one is of steel.
fn bolts() -> Index {
    let names = ["Bolt", "Hex bolt", "Long hex bolt"];
    let bolt = |number: u32| {
        let name = names[number as usize % names.len()];
        let description = number
            .is_multiple_of(2)
            .then_some("of steel, for indoor use");
        record(number, json!({"name": name, "description": description}))
    };
    index(&(1..=45).map(bolt).collect::<Vec<Record>>())
}

#[test]
fn a_word_is_found_in_any_of_its_forms() {
    let index = index(&[
        record(1, json!({"name": "Linear bearings"})),
        record(
            2,
            json!({"name": "Washer", "description": "Seals a bolted joint"}),
        ),
        record(3, json!({"name": "Hacksaw"})),
    ]);
    for (query, found) in [
        ("bearing", 1),
        ("bearings", 1),
        ("BEARINGS", 1),
        ("linear bearing", 1),
        ("washers", 2),
        ("bolt", 2),
        ("bolts", 2),
        ("sealing", 2),
        ("joints", 2),
        ("hacksaws", 3),
    ] {
        assert_eq!(by(&index, query), [found], "{query}");
    }
}

#[test]
fn accents_and_case_do_not_count_however_they_are_composed() {
    let index = index(&[
        record(1, json!({"name": "\u{c9}crou hexagonal"})),
        record(2, json!({"name": "E\u{301}crou hexagonal"})),
        record(3, json!({"name": "Hex nut"})),
    ]);
    let hits = find(&index, &json!({"query": "ecrou"})).hits;
    for query in [
        "ecrou",
        "ECROU",
        "\u{e9}crou",
        "\u{c9}CROU",
        "e\u{301}crou",
        "E\u{301}CROU",
    ] {
        let page = find(&index, &json!({"query": query}));
        assert_eq!(numbers(&page), [1, 2], "{query}");
        assert_eq!(page.hits, hits, "{query}");
    }
}

#[test]
fn special_letters_are_found_by_their_plain_spelling_and_by_their_own() {
    let index = index(&[
        record(1, json!({"name": "Gabelringschl\u{fc}ssel"})),
        record(2, json!({"name": "Stra\u{df}e"})),
        record(3, json!({"name": "Sm\u{f8}rrebr\u{f8}d"})),
        record(4, json!({"name": "\u{d55c}\u{ad6d}"})),
    ]);
    for (query, found) in [
        ("gabelringschlussel", 1),
        ("GABELRINGSCHLU\u{308}SSEL", 1),
        ("strasse", 2),
        ("STRASSE", 2),
        ("stra\u{df}e", 2),
        ("smorrebrod", 3),
        ("SM\u{d8}RREBR\u{d8}D", 3),
        ("\u{d55c}\u{ad6d}", 4),
        ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}", 4),
    ] {
        assert_eq!(by(&index, query), [found], "{query}");
    }
}

#[test]
fn stop_words_are_not_needed() {
    let index = index(&[
        record(1, json!({"name": "Bolt for wet rooms"})),
        record(2, json!({"name": "Wet suit"})),
    ]);
    for query in ["the bolt of a room", "bolt with the room", "a bolt"] {
        let page = find(&index, &json!({"query": query}));
        assert_eq!(numbers(&page), [1], "{query}");
        assert!(!page.fell_back, "{query}");
    }
}

#[test]
fn stop_words_alone_find_nothing() {
    let page = find(&bolts(), &json!({"query": "the of and"}));
    assert_eq!(numbers(&page), [0; 0]);
    assert_eq!(
        (page.total, page.mode, page.class, page.fell_back),
        (0, Mode::Fulltext, Class::Keyword, false)
    );
}

#[test]
fn the_name_weighs_more_than_the_description() {
    let index = index(&[
        record(1, json!({"name": "Washer", "description": "fits a bolt"})),
        record(2, json!({"name": "Bolt", "description": "fits a washer"})),
    ]);
    for (query, order) in [("bolt", [2, 1]), ("washer", [1, 2])] {
        let page = find(&index, &json!({"query": query}));
        assert_eq!(numbers(&page), order, "{query}");
        assert!(page.hits[0].score > page.hits[1].score, "{query}");
    }
}

#[test]
fn every_string_is_searched_at_any_depth() {
    let index = index(&[
        record(
            1,
            json!({
                "name": "Alpha",
                "description": "bravo",
                "colour": "charlie",
                "spec": {"finish": "delta", "layers": ["echo", {"note": "foxtrot golf"}]},
                "grid": [[["hotel"]]],
            }),
        ),
        record(2, json!({"name": "Zulu"})),
    ]);
    for query in [
        "alpha",
        "bravo",
        "charlie",
        "delta",
        "echo",
        "foxtrot",
        "golf",
        "hotel",
        "hotel alpha delta",
    ] {
        let page = find(&index, &json!({"query": query}));
        assert_eq!(numbers(&page), [1], "{query}");
        assert!(!page.fell_back, "{query}");
    }
    for field in ["colour", "finish", "layers"] {
        assert_eq!(by(&index, field), [0; 0], "{field}");
    }
}

#[test]
fn all_words_are_needed_where_a_record_has_them_all() {
    let index = index(&[
        record(1, json!({"name": "Stainless hex bolt"})),
        record(
            2,
            json!({"name": "Hex nut", "description": "stainless steel"}),
        ),
        record(3, json!({"name": "Brass bolt"})),
    ]);
    for (query, found) in [
        ("stainless bolt", vec![1]),
        ("steel nut", vec![2]),
        ("bolt brass", vec![3]),
        ("hex stainless", vec![1, 2]),
        ("a hex nut of stainless steel", vec![2]),
    ] {
        let page = find(&index, &json!({"query": query}));
        let mut numbers = numbers(&page);
        numbers.sort_unstable();
        assert_eq!(numbers, found, "{query}");
        assert_eq!(
            (page.total, page.fell_back),
            (found.len(), false),
            "{query}"
        );
    }
}

#[test]
fn any_word_will_do_where_no_record_has_them_all() {
    let index = index(&[
        record(1, json!({"name": "Stainless hex bolt"})),
        record(2, json!({"name": "Hex nut"})),
        record(3, json!({"name": "Brass bolt"})),
    ]);
    for (query, found) in [
        ("bolt helicopter", vec![1, 3]),
        ("brass nut", vec![2, 3]),
        ("which helicopter carries a nut", vec![2]),
    ] {
        let page = find(&index, &json!({"query": query}));
        let mut numbers = numbers(&page);
        numbers.sort_unstable();
        assert_eq!(numbers, found, "{query}");
        assert_eq!((page.total, page.fell_back), (found.len(), true), "{query}");
    }
}

#[test]
fn a_single_word_that_nothing_has_finds_nothing() {
    let page = find(&bolts(), &json!({"query": "helicopter"}));
    assert_eq!(numbers(&page), [0; 0]);
    assert_eq!((page.total, page.fell_back), (0, false));
}

#[test]
fn a_query_is_classified_by_its_words() {
    let index = bolts();
    for (query, class, mode) in [
        ("", Class::Filter, Mode::Filter),
        (" \t\n", Class::Filter, Mode::Filter),
        ("bolt", Class::Keyword, Mode::Fulltext),
        ("long hex bolt", Class::Keyword, Mode::Fulltext),
        (
            "long hex bolt indoors",
            Class::NaturalLanguage,
            Mode::Fulltext,
        ),
        (
            "which bolt is for indoor use",
            Class::NaturalLanguage,
            Mode::Fulltext,
        ),
    ] {
        let page = find(&index, &json!({"query": query}));
        assert_eq!((page.class, page.mode), (class, mode), "{query}");
    }
}

#[test]
fn hits_are_ordered_by_a_score_from_0_to_1_and_ties_by_id() {
    let index = bolts();
    for query in [
        "bolt",
        "hex bolt",
        "steel",
        "indoor bolt of steel",
        "hex helicopter",
        "a long bolt or another hex helicopter",
    ] {
        let page = find(&index, &json!({"query": query, "limit": 100}));
        assert!(page.hits.len() > 1, "{query}");
        for hit in &page.hits {
            assert!(hit.score > 0.0 && hit.score < 1.0, "{query}: {hit:?}");
        }
        let mut ordered = page.hits.clone();
        ordered.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        assert_eq!(page.hits, ordered, "{query}");
    }
}

#[test]
fn the_same_query_has_the_same_answer() {
    let index = bolts();
    for query in ["", "bolt", "steel hex bolt", "hex helicopter"] {
        let body = json!({"query": query, "limit": 100});
        assert_eq!(
            find(&index, &body).hits,
            find(&index, &body).hits,
            "{query}"
        );
    }
}

#[test]
fn pages_cover_every_hit_once_and_with_the_same_score() {
    let index = bolts();
    for query in ["", "bolt", "steel", "hex bolt", "hex helicopter"] {
        let all = find(&index, &json!({"query": query, "limit": 100})).hits;
        for limit in [1, 7, 20, 44, 45, 100] {
            assert_eq!(walk(&index, query, limit), all, "{query}, {limit} a page");
        }
    }
}

#[test]
fn the_total_is_exact_on_every_page() {
    let index = bolts();
    for (query, total) in [
        ("", 45),
        ("bolt", 45),
        ("hex", 30),
        ("long bolt", 15),
        ("steel", 22),
        ("helicopter", 0),
    ] {
        for offset in [0, 7, 44, 45, 100_000] {
            let page = find(&index, &json!({"query": query, "offset": offset}));
            assert_eq!(page.total, total, "{query} from {offset}");
        }
    }
}

#[test]
fn a_page_has_what_is_left_from_its_offset_on() {
    let index = bolts();
    for query in ["", "bolt"] {
        for (offset, left) in [(0, 20), (25, 20), (26, 19), (44, 1), (45, 0), (100_000, 0)] {
            let page = find(&index, &json!({"query": query, "offset": offset}));
            assert_eq!(page.hits.len(), left, "{query} from {offset}");
        }
    }
}

#[test]
fn no_text_makes_a_search_fail() {
    let index = bolts();
    for query in [
        "\"".repeat(500),
        "a ".repeat(250),
        "\u{e9}".repeat(500),
        "\u{1f600}".repeat(500),
        "\u{301}".repeat(500),
        "9".repeat(500),
        "\u{1f600}".to_owned(),
        "\u{202e}tlob \u{5d1}\u{5d5}\u{5e8}\u{5d2} \u{628}\u{631}\u{63a}\u{64a}".to_owned(),
        "bo\0lt".to_owned(),
        "\0".to_owned(),
        "\u{feff}\u{200b}\u{2060}".to_owned(),
        "\" OR *".to_owned(),
        "* AND NOT (bolt OR".to_owned(),
        "+bolt -hex name:bolt^9 bolt~2 [a TO z] {} \\ / ?".to_owned(),
        "'; DROP TABLE records; --".to_owned(),
        "---".to_owned(),
        "../../etc/passwd".to_owned(),
    ] {
        let page = find(&index, &json!({"query": query}));
        assert!(page.total <= 45, "{query}");
    }
}

#[test]
fn an_empty_collection_has_an_empty_page_for_everything() {
    let empty = index(&[]);
    for body in [
        json!({}),
        json!({"query": "bolt"}),
        json!({"query": "hex helicopter"}),
        json!({"query": "LM16UU"}),
        json!({"filters": {"size_min": 8, "material": "steel"}}),
        json!({"sort": "name"}),
        json!({"sort": "-price", "offset": 100_000, "limit": 100}),
    ] {
        let page = find(&empty, &body);
        assert_eq!((page.hits.len(), page.total), (0, 0), "{body}");
    }
}
