//! What is folded is found, merged, and built anew.

use std::sync::Arc;

use chrono::TimeDelta;
use model::index::Retired;
use model::time::Moment;
use search::{Effort, FORMAT, RETIRED_FOR, Store, merge_is_due, pack_path};
use serde_json::json;

use crate::articles::{MANY, articles, assert_articles, large};
use crate::common::{changes, find, index, record, wait};
use crate::shelf::{
    PREFIX, Shelf, assert_page, fresh, gone, listed, name, new, open, path, rebuild,
    search_failure, tiny,
};
use crate::stock::{assert_same, assert_same_hits, spare, stock, stocks};

#[test]
fn what_is_folded_is_found_like_what_was_applied() {
    let records = stocks(1..=60);
    let mut shelf = Shelf::in_memory();
    assert_eq!(shelf.fold(&changes(&records)), Some(Vec::new()));
    assert_eq!(
        (shelf.packs(), shelf.sizes()),
        (vec![&*name(1)], vec![(60, 0)])
    );
    assert_eq!((shelf.pointer.version, shelf.pointer.build), (1, 1));
    assert_same(&shelf.open(), &index(&records));
}

#[test]
fn what_is_folded_by_and_by_is_found_like_what_was_applied_at_once() {
    let records = stocks(1..=60);
    let mut shelf = Shelf::in_memory();
    for part in records.chunks(13) {
        shelf.fold(&new(part)).unwrap();
    }
    assert_eq!((shelf.pointer.version, shelf.packs().len()), (5, 5));
    assert_same(&shelf.open(), &index(&records));
}

#[test]
fn a_fold_changes_deletes_and_adds_on_top_of_another() {
    let records = stocks(1..=60);
    let mut shelf = Shelf::in_memory();
    shelf.fold(&changes(&records)).unwrap();
    let applied = index(&records);

    let mut more = changes(&(1..=8).map(spare).collect::<Vec<_>>());
    more.extend(gone(11..=17));
    more.extend(new(&stocks(61..=70)));
    shelf.fold(&more).unwrap();
    applied.apply(&more).unwrap();
    assert_eq!(shelf.sizes(), [(60, 15), (18, 0)]);
    assert_eq!(shelf.packs(), [name(1), name(2)]);

    let folded = shelf.open();
    assert_same_hits(&folded, &applied);
    for (body, expected) in [
        (json!({"filters": {"spare": true}}), (1..=8).rev().collect()),
        (json!({"query": "SP-0003-B"}), vec![3]),
        (json!({"filters": {"sku": "SKU-0003-A"}}), vec![]),
        (json!({"filters": {"sku": "SKU-0012-A"}}), vec![]),
        (json!({"filters": {"sku": "SKU-0065-A"}}), vec![65]),
        (
            json!({"filters": {"price_min": 1_007}, "sort": "price"}),
            vec![7, 8],
        ),
    ] {
        assert_page(&find(&folded, &body), &body, &expected);
    }
    assert_eq!(find(&folded, &json!({})).total, 63);

    shelf.fold(&changes(&stocks([3, 12]))).unwrap();
    let folded = shelf.open();
    for number in [3, 12] {
        let body = json!({"query": format!("SKU-{number:04}-A")});
        assert_page(&find(&folded, &body), &body, &[number]);
    }
    assert_eq!(find(&folded, &json!({})).total, 64);
}

#[test]
fn of_two_changes_in_one_fold_the_later_counts() {
    let mut shelf = Shelf::in_memory();
    let mut twice = changes(&[stock(1), spare(1), stock(2)]);
    twice.extend(gone([2]));
    shelf.fold(&twice).unwrap();
    let index = shelf.open();
    let body = json!({});
    assert_page(&find(&index, &body), &body, &[1]);
    let body = json!({"filters": {"spare": true}});
    assert_page(&find(&index, &body), &body, &[1]);
}

#[test]
fn a_fold_of_nothing_comes_to_nothing() {
    let mut shelf = Shelf::in_memory();
    assert_eq!(shelf.fold(&[]), None);
    assert_eq!(shelf.fold(&gone([1])), None);
    assert!(listed(&shelf.store, PREFIX).is_empty());

    shelf.fold(&new(&stocks(1..=10))).unwrap();
    let before = shelf.pointer.clone();
    assert_eq!(shelf.fold(&[]), None);
    assert_eq!(
        shelf.fold(&gone([11, 12])),
        None,
        "what is not there is gone"
    );
    assert_eq!(shelf.pointer, before);
    assert_eq!(listed(&shelf.store, PREFIX), [path(3)]);
}

#[test]
fn a_fold_of_nothing_comes_to_nothing_among_segments_of_one_size() {
    let mut shelf = Shelf::in_memory();
    for number in 1..=5 {
        shelf.fold(&new(&[stock(number)])).unwrap();
    }
    for _ in 0..5 {
        assert_eq!(shelf.fold(&[]), None);
    }
    assert_eq!(shelf.pointer.version, 5);
}

