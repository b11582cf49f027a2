//! A pack that earlier code of the same format wrote is read as it was meant, and built upon.
//!
//! If one of these tests fails, packs that lie on object stores cannot be read any more either:
//! raise [`search::FORMAT`], so that every index is built anew, and make the pack anew with
//! `cargo run -p search --example keep_pack`, which also says what its records are. Only where the
//! code is wrong about what it reads is the code to be mended instead.

#[expect(dead_code, reason = "what is searched was indexed long ago")]
mod common;

use std::path::Path;
use std::sync::Arc;

use common::{changes, find, numbers, record, wait};
use model::index::Pointer;
use model::time::Moment;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use search::{Caches, Change, Effort, Error, FORMAT, Fold, Folded, Index, Mode, Store, pack_path};
use serde_json::{Value, json};

const PREFIX: &str = "kept";
const NAME: &str = "0123456789abcdef0123456789abcdef";

/// A store with the kept pack, and the kept pointer to it.
fn kept() -> (Store, Pointer) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept");
    let text = std::fs::read_to_string(folder.join("pointer.json")).expect("a kept pointer");
    let pointer: Pointer = serde_json::from_str(&text).expect("a pointer");
    let pack = std::fs::read(folder.join(format!("{NAME}.pack"))).expect("a kept pack");
    let objects = InMemory::new();
    let path = ObjectPath::from(pack_path(PREFIX, pointer.build, NAME));
    wait(objects.put(&path, pack.into())).expect("a copy of the pack");
    (Store::over(Arc::new(objects), Caches::default()), pointer)
}

fn open(store: &Store, pointer: &Pointer) -> Index {
    wait(Index::open(store, PREFIX, pointer, None)).expect("an index")
}

fn kept_index() -> Index {
    let (store, pointer) = kept();
    open(&store, &pointer)
}

#[track_caller]
fn assert_finds(index: &Index, cases: &[(Value, &[u32])]) {
    for (body, expected) in cases {
        let page = find(index, body);
        assert_eq!(
            (numbers(&page).as_slice(), page.total),
            (*expected, expected.len()),
            "{body}"
        );
    }
}

async fn fold(
    store: &Store,
    pointer: &Pointer,
    changes: &[Change],
) -> Result<Option<Folded>, Error> {
    let mut fold = Fold::open(store, PREFIX, pointer).await?;
    fold.warm(changes).await?;
    fold.write(changes)?;
    let now: Moment = "2026-03-09T12:00:00Z".parse().expect("a moment");
    fold.finish(1, Effort::Background, now).await
}

#[test]
fn the_kept_pack_is_of_the_current_format() {
    let (_, pointer) = kept();
    assert_eq!(
        pointer.format, FORMAT,
        "cargo run -p search --example keep_pack"
    );
    assert_eq!(pointer.packs.len(), 1);
    assert_eq!(pointer.packs[0].name, NAME);
    let [segment] = pointer.segments.as_slice() else {
        panic!("{:?} is not one segment", pointer.segments);
    };
    assert_eq!((segment.docs, segment.deleted), (21, 1));
}

#[test]
fn words_of_a_kept_pack_are_found() {
    assert_finds(
        &kept_index(),
        &[
            (json!({"query": "bolt"}), &[1, 2, 10, 18, 19]),
            (json!({"query": "Hex BOLTS"}), &[1, 2]),
            (json!({"query": "damp rooms"}), &[5, 10, 15, 20]),
            (json!({"query": "ecrou"}), &[15]),
            (json!({"query": "obsolete"}), &[]),
        ],
    );
}

#[test]
fn an_identifier_of_a_kept_pack_is_found() {
    let index = kept_index();
    for query in ["HB-1002", "hb1002"] {
        let page = find(&index, &json!({"query": query}));
        assert_eq!((numbers(&page), page.total), (vec![2], 1), "{query}");
        assert_eq!(page.mode, Mode::Identifier, "{query}");
        assert!(page.hits[0].score > 0.999, "{query}");
    }
}

#[test]
fn filters_leave_what_they_left_when_the_pack_was_made() {
    assert_finds(
        &kept_index(),
        &[
            (
                json!({"filters": {"material": "stainless STEEL"}}),
                &[19, 16, 8, 6],
            ),
            (
                json!({"filters": {"thread.pitch_min": 2}}),
                &[20, 14, 13, 9, 8, 7],
            ),
            (
                json!({"filters": {"dimensions.length_max": 15}}),
                &[3, 2, 1],
            ),
            (json!({"filters": {"in_stock": true, "size": "8"}}), &[18]),
            (json!({"filters": {"tags": "SALE"}}), &[20, 16, 12, 8, 4]),
            (
                json!({"filters": {"record_type": "product", "price_gt": 20}}),
                &[20, 9],
            ),
        ],
    );
}

#[test]
fn orders_are_what_they_were_when_the_pack_was_made() {
    let index = kept_index();
    for (sort, expected) in [
        ("-price", [9, 20, 7, 17, 8]),
        ("size", [17, 16, 11, 12, 4]),
        ("name", [10, 8, 12, 18, 15]),
        ("-sku", [4, 16, 17, 6, 9]),
        ("created_at", [1, 2, 3, 4, 5]),
        ("-updated_at", [20, 19, 18, 17, 16]),
    ] {
        let page = find(&index, &json!({"sort": sort, "limit": 5}));
        assert_eq!(numbers(&page), expected, "{sort}");
        assert_eq!(page.total, 20, "{sort}");
    }
}

#[test]
fn a_fold_goes_on_top_of_a_kept_pack() {
    let (store, pointer) = kept();
    let mut more = changes(&[
        record(
            1,
            json!({"name": "Lock Nut", "sku": "LN-2001", "price": 50}),
        ),
        record(21, json!({"name": "Toggle Bolt", "sku": "TB-1021"})),
    ]);
    more.push(Change {
        id: record(2, json!({"name": "gone"})).id,
        record: None,
        is_new: false,
    });
    let folded = wait(fold(&store, &pointer, &more)).unwrap().unwrap();
    let index = open(&store, &folded.pointer);
    assert_finds(
        &index,
        &[
            (json!({"query": "hex"}), &[3]),
            (json!({"query": "LN-2001"}), &[1]),
            (json!({"filters": {"sku": "HB-1002"}}), &[]),
            (
                json!({"filters": {"price_min": 30}, "sort": "-price"}),
                &[1, 9],
            ),
        ],
    );
    let mut bolts = numbers(&find(&index, &json!({"query": "bolt"})));
    bolts.sort_unstable();
    assert_eq!(bolts, [10, 18, 19, 21]);
    assert_eq!(find(&index, &json!({})).total, 20);
}
