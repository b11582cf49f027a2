//! What is folded into packs is found as what is in memory is: by another process, after merges and
//! rebuilds, with few requests, and with a clear error where it cannot be read.

mod common;

use std::cmp::Reverse;
use std::fmt;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use chrono::TimeDelta;
use common::{changes, find, index, numbers, record, wait};
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use model::fault::Fields;
use model::index::{Pointer, Retired};
use model::record::Record;
use model::time::Moment;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use search::{
    Caches, Change, Effort, Error, FORMAT, Fold, Folded, Index, Mode, Page, RETIRED_FOR, Reads,
    Request, Store, StoreError, merge_is_due, pack_path,
};
use serde_json::{Value, json};

/// Where the packs are.
const PREFIX: &str = "t";

/// The articles of the large pack.
const MANY: u32 = 20_000;

/// A stretch that was read: its start and its end.
type Stretch = (u64, u64);

/// An object store that notes what is read of it, and fails when it is told to.
#[derive(Debug)]
struct Watched {
    objects: InMemory,
    read: Mutex<Vec<Stretch>>,
    broken: AtomicBool,
}

impl Watched {
    fn over(objects: InMemory) -> Arc<Self> {
        Arc::new(Self {
            objects,
            read: Mutex::default(),
            broken: AtomicBool::new(false),
        })
    }

    /// A store over it, of a process of its own.
    fn store(self: &Arc<Self>, caches: Caches) -> Store {
        Store::over(self.clone(), caches)
    }

    /// What was read since it was last asked.
    fn taken(&self) -> Vec<Stretch> {
        std::mem::take(&mut *self.read.lock().expect("a log"))
    }

    fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    fn check(&self) -> object_store::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(object_store::Error::Generic {
                store: "Watched",
                source: "no network".into(),
            });
        }
        Ok(())
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Watched")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Watched {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.check()?;
        self.objects.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.check()?;
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &ObjectPath,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        if let Some(GetRange::Bounded(range)) = &options.range {
            let stretch = (range.start, range.end);
            self.read.lock().expect("a log").push(stretch);
        }
        // An answer takes its time: others ask meanwhile.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.check()?;
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<ObjectPath>>,
    ) -> BoxStream<'static, object_store::Result<ObjectPath>> {
        self.objects.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> object_store::Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

/// An index in packs, and what is folded into it. The packs are called by the folds' numbers.
struct Shelf {
    store: Store,
    pointer: Pointer,
    now: Moment,
    folds: u128,
}

impl Shelf {
    fn over(store: Store) -> Self {
        Self {
            store,
            pointer: Pointer::empty(FORMAT, 1, 0),
            now: "2026-03-08T12:00:00Z".parse().expect("a moment"),
            folds: 0,
        }
    }

    fn in_memory() -> Self {
        Self::over(Store::open("memory:///", Caches::default(), None).expect("a store"))
    }

    /// Folds changes. The paths of outdated packs; `None` if there was nothing to do.
    fn fold(&mut self, changes: &[Change]) -> Option<Vec<String>> {
        self.fold_with(Effort::Background, changes)
    }

