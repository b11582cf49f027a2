//! How much is read, and where it is kept.

use std::sync::Arc;

use futures_util::future::join_all;
use search::{Caches, Index, Reads, Request, Store};
use serde_json::{Value, json};

use crate::articles::{MANY, article, article_searches, assert_articles, bolts, large};
use crate::common::{changes, find, record, wait};
use crate::shelf::{
    PREFIX, Shelf, assert_page, gone, listed, name, new, open, path, request, tiny,
};
use crate::watched::{Watched, bytes};

#[test]
fn a_large_pack_is_opened_by_one_request_and_searched_with_few() {
    let (objects, pointer) = large();
    let pack = &pointer.packs[0];
    let watched = Watched::over(objects);
    for (body, expected) in article_searches() {
        let store = watched.store(Caches::default());
        let index = open(&store, &pointer);
        assert_eq!(watched.taken(), [(pack.len - pack.tail, pack.len)]);
        let held = index.held_bytes();
        assert!((pack.tail..pack.len / 2).contains(&held), "{held}");

        assert_page(&find(&index, &body), &body, &expected);
        let taken = watched.taken();
        assert!(!taken.is_empty(), "{body}");
        let read = bytes(&taken);
        assert!(read * 3 < pack.len, "{body}: {read} of {} bytes", pack.len);
        let reads = Reads {
            requests: taken.len() as u64 + 1,
            bytes: read + pack.tail,
        };
        assert_eq!(store.reads(), reads, "{body}");

        assert_page(&find(&index, &body), &body, &expected);
        let again = watched.taken();
        assert!(again.is_empty(), "{body} reads {again:?} again");
    }
}

#[test]
fn searches_that_start_together_read_each_block_once() {
    let (objects, pointer) = large();
    let watched = Watched::over(objects);
    let index = open(&watched.store(Caches::default()), &pointer);
    watched.taken();
    let searches = article_searches();
    let requests: Vec<Request> = searches.iter().map(|(body, _)| request(body)).collect();
    let first = (0..16).map(|place| index.search(&requests[place % requests.len()]));
    let pages = wait(join_all(first));
    for (place, page) in pages.into_iter().enumerate() {
        let (body, expected) = &searches[place % searches.len()];
        assert_page(&page.unwrap(), body, expected);
    }
    let mut taken = watched.taken();
    let all = taken.len();
    taken.sort_unstable();
    taken.dedup();
    assert!(all > 0);
    assert_eq!(taken.len(), all);
}

#[test]
fn the_same_search_by_many_reads_what_it_reads_for_one() {
    let (objects, pointer) = large();
    let watched = Watched::over(objects);
    let request = request(&json!({"query": "brass bolt", "filters": {"size_max": 9}}));
    let [alone, together] = [1, 16].map(|count| {
        let index = open(&watched.store(Caches::default()), &pointer);
        watched.taken();
        let searches = (0..count).map(|_| index.search(&request));
        for page in wait(join_all(searches)) {
            assert!(page.unwrap().total > 0);
        }
        let mut taken = watched.taken();
        taken.sort_unstable();
        taken
    });
    assert_eq!(alone, together);
}

#[test]
fn a_fold_onto_a_large_pack_reads_little_of_it() {
    let (objects, pointer) = large();
    let len = pointer.packs[0].len;
    let watched = Watched::over(objects);
    let mut shelf = Shelf::over(watched.store(Caches::default()));
    (shelf.pointer, shelf.folds) = (pointer, 1);
    let mut more = changes(&[record(7, json!({"name": "Platinum Bolt"}))]);
    more.extend(gone([14]));
    more.extend(new(&[article(MANY + 1)]));
    shelf.fold(&more).unwrap();
    let read = bytes(&watched.taken());
    assert!(read * 3 < len, "{read} of {len} bytes");
    assert_eq!(shelf.sizes(), [(MANY, 2), (2, 0)]);
    assert_eq!(shelf.packs(), [name(1), name(2)]);
    let added = shelf.pointer.packs[1].len;
    assert!(added * 3 < len, "{added} bytes were added to {len}");

    let index = shelf.open();
    let body = json!({"query": "platinum"});
    assert_page(&find(&index, &body), &body, &[7]);
    assert_eq!(find(&index, &json!({})).total, 20_000);
    assert_eq!(
        find(&index, &json!({"query": "bolt"})).total,
        bolts().len() - 1
    );
}

