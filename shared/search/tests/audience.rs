//! Who finds what: a tenant everything, everybody what is public; and several indexes as one.

mod common;

use common::{find, index, numbers, page, record};
use model::fault::Fields;
use model::record::Record;
use search::{Audience, Index, Page, Request, Together};
use serde_json::{Value, json};

/// A record that everybody may find.
fn public(number: u32, mut row: Value) -> Record {
    row["visibility"] = json!("public");
    record(number, row)
}

/// A request as everybody makes it.
fn open(body: &Value) -> Request {
    let mut fields = Fields::of(body).expect("an object");
    let mut request = Request::read(&mut fields).expect("a good request");
    request.audience = Audience::Everybody;
    request
}

fn mixed() -> Index {
    index(&[
        public(1, json!({"name": "Hex bolt", "sku": "HB-1001", "price": 1})),
        record(2, json!({"name": "Hex bolt", "sku": "HB-1002", "price": 2})),
        public(3, json!({"name": "Hex nut", "sku": "HN-1003", "price": 3})),
        record(4, json!({"name": "Wing nut", "sku": "WN-1004"})),
    ])
}

#[test]
fn everybody_finds_what_is_public_however_it_is_asked_for() {
    let index = mixed();
    for (body, owner, everybody) in [
        (json!({}), vec![4, 3, 2, 1], vec![3, 1]),
        (json!({"query": "bolt"}), vec![1, 2], vec![1]),
        // Only by falling back to any word.
        (json!({"query": "wing nut"}), vec![4], vec![3]),
        (json!({"query": "HB-1002"}), vec![2], vec![1]),
        (json!({"filters": {"sku": "HB-1002"}}), vec![2], vec![]),
        (json!({"filters": {"price_min": 2}}), vec![3, 2], vec![3]),
        (json!({"sort": "name"}), vec![1, 2, 3, 4], vec![1, 3]),
        (json!({"sort": "-price"}), vec![3, 2, 1, 4], vec![3, 1]),
    ] {
        assert_eq!(numbers(&find(&index, &body)), owner, "{body}");
        let found = page(&index, &open(&body));
        assert_eq!(numbers(&found), everybody, "{body}");
        assert_eq!(found.total, everybody.len(), "{body}");
    }
}

#[test]
fn a_changed_visibility_is_taken_in() {
    let index = mixed();
    let all = open(&json!({}));
    let changed = common::changes(&[
        public(2, json!({"name": "Hex bolt"})),
        record(3, json!({"name": "Hex nut"})),
    ]);
    index.apply(&changed).expect("changes");
    assert_eq!(numbers(&page(&index, &all)), [2, 1]);
}

/// The page of several indexes.
fn together(indexes: &[Index], request: &Request) -> (Page, Vec<usize>) {
    let mut together = Together::new(request, indexes.len());
    for (index, from) in indexes.iter().zip(0..) {
        let found = page(index, together.each());
        together.take(found, &from);
    }
    together.page()
}

#[test]
fn several_indexes_are_ordered_as_one() {
    let rows: Vec<Record> = (1..=40)
        .map(|number: u32| {
            let mut row = json!({"name": format!("Bolt {}", number % 7)});
            match number % 4 {
                0 => row["size"] = json!(number % 5),
                1 => row["size"] = json!(format!("M{}", number % 3)),
                _ => {}
            }
            record(number, row)
        })
        .collect();
    let all = index(&rows);
    let part = |rest| {
        let rows = rows.iter().zip(0..).filter(|(_, n)| n % 3 == rest);
        index(&rows.map(|(row, _)| row.clone()).collect::<Vec<_>>())
    };
    let parts = [part(0), part(1), part(2)];
    for sort in [
        "name",
        "-name",
        "size",
        "-size",
        "created_at",
        "-updated_at",
        "record_type",
        "nothing",
    ] {
        for offset in [0, 7, 35, 40, 100] {
            let body = json!({"sort": sort, "limit": 10, "offset": offset});
            let expected = find(&all, &body);
            let mut fields = Fields::of(&body).expect("an object");
            let request = Request::read(&mut fields).expect("a good request");
            let (found, from) = together(&parts, &request);
            assert_eq!(numbers(&found), numbers(&expected), "{body}");
            assert_eq!(found.total, 40, "{body}");
            let own = numbers(&found);
            let own = own.iter().map(|number| (*number as usize - 1) % 3);
            assert!(own.eq(from), "{body}");
        }
    }
}

#[test]
fn only_the_indexes_count_that_have_the_most_of_what_was_asked_for() {
    let indexes = [
        index(&[record(1, json!({"name": "Hex nut"}))]),
        index(&[record(2, json!({"name": "Hex bolt", "sku": "HB-1002"}))]),
        index(&[record(
            3,
            json!({"name": "Hook for HB-1002 and other bolts"}),
        )]),
    ];
    for (query, expected) in [
        ("hex bolt", vec![2]),
        ("HB-1002", vec![2]),
        ("hex", vec![1, 2]),
        ("helicopter", vec![]),
    ] {
        let mut request = open(&json!({"query": query}));
        request.audience = Audience::Owner;
        let (found, _) = together(&indexes, &request);
        let mut numbers = numbers(&found);
        numbers.sort_unstable();
        assert_eq!(numbers, expected, "{query}");
        assert!(!found.fell_back, "{query}");
    }
}

#[test]
fn nothing_is_found_as_in_an_empty_index() {
    let empty = common::empty();
    for query in [
        "",
        "bolt",
        "hex bolt",
        "the of",
        "HB-1001",
        "which bolt fits this nut",
    ] {
        let request = open(&json!({"query": query}));
        let (found, _) = together(&[], &request);
        let expected = page(&empty, &request);
        assert_eq!(found.total, 0);
        assert_eq!(
            (found.class, found.mode, found.fell_back),
            (expected.class, expected.mode, expected.fell_back),
            "{query}"
        );
    }
}

