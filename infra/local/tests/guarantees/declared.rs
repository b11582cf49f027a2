//! The code, the template and the watch server have the same routes, which are those of the table.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::{self, Route};
use crate::routes::ROUTES;

/// The routes that each family's code declares.
fn declared() -> BTreeMap<String, BTreeSet<Route>> {
    let mut routes = BTreeMap::<String, BTreeSet<Route>>::new();
    let functions = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions");
    for family in std::fs::read_dir(functions).expect("the families") {
        let family = family.expect("a family");
        let Ok(source) = std::fs::read_to_string(family.path().join("src/lib.rs")) else {
            continue;
        };
        let family = family.file_name().into_string().expect("a name");
        for route in source.split(".route(").skip(1) {
            let path = route.split('"').nth(1).expect("a path");
            let root = if family == "open" { "/open/v1" } else { "" };
            let path = format!("{root}{path}");
            let handlers = route.split(".route(").next().unwrap_or_default();
            for method in ["get", "post", "patch", "put", "delete"] {
                let call = format!("{method}(");
                let after = [' ', '\n', '.', ',', '('].map(|before| format!("{before}{call}"));
                if after.iter().any(|call| handlers.contains(call)) {
                    let of_family = routes.entry(family.clone()).or_default();
                    of_family.insert((method.to_uppercase(), path.clone()));
                }
            }
        }
    }
    routes
}

/// The routes that the template leads to each family, preflights among them.
fn deployed() -> BTreeMap<String, BTreeSet<Route>> {
    aws::routes(&aws::template())
}

fn table() -> BTreeSet<Route> {
    ROUTES
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect()
}

#[test]
fn the_table_of_routes_is_complete() {
    let declared: BTreeSet<Route> = declared().into_values().flatten().collect();
    assert_eq!(declared, table());
}

#[test]
fn the_routes_of_a_family_are_its_functions_in_the_template() {
    let mut deployed = deployed();
    for routes in deployed.values_mut() {
        routes.retain(|(method, _)| method != "OPTIONS");
    }
    assert_eq!(deployed, declared());
}

/// A preflight warms the function that answers it, and a request follows.
#[test]
fn a_preflight_reaches_the_function_that_its_request_will_reach() {
    for (family, routes) in deployed() {
        let paths = |of_preflights: bool| -> BTreeSet<&str> {
            routes
                .iter()
                .filter(|(method, _)| (method == "OPTIONS") == of_preflights)
                .map(|(_, path)| path.as_str())
                .collect()
        };
        assert_eq!(paths(true), paths(false), "{family}");
    }
}

/// The functions that `cargo lambda watch` leads each path to.
#[test]
fn the_paths_of_the_watch_server_are_those_of_the_template() {
    let manifest = include_str!("../../../../Cargo.toml");
    let (_, section) = manifest
        .split_once("[workspace.metadata.lambda.watch.router]")
        .expect("the watch server's routes");
    let watched: BTreeSet<(String, String)> = section
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (path, family) = line.split_once(" = ").expect("a path and a family");
            let path = aws::short(path.trim_matches('"'));
            (path.to_owned(), family.trim_matches('"').to_owned())
        })
        .collect();
    let deployed = deployed();
    let deployed = deployed.iter().flat_map(|(family, routes)| {
        let paths = routes.iter().map(|(_, path)| path.clone());
        paths.map(|path| (path, family.clone()))
    });
    assert_eq!(watched, deployed.collect());
}
