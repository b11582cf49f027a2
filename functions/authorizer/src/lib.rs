//! The gateway's TOKEN authorizer: token or API key in, policy and caller out.
//!
//! It is the outer filter only. Every function verifies the token again, or asks the table whose the
//! key is, so its policy may be cached for the whole stage, and nothing that it says is trusted
//! further in: a revoked key is dead whatever the gateway remembers.

use auth::{Caller, Role, Verifier};
use model::key::KeySecret;
use model::time::Moment;
use serde_json::{Value, json};

/// The one refusal: API Gateway answers 401 to this very word, 403 to a Deny and 500 to any other
/// failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Unauthorized")]
pub struct Unauthorized;

/// Decides on tokens and keys.
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

    /// The policy for the bearer of a token or an API key, in answer to API Gateway's event, as
    /// `{"type": "TOKEN", "authorizationToken": "Bearer ...", "methodArn": "arn:..."}`. Whatever is
    /// wrong with it is [`Unauthorized`]. Of a key only the form and the checksum are looked at.
    pub fn decide(&self, event: &Value, now: Moment) -> Result<Value, Unauthorized> {
        let text = |name: &str| event.get(name).and_then(Value::as_str).ok_or(Unauthorized);
        let stage = stage_of(text("methodArn")?).ok_or(Unauthorized)?;
        let token = auth::bearer(text("authorizationToken")?).ok_or(Unauthorized)?;
        if KeySecret::parse(token).is_some() {
            return Ok(allow(stage, None));
        }
        match self.verifier.verify(token, now) {
            Ok(caller) => Ok(allow(stage, Some(&caller))),
            // A good token without a tenant is a 403, which the function answers.
            Err(auth::Refusal::NoTenant) => Ok(allow(stage, None)),
            Err(auth::Refusal::Invalid) => Err(Unauthorized),
        }
    }
}

/// The stage of a method's name, `arn:...:api/stage/METHOD/path`.
fn stage_of(method: &str) -> Option<&str> {
    let (api, rest) = method.split_once('/')?;
    let (stage, _) = rest.split_once('/')?;
    let is_name = api.starts_with("arn:") && !stage.is_empty();
    is_name.then(|| &method[..=api.len() + stage.len()])
}

/// Allows the whole stage: the policy is cached by token, and the next call may be another one.
fn allow(stage: &str, caller: Option<&Caller>) -> Value {
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
                "Resource": format!("{stage}/*"),
            }],
        },
        "context": context,
    })
}
