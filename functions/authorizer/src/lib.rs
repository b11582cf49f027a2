//! The gateway's TOKEN authorizer: token in, policy and caller out.
//!
//! It is the outer filter only. Every function verifies the token again, so its policy may be
//! cached for the whole stage, and nothing that it says is trusted further in.

use auth::{Caller, Role, Verifier};
use model::time::Moment;
use serde::Deserialize;
use serde_json::{Value, json};

/// What API Gateway sends. It holds a token, so it cannot be printed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRequest {
    /// The `Authorization` header, whole.
    #[serde(default)]
    authorization_token: Option<String>,
    /// The method that is called, as `arn:...:api/stage/METHOD/path`.
    method_arn: String,
}

/// The one refusal: API Gateway answers 401 to this very word, 403 to a Deny and 500 to any other
/// failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Unauthorized")]
pub struct Unauthorized;

/// Decides on tokens.
pub struct Authorizer {
    verifier: Verifier,
}

impl Authorizer {
    /// An authorizer under the settings of the process.
    #[must_use]
    pub fn new(config: &api::Config) -> Self {
        Self {
            verifier: config.verifier(),
        }
    }

    /// The policy for the bearer of a token.
    pub fn decide(&self, request: &TokenRequest, now: Moment) -> Result<Value, Unauthorized> {
        let token = request.authorization_token.as_deref().ok_or(Unauthorized)?;
        let token = auth::bearer(token).ok_or(Unauthorized)?;
        match self.verifier.verify(token, now) {
            Ok(caller) => Ok(allow(&request.method_arn, Some(&caller))),
            // A good token without a tenant is a 403, which the function answers.
            Err(auth::Refusal::NoTenant) => Ok(allow(&request.method_arn, None)),
            Err(auth::Refusal::Invalid) => Err(Unauthorized),
        }
    }
}

/// Allows the whole stage: the policy is cached by token, and the next call may be another one.
fn allow(method_arn: &str, caller: Option<&Caller>) -> Value {
    let stage: Vec<&str> = method_arn.splitn(3, '/').take(2).collect();
    let context = match caller {
        Some(caller) => json!({
            "tenant": caller.tenant,
            "user": caller.user,
            "role": match caller.role { Role::Viewer => "viewer", Role::Member => "member" },
        }),
        None => json!({}),
    };
    json!({
        "principalId": caller.map_or("unknown", |caller| caller.user.as_str()),
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Action": "execute-api:Invoke",
                "Effect": "Allow",
                "Resource": format!("{}/*", stage.join("/")),
            }],
        },
        "context": context,
    })
}
