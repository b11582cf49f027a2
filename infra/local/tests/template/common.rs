//! What the tests share.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::aws::{FUNCTION, resources};

pub(crate) const ARCHITECTURE: &str = include_str!("../../../../ARCHITECTURE.md");

/// The name of the bucket of uploaded files, and what of it is a store.
pub(crate) const UPLOADS: &str = "${AWS::StackName}-uploads-${AWS::AccountId}";
pub(crate) const UPLOADS_PREFIX: &str = "uploads/";

#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    let Some(text) = value.as_str() else {
        panic!("{value} is no text");
    };
    text
}

/// The elements of a list, or the one value that is none.
pub(crate) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

/// The properties of each function.
pub(crate) fn functions(template: &Value) -> BTreeMap<&str, &Value> {
    resources(template, FUNCTION)
        .map(|(name, function)| (name, &function["Properties"]))
        .collect()
}

/// The properties of the API.
pub(crate) fn api(template: &Value) -> &Value {
    &template["Resources"]["Api"]["Properties"]
}

/// Checks that a resource outlives the stack.
pub(crate) fn assert_kept(name: &str, resource: &Value) {
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(resource[policy], "Retain", "{policy} of {name}");
    }
}

/// The lines below a heading, up to the next one of its level.
pub(crate) fn section<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
    let level = |line: &str| line.len() - line.trim_start_matches('#').len();
    let lines: Vec<&str> = document
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| level(line) == 0 || level(line) > level(heading))
        .collect();
    assert!(!lines.is_empty(), "there is no {heading}");
    lines
}

/// The environment of a function, or of all.
pub(crate) fn environment(function: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let variables = function["Environment"]["Variables"].as_object();
    let variables = variables.into_iter().flatten();
    variables.map(|(name, value)| (name.as_str(), value))
}
