//! The caller whom a token names: user, tenant, role and profile.

use auth::{Caller, Grant, Refusal, Role, Verifier, mint};
use jsonwebtoken::Algorithm;
use model::account::Profile;
use model::id::{TenantId, UserId};
use serde_json::{Value, json};

use crate::common::{
    HEADER, OTHER_SECRET, REFUSED, SECRET, assert_refused, good, later, message, now, placed, seal,
    seal_with, secret, signed, verifier, verify, with,
};

fn of_user(sub: &Value) -> String {
    signed(
        HEADER,
        format!(r#"{{"sub":{sub},"tenant_id":"acme","exp":1800000060}}"#),
    )
}

#[test]
fn a_good_token_names_its_caller() {
    let caller = verify(&good()).unwrap();
    assert_eq!(caller.tenant.as_str(), "acme");
    assert_eq!(caller.user.as_str(), "user_1");
    assert_eq!(caller.role, Role::Member);
    assert_eq!(caller.profile, Profile::default());
}

#[test]
fn what_is_minted_is_verified() {
    let tenant: TenantId = "acme".parse().unwrap();
    let user: UserId = "user_1".parse().unwrap();
    let grant = Grant {
        tenant: &tenant,
        user: &user,
        role: Role::Viewer,
        email: Some("ada@example.com"),
        name: Some("Ada"),
        issued_at: now(),
        expires_at: later(60_000),
    };
    let token = mint(&secret(SECRET), &grant).unwrap();
    let profile = Profile {
        email: Some("ada@example.com".to_owned()),
        display_name: Some("Ada".to_owned()),
    };
    let caller = Caller {
        tenant,
        user,
        role: Role::Viewer,
        profile,
    };
    assert_eq!(verify(&token), Ok(caller));
    assert_eq!(verifier().verify(&token, later(90_000)), REFUSED);
}

#[test]
fn a_user_is_text_of_1_to_255_bytes() {
    for sub in ["u", "auth0|user 1", "\u{e9}", &"x".repeat(255)] {
        let caller = verify(&of_user(&json!(sub))).unwrap();
        assert_eq!(caller.user.as_str(), sub);
    }
    for sub in [
        json!(""),
        json!("x".repeat(256)),
        json!("\u{e9}".repeat(128)),
        json!(7),
        json!(null),
        json!(true),
        json!(["user_1"]),
        json!({"id": "user_1"}),
    ] {
        assert_refused(&of_user(&sub));
    }
    assert_refused(&signed(HEADER, r#"{"tenant_id":"acme","exp":1800000060}"#));
}

#[test]
fn a_token_of_no_usable_tenant_is_told_apart() {
    for tenant in ["t", "t_abc123", "A-1", &"x".repeat(64)] {
        let caller = verify(&placed(&format!(r#""tenant_id":"{tenant}""#))).unwrap();
        assert_eq!(caller.tenant.as_str(), tenant);
    }
    for tenant in [
        json!(""),
        json!(7),
        json!(null),
        json!(true),
        json!(["acme"]),
        json!({"id": "acme"}),
        json!("t#KEY#x"),
        json!("t/x"),
        json!("t.x"),
        json!("t "),
        json!(" t"),
        json!("t\n"),
        json!("t\0"),
        json!("\u{ff11}\u{ff12}"),
        json!("e\u{301}"),
        json!("\u{e9}"),
        json!("x".repeat(65)),
        json!("x".repeat(1_024)),
    ] {
        let token = placed(&format!(r#""tenant_id":{tenant}"#));
        assert_eq!(verify(&token), Err(Refusal::NoTenant), "{tenant}");
        let token = placed(&format!(r#""app_metadata":{{"tenant_id":{tenant}}}"#));
        assert_eq!(verify(&token), Err(Refusal::NoTenant), "{tenant}");
    }
}

#[test]
fn a_tenant_may_be_in_the_app_metadata() {
    let tenant = |members: &str| verify(&placed(members)).map(|caller| caller.tenant.to_string());
    for members in [
        r#""app_metadata":{"tenant_id":"acme"}"#,
        r#""tenant_id":null,"app_metadata":{"tenant_id":"acme"}"#,
        r#""tenant_id":"acme","app_metadata":{"tenant_id":"globex"}"#,
        r#""tenant_id":"acme","app_metadata":7"#,
    ] {
        assert_eq!(tenant(members), Ok("acme".to_owned()), "{members}");
    }
    for members in [
        r#""app_metadata":null"#,
        r#""app_metadata":"acme""#,
        r#""app_metadata":{}"#,
        r#""app_metadata":["tenant_id","acme"]"#,
        r#""app_metadata":{"app_metadata":{"tenant_id":"acme"}}"#,
        r#""tenant_id":"","app_metadata":{"tenant_id":"acme"}"#,
        r#""tenant_id":7,"app_metadata":{"tenant_id":"acme"}"#,
        r#""user_metadata":{"tenant_id":"acme"}"#,
    ] {
        assert_eq!(tenant(members), Err(Refusal::NoTenant), "{members}");
    }
}

#[test]
fn only_a_valid_token_is_told_that_it_lacks_a_tenant() {
    let placeless = r#"{"sub":"user_1","exp":1800000060}"#;
    assert_eq!(verify(&signed(HEADER, placeless)), Err(Refusal::NoTenant));

    let message = message(HEADER, placeless);
    assert_refused(&seal_with(OTHER_SECRET, Algorithm::HS256, &message));
    for payload in [
        r#"{"exp":1800000060}"#,
        r#"{"sub":"","exp":1800000060}"#,
        r#"{"sub":"user_1"}"#,
        r#"{"sub":"user_1","exp":1799999970}"#,
        r#"{"sub":"user_1","exp":1800000060,"nbf":1800000031}"#,
    ] {
        assert_refused(&signed(HEADER, payload));
    }
    let portal = Verifier::new(&secret(SECRET), None, None, Some("portal".to_owned()));
    assert_eq!(portal.verify(&seal(&message), now()), REFUSED);
}

#[test]
fn only_a_viewer_may_change_nothing() {
    assert!(Role::Member.may_change());
    assert!(!Role::Viewer.may_change());
    for members in [
        r#""role":"viewer""#,
        r#""app_metadata":{"role":"viewer"}"#,
        r#""role":"member","app_metadata":{"role":"viewer"}"#,
        r#""role":"viewer","app_metadata":{"role":null}"#,
        r#""role":"viewer","app_metadata":{}"#,
        r#""role":"viewer","app_metadata":null"#,
    ] {
        assert_eq!(
            verify(&with(members)).unwrap().role,
            Role::Viewer,
            "{members}"
        );
    }
    for members in [
        r#""role":"viewer","app_metadata":{"role":"member"}"#,
        r#""role":"viewer","app_metadata":{"role":""}"#,
        r#""role":"viewer","app_metadata":{"role":7}"#,
        r#""role":"Viewer""#,
        r#""role":"viewer ""#,
        r#""role":"admin""#,
        r#""role":["viewer"]"#,
        r#""role":7"#,
        r#""role":null"#,
        r#""user_metadata":{"role":"viewer"}"#,
    ] {
        assert_eq!(
            verify(&with(members)).unwrap().role,
            Role::Member,
            "{members}"
        );
    }
}

#[test]
fn email_and_names_seed_the_profile() {
    let email = Some("ada@example.com");
    for (members, email, name) in [
        (
            r#""email":"ada@example.com","name":"Ada""#,
            email,
            Some("Ada"),
        ),
        (r#""email":"ada@example.com""#, email, None),
        (
            r#""user_metadata":{"full_name":"Ada L."}"#,
            None,
            Some("Ada L."),
        ),
        (
            r#""name":"Ada","user_metadata":{"full_name":"Ada L."}"#,
            None,
            Some("Ada"),
        ),
        (
            r#""name":"","user_metadata":{"full_name":"Ada L."}"#,
            None,
            Some("Ada L."),
        ),
        (
            r#""name":7,"user_metadata":{"full_name":"Ada L."}"#,
            None,
            Some("Ada L."),
        ),
        (
            r#""email":"","name":"","user_metadata":{"full_name":""}"#,
            None,
            None,
        ),
        (r#""email":7,"name":null,"user_metadata":"Ada""#, None, None),
        (
            r#""email":["ada@example.com"],"name":{},"user_metadata":[]"#,
            None,
            None,
        ),
    ] {
        let profile = Profile {
            email: email.map(str::to_owned),
            display_name: name.map(str::to_owned),
        };
        assert_eq!(
            verify(&with(members)).unwrap().profile,
            profile,
            "{members}"
        );
    }
}
