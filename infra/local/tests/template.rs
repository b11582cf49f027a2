//! What `template.yaml` promises, and that it agrees with the code, the documents and
//! `samconfig.toml`.

mod aws;

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;
use std::path::Path;

use api::Error;
use aws::{FUNCTION, resources, template};
use axum::body::to_bytes;
use axum::response::IntoResponse;
use indexer::Change;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::TestApp;

const ARCHITECTURE: &str = include_str!("../../../ARCHITECTURE.md");
const README: &str = include_str!("../../../README.md");
const SAMCONFIG: &str = include_str!("../../../samconfig.toml");

/// How long the gateway waits for a function, in seconds.
const GATEWAY_WAITS: u64 = 29;

/// The gateway's own answers, each with its status; a default keeps that of its cause.
const GATEWAY_ANSWERS: [(&str, Option<u16>); 12] = [
    ("ACCESS_DENIED", Some(403)),
    ("BAD_REQUEST_BODY", Some(400)),
    ("DEFAULT_4XX", None),
    ("DEFAULT_5XX", None),
    ("INTEGRATION_FAILURE", Some(502)),
    ("INTEGRATION_TIMEOUT", Some(504)),
    ("INVALID_SIGNATURE", Some(404)),
    ("MISSING_AUTHENTICATION_TOKEN", Some(404)),
    ("QUOTA_EXCEEDED", Some(429)),
    ("REQUEST_TOO_LARGE", Some(413)),
    ("THROTTLED", Some(429)),
    ("UNAUTHORIZED", Some(401)),
];

/// What is variable in the keys of `ARCHITECTURE.md`, but for a collection's name, and an example.
const VARIABLES: [(&str, &str); 14] = [
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
];

/// What an alarm watches: metrics, each with the values of its dimensions.
type Watched<'a> = BTreeSet<(&'a str, Vec<&'a str>)>;

#[track_caller]
fn text(value: &Value) -> &str {
    let Some(text) = value.as_str() else {
        panic!("{value} is no text");
    };
    text
}

/// The elements of a list, or the one value that is none.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

/// What stands between single quotes, as the gateway takes what is not to be looked up.
fn quoted(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix('\'')?.strip_suffix('\'')
}

/// The properties of each function.
fn functions(template: &Value) -> BTreeMap<&str, &Value> {
    resources(template, FUNCTION)
        .map(|(name, function)| (name, &function["Properties"]))
        .collect()
}

/// The properties of the API.
fn api(template: &Value) -> &Value {
    &template["Resources"]["Api"]["Properties"]
}

/// Checks that a resource outlives the stack.
fn assert_kept(name: &str, resource: &Value) {
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(resource[policy], "Retain", "{policy} of {name}");
    }
}

/// The lines below a heading, up to the next one of its level.
fn section<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
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

#[test]
fn every_route_but_health_and_preflights_needs_a_token() {
    let template = template();
    let auth = &api(&template)["Auth"];
    assert_eq!(auth["DefaultAuthorizer"], "Token");
    assert_eq!(auth["AddDefaultAuthorizerToCorsPreflight"], false);
    let token = json!({
        "FunctionArn": "Authorizer.Arn",
        "Identity": {"Header": "Authorization", "ReauthorizeEvery": 300},
    });
    assert_eq!(auth["Authorizers"], json!({"Token": token}));
    for (name, function) in functions(&template) {
        for (event, of) in function["Events"].as_object().into_iter().flatten() {
            if of["Type"] != "Api" {
                continue;
            }
            let route = &of["Properties"];
            let is_public = route["Path"] == "/api/v1/health" || route["Method"] == "OPTIONS";
            let expected = if is_public {
                json!({"Authorizer": "NONE"})
            } else {
                Value::Null
            };
            assert_eq!(route["Auth"], expected, "{name}.{event}");
        }
    }
}

/// An answer of the gateway.
#[track_caller]
fn gateway_answer<'a>(template: &'a Value, name: &str) -> &'a Value {
    let answer = &api(template)["GatewayResponses"][name];
    assert!(answer.is_object(), "the gateway has no {name} of ours");
    answer
}

