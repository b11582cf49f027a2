//! Answers of functions, and how they are compared with those that are kept beside the events.
//!
//! A kept answer names what is different each time by its kind: `<uuid>`, `<time>`, `<period>`,
//! `<secret>`, `<url>`, `<request>`, `<status>` or `<number>`. Headers that it does not name may be there too.

use serde_json::{Map, Value, json};
use testkit::Answer;

/// An answer in the form in which they are kept.
pub(crate) fn proxy_answer(answer: &Answer) -> Value {
    let headers = answer.headers.iter().map(|(name, value)| {
        let value = value.to_str().expect("a header of text");
        (name.to_string(), json!(value))
    });
    json!({
        "statusCode": answer.status.as_u16(),
        "headers": headers.collect::<Map<_, _>>(),
        "body": body(&answer.text),
    })
}

/// The answer that a function gave to API Gateway, in that form; what is none is left as it is.
pub(crate) fn normal(mut answer: Value) -> Value {
    if answer.get("statusCode").is_none() {
        return answer;
    }
    let mut headers = Map::new();
    for (name, values) in answer["multiValueHeaders"]
        .as_object()
        .into_iter()
        .flatten()
    {
        headers.insert(name.to_lowercase(), values[0].clone());
    }
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        headers.insert(name.to_lowercase(), value.clone());
    }
    assert_eq!(answer["isBase64Encoded"], false, "{answer}");
    json!({
        "statusCode": answer["statusCode"].take(),
        "headers": headers,
        "body": body(answer["body"].as_str().unwrap_or_default()),
    })
}

fn body(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}

/// Checks that an answer is what is expected.
#[track_caller]
pub(crate) fn assert_alike(name: &str, expected: &Value, answer: &Value) {
    if let Err(difference) = compare("", expected, answer) {
        panic!("{name}: {difference}\n{answer:#}");
    }
}

fn compare(path: &str, expected: &Value, found: &Value) -> Result<(), String> {
    let differ = || Err(format!("{path}: {found} is not {expected}"));
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, value) in expected {
                let path = format!("{path}.{name}");
                let found = found
                    .get(name)
                    .ok_or_else(|| format!("{path} is missing"))?;
                compare(&path, value, found)?;
            }
            // The Lambda tools add the type of an error and its trace.
            let open = path == ".headers" || expected.contains_key("errorMessage");
            match found.keys().find(|name| !expected.contains_key(*name)) {
                Some(more) if !open => Err(format!("{path}.{more} is not expected")),
                _ => Ok(()),
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut pairs = expected.iter().zip(found).enumerate();
            pairs.try_for_each(|(at, (expected, found))| {
                compare(&format!("{path}[{at}]"), expected, found)
            })
        }
        (Value::String(kind), found) if kind.starts_with('<') && kind.ends_with('>') => {
            if is_kind(kind, found) {
                Ok(())
            } else {
                differ()
            }
        }
        (expected, found) if expected == found => Ok(()),
        _ => differ(),
    }
}

fn is_kind(kind: &str, found: &Value) -> bool {
    if kind == "<number>" {
        return found.is_number();
    }
    let Some(text) = found.as_str() else {
        return false;
    };
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    match kind {
        "<uuid>" => text.len() == 36 && hex(&text.replace('-', ""), 32),
        "<time>" => text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "<period>" => chrono::NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").is_ok(),
        "<secret>" => {
            let rest = text.strip_prefix(&format!("sk_{}_", "live"));
            rest.is_some_and(|rest| hex(rest, 64))
        }
        // Of a record on its way into the index.
        "<status>" => ["pending", "processing", "indexed"].contains(&text),
        "<url>" => text.starts_with("http") && text.contains("://"),
        "<request>" => text.starts_with("req_") && text.len() > 10,
        _ => false,
    }
}
