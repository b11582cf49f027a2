//! Stores in a folder, and the addresses of stores.

use std::fs::OpenOptions;
use std::path::Path;

use search::{Caches, Error, Reads, Store, StoreError};
use serde_json::json;

use crate::articles::{article_searches, large};
use crate::common::{changes, find, index, wait};
use crate::shelf::{
    PREFIX, Shelf, assert_page, bytes_at, failure, folder_store, gone, is_corrupt, listed, new,
    open, path, search_failure,
};
use crate::stock::{assert_same, assert_same_hits, spare, stock, stocks};

#[test]
fn a_store_in_a_folder_answers_like_one_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a new place/50%25 #1 \u{fc}");
    let records = stocks(1..=60);
    let mut shelf = Shelf::over(folder_store(&place));
    for part in records.chunks(20) {
        shelf.fold(&new(part)).unwrap();
    }
    assert_same(&shelf.open(), &index(&records));
    // Another process.
    assert_same(
        &open(&folder_store(&place), &shelf.pointer),
        &index(&records),
    );
    assert_eq!(listed(&shelf.store, PREFIX), [1, 2, 3].map(path));
    assert!(place.join(path(1)).is_file());

    let mut more = changes(&(1..=8).map(spare).collect::<Vec<_>>());
    more.extend(gone(21..=25));
    more.extend(new(&stocks(61..=70)));
    let applied = index(&records);
    applied.apply(&more).unwrap();
    shelf.fold(&more).unwrap();
    assert_same_hits(&shelf.open(), &applied);
    for number in 71..=90 {
        shelf.fold(&new(&[stock(number)])).unwrap();
        assert!(shelf.sizes().len() < 8);
    }
    assert_eq!(find(&shelf.open(), &json!({})).total, 85);
}

#[test]
fn a_large_pack_in_a_folder_is_read_by_and_by() {
    let (objects, pointer) = large();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(path(1));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, bytes_at(&objects, &path(1))).unwrap();
    let pack = &pointer.packs[0];
    for (body, expected) in article_searches() {
        let store = folder_store(folder.path());
        let index = open(&store, &pointer);
        let opened = Reads {
            requests: 1,
            bytes: pack.tail,
        };
        assert_eq!(store.reads(), opened);
        assert_page(&find(&index, &body), &body, &expected);
        let reads = store.reads();
        assert!(reads.bytes * 2 < pack.len, "{body}: {reads:?}");
        assert_page(&find(&index, &body), &body, &expected);
        assert_eq!(store.reads(), reads, "{body}");
    }

    let store = folder_store(folder.path());
    let index = open(&store, &pointer);
    let writable = OpenOptions::new().write(true).open(&file).unwrap();
    writable.set_len(100).unwrap();
    for (body, _) in article_searches() {
        let error = search_failure(&index, &body);
        assert!(error.is_lost(), "{body}: {error}");
    }
}

#[test]
fn a_pack_in_a_folder_that_is_not_what_was_written_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::over(folder_store(folder.path()));
    shelf.fold(&new(&stocks(1..=3))).unwrap();
    let file = folder.path().join(path(1));
    let good = std::fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 3] ^= 4;
    for (what, bad) in [
        ("nothing", Vec::new()),
        ("half", good[..good.len() / 2].to_vec()),
        ("a wrong bit", flipped),
        ("zeros", vec![0; good.len()]),
    ] {
        std::fs::write(&file, bad).unwrap();
        let error = failure(&shelf.store, &shelf.pointer);
        assert!(is_corrupt(&error) && error.is_lost(), "{what}: {error}");
    }
    std::fs::remove_file(&file).unwrap();
    let error = failure(&shelf.store, &shelf.pointer);
    assert!(error.is_lost(), "{error}");
    assert!(matches!(error, Error::Store(StoreError::Missing(_))));
    std::fs::write(&file, good).unwrap();
    assert_eq!(find(&shelf.open(), &json!({})).total, 3);
}

#[test]
fn drafts_in_a_folder_are_listed_and_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::over(folder_store(folder.path()));
    shelf.fold(&new(&stocks(1..=3))).unwrap();
    let draft = format!("{}#1", path(2));
    std::fs::write(folder.path().join(&draft), "half a pack").unwrap();
    assert_eq!(listed(&shelf.store, PREFIX), [path(1), draft.clone()]);
    assert_eq!(listed(&shelf.store, "t/1"), [path(1), draft.clone()]);
    assert!(listed(&shelf.store, "t/2").is_empty());
    assert!(listed(&shelf.store, "u").is_empty());
    for _ in 0..2 {
        wait(shelf.store.delete(&draft)).unwrap();
        assert_eq!(listed(&shelf.store, PREFIX), [path(1)]);
    }
    assert!(!folder.path().join(&draft).exists());
    assert_eq!(find(&shelf.open(), &json!({})).total, 3);
}

#[test]
fn what_is_on_a_store_is_listed_and_deleted_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let in_memory = Shelf::in_memory().store;
    for store in [in_memory, folder_store(folder.path())] {
        let mut shelf = Shelf::over(store);
        shelf.fold(&new(&stocks(1..=3))).unwrap();
        shelf.fold(&new(&stocks(4..=6))).unwrap();
        assert_eq!(listed(&shelf.store, PREFIX), [path(1), path(2)]);
        assert!(listed(&shelf.store, "t/2").is_empty());
        for _ in 0..2 {
            wait(shelf.store.delete(&path(1))).unwrap();
            assert_eq!(listed(&shelf.store, PREFIX), [path(2)]);
        }
        assert!(failure(&shelf.store, &shelf.pointer).is_lost());
    }
}

#[test]
fn an_address_that_cannot_be_used_is_refused_with_its_reason() {
    for (address, why) in [
        ("ftp://x", "'ftp' is none of file, s3 and memory"),
        ("no url", "relative URL without a base"),
        ("", "relative URL without a base"),
        ("file://host/x", "a file's address is like file:///folder"),
        ("/tmp/packs", "relative URL without a base"),
    ] {
        let error = Store::open(address, Caches::default(), None).unwrap_err();
        let message = format!("'{address}' is no address of a search store: {why}");
        assert_eq!(error.to_string(), message);
        let StoreError::Address { url, reason } = &error else {
            panic!("{error} is not about the address");
        };
        assert_eq!((url.as_str(), reason.as_str()), (address, why));
    }
    assert_eq!(Store::address_of(Path::new("packs")), None);
    assert_eq!(
        Store::address_of(Path::new("/a b/packs")).as_deref(),
        Some("file:///a%20b/packs")
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "in the way").unwrap();
    let address = Store::address_of(&file).unwrap();
    let error = Store::open(&address, Caches::default(), None).unwrap_err();
    assert!(matches!(&error, StoreError::Address { url, .. } if *url == address));
}
