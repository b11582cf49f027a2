//! Packs that cannot be read or written.

use std::sync::Arc;

use model::time::Moment;
use object_store::memory::InMemory;
use search::{Caches, Effort, Error, Fold, StoreError};
use serde_json::json;

use crate::articles::{article_searches, assert_articles, large};
use crate::common::{find, wait};
use crate::shelf::{
    PREFIX, Shelf, assert_page, bytes_at, failure, fold, fresh, gone, is_corrupt, listed, name,
    new, open, path, put_bytes, request, search_failure,
};
use crate::stock::{small, stocks};
use crate::watched::Watched;

#[test]
fn a_missing_pack_is_lost() {
    let (objects, pointer) = small();
    let store = fresh(&objects);
    wait(store.delete(&path(1))).unwrap();
    let now: Moment = "2026-03-08T12:00:00Z".parse().unwrap();
    let folded = wait(fold(&store, &pointer, 2, &[], Effort::Call, now));
    for error in [failure(&store, &pointer), folded.unwrap_err()] {
        assert!(error.is_lost(), "{error}");
        assert_eq!(error.to_string(), format!("{} is missing", path(1)));
        assert!(matches!(error, Error::Store(StoreError::Missing(_))));
    }
}

#[test]
fn a_pack_that_goes_missing_while_it_is_open_is_lost() {
    let (objects, pointer) = large();
    let store = fresh(&objects);
    let index = open(&store, &pointer);
    wait(store.delete(&path(1))).unwrap();
    for (body, _) in article_searches() {
        let error = search_failure(&index, &body);
        assert!(error.is_lost(), "{body}: {error}");
    }
}

#[test]
fn a_pack_with_one_wrong_bit_is_lost() {
    let (objects, pointer) = small();
    let store = fresh(&objects);
    let good = bytes_at(&objects, &path(1));
    assert_eq!(good.len() as u64, pointer.packs[0].len);
    let end = good.len() - 100;
    for at in (0..end).step_by(31).chain(end..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 1_u8 << (at % 8);
        put_bytes(&objects, &path(1), bad);
        let error = failure(&store, &pointer);
        assert!(is_corrupt(&error) && error.is_lost(), "byte {at}: {error}");
    }
    put_bytes(&objects, &path(1), good);
    assert_eq!(find(&open(&store, &pointer), &json!({})).total, 3);
}

#[test]
fn a_large_pack_with_a_wrong_bit_in_its_tail_is_lost() {
    let (objects, pointer) = large();
    let good = bytes_at(&objects, &path(1));
    let tail = good.len() - usize::try_from(pointer.packs[0].tail).unwrap();
    for at in [tail, tail + 1_000, good.len() - 1_000, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        put_bytes(&objects, &path(1), bad);
        let error = failure(&fresh(&objects), &pointer);
        assert!(is_corrupt(&error) && error.is_lost(), "byte {at}: {error}");
    }
}

#[test]
fn a_pack_that_holds_something_else_is_lost() {
    let (objects, pointer) = small();
    let good = bytes_at(&objects, &path(1));
    let (half, len) = (good.len() / 2, good.len());
    let longer = [good.as_slice(), &good[..10]].concat();
    for (what, bad) in [
        ("half", good[..half].to_vec()),
        ("all but a byte", good[..len - 1].to_vec()),
        ("the end", good[half..].to_vec()),
        ("a byte", good[..1].to_vec()),
        ("zeros", vec![0; len]),
        ("text", b"not a pack ".repeat(len)),
        ("a magic number alone", b"QNXPACK1".to_vec()),
        ("a trailer alone", good[len - 16..].to_vec()),
        ("what comes after", longer[10..].to_vec()),
    ] {
        put_bytes(&objects, &path(1), bad);
        let error = failure(&fresh(&objects), &pointer);
        assert!(is_corrupt(&error) && error.is_lost(), "{what}: {error}");
    }
}

#[test]
fn a_pack_that_ends_before_its_tail_is_lost() {
    let (objects, pointer) = small();
    put_bytes(&objects, &path(1), Vec::new());
    let error = failure(&fresh(&objects), &pointer);
    assert!(error.is_lost(), "{error}");

    let (objects, pointer) = large();
    let half = bytes_at(&objects, &path(1)).len() / 2;
    put_bytes(&objects, &path(1), vec![0; half]);
    let error = failure(&fresh(&objects), &pointer);
    assert!(error.is_lost(), "{error}");
}

