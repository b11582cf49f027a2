//! What a role grants, and whether that is what was done.

use std::collections::BTreeSet;

use serde_json::Value;
use testkit::Access;

use crate::aws;

/// What a role grants: actions, each on the partitions whose keys are like a pattern.
type Grants = BTreeSet<(String, String)>;

/// The actions of a role on the table, and those on the bucket.
fn granted(function: &str) -> (Grants, BTreeSet<String>) {
    let template = aws::template();
    let resources = &template["Resources"];
    let mut statements = Vec::new();
    for policy in list(&resources[function]["Properties"]["Policies"]) {
        let document = match policy.as_str() {
            Some(name) => &resources[name]["Properties"]["PolicyDocument"],
            None => policy,
        };
        statements.extend(list(&document["Statement"]));
    }
    let (mut table, mut bucket) = (Grants::new(), BTreeSet::new());
    for statement in statements {
        for action in list(&statement["Action"]) {
            let action = action.as_str().expect("an action");
            if action.starts_with("s3:") {
                bucket.insert(action.to_owned());
                continue;
            }
            let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
            for key in list(keys) {
                let pattern = key.as_str().expect("a pattern");
                table.insert((action.to_owned(), pattern.to_owned()));
            }
        }
    }
    (table, bucket)
}

/// The elements of a list, or the one value that is none.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

/// `StringLike`: a star is any text.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| is_like(&text[at..], rest))
        }),
    }
}

/// Checks that a role grants what was done and nothing else.
pub(crate) fn assert_least(function: &str, accesses: &BTreeSet<Access>, done: &BTreeSet<&str>) {
    let (table, bucket) = granted(function);
    let mut used = Grants::new();
    for Access { action, key } in accesses {
        let grants: Vec<_> = table
            .iter()
            .filter(|(granted, pattern)| granted == action && is_like(key, pattern))
            .collect();
        assert!(!grants.is_empty(), "{function} may not {action} on {key}");
        used.extend(grants.into_iter().cloned());
    }
    let idle: Vec<_> = table.difference(&used).collect();
    assert!(
        idle.is_empty(),
        "{function} is granted and never does: {idle:?}"
    );
    let mut done: BTreeSet<String> = done.iter().map(|action| (*action).to_owned()).collect();
    // Only to whom may list does S3 say that an object is missing.
    if done.contains("s3:GetObject") {
        done.insert("s3:ListBucket".to_owned());
    }
    // What is written in parts and fails half way is given up.
    if done.contains("s3:PutObject") {
        done.insert("s3:AbortMultipartUpload".to_owned());
    }
    assert_eq!(bucket, done, "{function} on the bucket");
}