/// What everybody is told of the hits of a query.
fn told(index: &Index, query: &str) -> Vec<(u32, f64)> {
    let found = page(index, &open(&json!({"query": query})));
    let scores = found.hits.iter().map(|hit| hit.score);
    numbers(&found).into_iter().zip(scores).collect()
}

#[test]
fn a_score_tells_nothing_of_private_records() {
    let mut rows = vec![
        public(1, json!({"name": "Hex bolt"})),
        public(
            2,
            json!({"name": "Hex nut", "description": "fits a bolt of its size"}),
        ),
        public(3, json!({"name": "Washer"})),
    ];
    let alone = index(&rows);
    rows.extend((4..40).map(|number| {
        record(
            number,
            json!({"name": "Zeus hex", "description": "a bolt of thunder and many other words"}),
        )
    }));
    let among_others = index(&rows);
    for query in [
        "hex",
        "hex bolt",
        "hex zeus",
        "zeus washer",
        "thunder washer",
    ] {
        let expected = told(&alone, query);
        assert!(!expected.is_empty(), "{query}");
        assert_eq!(told(&among_others, query), expected, "{query}");
    }
}

#[test]
fn what_a_source_calls_a_record_finds_it_for_its_owner_alone() {
    let index = index(&[public(
        1,
        json!({"name": "Hex bolt", "sku": "HB-1001", "source_id": "ERP-10442"}),
    )]);
    for (query, everybody) in [("HB-1001", 1), ("ERP-10442", 0)] {
        let body = json!({"query": query});
        assert_eq!(find(&index, &body).total, 1, "{query}");
        assert_eq!(page(&index, &open(&body)).total, everybody, "{query}");
    }
}

#[test]
fn what_a_filter_means_tells_nothing_of_private_fields() {
    let mut rows = vec![
        public(1, json!({"name": "Bolt", "price": 5})),
        record(2, json!({"name": "Nut", "price_max": "much"})),
    ];
    let much = json!({"filters": {"price_max": "much"}});
    let index_of_both = index(&rows);
    assert_eq!(numbers(&find(&index_of_both, &much)), [2]);
    let five = json!({"filters": {"price_max": 5}});
    assert_eq!(numbers(&page(&index_of_both, &open(&five))), [1]);
    // Where a public record has it, it is a field for everybody.
    rows[1] = public(2, json!({"name": "Nut", "price_max": "much"}));
    assert_eq!(numbers(&page(&index(&rows), &open(&much))), [2]);
}

#[test]
fn which_of_fields_that_look_alike_is_meant_tells_nothing_of_private_ones() {
    // The path q, b, c, d, e with a dot in place of a step where a bit is set.
    let spelled = |dots: u32, value: Value| {
        let mut keys = vec!["q".to_owned()];
        for (bit, step) in ["b", "c", "d", "e"].into_iter().enumerate() {
            match keys.last_mut() {
                Some(last) if dots >> bit & 1 == 1 => *last = format!("{last}.{step}"),
                _ => keys.push(step.to_owned()),
            }
        }
        let keys = keys.into_iter().rev();
        keys.fold(value, |value, key| Value::from_iter([(key, value)]))
    };
    let mut rows: Vec<Record> = [(1, 3), (2, 1), (3, 2)]
        .map(|(number, b)| {
            let mut row = spelled(0, json!(b));
            row["name"] = json!("Bolt");
            row["a"] = json!({"b": b});
            public(number, row)
        })
        .into();
    let requests = [
        json!({"sort": "a.b"}),
        json!({"filters": {"q.b.c.d.e": 1}}),
        json!({"filters": {"q.b.c.d.e_min": 2}, "sort": "-a.b"}),
    ];
    let found = |rows: &[Record]| {
        let index = index(rows);
        requests
            .each_ref()
            .map(|body| numbers(&page(&index, &open(body))))
    };
    let before = found(&rows);
    assert_eq!(before, [vec![2, 3, 1], vec![2], vec![1, 3]]);
    rows.push(record(4, json!({"name": "Secret", "a.b": 9})));
    for dots in 1..16 {
        let mut row = spelled(dots, json!(1));
        row["name"] = json!("Secret");
        rows.push(record(4 + dots, row));
    }
    assert_eq!(found(&rows), before);
}

#[test]
fn a_faulty_filter_tells_nothing_of_an_index_of_private_records() {
    let faulty = json!({"filters": {"price_min": [1, 2]}});
    let hidden = index(&[record(1, json!({"name": "Bolt", "price": 1}))]);
    assert_eq!(page(&hidden, &open(&faulty)).total, 0);
}

#[test]
fn the_record_types_are_those_of_what_may_be_found() {
    let kind = |mut record: Record, kind: &str| {
        record.record_type = kind.parse().expect("a record type");
        record
    };
    let index = index(&[
        kind(public(1, json!({"name": "Bolt"})), "fastener"),
        kind(record(2, json!({"name": "Price"})), "secret"),
        kind(record(3, json!({"name": "Nut"})), "fastener"),
        kind(public(4, json!({"name": "Saw"})), "tool"),
    ]);
    let kinds = |audience| {
        let mut request = open(&json!({"limit": 1}));
        request.audience = audience;
        request.kinds = true;
        let kinds = page(&index, &request).kinds;
        kinds.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(kinds(Audience::Everybody), ["fastener", "tool"]);
    assert_eq!(kinds(Audience::Owner), ["fastener", "secret", "tool"]);
    assert!(page(&index, &open(&json!({}))).kinds.is_empty());
}