/// The body of an answer of the gateway, with a text in the place of its message.
#[track_caller]
fn gateway_body(answer: &Value) -> Value {
    let templates = answer["ResponseTemplates"].as_object();
    let types: Vec<&str> = templates
        .into_iter()
        .flat_map(|templates| templates.keys().map(String::as_str))
        .collect();
    assert_eq!(types, ["application/json"]);
    let body = text(&answer["ResponseTemplates"]["application/json"]);
    let body = body.replace("$context.error.messageString", "\"a message\"");
    serde_json::from_str(&body).expect("a body of JSON")
}

#[test]
fn the_gateways_answers_are_errors_like_all_others() {
    let template = template();
    let answers = api(&template)["GatewayResponses"].as_object().unwrap();
    let names: BTreeSet<&str> = answers.keys().map(String::as_str).collect();
    let expected = BTreeSet::from(GATEWAY_ANSWERS.map(|(name, _)| name));
    assert_eq!(names, expected);
    // The origin is a page that may call; where there is none, nothing is said.
    let common = json!({
        "Access-Control-Allow-Origin": [
            "HasOrigins",
            ["'${Origin}'", {"Origin": [0, "CorsAllowedOrigins"]}],
            "AWS::NoValue",
        ],
        "Access-Control-Expose-Headers": "'X-Request-Id,Retry-After'",
        "X-Content-Type-Options": "'nosniff'",
        "X-Request-Id": "context.requestId",
    });
    for (name, status) in GATEWAY_ANSWERS {
        let answer = gateway_answer(&template, name);
        assert_eq!(answer["StatusCode"], json!(status), "{name}");
        let body = gateway_body(answer);
        let detail = body["detail"].as_str().unwrap();
        assert!(!detail.is_empty(), "{name}");
        assert_eq!(body, json!({"detail": detail}), "{name}");

        let headers = &answer["ResponseParameters"]["Headers"];
        let mut headers = headers.as_object().unwrap().clone();
        for (header, value) in &headers {
            let looked_up = value.as_str().is_none_or(|it| it.starts_with("context."));
            assert!(looked_up || quoted(value).is_some(), "{name}: {header}");
        }
        let challenge = headers.remove("WWW-Authenticate");
        assert_eq!(challenge.is_some(), name == "UNAUTHORIZED", "{name}");
        let wait = headers.remove("Retry-After");
        assert_eq!(wait.is_some(), name == "THROTTLED", "{name}");
        assert_eq!(Value::Object(headers), common, "{name}");
    }
}

/// What a function says to a failure.
async fn told(error: Error) -> Value {
    let body = error.into_response().into_body();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    serde_json::from_slice(&body).expect("a body of JSON")
}

#[tokio::test]
async fn the_gateway_says_what_the_functions_say() {
    let template = template();
    let app = TestApp::new(portal_local::routes()).await;
    let member = app.tenant(Plan::Pro).await;
    let key = "/portal/keys/550e8400-e29b-41d4-a716-446655440000";
    for (name, answer) in [
        ("UNAUTHORIZED", app.stranger().delete(key).await),
        ("ACCESS_DENIED", member.viewer().delete(key).await),
        (
            "MISSING_AUTHENTICATION_TOKEN",
            app.stranger().get("/portal/nothing").await,
        ),
        ("INVALID_SIGNATURE", member.get("/portal/nothing").await),
    ] {
        let of_gateway = gateway_answer(&template, name);
        assert_eq!(of_gateway["StatusCode"], answer.status.as_u16(), "{name}");
        assert_eq!(gateway_body(of_gateway), answer.json(), "{name}");
        let challenge = &of_gateway["ResponseParameters"]["Headers"]["WWW-Authenticate"];
        assert_eq!(quoted(challenge), answer.header("www-authenticate"));
    }
    for name in ["DEFAULT_5XX", "INTEGRATION_FAILURE"] {
        let of_gateway = gateway_body(gateway_answer(&template, name));
        assert_eq!(of_gateway, told(Error::internal(std::fmt::Error)).await);
    }
    let throttled = gateway_answer(&template, "THROTTLED");
    let wait = &throttled["ResponseParameters"]["Headers"]["Retry-After"];
    let seconds = quoted(wait).unwrap().parse().unwrap();
    let told = told(Error::RateLimited(seconds)).await;
    assert_eq!(gateway_body(throttled), told);
}

