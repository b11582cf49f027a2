//! What operators look at: logs, alarms and the runbook.

use std::collections::BTreeSet;
use std::iter::once;

use serde_json::{Value, json};

use crate::aws::{resources, template};
use crate::common::{ARCHITECTURE, api, assert_kept, functions, list, section, text};

/// What an alarm watches: metrics, each with the values of its dimensions.
type Watched<'a> = BTreeSet<(&'a str, Vec<&'a str>)>;

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
    let of_background = |metric| Watched::from(background.map(|function| (metric, vec![function])));
    // By the API's name, so that the alarms find it.
    assert_eq!(api(&template)["Name"], "AWS::StackName");
    let stage = ["AWS::StackName", "Api.Stage"];
    let expected = BTreeSet::from([
        one("5XXError", &stage),
        one("Latency", &stage),
        // The authorizer's refusals are errors to Lambda.
        sum("Errors", &["Authorizer", "Indexer", "Ingest"]),
        of_background("Errors"),
        sum("Throttles", &background),
        of_background("Throttles"),
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
