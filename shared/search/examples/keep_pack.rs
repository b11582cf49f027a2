//! Writes the pack that `tests/kept.rs` opens: `cargo run -p search --example keep_pack`.
//!
//! To be run when [`search::FORMAT`] was raised, and then only: the pack stands for those that
//! earlier code of the same format has left on object stores.

#[expect(dead_code, reason = "it makes records and searches for none")]
#[path = "../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::sync::Arc;

use common::{changes, record, wait};
use model::index::Pointer;
use model::record::Record;
use model::time::Moment;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use search::{Caches, Effort, Error, FORMAT, Fold, Folded, Store, pack_path};
use serde_json::json;

const PREFIX: &str = "kept";

/// What the pack is called.
const NAME: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;

/// What is checked in stays small.
const MOST_BYTES: usize = 60 << 10;

/// Name, SKU, size, price and material; the first is record number 1.
const ROWS: [(&str, &str, u32, f64, &str); 20] = [
    ("Hex Bolt", "HB-1001", 8, 0.5, "Steel"),
    ("Hex Bolt", "HB-1002", 10, 0.75, "Brass"),
    ("Hex Nut", "HN-1003", 8, 0.25, "Steel"),
    ("Wing Nut", "WN-1004", 6, 1.25, "Brass"),
    ("Flat Washer", "FW-1005", 8, 0.125, "Steel"),
    ("Spring Washer", "SW-1006", 10, 0.375, "Stainless Steel"),
    ("Linear Bearing", "LB-1007", 16, 12.5, "Steel"),
    ("Ball Bearing", "BB-1008", 20, 7.25, "Stainless Steel"),
    ("Shaft", "SH-1009", 16, 30.0, "Steel"),
    ("Anchor Bolt", "AB-1010", 12, 2.5, "Zinc"),
    ("Rivet", "RV-1011", 4, 0.0625, "Aluminium"),
    ("Blind Rivet", "BR-1012", 5, 0.875, "Aluminium"),
    ("Gasket", "GK-1013", 40, 3.75, "Rubber"),
    ("Rubber Gasket", "RG-1014", 50, 4.25, "Rubber"),
    ("\u{c9}crou", "EC-1015", 8, 0.625, "Steel"),
    ("Tension Spring", "TS-1016", 3, 1.5, "Stainless Steel"),
    ("Thread Locker", "TL-1017", 0, 9.5, "Resin"),
    ("Carriage Bolt", "CB-1018", 8, 1.75, "Steel"),
    ("Eye Bolt", "EB-1019", 6, 2.25, "Stainless Steel"),
    ("Shaft Coupling", "SC-1020", 16, 22.5, "Aluminium"),
];

fn records() -> Vec<Record> {
    let rows = (1..).zip(ROWS);
    let records = rows.map(|(number, (name, sku, size, price, material)): (u32, _)| {
        let kind = if number.is_multiple_of(4) {
            "sale"
        } else {
            "regular"
        };
        let mut row = json!({
            "name": name, "sku": sku, "size": size, "price": price, "material": material,
            "in_stock": number.is_multiple_of(2),
            "tags": [kind, "shop"],
            "thread.pitch": f64::from(size) / 8.0,
            "dimensions": {"length": number * 5},
        });
        if number.is_multiple_of(5) {
            row["description"] = json!("For damp rooms");
        }
        record(number, row)
    });
    records.collect()
}

/// The records in one segment; the first version of one of them is deleted in it.
async fn fold(store: &Store) -> Result<Option<Folded>, Error> {
    let now: Moment = "2026-03-08T12:00:00Z".parse().expect("a moment");
    let mut fold = Fold::open(store, PREFIX, &Pointer::empty(FORMAT, 1, 0)).await?;
    fold.write(&changes(&[record(3, json!({"name": "Obsolete Nut"}))]))?;
    fold.write(&changes(&records()))?;
    fold.finish(NAME, Effort::Background, now).await
}

async fn read(objects: &InMemory, path: &str) -> Vec<u8> {
    let object = objects.get(&ObjectPath::from(path)).await.expect("a pack");
    object.bytes().await.expect("its bytes").to_vec()
}

fn main() {
    let objects = InMemory::new();
    let store = Store::over(Arc::new(objects.clone()), Caches::default());
    let folded = wait(fold(&store)).expect("a fold");
    let pointer = folded.expect("something to fold").pointer;
    let name = &pointer.packs[0].name;
    let pack = wait(read(&objects, &pack_path(PREFIX, pointer.build, name)));
    assert!(pack.len() < MOST_BYTES, "{} bytes are too many", pack.len());

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(format!("{name}.pack")), &pack).expect("a pack in the folder");
    let mut text = serde_json::to_string_pretty(&pointer).expect("a pointer");
    text.push('\n');
    std::fs::write(folder.join("pointer.json"), text).expect("a pointer in the folder");
    println!("{} bytes in {}", pack.len(), folder.display());
}
