//! What the tests of this family share: keys are created and listed, and known by their hashes.

use axum::http::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};
use testkit::Client;

pub(crate) const KEYS: &str = "/portal/keys";

pub(crate) async fn create(client: &Client<'_>, body: Value) -> Value {
    let answer = client.post(KEYS, body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

/// The whole body of the list.
pub(crate) async fn list(client: &Client<'_>) -> Value {
    let answer = client.get(KEYS).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

/// The secret in the answer that shows it.
pub(crate) fn secret(key: &Value) -> &str {
    key["key"].as_str().expect("a secret")
}

/// The hash of that secret.
pub(crate) fn hash(key: &Value) -> String {
    hex::encode(Sha256::digest(secret(key)))
}
