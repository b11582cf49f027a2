//! The stream of changes, by which the indexer follows the table.

use std::collections::BTreeSet;

use indexer::Change;
use serde_json::{Value, json};

use crate::aws::template;
use crate::common::{ARCHITECTURE, list, section, text};

/// What is variable in the keys of `ARCHITECTURE.md`, but for a collection's name, and an example.
const VARIABLES: [(&str, &str); 19] = [
    ("<collection>", "parts"),
    ("<record type>", "product"),
    ("<version>", "0000000001"),
    ("<number>", "0000000001"),
    ("<generation>", "000001"),
    ("<shard>", "05"),
    ("<period>", "2026-03"),
    ("<user>", "u_jane"),
    ("<id>", "00000001-6f3a-8c1d-9b52-0a4e7d5f2c15"),
    ("<record>", "00000001-6f3a-8c1d-9b52-0a4e7d5f2c15"),
    ("<upload>", "019cc9f0-7a00-7000-8000-000000000001"),
    ("<part>", "000000"),
    ("<token>", "00000000000000ff"),
    ("<sha256>", "9f86d081884c7d659a2feaa0c55ad015"),
    ("<key>", "550e8400-e29b-41d4-a716-446655440000"),
    ("<agent>", "claude"),
    ("<day>", "2026-03-08"),
    ("<tenant>", "t_1"),
    ("<address>", "203.0.113.7"),
];

/// The properties of the event by which the indexer follows the table.
fn stream(template: &Value) -> &Value {
    let event = &template["Resources"]["Indexer"]["Properties"]["Events"]["Changes"];
    assert_eq!(event["Type"], "DynamoDB");
    &event["Properties"]
}

#[test]
fn what_cannot_be_folded_is_tried_again_and_kept() {
    let template = template();
    let stream = stream(&template);
    assert_eq!(stream["Stream"], "Table.StreamArn");
    assert_eq!(stream["MaximumBatchingWindowInSeconds"], 1);
    let answers = &stream["FunctionResponseTypes"];
    assert_eq!(*answers, json!(["ReportBatchItemFailures"]));
    assert_eq!(stream["BisectBatchOnFunctionError"], true);
    let queue = json!({"OnFailure": {"Type": "SQS", "Destination": "IndexerFailures.Arn"}});
    assert_eq!(stream["DestinationConfig"], queue);
    let queue = &template["Resources"]["IndexerFailures"];
    assert_eq!(queue["Type"], "AWS::SQS::Queue");
    // Without an end to it, one batch that cannot be folded would hold up all that follow.
    let age = stream["MaximumRecordAgeInSeconds"].as_i64();
    assert!(age.is_some_and(|age| age > 0));
    assert_eq!(stream["MaximumRetryAttempts"], -1);
    let kept = queue["Properties"]["MessageRetentionPeriod"].as_i64();
    assert!(kept > stream["MaximumRecordAgeInSeconds"].as_i64());
}

/// Whether an event passes a filter's pattern, of what Lambda knows as far as the template uses it:
/// every field has one of the texts, prefixes or suffixes that are listed for it.
fn passes(pattern: &Value, event: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields
            .iter()
            .all(|(name, pattern)| passes(pattern, &event[name])),
        Value::Array(rules) => {
            let allows = |text| rules.iter().any(|rule| is_allowed(rule, text));
            event.as_str().is_some_and(allows)
        }
        other => panic!("{other} is no pattern"),
    }
}

fn is_allowed(rule: &Value, found: &str) -> bool {
    match rule {
        Value::String(expected) => found == expected,
        Value::Object(rule) => rule.iter().all(|(kind, part)| match kind.as_str() {
            "prefix" => found.starts_with(text(part)),
            "suffix" => found.ends_with(text(part)),
            kind => panic!("the test knows no {kind}"),
        }),
        other => panic!("{other} is no rule"),
    }
}

/// The forms of the keys of every entity, as the chart has them.
fn entities() -> Vec<(&'static str, &'static str)> {
    let key = |cell: &'static str| cell.trim().strip_prefix('`')?.strip_suffix('`');
    let mut partition = None;
    let mut entities = Vec::new();
    for line in section(ARCHITECTURE, "### Entities") {
        let mut cells = line.split('|').skip(1);
        let (first, second) = (cells.next(), cells.next());
        let Some(sk) = second.and_then(key) else {
            continue;
        };
        // An empty cell is the one above.
        partition = first.and_then(key).or(partition);
        entities.push((partition.expect("a partition"), sk));
    }
    entities
}

/// A key of a form.
fn example(form: &str, name: &str) -> String {
    let named = form.replace("<name>", name);
    let key = VARIABLES
        .into_iter()
        .fold(named, |key, (place, value)| key.replace(place, value));
    assert!(!key.contains('<'), "what is there in {key}?");
    key
}

#[test]
fn the_indexer_is_called_for_every_change_that_it_needs_and_for_few_others() {
    let template = template();
    let filters = list(&stream(&template)["FilterCriteria"]["Filters"]);
    let patterns: Vec<Value> = filters
        .into_iter()
        .map(|filter| serde_json::from_str(text(&filter["Pattern"])).unwrap())
        .collect();
    let (mut taken, mut idle) = (BTreeSet::new(), BTreeSet::new());
    for name in ["parts", "x", "FOLD", "COLL", "MARKERS", "a.b-c_d"] {
        for (pk, sk) in entities() {
            for kind in ["INSERT", "MODIFY", "REMOVE"] {
                let event = json!({
                    "eventName": kind,
                    "dynamodb": {
                        "Keys": {"pk": {"S": example(pk, name)}, "sk": {"S": example(sk, name)}},
                        "SequenceNumber": "1",
                    },
                });
                let passed = patterns.iter().any(|pattern| passes(pattern, &event));
                let change: Change = serde_json::from_value(event.clone()).unwrap();
                if let Some((tenant, collection)) = change.collection() {
                    assert!(passed, "it is not called for {event}");
                    assert_eq!((tenant.as_str(), collection.as_str()), ("t", name));
                    taken.insert((kind, sk));
                } else if passed {
                    idle.insert((kind, sk));
                }
            }
        }
    }
    let made_or_changed = |forms: &[&'static str]| -> BTreeSet<(&'static str, &'static str)> {
        let both = |sk: &&'static str| [("INSERT", *sk), ("MODIFY", *sk)];
        forms.iter().flat_map(both).collect()
    };
    let needed = made_or_changed(&[
        "COLL#<name>",
        "<name>#<number>#<generation>#R#<record>",
        "<name>#<number>#<generation>#B#<upload>",
    ]);
    assert_eq!(taken, needed);
    // A note of its own, among the markers: one more call, which does nothing.
    let note = made_or_changed(&["<name>#<number>#<generation>#FOLD"]);
    assert_eq!(idle, note);
}