    fn fold_with(&mut self, effort: Effort, changes: &[Change]) -> Option<Vec<String>> {
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

    fn open(&self) -> Index {
        open(&self.store, &self.pointer)
    }

    /// The names of the packs in use.
    fn packs(&self) -> Vec<&str> {
        let packs = self.pointer.packs.iter();
        packs.map(|pack| pack.name.as_str()).collect()
    }

    /// The names of the packs that are out of use.
    fn retired(&self) -> Vec<&str> {
        let retired = self.pointer.retired.iter();
        retired.map(|retired| retired.name.as_str()).collect()
    }

    /// Documents and deleted ones of each segment.
    fn sizes(&self) -> Vec<(u32, u32)> {
        let segments = self.pointer.segments.iter();
        segments
            .map(|segment| (segment.docs, segment.deleted))
            .collect()
    }
}

async fn fold(
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

async fn rebuild(
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

fn open(store: &Store, pointer: &Pointer) -> Index {
    wait(Index::open(store, PREFIX, pointer, None)).expect("an index")
}

/// Why an index cannot be opened.
fn failure(store: &Store, pointer: &Pointer) -> Error {
    match wait(Index::open(store, PREFIX, pointer, None)) {
        Ok(_) => panic!("the index is open"),
        Err(error) => error,
    }
}

fn request(body: &Value) -> Request {
    let mut fields = Fields::of(body).expect("an object");
    Request::read(&mut fields).expect("a good request")
}

/// Why a search fails.
fn search_failure(index: &Index, body: &Value) -> Error {
    wait(index.search(&request(body))).expect_err("a search that fails")
}

fn is_corrupt(error: &Error) -> bool {
    matches!(error, Error::Store(StoreError::Corrupt { .. }))
}

/// The name of a pack.
fn name(number: u128) -> String {
    format!("{number:032x}")
}

/// The path of a pack of the first build.
fn path(number: u128) -> String {
    pack_path(PREFIX, 1, &name(number))
}

fn bytes_at(objects: &InMemory, path: &str) -> Vec<u8> {
    let read = async {
        let object = objects.get(&ObjectPath::from(path)).await;
        object.expect("an object").bytes().await.expect("its bytes")
    };
    wait(read).to_vec()
}

fn put_bytes(objects: &InMemory, path: &str, bytes: Vec<u8>) {
    wait(objects.put(&ObjectPath::from(path), bytes.into())).expect("an object");
}

fn bytes(stretches: &[Stretch]) -> u64 {
    stretches.iter().map(|(start, end)| end - start).sum()
}

/// The paths under a prefix, in order.
fn listed(store: &Store, prefix: &str) -> Vec<String> {
    let listed = wait(store.list(prefix)).expect("a list");
    let mut paths: Vec<String> = listed.into_iter().map(|object| object.path).collect();
    paths.sort_unstable();
    paths
}

fn folder_store(folder: &Path) -> Store {
    let address = Store::address_of(folder).expect("an absolute path");
    Store::open(&address, Caches::default(), None).expect("a store")
}

/// Records that the index is known not to hold.
fn new(records: &[Record]) -> Vec<Change> {
    let mut new = changes(records);
    for change in &mut new {
        change.is_new = true;
    }
    new
}

/// Records that are gone.
fn gone(numbers: impl IntoIterator<Item = u32>) -> Vec<Change> {
    let gone = numbers.into_iter().map(|number| Change {
        id: record(number, json!({"name": "gone"})).id,
        record: None,
        is_new: false,
    });
    gone.collect()
}

/// A key that looks like nothing else.
const ODD: &str = "back\\slash\t\u{1f600}";

/// A record with values of every kind.
fn stock(number: u32) -> Record {
    let pick = |from: &[&str]| from[number as usize % from.len()].to_owned();
    let thing = pick(&["Linear Bearing", "Hex Bolt", "Wing Nut", "Flat Washer"]);
    let coat = pick(&[" zinc", "", "", "", ""]);
    let even = number.is_multiple_of(2);
    let tags: &[&str] = if even { &["red", "Blue"] } else { &["green"] };
    let city = pick(&["Z\u{fc}rich", "Lisbon", "Lisbon", "Lisbon"]);
    let mut row = json!({
        "name": format!("{thing}{coat}"),
        "description": format!("For shafts of {number} mm"),
        "sku": format!("SKU-{number:04}-A"),
        "ean": 4_006_381_000_000_u64 + u64::from(number),
        "price": f64::from(number) / 4.0,
        "material": pick(&["steel", "Brass", "Stainless Steel"]),
        "in_stock": even,
        "tags": tags,
        "location": {"city": city, "lat": 40 + number / 10},
        "weight (kg) / 100%": number % 7,
        "": number % 2,
        ODD: format!("odd {}", number % 6),
    });
    // A number here and text there.
    row["size"] = if number.is_multiple_of(3) {
        json!((number % 10).to_string())
    } else {
        json!(number % 10)
    };
    // Two fields that look the same from outside.
    if even {
        row["a.b"] = json!(number % 3);
    } else {
        row["a"] = json!({"b": number % 3});
    }
    record(number, row)
}

fn stocks(numbers: impl IntoIterator<Item = u32>) -> Vec<Record> {
    numbers.into_iter().map(stock).collect()
}

/// What a record becomes.
fn spare(number: u32) -> Record {
    record(
        number,
        json!({
            "name": "Spare Part", "sku": format!("SP-{number:04}-B"), "price": 1_000 + number,
            "spare": true,
        }),
    )
}

/// Searches by words and identifiers over the stock from 1 to 60, and how much each finds.
fn word_searches() -> Vec<(Value, usize)> {
    vec![
        (json!({"query": "bearing"}), 15),
        (json!({"query": "HEX bolts"}), 15),
        (json!({"query": "washer zinc"}), 3),
        (json!({"query": "bearing for the shafts"}), 15),
        (json!({"query": "anvil bolt"}), 15),
        (json!({"query": "shafts"}), 60),
        (json!({"query": "shafts", "limit": 7, "offset": 50}), 60),
        (json!({"query": "anvil"}), 0),
        (json!({"query": "SKU-0007-A"}), 1),
        (json!({"query": "sku0007a"}), 1),
        (json!({"query": "sku 0007 a"}), 1),
        (json!({"query": "4006381000007"}), 1),
        (json!({"query": "sku0061a"}), 0),
        (json!({"query": "bolt", "filters": {"in_stock": false}}), 15),
        (json!({"query": "bolt", "sort": "-price"}), 15),
    ]
}

/// Searches by filters over the same.
fn filter_searches() -> Vec<(Value, usize)> {
    let filters = [
        (json!({"material": "STAINLESS steel"}), 20),
        (json!({"material": "steel, brass"}), 40),
        (json!({"size": 7}), 6),
        (json!({"size": "7"}), 6),
        (json!({"size_min": "8"}), 12),
        (json!({"in_stock": true}), 30),
        (json!({"in_stock": "false"}), 30),
        (json!({"tags": "red"}), 30),
        (json!({"tags_in": ["blue", "green"]}), 60),
        (json!({"location.city": "zurich"}), 15),
        (json!({"location.lat_min": 45}), 11),
        (json!({"a.b": 1}), 20),
        (json!({"a.b_gt": 1}), 20),
        (json!({"weight (kg) / 100%": 5}), 8),
        (json!({"weight (kg) / 100%_max": 0}), 8),
        (json!({"": 1}), 30),
        (json!({ODD: "ODD 4"}), 10),
        (json!({"price_min": 14.5}), 3),
        (json!({"price_gt": 1, "price_lt": 2, "in_stock": true}), 1),
        (json!({"record_type": "PRODUCT"}), 60),
        (json!({"missing": 1}), 0),
    ];
    let searches = filters.map(|(filters, total)| (json!({"filters": filters}), total));
    searches.into()
}

/// Orders of the same.
fn sorted_searches() -> Vec<(Value, usize)> {
    let sorts = [
        "price",
        "-price",
        "name",
        "-name",
        "sku",
        "-material",
        "created_at",
        "-updated_at",
        "record_type",
        "location.lat",
        "-location.city",
        "a.b",
        "-a.b",
        "size",
        "tags",
        "in_stock",
        "weight (kg) / 100%",
        ODD,
        "missing",
    ];
    let mut searches: Vec<(Value, usize)> = sorts
        .into_iter()
        .map(|sort| (json!({"sort": sort}), 60))
        .collect();
    searches.push((json!({}), 60));
    searches.push((json!({"sort": "-price", "limit": 7, "offset": 13}), 60));
    searches
}

fn stock_searches() -> Vec<(Value, usize)> {
    let mut searches = word_searches();
    searches.extend(filter_searches());
    searches.extend(sorted_searches());
    searches
}

fn outline(page: &Page) -> (Vec<u32>, usize, Mode, bool) {
    (numbers(page), page.total, page.mode, page.fell_back)
}

/// That an index answers every search over the stock as another does, scores included.
#[track_caller]
fn assert_same(left: &Index, right: &Index) {
    for (body, total) in stock_searches() {
        let (found, expected) = (find(left, &body), find(right, &body));
        assert_eq!(outline(&found), outline(&expected), "{body}");
        assert_eq!(found.total, total, "{body}");
        for (hit, other) in found.hits.iter().zip(&expected.hits) {
            let apart = (hit.score - other.score).abs();
            assert!(apart < 1e-5, "{body}: {hit:?} and {other:?}");
        }
    }
}

/// That two indexes find the same. What is deleted still counts in the scores, and so in the order
/// of what is found by words, until it is merged away.
#[track_caller]
fn assert_same_hits(left: &Index, right: &Index) {
    for (mut body, _) in stock_searches() {
        body["limit"] = json!(100);
        body["offset"] = json!(0);
        let by_score = body.get("query").is_some() && body.get("sort").is_none();
        let [found, expected] = [left, right].map(|index| {
            let mut outline = outline(&find(index, &body));
            if by_score {
                outline.0.sort_unstable();
            }
            outline
        });
        assert_eq!(found, expected, "{body}");
    }
}

const MATERIALS: [&str; 5] = ["Steel", "Brass", "Tin", "Zinc", "Nylon"];
const THINGS: [&str; 7] = [
    "Bolt", "Nut", "Washer", "Rivet", "Anchor", "Spring", "Gasket",
];

fn title(number: u32) -> String {
    let number = number as usize;
    let (material, thing) = (number % MATERIALS.len(), number % THINGS.len());
    format!("{} {}", MATERIALS[material], THINGS[thing])
}

/// A price, in eighths.
fn eighths(number: u32) -> u32 {
    number * 37 % 10_007
}

/// Numbers that look random: splitmix64.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// 32 hex digits that no other number has.
fn lot(number: u32) -> String {
    let number = u64::from(number);
    format!("{:016x}{:016x}", mixed(2 * number), mixed(2 * number + 1))
}

fn article(number: u32) -> Record {
    let mut row = json!({
        "name": title(number),
        "lot": lot(number),
        "batch": lot(MANY + number),
        "maker": format!("Maker {}", number % 50),
        "size": number % 100,
        "price": f64::from(eighths(number)) / 8.0,
        "in_stock": number.is_multiple_of(3),
    });
    if number.is_multiple_of(4_000) {
        row["description"] = json!("Handle with gloves");
    }
    record(number, row)
}

/// The numbers of articles.
fn articles(keep: impl Fn(u32) -> bool) -> Vec<u32> {
    (1..=MANY).filter(|number| keep(*number)).collect()
}

fn newest(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.reverse();
    numbers
}

fn dearest(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_by_key(|number| (Reverse(eighths(*number)), *number));
    numbers
}

fn by_title(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_by_cached_key(|number| (title(*number).to_lowercase(), *number));
    numbers
}

fn bolts() -> Vec<u32> {
    articles(|number| number.is_multiple_of(7))
}

/// Searches over the articles, and all that each finds, in order.
fn article_searches() -> Vec<(Value, Vec<u32>)> {
    vec![
        (json!({}), newest(articles(|_| true))),
        (json!({"query": "bolt"}), bolts()),
        (
            json!({"query": "brass bolt"}),
            articles(|number| number % 5 == 1 && number.is_multiple_of(7)),
        ),
        (
            json!({"query": "gloves"}),
            articles(|number| number.is_multiple_of(4_000)),
        ),
        (json!({"query": lot(12_345)}), vec![12_345]),
        (
            json!({"query": "tin", "filters": {"size_max": 9}}),
            articles(|number| number % 5 == 2 && number % 100 <= 9),
        ),
        (
            json!({"filters": {"maker": "MAKER 7", "in_stock": true}}),
            newest(articles(|number| {
                number % 50 == 7 && number.is_multiple_of(3)
            })),
        ),
        (
            json!({"filters": {"price_min": 1_000}, "sort": "-price"}),
            dearest(articles(|number| eighths(number) >= 8_000)),
        ),
        (json!({"sort": "name"}), by_title(articles(|_| true))),
    ]
}

#[track_caller]
fn assert_page(page: &Page, body: &Value, expected: &[u32]) {
    let first: Vec<u32> = expected.iter().copied().take(20).collect();
    assert_eq!(
        (numbers(page), page.total),
        (first, expected.len()),
        "{body}"
    );
}

/// That an index finds every article that it should.
#[track_caller]
fn assert_articles(index: &Index) {
    for (body, expected) in article_searches() {
        assert_page(&find(index, &body), &body, &expected);
    }
}

/// The articles in one large pack, made once.
static LARGE: LazyLock<(InMemory, Pointer)> = LazyLock::new(|| {
    let objects = InMemory::new();
    let store = Store::over(Arc::new(objects.clone()), Caches::default());
    let mut shelf = Shelf::over(store);
    let all: Vec<Record> = (1..=MANY).map(article).collect();
    shelf.fold(&new(&all)).expect("something to fold");
    (objects, shelf.pointer)
});

/// A copy of the large pack.
fn large() -> (InMemory, Pointer) {
    let (objects, pointer) = &*LARGE;
    assert_eq!((pointer.packs.len(), pointer.segments.len()), (1, 1));
    let len = pointer.packs[0].len;
    assert!(len > 2 << 20, "{len} bytes are not large");
    (objects.fork(), pointer.clone())
}

/// A small pack, and its pointer.
fn small() -> (InMemory, Pointer) {
    let objects = InMemory::new();
    let store = Store::over(Arc::new(objects.clone()), Caches::default());
    let mut shelf = Shelf::over(store);
    shelf.fold(&new(&stocks(1..=3))).expect("something to fold");
    (objects, shelf.pointer)
}

/// A store that other processes have never read of.
fn fresh(objects: &InMemory) -> Store {
    Store::over(Arc::new(objects.clone()), Caches::default())
}

/// A memory in which next to nothing fits.
fn tiny() -> Caches {
    Caches {
        memory: 200_000,
        disk: None,
    }
}

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
