//! An index in packs: folding into it, opening it, and what lies on its store.

use std::path::Path;
use std::sync::Arc;

use model::fault::Fields;
use model::index::Pointer;
use model::record::Record;
use model::time::Moment;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use search::{
    Caches, Change, Effort, Error, FORMAT, Fold, Folded, Index, Page, Request, Store, StoreError,
    pack_path,
};
use serde_json::{Value, json};

use crate::common::{changes, numbers, record, wait};

/// Where the packs are.
pub(crate) const PREFIX: &str = "t";

/// An index in packs, and what is folded into it. The packs are called by the folds' numbers.
pub(crate) struct Shelf {
    pub(crate) store: Store,
    pub(crate) pointer: Pointer,
    pub(crate) now: Moment,
    pub(crate) folds: u128,
}

impl Shelf {
    pub(crate) fn over(store: Store) -> Self {
        Self {
            store,
            pointer: Pointer::empty(FORMAT, 1, 0),
            now: "2026-03-08T12:00:00Z".parse().expect("a moment"),
            folds: 0,
        }
    }

    pub(crate) fn in_memory() -> Self {
        Self::over(Store::open("memory:///", Caches::default(), None).expect("a store"))
    }

    /// Folds changes. The paths of outdated packs; `None` if there was nothing to do.
    pub(crate) fn fold(&mut self, changes: &[Change]) -> Option<Vec<String>> {
        self.fold_with(Effort::Background, changes)
    }

    pub(crate) fn fold_with(&mut self, effort: Effort, changes: &[Change]) -> Option<Vec<String>> {
        self.folds += 1;
        let fold = fold(
            &self.store,
            &self.pointer,
            self.folds,
            changes,
            effort,
            self.now,
        );
        let folded = wait(fold).expect("a fold")?;
        self.pointer = folded.pointer;
        Some(folded.outdated)
    }

    pub(crate) fn open(&self) -> Index {
        open(&self.store, &self.pointer)
    }

    /// The names of the packs in use.
    pub(crate) fn packs(&self) -> Vec<&str> {
        let packs = self.pointer.packs.iter();
        packs.map(|pack| pack.name.as_str()).collect()
    }

    /// The names of the packs that are out of use.
    pub(crate) fn retired(&self) -> Vec<&str> {
        let retired = self.pointer.retired.iter();
        retired.map(|retired| retired.name.as_str()).collect()
    }

    /// Documents and deleted ones of each segment.
    pub(crate) fn sizes(&self) -> Vec<(u32, u32)> {
        let segments = self.pointer.segments.iter();
        segments
            .map(|segment| (segment.docs, segment.deleted))
            .collect()
    }
}

pub(crate) async fn fold(
    store: &Store,
    pointer: &Pointer,
    name: u128,
    changes: &[Change],
    effort: Effort,
    now: Moment,
) -> Result<Option<Folded>, Error> {
    let mut fold = Fold::open(store, PREFIX, pointer).await?;
    fold.warm(changes).await?;
    fold.write(changes)?;
    fold.finish(name, effort, now).await
}

pub(crate) async fn rebuild(
    store: &Store,
    before: Option<&Pointer>,
    name: u128,
    changes: &[Change],
    now: Moment,
) -> Result<Option<Folded>, Error> {
    let mut fold = Fold::rebuild(store, PREFIX, before, now).await?;
    fold.write(changes)?;
    fold.finish(name, Effort::Background, now).await
}

pub(crate) fn open(store: &Store, pointer: &Pointer) -> Index {
    wait(Index::open(store, PREFIX, pointer, None)).expect("an index")
}

/// Why an index cannot be opened.
pub(crate) fn failure(store: &Store, pointer: &Pointer) -> Error {
    match wait(Index::open(store, PREFIX, pointer, None)) {
        Ok(_) => panic!("the index is open"),
        Err(error) => error,
    }
}

pub(crate) fn request(body: &Value) -> Request {
    let mut fields = Fields::of(body).expect("an object");
    Request::read(&mut fields).expect("a good request")
}

/// Why a search fails.
pub(crate) fn search_failure(index: &Index, body: &Value) -> Error {
    wait(index.search(&request(body))).expect_err("a search that fails")
}

pub(crate) fn is_corrupt(error: &Error) -> bool {
    matches!(error, Error::Store(StoreError::Corrupt { .. }))
}

/// The name of a pack.
pub(crate) fn name(number: u128) -> String {
    format!("{number:032x}")
}

/// The path of a pack of the first build.
pub(crate) fn path(number: u128) -> String {
    pack_path(PREFIX, 1, &name(number))
}

pub(crate) fn bytes_at(objects: &InMemory, path: &str) -> Vec<u8> {
    let read = async {
        let object = objects.get(&ObjectPath::from(path)).await;
        object.expect("an object").bytes().await.expect("its bytes")
    };
    wait(read).to_vec()
}

pub(crate) fn put_bytes(objects: &InMemory, path: &str, bytes: Vec<u8>) {
    wait(objects.put(&ObjectPath::from(path), bytes.into())).expect("an object");
}

/// The paths under a prefix, in order.
pub(crate) fn listed(store: &Store, prefix: &str) -> Vec<String> {
    let listed = wait(store.list(prefix)).expect("a list");
    let mut paths: Vec<String> = listed.into_iter().map(|object| object.path).collect();
    paths.sort_unstable();
    paths
}

pub(crate) fn folder_store(folder: &Path) -> Store {
    let address = Store::address_of(folder).expect("an absolute path");
    Store::open(&address, Caches::default(), None).expect("a store")
}

/// Records that the index is known not to hold.
pub(crate) fn new(records: &[Record]) -> Vec<Change> {
    let mut new = changes(records);
    for change in &mut new {
        change.is_new = true;
    }
    new
}

/// Records that are gone.
pub(crate) fn gone(numbers: impl IntoIterator<Item = u32>) -> Vec<Change> {
    let gone = numbers.into_iter().map(|number| Change {
        id: record(number, json!({"name": "gone"})).id,
        record: None,
        is_new: false,
    });
    gone.collect()
}

/// A store that other processes have never read of.
pub(crate) fn fresh(objects: &InMemory) -> Store {
    Store::over(Arc::new(objects.clone()), Caches::default())
}

/// A memory in which next to nothing fits.
pub(crate) fn tiny() -> Caches {
    Caches {
        memory: 200_000,
        disk: None,
    }
}

#[track_caller]
pub(crate) fn assert_page(page: &Page, body: &Value, expected: &[u32]) {
    let first: Vec<u32> = expected.iter().copied().take(20).collect();
    assert_eq!(
        (numbers(page), page.total),
        (first, expected.len()),
        "{body}"
    );
}
