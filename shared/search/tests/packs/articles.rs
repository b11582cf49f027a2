//! The articles of the large pack, and searches over them.

use std::cmp::Reverse;
use std::sync::{Arc, LazyLock};

use model::index::Pointer;
use model::record::Record;
use object_store::memory::InMemory;
use search::{Caches, Index, Store};
use serde_json::{Value, json};

use crate::common::{find, record};
use crate::shelf::{Shelf, assert_page, new};

/// The articles of the large pack.
pub(crate) const MANY: u32 = 20_000;

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

pub(crate) fn article(number: u32) -> Record {
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
pub(crate) fn articles(keep: impl Fn(u32) -> bool) -> Vec<u32> {
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

pub(crate) fn bolts() -> Vec<u32> {
    articles(|number| number.is_multiple_of(7))
}

/// Searches over the articles, and all that each finds, in order.
pub(crate) fn article_searches() -> Vec<(Value, Vec<u32>)> {
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

/// That an index finds every article that it should.
#[track_caller]
pub(crate) fn assert_articles(index: &Index) {
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
pub(crate) fn large() -> (InMemory, Pointer) {
    let (objects, pointer) = &*LARGE;
    assert_eq!((pointer.packs.len(), pointer.segments.len()), (1, 1));
    let len = pointer.packs[0].len;
    assert!(len > 2 << 20, "{len} bytes are not large");
    (objects.fork(), pointer.clone())
}
