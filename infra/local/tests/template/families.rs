//! Functions: how they are built and run, and what reaches them.

use std::path::Path;

use serde_json::json;

use crate::aws::{self, FUNCTION, resources, template};
use crate::common::{api, functions, text};

/// How long the gateway waits for a function, in seconds.
const GATEWAY_WAITS: u64 = 29;

#[test]
fn every_folder_of_functions_is_a_function() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions");
    let mut folders = Vec::new();
    for folder in std::fs::read_dir(root).unwrap() {
        let folder = folder.unwrap();
        if folder.path().is_dir() {
            let name = folder.file_name().into_string().unwrap();
            folders.push(format!("functions/{name}"));
        }
    }
    folders.sort();
    let template = template();
    let mut deployed: Vec<&str> = functions(&template)
        .into_values()
        .map(|function| text(&function["CodeUri"]))
        .collect();
    deployed.sort_unstable();
    assert_eq!(deployed, folders);
}

#[test]
fn every_function_is_built_run_and_logged_alike() {
    let template = template();
    for (name, function) in resources(&template, FUNCTION) {
        let built = &function["Metadata"]["BuildMethod"];
        assert_eq!(built, "rust-cargolambda", "{name}");
        let function = &function["Properties"];
        assert!(function["MemorySize"].is_u64(), "memory of {name}");
        let variables = &function["Environment"]["Variables"];
        if !variables["SEARCH_CACHE_DIR"].is_null() {
            // 400 MB of packs that were read, and what a merge of a million records writes.
            let room = function["EphemeralStorage"]["Size"].as_u64();
            assert!(room.is_some_and(|room| room >= 1_024), "disk of {name}");
        }
        for alike in [
            "Architectures",
            "Handler",
            "LoggingConfig",
            "Runtime",
            "Tracing",
        ] {
            assert!(function[alike].is_null(), "{name} has its own {alike}");
        }
    }
    let all = &template["Globals"]["Function"];
    assert_eq!(all["Runtime"], "provided.al2023");
    assert_eq!(all["Handler"], "bootstrap");
    assert_eq!(all["Tracing"], "Active");
    let logging = json!({"LogGroup": "Logs", "LogFormat": "JSON"});
    assert_eq!(all["LoggingConfig"], logging);
    let group = &template["Resources"]["Logs"];
    assert_eq!(group["Type"], "AWS::Logs::LogGroup");
    assert_eq!(all["Architectures"], json!(["Architecture"]));
    let architecture = &template["Parameters"]["Architecture"];
    assert_eq!(architecture["Default"], "arm64");
}

#[test]
fn whoever_the_gateway_waits_for_gives_up_first() {
    let template = template();
    let routes = aws::routes(&template);
    let authorizer = &api(&template)["Auth"]["Authorizers"]["Token"]["FunctionArn"];
    let mut waited_for = 0;
    for (name, function) in functions(&template) {
        let folder = text(&function["CodeUri"]).strip_prefix("functions/");
        let is_waited_for = folder.is_some_and(|folder| routes.contains_key(folder))
            || *authorizer == format!("{name}.Arn");
        if !is_waited_for {
            continue;
        }
        let all = template["Globals"]["Function"]["Timeout"].as_u64();
        let seconds = function["Timeout"].as_u64().or(all).unwrap();
        assert!(seconds <= GATEWAY_WAITS, "{name} may take {seconds} s");
        waited_for += 1;
    }
    assert_eq!(waited_for, routes.len() + 1);
}

#[test]
fn a_function_is_reached_through_the_api_the_stream_the_bucket_and_schedules_alone() {
    let template = template();
    for (name, function) in functions(&template) {
        assert!(function["FunctionUrlConfig"].is_null(), "{name}");
        for (event, of) in function["Events"].as_object().into_iter().flatten() {
            let kind = text(&of["Type"]);
            let known = ["Api", "DynamoDB", "S3", "Schedule"].contains(&kind);
            assert!(known, "{name}.{event} is of type {kind}");
            if kind == "Api" {
                assert_eq!(of["Properties"]["RestApiId"], "Api", "{name}.{event}");
            }
        }
    }
}