#[test]
fn an_index_of_which_all_is_deleted_holds_nothing_and_can_be_filled_again() {
    let mut shelf = Shelf::in_memory();
    shelf.fold(&new(&stocks(1..=10))).unwrap();
    shelf.fold(&gone(1..=10)).unwrap();
    assert_eq!((shelf.sizes(), shelf.packs()), (vec![], vec![]));
    assert_eq!(shelf.retired(), [name(1)]);
    assert_eq!(find(&shelf.open(), &json!({})).total, 0);
    shelf.fold(&changes(&stocks(5..=6))).unwrap();
    let body = json!({});
    assert_page(&find(&shelf.open(), &body), &body, &[6, 5]);
}

#[test]
fn many_small_folds_stay_few_segments_and_few_packs() {
    let mut shelf = Shelf::in_memory();
    for number in 1..=50 {
        let mut more = new(&[stock(number)]);
        if number.is_multiple_of(4) {
            more.extend(changes(&[spare(number / 4)]));
        }
        shelf.now += TimeDelta::minutes(1);
        shelf.fold(&more).unwrap();
        let (segments, packs) = (shelf.sizes(), shelf.packs());
        assert!(segments.len() < 8, "{segments:?} after {number} folds");
        assert!(packs.len() < 16, "{packs:?} after {number} folds");
        assert!(!merge_is_due(&shelf.pointer.segments, Effort::Background));
    }
    let written = listed(&shelf.store, PREFIX).len();
    assert_eq!(shelf.packs().len() + shelf.retired().len(), written);

    let index = shelf.open();
    assert_eq!(find(&index, &json!({})).total, 50);
    for number in 1..=50 {
        let sku = match number {
            1..=12 => format!("SP-{number:04}-B"),
            _ => format!("SKU-{number:04}-A"),
        };
        let body = json!({"query": sku});
        assert_page(&find(&index, &body), &body, &[number]);
    }
}

#[test]
fn a_segment_of_which_much_is_deleted_is_rewritten() {
    let mut shelf = Shelf::in_memory();
    shelf.fold(&new(&stocks(1..=100))).unwrap();
    shelf.fold(&gone(1..=20)).unwrap();
    assert_eq!(shelf.sizes(), [(100, 20)]);
    assert_eq!(shelf.packs(), [name(1), name(2)]);
    shelf.fold_with(Effort::Call, &gone(21..=60)).unwrap();
    assert_eq!(shelf.sizes(), [(40, 0)]);
    assert_eq!(shelf.packs(), [name(3)]);
    assert_eq!(shelf.retired(), [name(1), name(2)]);
    let body = json!({"sort": "price", "limit": 20});
    let left: Vec<u32> = (61..=100).collect();
    assert_page(&find(&shelf.open(), &body), &body, &left);
}

#[test]
fn a_fold_that_somebody_waits_for_leaves_a_large_rewrite_to_another() {
    let (objects, pointer) = large();
    let mut shelf = Shelf::over(fresh(&objects));
    (shelf.pointer, shelf.folds) = (pointer, 1);
    shelf.fold_with(Effort::Call, &gone(1..=7_000)).unwrap();
    assert_eq!(shelf.sizes(), [(MANY, 7_000)]);
    assert_eq!(shelf.packs(), [name(1), name(2)]);
    assert!(merge_is_due(&shelf.pointer.segments, Effort::Background));
    let left = articles(|number| number > 7_000 && number.is_multiple_of(7));
    let body = json!({"query": "bolt"});
    assert_page(&find(&shelf.open(), &body), &body, &left);

    shelf.fold(&[]).unwrap();
    assert_eq!(shelf.sizes(), [(MANY - 7_000, 0)]);
    assert_eq!(shelf.packs(), [name(3)]);
    assert_eq!(shelf.retired(), [name(1), name(2)]);
    assert_page(&find(&shelf.open(), &body), &body, &left);
}

#[test]
fn a_pack_that_went_out_of_use_is_outdated_an_hour_later() {
    let mut shelf = Shelf::in_memory();
    shelf.fold(&new(&stocks(1..=10))).unwrap();
    let at = shelf.now;
    assert_eq!(shelf.fold(&gone(1..=5)), Some(Vec::new()));
    let retired = Retired {
        build: 1,
        name: name(1),
        at,
    };
    assert_eq!(shelf.pointer.retired, std::slice::from_ref(&retired));

    shelf.now = at + RETIRED_FOR - TimeDelta::seconds(1);
    assert_eq!(shelf.fold(&new(&[stock(11)])), Some(Vec::new()));
    assert_eq!(shelf.pointer.retired, [retired]);

    shelf.now = at + RETIRED_FOR;
    assert_eq!(shelf.fold(&new(&[stock(12)])), Some(vec![path(1)]));
    assert!(shelf.retired().is_empty());
    // A fold only names it.
    assert_eq!(listed(&shelf.store, PREFIX), [1, 2, 3, 4].map(path));
    wait(shelf.store.delete(&path(1))).unwrap();
    assert_eq!(find(&shelf.open(), &json!({})).total, 7);
}

