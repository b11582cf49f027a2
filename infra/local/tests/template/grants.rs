//! What policies grant.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::aws::{resources, template};
use crate::common::{UPLOADS, UPLOADS_PREFIX, functions, list, text};

/// Every statement of every policy, whatever resource it is in.
fn statements<'a>(of: &'a Value, found: &mut Vec<&'a Value>) {
    match of {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "Statement" {
                    found.extend(list(value));
                } else {
                    statements(value, found);
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                statements(value, found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_policy_grants_more_than_named_verbs_on_named_things() {
    let template = template();
    let mut found = Vec::new();
    statements(&template["Resources"], &mut found);
    let mut granted = 0;
    for statement in found {
        if statement["Effect"] == "Deny" {
            continue;
        }
        assert_eq!(statement["Effect"], "Allow", "{statement:#}");
        let actions: Vec<&str> = list(&statement["Action"]).into_iter().map(text).collect();
        // Who may take a role.
        if !statement["Principal"].is_null() {
            assert_eq!(actions, ["sts:AssumeRole"], "{statement:#}");
            continue;
        }
        for not in ["NotAction", "NotResource"] {
            assert!(statement[not].is_null(), "{statement:#}");
        }
        let resources: Vec<&str> = list(&statement["Resource"]).into_iter().map(text).collect();
        assert!(!actions.is_empty() && !resources.is_empty());
        assert!(!resources.contains(&"*"), "{statement:#}");
        for action in actions {
            assert!(!action.contains('*'), "{statement:#}");
            match action.split_once(':').unwrap() {
                ("dynamodb", verb) => {
                    assert_ne!(verb, "Scan", "{statement:#}");
                    assert_eq!(resources, ["Table.Arn"], "{statement:#}");
                    assert_keys_are_named(statement);
                }
                ("s3", "ListBucket") => {
                    let uploads = format!("arn:${{AWS::Partition}}:s3:::{UPLOADS}");
                    let is_one = resources == ["SearchBucket.Arn"] || resources == [uploads];
                    assert!(is_one, "{statement:#}");
                }
                ("s3", _) => {
                    let uploads = format!("arn:${{AWS::Partition}}:s3:::{UPLOADS}");
                    let uploads = format!("{uploads}/{UPLOADS_PREFIX}*");
                    let packs = "${SearchBucket.Arn}/packs/*";
                    let is_one = resources == [packs] || resources == [uploads];
                    assert!(is_one, "{statement:#}");
                }
                ("lambda", "InvokeFunction") => {
                    let name = text(&functions(&template)["Ingest"]["FunctionName"]);
                    let itself = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}";
                    assert_eq!(resources, [format!("{itself}:function:{name}")]);
                }
                _ => panic!("which things may it {action}? {statement:#}"),
            }
            granted += 1;
        }
    }
    assert!(granted > 0);
}

/// The partitions that are no tenant's, by what roles call them.
const NO_TENANTS: [&str; 4] = [
    "GONE#COLLECTIONS",
    "KEYHASH#*",
    "OPEN#COLLECTIONS",
    "OPEN#LIMIT#*",
];

/// Checks that a statement is confined to partitions of a kind.
fn assert_keys_are_named(statement: &Value) {
    let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
    let keys = list(keys);
    assert!(!keys.is_empty(), "{statement:#}");
    for key in keys {
        let key = text(key);
        let is_named = match key.strip_prefix("TENANT#*#") {
            Some(kind) => kind.starts_with(|first: char| first.is_ascii_uppercase()),
            None => NO_TENANTS.contains(&key),
        };
        assert!(is_named, "{statement:#}");
    }
}

#[test]
fn a_functions_policies_are_written_out() {
    let template = template();
    let named: BTreeSet<&str> = resources(&template, "AWS::IAM::ManagedPolicy")
        .map(|(name, _)| name)
        .collect();
    for (name, function) in functions(&template) {
        assert!(function["Role"].is_null(), "{name} has another's role");
        for policy in list(&function["Policies"]) {
            match policy {
                Value::String(policy) => {
                    assert!(named.contains(policy.as_str()), "{name}: {policy}");
                }
                policy => assert!(policy["Statement"].is_array(), "{name}: {policy}"),
            }
        }
    }
}
