//! Headers: what they may ask for, and what they are.

use std::io::ErrorKind;
use std::net::TcpListener;

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::common::{
    HEADER, OTHER_SECRET, assert_passes, assert_refused, encode, good_payload, headed, message,
    seal_with, signed,
};

#[test]
fn a_header_that_asks_for_rules_of_its_own_is_refused() {
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":["unknown"],"unknown":1"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":[]"#,
        r#""crit":"exp""#,
        r#""crit":null"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""b64":null"#,
    ] {
        assert_refused(&headed(member));
    }
}

#[test]
fn a_header_that_brings_a_key_is_refused() {
    let key = encode(OTHER_SECRET);
    let jwk = format!(r#""jwk":{{"kty":"oct","alg":"HS256","k":"{key}"}}"#);
    let message = message(format!(r#"{{"alg":"HS256",{jwk}}}"#), good_payload());
    assert_refused(&seal_with(OTHER_SECRET, Algorithm::HS256, &message));
    for member in [
        jwk.as_str(),
        r#""jwk":null"#,
        r#""jku":"https://id.example/keys""#,
        r#""jku":null"#,
        r#""x5u":"https://id.example/chain""#,
        r#""x5u":null"#,
        r#""x5c":["MIIB"]"#,
        r#""x5c":[]"#,
        r#""x5c":null"#,
    ] {
        assert_refused(&headed(member));
    }
}

#[test]
fn a_key_that_a_header_points_at_is_never_fetched() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    for name in ["jku", "x5u", "kid"] {
        let header = format!(r#"{{"alg":"HS256","{name}":"http://{address}/keys"}}"#);
        let message = message(header, good_payload());
        let token = seal_with(OTHER_SECRET, Algorithm::HS256, &message);
        assert_refused(&token);
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_key_id_is_any_text() {
    let long = "k".repeat(1_000);
    for kid in ["2027-01", "", "../../dev/null", "' OR 1=1", "\0", &long] {
        let kid = json!(kid);
        assert_passes(&headed(&format!(r#""kid":{kid}"#)));
    }
    for kid in [
        json!(7),
        json!(null),
        json!(true),
        json!(["2027-01"]),
        json!({"id": "2027-01"}),
        json!("k".repeat(10_000)),
    ] {
        assert_refused(&headed(&format!(r#""kid":{kid}"#)));
    }
}

#[test]
fn a_type_is_jwt_or_access_token_in_any_case() {
    assert_passes(&signed(r#"{"alg":"HS256"}"#, good_payload()));
    for typ in ["JWT", "jwt", "Jwt", "at+jwt", "AT+JWT", "at+JWT"] {
        assert_passes(&headed(&format!(r#""typ":"{typ}""#)));
    }
    for typ in [
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("application/at+jwt"),
        json!("JWE"),
        json!("JWT "),
        json!(" JWT"),
        json!(""),
        json!(null),
        json!(7),
        json!(["JWT"]),
    ] {
        assert_refused(&headed(&format!(r#""typ":{typ}"#)));
    }
}

#[test]
fn a_header_is_a_json_object() {
    let cut = &HEADER[..HEADER.len() - 1];
    for header in [
        "",
        "null",
        "7",
        r#""HS256""#,
        "[]",
        "{}",
        cut,
        &format!("[{HEADER}]"),
        &format!("{HEADER}x"),
        &format!("{HEADER}{HEADER}"),
        &format!("\u{feff}{HEADER}"),
        "{'alg':'HS256'}",
        r#"{"alg":"HS256",}"#,
    ] {
        assert_refused(&signed(header, good_payload()));
    }
    assert_refused(&signed(
        b"{\"alg\":\"HS256\",\"kid\":\"\xff\"}",
        good_payload(),
    ));
}

#[test]
fn a_header_member_is_said_once() {
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        r#"{"alg":"HS256","typ":"JWT","typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
    ] {
        assert_refused(&signed(header, good_payload()));
    }
}
