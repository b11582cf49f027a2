//! Settings, of functions and of deployments.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;

use serde_json::Value;

use crate::aws::template;
use crate::common::{environment, functions, list, section};

const README: &str = include_str!("../../../../README.md");
const SAMCONFIG: &str = include_str!("../../../../samconfig.toml");

#[test]
fn no_secret_is_in_the_template() {
    let template = template();
    let is_reference = |value: &Value| {
        let reference = "{{resolve:secretsmanager:";
        value.as_str().is_some_and(|it| it.starts_with(reference))
    };
    let all: BTreeMap<&str, &Value> = environment(&template["Globals"]["Function"]).collect();
    assert!(is_reference(all["JWT_SECRET"]));
    let previous = all["JWT_SECRET_PREVIOUS"];
    assert_eq!(previous[0], "HasPreviousSecret");
    assert!(is_reference(&previous[1]));
    assert_eq!(previous[2], "");
    for (name, function) in functions(&template) {
        for (variable, value) in environment(function) {
            if variable.starts_with("JWT_SECRET") {
                assert_eq!(value, "", "{variable} of {name}");
            }
        }
    }
    for (name, parameter) in template["Parameters"].as_object().unwrap() {
        let default = parameter["Default"].as_str().unwrap_or_default();
        assert!(default.len() < 32, "{name} by default is {default}");
    }
}

#[test]
fn every_setting_of_a_function_is_documented() {
    let documented: BTreeSet<&str> = section(README, "## Configuration")
        .into_iter()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|names| names.split('`').skip(1).step_by(2))
        .collect();
    let template = template();
    let own = functions(&template).into_values();
    for function in own.chain(once(&template["Globals"]["Function"])) {
        for (name, _) in environment(function) {
            // It is the Lambda library's, and tells nothing that an operator may choose.
            let is_known = name == "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH";
            assert!(is_known || documented.contains(name), "{name}");
        }
    }
}

/// What `samconfig.toml` says of a deployment.
fn deployment(name: &str) -> BTreeMap<&'static str, &'static str> {
    let heading = format!("[{name}.deploy.parameters]");
    SAMCONFIG
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

#[test]
fn deployments_are_apart_and_set_what_the_template_takes() {
    let template = template();
    let deployments = ["dev", "prod"].map(deployment);
    let [dev, prod] = &deployments;
    for apart in ["stack_name", "s3_prefix"] {
        assert_ne!(dev[apart], prod[apart]);
    }
    for deployment in &deployments {
        assert_eq!(deployment["capabilities"], "CAPABILITY_IAM");
        for parameter in deployment["parameter_overrides"].split_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap();
            let known = &template["Parameters"][name];
            assert!(known.is_object(), "{name} is no parameter");
            let allowed = list(&known["AllowedValues"]);
            let text = |it: &Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
            let is_allowed = allowed.is_empty() || allowed.iter().any(|it| text(it) == value);
            assert!(is_allowed, "{name} cannot be {value}");
        }
    }
}
