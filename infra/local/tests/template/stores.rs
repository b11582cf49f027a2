//! The table and the buckets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::aws::{resources, template};
use crate::common::{UPLOADS, UPLOADS_PREFIX, assert_kept, environment, functions, list};

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
