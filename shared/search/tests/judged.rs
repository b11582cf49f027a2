//! Queries over the demonstration data, judged by people: how each is classified and what it has
//! to find first.

mod common;

use common::{find, index, numbers, record};
use model::cell;
use model::record::Record;
use search::Index;
use serde_json::{Map, Value, json};

const JUDGED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../infra/local/demo/judged.json"
));
const FASTENERS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../infra/local/demo/fasteners.csv"
));
const HOTELS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../infra/local/demo/hotels.ndjson"
));

/// What a record calls its own stays text; every other cell is what it looks like.
const OWN: [&str; 4] = ["source_id", "name", "description", "visibility"];

fn fasteners() -> Vec<Value> {
    let mut reader = csv::Reader::from_reader(FASTENERS.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let rows = reader.records().map(|line| {
        let line = line.expect("a line");
        let cells = header.iter().zip(&line).filter_map(|(column, text)| {
            let value = cell::infer(text)?;
            let own = OWN.contains(&column);
            let value = if own { Value::from(text) } else { value };
            Some((column.to_owned(), value))
        });
        Value::Object(cells.collect::<Map<_, _>>())
    });
    rows.collect()
}

fn hotels() -> Vec<Value> {
    HOTELS
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect()
}

/// An index of rows, and the source id of each record by its number, counted from 1.
fn shelf(rows: Vec<Value>) -> (Index, Vec<String>) {
    let records: Vec<Record> = (1..)
        .zip(rows)
        .map(|(number, row)| record(number, row))
        .collect();
    let sources = records
        .iter()
        .map(|record| record.source_id.clone().expect("a source id"))
        .collect();
    (index(&records), sources)
}

#[test]
fn every_judged_query_is_classified_and_finds_what_is_expected_first() {
    let (manufacturing, hotels) = (shelf(fasteners()), shelf(hotels()));
    let judged: Vec<Value> = serde_json::from_str(JUDGED).unwrap();
    assert!(!judged.is_empty());

    let mut failures = Vec::new();
    for case in &judged {
        let (index, sources) = match case["collection"].as_str() {
            Some("manufacturing") => &manufacturing,
            Some("hotels") => &hotels,
            _ => panic!("{case} is of no collection"),
        };
        let page = find(index, &json!({"query": case["query"]}));
        let class = json!(page.class);
        let mut expected: Vec<&str> = case["expect"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap())
            .collect();
        let mut top: Vec<&str> = numbers(&page)
            .iter()
            .take(expected.len())
            .map(|number| sources[*number as usize - 1].as_str())
            .collect();
        expected.sort_unstable();
        top.sort_unstable();
        if top != expected || class != case["query_type"] {
            failures.push(format!("{case} is {class} and finds {top:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