#[test]
fn the_api_takes_files_as_they_are_and_is_traced() {
    let template = template();
    let api = api(&template);
    assert_eq!(api["BinaryMediaTypes"], json!(["multipart/form-data"]));
    assert_eq!(api["EndpointConfiguration"], json!({"Type": "REGIONAL"}));
    assert_eq!(api["TracingEnabled"], true);
}

#[test]
fn the_access_log_leads_to_the_functions_log() {
    let template = template();
    let setting = &api(&template)["AccessLogSetting"];
    assert_eq!(setting["DestinationArn"], "AccessLogs.Arn");
    let format = text(&setting["Format"]);
    assert!(!format.contains('\n'), "{format}");
    let format: Value = serde_json::from_str(format).unwrap();
    for (name, value) in format.as_object().unwrap() {
        assert!(text(value).starts_with("$context."), "{name}: {value}");
    }
    assert_eq!(format["requestId"], "$context.requestId");
    let of_function = &format["functionRequestId"];
    assert_eq!(of_function, "$context.integration.requestId");
}

#[test]
fn the_table_cannot_be_lost() {
    let template = template();
    let table = &template["Resources"]["Table"];
    assert_kept("Table", table);
    let table = &table["Properties"];
    assert_eq!(table["DeletionProtectionEnabled"], true);
    let recovery = &table["PointInTimeRecoverySpecification"];
    assert_eq!(recovery["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["SSESpecification"]["SSEEnabled"], true);
}

#[test]
fn the_table_is_what_the_code_expects() {
    let template = template();
    let table = &template["Resources"]["Table"]["Properties"];
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    let keys = json!([
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]);
    assert_eq!(table["KeySchema"], keys);
    let ttl = json!({"AttributeName": "ttl", "Enabled": true});
    assert_eq!(table["TimeToLiveSpecification"], ttl);
    let stream = json!({"StreamViewType": "KEYS_ONLY"});
    assert_eq!(table["StreamSpecification"], stream);
    assert_eq!(resources(&template, "AWS::DynamoDB::Table").count(), 1);
}

#[test]
fn the_buckets_are_private_and_encrypted() {
    let template = template();
    let private = json!({
        "BlockPublicAcls": true,
        "BlockPublicPolicy": true,
        "IgnorePublicAcls": true,
        "RestrictPublicBuckets": true,
    });
    let mut names = Vec::new();
    for (name, bucket) in resources(&template, "AWS::S3::Bucket") {
        let bucket = &bucket["Properties"];
        assert_eq!(bucket["PublicAccessBlockConfiguration"], private, "{name}");
        let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
        let algorithm = &encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"];
        assert!(algorithm.is_string(), "{name}");
        let owner = json!({"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]});
        assert_eq!(bucket["OwnershipControls"], owner, "{name}");

        let policy = &template["Resources"][format!("{name}Policy")]["Properties"];
        assert_eq!(policy["Bucket"], name);
        let denied = json!({
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [format!("{name}.Arn"), format!("${{{name}.Arn}}/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        });
        let statements = list(&policy["PolicyDocument"]["Statement"]);
        assert!(statements.contains(&&denied), "{policy:#}");
        names.push(name);
    }
    assert_eq!(names, ["SearchBucket", "UploadBucket"]);
}

#[test]
fn the_packs_are_kept() {
    let template = template();
    assert_kept("SearchBucket", &template["Resources"]["SearchBucket"]);
}

/// The name of the bucket of uploaded files, and what of it is a store.
const UPLOADS: &str = "${AWS::StackName}-uploads-${AWS::AccountId}";
const UPLOADS_PREFIX: &str = "uploads/";

#[test]
fn an_uploaded_file_replaces_no_other_and_goes_after_a_week() {
    let template = template();
    let bucket = &template["Resources"]["UploadBucket"]["Properties"];
    assert_eq!(bucket["BucketName"], UPLOADS);
    let rules = &bucket["LifecycleConfiguration"]["Rules"];
    assert_eq!(rules[0]["Status"], "Enabled");
    assert_eq!(rules[0]["ExpirationInDays"], 7);
    assert_eq!(
        rules[0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"],
        1
    );

    let policy = &template["Resources"]["UploadBucketPolicy"]["Properties"];
    let once = json!({
        "Sid": "Once",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "${UploadBucket.Arn}/*",
        "Condition": {"Null": {"s3:if-none-match": "true"}},
    });
    let statements = list(&policy["PolicyDocument"]["Statement"]);
    assert!(statements.contains(&&once), "{policy:#}");
}

#[test]
fn a_page_that_may_call_may_put_files() {
    let template = template();
    let cors = &template["Resources"]["UploadBucket"]["Properties"]["CorsConfiguration"];
    let rule = json!({
        "AllowedOrigins": "CorsAllowedOrigins",
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["content-length", "content-type", "if-none-match"],
        "MaxAge": 600,
    });
    let expected = json!(["HasOrigins", {"CorsRules": [rule]}, "AWS::NoValue"]);
    assert_eq!(*cors, expected);
}

#[test]
fn a_file_that_arrives_is_ingested_and_what_fails_is_tried_again_and_kept() {
    let template = template();
    let functions = functions(&template);
    let ingest = functions["Ingest"];
    let arrivals = json!({
        "Type": "S3",
        "Properties": {
            "Bucket": "UploadBucket",
            "Events": "s3:ObjectCreated:*",
            "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": UPLOADS_PREFIX}]}},
        },
    });
    assert_eq!(ingest["Events"], json!({"Arrivals": arrivals}));
    let store = format!("s3://{UPLOADS}/{}", UPLOADS_PREFIX.trim_end_matches('/'));
    for name in ["Ingest", "Upload"] {
        let settings: BTreeMap<_, _> = environment(functions[name]).collect();
        assert_eq!(*settings["UPLOAD_STORE_URL"], store, "{name}");
    }
    // It calls itself, which Lambda would else stop.
    assert_eq!(ingest["RecursiveLoop"], "Allow");
    let failed = json!({"OnFailure": {"Type": "SQS", "Destination": "IngestFailures.Arn"}});
    let tried = &ingest["EventInvokeConfig"];
    assert_eq!(tried["DestinationConfig"], failed);
    assert_eq!(tried["MaximumRetryAttempts"], 2);
    let queue = &template["Resources"]["IngestFailures"];
    assert_eq!(queue["Type"], "AWS::SQS::Queue");
}

#[test]
fn the_bucket_drops_unfinished_packs_and_no_others() {
    let template = template();
    let bucket = &template["Resources"]["SearchBucket"]["Properties"];
    let rules = list(&bucket["LifecycleConfiguration"]["Rules"]);
    let days = |rule: &&Value| {
        let aborts = &rule["AbortIncompleteMultipartUpload"];
        rule["Status"] == "Enabled" && aborts["DaysAfterInitiation"].is_u64()
    };
    assert!(rules.iter().any(days), "{rules:?}");
    // A pack is used for as long as a pointer names it, whatever its age.
    for rule in rules {
        for name in rule.as_object().unwrap().keys() {
            let harms = name.contains("Expiration") || name.contains("Transition");
            assert!(!harms, "{name}");
        }
    }
}

/// The environment of a function, or of all.
fn environment(function: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let variables = function["Environment"]["Variables"].as_object();
    let variables = variables.into_iter().flatten();
    variables.map(|(name, value)| (name.as_str(), value))
}

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

#[test]
fn every_log_group_ends_some_day_and_outlives_the_stack() {
    let template = template();
    let groups: Vec<_> = resources(&template, "AWS::Logs::LogGroup").collect();
    assert!(!groups.is_empty());
    for (name, group) in groups {
        assert_kept(name, group);
        let days = &group["Properties"]["RetentionInDays"];
        assert!(days.is_u64() || days == "LogRetentionDays", "{name}");
    }
    assert!(template["Parameters"]["LogRetentionDays"]["Default"].is_u64());
}

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

/// Checks that a statement is confined to partitions of a kind.
fn assert_keys_are_named(statement: &Value) {
    let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
    let keys = list(keys);
    assert!(!keys.is_empty(), "{statement:#}");
    for key in keys {
        let key = text(key);
        let is_named = match key.strip_prefix("TENANT#*#") {
            Some(kind) => kind.starts_with(|first: char| first.is_ascii_uppercase()),
            None => key == "KEYHASH#*",
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

/// What an alarm watches, by itself or by what it sums up.
fn watched(alarm: &Value) -> Watched<'_> {
    let parts = list(&alarm["Metrics"]);
    let summed = parts.iter().map(|part| &part["MetricStat"]["Metric"]);
    once(alarm)
        .chain(summed)
        .filter_map(|metric| {
            let dimensions = list(&metric["Dimensions"]);
            let values = dimensions.iter().map(|dimension| text(&dimension["Value"]));
            Some((metric["MetricName"].as_str()?, values.collect()))
        })
        .collect()
}

#[test]
fn there_is_an_alarm_on_whatever_may_go_wrong() {
    let template = template();
    let functions: Vec<&str> = functions(&template).into_keys().collect();
    let one = |metric, of: &[&'static str]| Watched::from([(metric, of.to_vec())]);
    let sum = |metric, but: &[&str]| {
        let summed = functions.iter().filter(|function| !but.contains(*function));
        let metrics = summed.map(|function| (metric, vec![*function]));
        metrics.collect::<Watched>()
    };
    // Nobody waits for them; and an alarm takes ten metrics.
    let background = ["Indexer", "Ingest"];
    // By the API's name, so that the alarms find it.
    assert_eq!(api(&template)["Name"], "AWS::StackName");
    let stage = ["AWS::StackName", "Api.Stage"];
    let expected = BTreeSet::from([
        one("5XXError", &stage),
        one("Latency", &stage),
        // The authorizer's refusals are errors to Lambda.
        sum("Errors", &["Authorizer"]),
        sum("Throttles", &background),
        background
            .map(|function| ("Throttles", vec![function]))
            .into(),
        Watched::from([
            ("ReadThrottleEvents", vec!["Table"]),
            ("WriteThrottleEvents", vec!["Table"]),
        ]),
        one("IteratorAge", &["Indexer"]),
        one(
            "ApproximateNumberOfMessagesVisible",
            &["IndexerFailures.QueueName"],
        ),
        one(
            "ApproximateNumberOfMessagesVisible",
            &["IngestFailures.QueueName"],
        ),
    ]);
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    let alarms: Vec<&Value> = alarms.map(|(_, alarm)| &alarm["Properties"]).collect();
    let found: BTreeSet<Watched> = alarms.iter().map(|alarm| watched(alarm)).collect();
    assert_eq!(found, expected);

    let actions = json!(["HasAlarmTopic", ["AlarmTopicArn"], "AWS::NoValue"]);
    for alarm in alarms {
        assert_eq!(alarm["AlarmActions"], actions, "{alarm:#}");
        if alarm["MetricName"] == "Latency" {
            assert_eq!(alarm["ExtendedStatistic"], "p99");
        }
        // An alarm looks at the one value that its parts make, and at no more than ten of them.
        let parts = list(&alarm["Metrics"]);
        let mut seen = parts.iter().filter(|part| part["ReturnData"] != false);
        if let Some(sum) = seen.next() {
            assert_eq!(sum["Expression"], "SUM(METRICS())");
            assert!(seen.next().is_none(), "{alarm:#}");
            assert!(parts.len() <= 11, "{alarm:#}");
        }
    }
}

#[test]
fn the_runbook_has_a_heading_for_each_alarm_and_no_other() {
    let mut headings: Vec<&str> = section(ARCHITECTURE, "## Runbook")
        .into_iter()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    headings.sort_unstable();
    let start = "ARCHITECTURE.md, runbook: ";
    let template = template();
    let mut named: Vec<&str> = resources(&template, "AWS::CloudWatch::Alarm")
        .map(|(_, alarm)| text(&alarm["Properties"]["AlarmDescription"]))
        .map(|description| description.strip_prefix(start).unwrap())
        .collect();
    named.sort_unstable();
    assert_eq!(named, headings);
}

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
