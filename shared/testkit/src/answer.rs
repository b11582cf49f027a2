//! An answer, read whole, and what every answer has to be like.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// Reads an answer and checks what all of them promise: an id, `nosniff`, and for an error a
    /// JSON body that is `{"detail": ...}` and nothing else.
    ///
    /// # Panics
    /// If the answer breaks a promise.
    pub async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let answer = Self {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).expect("text"),
        };
        let id = answer.header("x-request-id").unwrap_or_default();
        assert!(id.starts_with("req_"), "no request id: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        if answer.status.is_client_error() || answer.status.is_server_error() {
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let body = answer.json();
            let object = body.as_object().expect("an object");
            assert!(
                object.len() == 1 && object.contains_key("detail"),
                "{answer:?}"
            );
        }
        answer
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("a JSON body")
    }

    /// The `detail` of an error.
    ///
    /// # Panics
    /// If the body is not JSON.
    #[must_use]
    pub fn detail(&self) -> Value {
        self.json()["detail"].clone()
    }
}

/// Checks that an answer is a 422 with exactly these faults: place and type.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn assert_faults(answer: &Answer, expected: &[(&[&str], &str)]) {
    assert_eq!(
        answer.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        answer.text
    );
    let detail = answer.detail();
    let faults: Vec<(Vec<String>, String)> = detail
        .as_array()
        .expect("a list of faults")
        .iter()
        .map(|fault| {
            assert!(fault["msg"].as_str().is_some_and(|text| !text.is_empty()));
            let steps = fault["loc"].as_array().expect("a place");
            let step = |step: &Value| {
                step.as_str()
                    .map_or_else(|| step.to_string(), str::to_owned)
            };
            let kind = fault["type"].as_str().expect("a type").to_owned();
            (steps.iter().map(step).collect(), kind)
        })
        .collect();
    let expected: Vec<(Vec<String>, String)> = expected
        .iter()
        .map(|(place, kind)| {
            let place = place.iter().map(|step| (*step).to_owned()).collect();
            (place, (*kind).to_owned())
        })
        .collect();
    assert_eq!(faults, expected);
}

/// Checks that an `Idempotency-Key` was refused because it was used for another body.
///
/// # Panics
/// If it was not.
#[track_caller]
pub fn assert_reused(answer: &Answer) {
    let place: &[&str] = &["header", "Idempotency-Key"];
    assert_faults(answer, &[(place, "idempotency_key_reused")]);
}

/// Checks that an answer has this status and this `detail`.
///
/// # Panics
/// If it has not.
#[track_caller]
pub fn assert_refusal(answer: &Answer, status: StatusCode, detail: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.json(), json!({"detail": detail}));
}

/// Checks that an answer is the 401 that somebody without a good token gets.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn assert_unauthorized(answer: &Answer) {
    let detail = "Invalid or expired token";
    assert_refusal(answer, StatusCode::UNAUTHORIZED, detail);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

/// Checks that an answer is the 401 that somebody without a good API key gets.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn assert_bad_key(answer: &Answer) {
    let detail = "Invalid or expired API key";
    assert_refusal(answer, StatusCode::UNAUTHORIZED, detail);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

/// Checks that an answer is the 503 of a table that does not do its work, and says when to ask
/// again.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn assert_unavailable(answer: &Answer) {
    let detail = "Service temporarily unavailable";
    assert_refusal(answer, StatusCode::SERVICE_UNAVAILABLE, detail);
    assert_eq!(answer.header("retry-after"), Some("5"));
}

/// Checks that two answers differ in nothing but their request ids.
///
/// # Panics
/// If they do.
#[track_caller]
pub fn assert_indistinguishable(left: &Answer, right: &Answer) {
    let headers = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("x-request-id");
        headers
    };
    assert_eq!(left.status, right.status);
    assert_eq!(left.text, right.text);
    assert_eq!(headers(left), headers(right));
}