#[test]
fn changes_are_taken_in_on_top_of_a_large_pack_with_little_of_it() {
    let (objects, pointer) = large();
    let len = pointer.packs[0].len;
    let watched = Watched::over(objects);
    let store = watched.store(Caches::default());
    let index = Arc::new(open(&store, &pointer));
    watched.taken();
    let mut more = changes(&[record(7, json!({"name": "Platinum Bolt"}))]);
    more.extend(gone([14]));
    more.extend(new(&[article(MANY + 1)]));
    wait(index.take_in(more)).unwrap();
    let read = bytes(&watched.taken());
    assert!(read * 3 < len, "{read} of {len} bytes");

    let body = json!({"query": "platinum"});
    assert_page(&find(&index, &body), &body, &[7]);
    assert_eq!(find(&index, &json!({})).total, 20_000);
    assert_eq!(
        find(&index, &json!({"query": "bolt"})).total,
        bolts().len() - 1
    );
    // Nobody else sees it.
    assert_articles(&open(&store, &pointer));
    assert_eq!(listed(&store, PREFIX), [path(1)]);
}

#[test]
fn packs_that_are_open_are_not_read_again() {
    let (objects, pointer) = large();
    let watched = Watched::over(objects);
    let store = watched.store(Caches::default());
    let before = open(&store, &pointer);
    let mut shelf = Shelf::over(store.clone());
    (shelf.pointer, shelf.folds) = (pointer, 1);
    shelf
        .fold(&new(&[record(MANY + 1, json!({"name": "Platinum Bolt"}))]))
        .unwrap();
    watched.taken();

    let next = wait(Index::open(&store, PREFIX, &shelf.pointer, Some(&before))).unwrap();
    let added = &shelf.pointer.packs[1];
    assert_eq!(watched.taken(), [(added.len - added.tail, added.len)]);
    drop(before);
    let body = json!({"query": "platinum"});
    assert_page(&find(&next, &body), &body, &[MANY + 1]);
    assert_eq!(
        find(&next, &json!({"query": "bolt"})).total,
        bolts().len() + 1
    );
}

#[test]
fn a_memory_in_which_nothing_fits_changes_no_answer() {
    let (objects, pointer) = large();
    let index = open(&Store::over(Arc::new(objects), tiny()), &pointer);
    assert_articles(&index);
    let requests: Vec<(Request, Value, Vec<u32>)> = article_searches()
        .into_iter()
        .map(|(body, expected)| (request(&body), body, expected))
        .collect();
    let searches = requests.iter().map(|(request, ..)| index.search(request));
    for (page, (_, body, expected)) in wait(join_all(searches)).into_iter().zip(&requests) {
        assert_page(&page.unwrap(), body, expected);
    }
}

#[test]
fn what_was_read_once_is_on_the_disk_for_the_next_process() {
    let (objects, pointer) = large();
    let watched = Watched::over(objects);
    let folder = tempfile::tempdir().unwrap();
    let caches = || Caches {
        memory: 64 << 20,
        disk: Some((folder.path().join("packs"), 64 << 20)),
    };
    assert_articles(&open(&watched.store(caches()), &pointer));
    assert!(!watched.taken().is_empty());

    let next = watched.store(caches());
    assert_articles(&open(&next, &pointer));
    let taken = watched.taken();
    assert!(taken.is_empty(), "{taken:?} was read again");
    assert_eq!(next.reads(), Reads::default());

    assert_articles(&open(&watched.store(Caches::default()), &pointer));
    assert!(!watched.taken().is_empty(), "without the folder it is read");
}

#[test]
fn a_disk_on_which_nothing_can_be_kept_changes_no_answer() {
    let (objects, pointer) = large();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "in the way").unwrap();
    for disk in [(file, 64 << 20), (folder.path().join("packs"), 0)] {
        let caches = Caches {
            disk: Some(disk),
            ..tiny()
        };
        let store = Store::over(Arc::new(objects.clone()), caches);
        assert_articles(&open(&store, &pointer));
    }
}
