//! A stock with values of every kind, and searches over it.

use std::sync::Arc;

use model::index::Pointer;
use model::record::Record;
use object_store::memory::InMemory;
use search::{Caches, Index, Mode, Page, Store};
use serde_json::{Value, json};

use crate::common::{find, numbers, record};
use crate::shelf::{Shelf, new};

/// A key that looks like nothing else.
const ODD: &str = "back\\slash\t\u{1f600}";

/// A record with values of every kind.
pub(crate) fn stock(number: u32) -> Record {
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

pub(crate) fn stocks(numbers: impl IntoIterator<Item = u32>) -> Vec<Record> {
    numbers.into_iter().map(stock).collect()
}

/// What a record becomes.
pub(crate) fn spare(number: u32) -> Record {
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
pub(crate) fn assert_same(left: &Index, right: &Index) {
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
pub(crate) fn assert_same_hits(left: &Index, right: &Index) {
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

/// A small pack, and its pointer.
pub(crate) fn small() -> (InMemory, Pointer) {
    let objects = InMemory::new();
    let store = Store::over(Arc::new(objects.clone()), Caches::default());
    let mut shelf = Shelf::over(store);
    shelf.fold(&new(&stocks(1..=3))).expect("something to fold");
    (objects, shelf.pointer)
}
