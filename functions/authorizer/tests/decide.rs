//! Who passes the gateway: the bearer of a good token, and of what can be a key.

use auth::{Grant, JwtSecret, Role, mint};
use authorizer::Authorizer;
use model::key::{KeySecret, SECRET_BYTES};
use model::time::Moment;
use serde_json::{Value, json};

const SECRET: &str = "test-secret-test-secret-test-secret!";

const STAGE: &str = "arn:aws:execute-api:eu-central-1:1:api/prod";

fn now() -> Moment {
    "2026-03-08T12:00:00Z".parse().expect("a moment")
}

/// What the authorizer says to the bearer of `token`, or its refusal.
fn decide(token: &str) -> Result<Value, String> {
    let config = api::Config::read(|name| (name == "JWT_SECRET").then(|| SECRET.to_owned()));
    let authorizer = Authorizer::new(&config.expect("settings"));
    let event = json!({
        "type": "TOKEN",
        "authorizationToken": format!("Bearer {token}"),
        "methodArn": format!("{STAGE}/GET/api/v1/records"),
    });
    authorizer
        .decide(&event, now())
        .map_err(|refused| refused.to_string())
}

#[test]
fn a_key_passes_by_its_checksum_to_the_whole_stage_and_is_nobody_yet() {
    let secret = KeySecret::from_random([7; SECRET_BYTES]);

    let policy = decide(secret.reveal());

    let expected = json!({
        "principalId": "unknown",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Action": "execute-api:Invoke",
                "Effect": "Allow",
                "Resource": format!("{STAGE}/*"),
            }],
        },
        "context": {},
    });
    assert_eq!(policy, Ok(expected));
}

#[test]
fn a_mistyped_or_made_up_key_is_refused() {
    let secret = KeySecret::from_random([7; SECRET_BYTES]);
    let text = secret.reveal();
    let (all_but_last, last) = text.split_at(text.len() - 1);
    let other = if last == "0" { "1" } else { "0" };
    for token in [
        format!("{all_but_last}{other}"),
        all_but_last.to_owned(),
        format!("{text}0"),
        text.to_uppercase(),
        format!("sk_live_{}", "0".repeat(64)),
    ] {
        assert_eq!(decide(&token), Err("Unauthorized".to_owned()), "{token}");
    }
}

#[test]
fn a_token_passes_with_whom_it_names() {
    let secret: JwtSecret = SECRET.parse().expect("a secret");
    let grant = Grant {
        tenant: &"t_1".parse().expect("a tenant"),
        user: &"u_1".parse().expect("a user"),
        role: Role::Member,
        email: None,
        name: None,
        issued_at: now(),
        expires_at: "2026-03-08T13:00:00Z".parse().expect("a moment"),
    };
    let token = mint(&secret, &grant).expect("a token");

    let policy = decide(&token).expect("a policy");

    assert_eq!(policy["principalId"], "u_1");
    let context = json!({"tenant": "t_1", "user": "u_1", "role": "member"});
    assert_eq!(policy["context"], context);
}