#[test]
fn a_pointer_names_a_bounded_number_of_packs_that_are_out_of_use() {
    let mut shelf = Shelf::in_memory();
    for _ in 0..110 {
        shelf.fold(&changes(&[stock(1)])).unwrap();
    }
    assert_eq!(shelf.packs(), [name(110)]);
    let newest: Vec<String> = (10..110).map(name).collect();
    assert_eq!(shelf.retired(), newest);
}

#[test]
fn an_open_index_answers_from_its_own_packs_as_long_as_they_are_there() {
    let (objects, pointer) = large();
    let store = Store::over(Arc::new(objects), tiny());
    let old = open(&store, &pointer);
    let mut shelf = Shelf::over(store);
    (shelf.pointer, shelf.folds) = (pointer, 1);
    let mut more = gone(1..=7_000);
    more.extend(new(&[record(MANY + 1, json!({"name": "Platinum Bolt"}))]));
    shelf.fold(&more).unwrap();
    assert_eq!(shelf.sizes(), [(MANY - 7_000, 0), (1, 0)]);
    assert_eq!(shelf.packs(), [name(2)]);

    assert_articles(&old);
    assert_eq!(find(&old, &json!({"query": "platinum"})).total, 0);
    let next = shelf.open();
    let body = json!({"query": "platinum"});
    assert_page(&find(&next, &body), &body, &[MANY + 1]);
    assert_eq!(find(&next, &json!({})).total, 13_001);

    wait(shelf.store.delete(&path(1))).unwrap();
    let error = search_failure(&old, &json!({"query": "bolt"}));
    assert!(error.is_lost(), "{error}");
    assert_eq!(find(&next, &json!({})).total, 13_001);
}

#[test]
fn an_index_that_is_built_anew_retires_the_packs_of_the_old() {
    let mut shelf = Shelf::in_memory();
    shelf.fold(&new(&stocks(1..=30))).unwrap();
    shelf.fold(&new(&stocks(31..=61))).unwrap();
    let before = shelf.pointer.clone();
    let records = stocks(1..=60);

    shelf.now += TimeDelta::minutes(1);
    let all = new(&records);
    let folded = wait(rebuild(&shelf.store, Some(&before), 3, &all, shelf.now));
    let folded = folded.unwrap().unwrap();
    assert!(folded.outdated.is_empty());
    let retired = [1, 2].map(|number| Retired {
        build: 1,
        name: name(number),
        at: shelf.now,
    });
    assert_eq!(folded.pointer.retired, retired);
    assert_eq!((folded.pointer.build, folded.pointer.version), (2, 3));
    assert_eq!(folded.pointer.format, FORMAT);
    (shelf.pointer, shelf.folds) = (folded.pointer, 3);
    assert_eq!(shelf.packs(), [name(3)]);
    let rebuilt = pack_path(PREFIX, 2, &name(3));
    assert_eq!(
        listed(&shelf.store, PREFIX),
        [path(1), path(2), rebuilt.clone()]
    );
    assert_same(&shelf.open(), &index(&records));
    assert_eq!(find(&open(&shelf.store, &before), &json!({})).total, 61);

    shelf.now += RETIRED_FOR;
    assert_eq!(shelf.fold(&gone(1..=30)), Some(vec![path(1), path(2)]));
    assert_eq!(shelf.pointer.build, 2);
    shelf.now += RETIRED_FOR;
    assert_eq!(shelf.fold(&new(&stocks([61]))), Some(vec![rebuilt]));
}

#[test]
fn an_index_of_nothing_can_be_built_anew() {
    let store = Shelf::in_memory().store;
    let now: Moment = "2026-03-08T12:00:00Z".parse().unwrap();
    let folded = wait(rebuild(&store, None, 1, &[], now)).unwrap().unwrap();
    let empty = folded.pointer;
    assert!(empty.packs.is_empty() && empty.segments.is_empty() && empty.retired.is_empty());
    assert_eq!((empty.build, empty.version), (1, 1));
    assert!(listed(&store, PREFIX).is_empty());
    assert_eq!(find(&open(&store, &empty), &json!({})).total, 0);

    let all = new(&stocks([1]));
    let folded = wait(rebuild(&store, Some(&empty), 2, &all, now));
    let next = folded.unwrap().unwrap().pointer;
    assert_eq!((next.build, next.version), (2, 2));
    assert_eq!(find(&open(&store, &next), &json!({})).total, 1);
}