#[test]
fn a_pack_that_is_cut_short_while_it_is_open_is_lost() {
    let (objects, pointer) = large();
    let good = bytes_at(&objects, &path(1));
    // What a search reads begins before it ends, or after.
    for left in [good.len() / 2, 100, 0] {
        put_bytes(&objects, &path(1), good.clone());
        let index = open(&fresh(&objects), &pointer);
        put_bytes(&objects, &path(1), good[..left].to_vec());
        for (body, expected) in article_searches() {
            match wait(index.search(&request(&body))) {
                Ok(page) => assert_page(&page, &body, &expected),
                Err(error) => assert!(error.is_lost(), "{left}, {body}: {error}"),
            }
        }
    }
}

#[test]
fn a_pointer_to_what_its_packs_do_not_have_is_lost() {
    let (objects, pointer) = small();
    let store = fresh(&objects);
    let (_, other) = small();
    let now: Moment = "2026-03-08T12:00:00Z".parse().unwrap();
    let more = new(&stocks([4]));

    let mut elsewhere = pointer.clone();
    elsewhere.segments = other.segments;
    let mut deleted = pointer.clone();
    (deleted.segments[0].deleted, deleted.segments[0].deleted_by) = (1, 99);
    let mut unnamed = pointer.clone();
    unnamed.packs[0].name = "no pack".to_owned();
    let mut unknown = pointer.clone();
    unknown.segments[0].id = "no segment".to_owned();
    let mut shorter = pointer.clone();
    shorter.packs[0].len -= 1;
    let mut tailless = pointer.clone();
    tailless.packs[0].tail = 0;
    for wrong in [elsewhere, deleted, unnamed, unknown, shorter, tailless] {
        let folded = wait(fold(&store, &wrong, 2, &more, Effort::Call, now));
        for error in [failure(&store, &wrong), folded.unwrap_err()] {
            assert!(error.is_lost(), "{wrong:?}: {error}");
        }
    }
    assert_eq!(find(&open(&store, &pointer), &json!({})).total, 3);
}

#[test]
fn a_store_that_fails_has_lost_nothing() {
    let (objects, pointer) = large();
    let watched = Watched::over(objects);
    let store = watched.store(Caches::default());
    watched.set_broken(true);
    let error = failure(&store, &pointer);
    assert!(!error.is_lost(), "{error}");
    assert!(error.to_string().contains("no network"), "{error}");
    assert!(matches!(error, Error::Store(StoreError::Failed(_))));

    watched.set_broken(false);
    let index = Arc::new(open(&store, &pointer));
    watched.set_broken(true);
    for (body, _) in article_searches() {
        let error = search_failure(&index, &body);
        assert!(!error.is_lost(), "{body}: {error}");
        assert!(error.to_string().contains("no network"), "{error}");
    }
    let error = wait(index.take_in(gone([1]))).unwrap_err();
    assert!(!error.is_lost(), "{error}");

    watched.set_broken(false);
    assert_articles(&index);
}

#[test]
fn a_fold_whose_pack_cannot_be_written_can_be_repeated() {
    let watched = Watched::over(InMemory::new());
    let mut shelf = Shelf::over(watched.store(Caches::default()));
    shelf.fold(&new(&stocks(1..=10))).unwrap();
    let mut more = gone([1]);
    more.extend(new(&stocks([11])));
    let folding = async {
        let mut fold = Fold::open(&shelf.store, PREFIX, &shelf.pointer).await?;
        assert_eq!(fold.pointer(), &shelf.pointer);
        fold.warm(&more).await?;
        fold.write(&more)?;
        watched.set_broken(true);
        fold.finish(2, Effort::Background, shelf.now).await
    };
    let error = wait(folding).unwrap_err();
    assert!(!error.is_lost(), "{error}");
    watched.set_broken(false);
    assert_eq!(listed(&shelf.store, PREFIX), [path(1)]);
    assert_eq!(find(&shelf.open(), &json!({})).total, 10);

    shelf.folds = 2;
    shelf.fold(&more).unwrap();
    assert_eq!(shelf.packs(), [name(1), name(3)]);
    let body = json!({"sort": "created_at"});
    let left: Vec<u32> = (2..=11).collect();
    assert_page(&find(&shelf.open(), &body), &body, &left);
}
