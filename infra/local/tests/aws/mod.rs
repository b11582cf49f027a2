//! `template.yaml`, as tests look at it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The type of functions.
pub(crate) const FUNCTION: &str = "AWS::Serverless::Function";

/// A method, and a path as [`short`] has it.
pub(crate) type Route = (String, String);

/// A path without `/api/v1`. That of an open route is as it is.
pub(crate) fn short(path: &str) -> &str {
    if let Some(short) = path.strip_prefix("/api/v1") {
        short
    } else {
        assert!(path.starts_with("/open/v1/"), "{path} is not of the API");
        path
    }
}

/// The template. Short forms have lost their tags: `!Ref Table` is `"Table"`, `!GetAtt Table.Arn`
/// is `"Table.Arn"`, `!If [C, a, b]` is a list, and what `!Sub` takes is as it is written.
pub(crate) fn template() -> Value {
    let yaml = include_str!("../../../../template.yaml");
    let template: Value = serde_saphyr::from_str(yaml).expect("YAML");
    // Much of what is tested holds for a template that was not understood.
    assert!(!routes(&template).is_empty(), "a template without routes");
    template
}

/// The resources of a type, by name.
pub(crate) fn resources<'a>(
    template: &'a Value,
    kind: &str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let resources = template["Resources"].as_object().expect("resources");
    resources
        .iter()
        .filter(move |(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str(), resource))
}

/// The routes that lead to each function, by the function's folder.
pub(crate) fn routes(template: &Value) -> BTreeMap<String, BTreeSet<Route>> {
    let mut routes = BTreeMap::<String, BTreeSet<Route>>::new();
    for (_, function) in resources(template, FUNCTION) {
        let function = &function["Properties"];
        let folder = function["CodeUri"].as_str().expect("a folder");
        let folder = folder.strip_prefix("functions/").expect("a family");
        let events = function["Events"].as_object();
        for event in events.into_iter().flat_map(Map::values) {
            if event["Type"] != "Api" {
                continue;
            }
            let event = &event["Properties"];
            let method = event["Method"].as_str().expect("a method");
            let path = event["Path"].as_str().expect("a path");
            let of_function = routes.entry(folder.to_owned()).or_default();
            of_function.insert((method.to_uppercase(), short(path).to_owned()));
        }
    }
    routes
}
