//! Claims that limit where and for how long a token counts, each said once.

use auth::Verifier;
use serde_json::json;

use crate::common::{
    HEADER, REFUSED, SECRET, assert_passes, assert_refused, good, later, now, placed, secret,
    signed, verifier, with,
};

fn expiring(exp: &str) -> String {
    signed(
        HEADER,
        format!(r#"{{"sub":"user_1","tenant_id":"acme","exp":{exp}}}"#),
    )
}

#[test]
fn an_expiry_is_required_and_is_a_number_of_this_age() {
    let unlimited = signed(HEADER, r#"{"sub":"user_1","tenant_id":"acme"}"#);
    assert_refused(&unlimited);
    for exp in [
        "null",
        "true",
        "\"1800000060\"",
        "[1800000060]",
        "{}",
        "0",
        "-1",
        "-1800000060",
        "1799999970",
        "1799999969.5",
        "253402300800",
        "9900000000000000000",
        "9.9e18",
        "-9.9e18",
        "18446744073709551616",
        "1e308",
        "1e400",
        "-1e400",
        "NaN",
        "Infinity",
    ] {
        assert_refused(&expiring(exp));
    }
    for exp in [
        "1800000060",
        "1800000060.0",
        "1.80000006e9",
        "1799999971",
        "253402300799",
    ] {
        assert_passes(&expiring(exp));
    }
}

#[test]
fn a_token_lives_30_seconds_longer_and_no_longer() {
    let token = expiring("1800000000");
    for millis in [-1, 0, 1_000, 29_999] {
        assert!(verifier().verify(&token, later(millis)).is_ok(), "{millis}");
    }
    for millis in [30_000, 30_001, 31_000, 3_600_000] {
        assert_eq!(
            verifier().verify(&token, later(millis)),
            REFUSED,
            "{millis}"
        );
    }
    let fractional = expiring("1800000000.5");
    assert!(verifier().verify(&fractional, later(30_499)).is_ok());
    assert_eq!(verifier().verify(&fractional, later(30_500)), REFUSED);
}

#[test]
fn a_token_is_not_valid_30_seconds_before_its_time() {
    for name in ["nbf", "iat"] {
        for time in [
            "0",
            "-1",
            "1799999999",
            "1800000000",
            "1800000000.5",
            "1800000030",
        ] {
            let claim = format!(r#""{name}":{time}"#);
            assert_passes(&with(&claim));
        }
        for time in [
            "1800000030.001",
            "1800000031",
            "253402300799",
            "9900000000000000000",
            "9.9e18",
            "18446744073709551616",
            "1e308",
            "1e400",
            "\"1799999999\"",
            "\"1800000031\"",
            "null",
            "false",
            "[]",
        ] {
            let claim = format!(r#""{name}":{time}"#);
            assert_refused(&with(&claim));
        }
        let token = with(&format!(r#""{name}":1800000040"#));
        assert_eq!(verifier().verify(&token, later(9_999)), REFUSED, "{name}");
        assert!(verifier().verify(&token, later(10_000)).is_ok(), "{name}");
    }
}

#[test]
fn an_audience_that_is_set_must_be_met() {
    let portal = Verifier::new(&secret(SECRET), None, None, Some("portal".to_owned()));
    for aud in [r#""portal""#, r#"["portal"]"#, r#"["other","portal"]"#] {
        let token = with(&format!(r#""aud":{aud}"#));
        assert!(portal.verify(&token, now()).is_ok(), "{aud}");
    }
    assert_eq!(portal.verify(&good(), now()), REFUSED);
    for aud in [
        json!("other"),
        json!("Portal"),
        json!("portal "),
        json!("portal,other"),
        json!(""),
        json!(7),
        json!(null),
        json!(true),
        json!([]),
        json!(["other"]),
        json!([["portal"]]),
        json!({"portal": "portal"}),
    ] {
        let token = with(&format!(r#""aud":{aud}"#));
        assert_eq!(portal.verify(&token, now()), REFUSED, "{aud}");
        assert_passes(&token);
    }
}

#[test]
fn an_issuer_that_is_set_must_be_met() {
    let issuer = Some("https://id.example".to_owned());
    let ours = Verifier::new(&secret(SECRET), None, issuer, None);
    assert!(
        ours.verify(&with(r#""iss":"https://id.example""#), now())
            .is_ok()
    );
    assert_eq!(ours.verify(&good(), now()), REFUSED);
    for iss in [
        json!("https://other.example"),
        json!("https://id.example/"),
        json!("https://id.example.other.example"),
        json!("https://ID.example"),
        json!("http://id.example"),
        json!(" https://id.example"),
        json!(""),
        json!(7),
        json!(null),
        json!(["https://id.example"]),
        json!({"https://id.example": true}),
    ] {
        let token = with(&format!(r#""iss":{iss}"#));
        assert_eq!(ours.verify(&token, now()), REFUSED, "{iss}");
        assert_passes(&token);
    }
}

#[test]
fn issuer_and_audience_are_both_needed_where_both_are_set() {
    let (issuer, audience) = (Some("id".to_owned()), Some("portal".to_owned()));
    let both = Verifier::new(&secret(SECRET), None, issuer, audience);
    assert!(
        both.verify(&with(r#""iss":"id","aud":"portal""#), now())
            .is_ok()
    );
    for members in [
        r#""iss":"id""#,
        r#""aud":"portal""#,
        r#""iss":"portal","aud":"id""#,
        r#""iss":"id","aud":"other""#,
        r#""iss":"other","aud":"portal""#,
    ] {
        assert_eq!(both.verify(&with(members), now()), REFUSED, "{members}");
    }
}

#[test]
fn a_claim_is_said_once() {
    for members in [
        r#""sub":"user_1""#,
        r#""sub":"user_2""#,
        r#""\u0073ub":"user_2""#,
        r#""tenant_id":"acme""#,
        r#""tenant_id":"globex""#,
        r#""tenant_id":null"#,
        r#""exp":1800000060"#,
        r#""exp":1900000000"#,
        r#""nbf":0,"nbf":0"#,
        r#""iat":0,"iat":0"#,
        r#""iss":"id","iss":"id""#,
        r#""aud":"portal","aud":"portal""#,
        r#""role":"viewer","role":"member""#,
        r#""app_metadata":{"role":"viewer"},"app_metadata":{}"#,
    ] {
        assert_refused(&with(members));
    }
    assert_refused(&placed(r#""tenant_id":null,"tenant_id":"acme""#));
}

#[test]
fn a_nested_tenant_and_role_are_said_once() {
    let tenants = r#""app_metadata":{"tenant_id":"acme","tenant_id":"globex"}"#;
    assert_refused(&placed(tenants));
    let roles = r#""app_metadata":{"role":"viewer","role":"member"}"#;
    assert_refused(&with(roles));
}
