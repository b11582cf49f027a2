//! What the verifier lets pass and what it refuses, told by tokens that are mostly well signed.

use std::io::ErrorKind;
use std::net::TcpListener;

use auth::{BadSecret, Caller, Grant, JwtSecret, Refusal, Role, Verifier, mint};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use model::account::Profile;
use model::id::{TenantId, UserId};
use model::time::Moment;
use serde_json::{Value, json};

const SECRET: &str = "the secret of these tests, 0123456789";
const OTHER_SECRET: &str = "a secret of somebody else, 0123456789";
const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK\n\
                   -----END PUBLIC KEY-----\n";

const NOW: i64 = 1_800_000_000;
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const MEMBERS: &str = r#""sub":"user_1","tenant_id":"acme","exp":1800000060"#;
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const REFUSED: Result<Caller, Refusal> = Err(Refusal::Invalid);

fn later(millis: i64) -> Moment {
    Moment::from_timestamp_millis(NOW * 1_000 + millis).expect("a moment of this century")
}

fn now() -> Moment {
    later(0)
}

fn secret(text: &str) -> JwtSecret {
    text.parse().expect("a long secret")
}

fn verifier() -> Verifier {
    Verifier::new(&secret(SECRET), None, None, None)
}

fn verify(token: &str) -> Result<Caller, Refusal> {
    verifier().verify(token, now())
}

/// The parts of a token as text, for the message of a failed test.
fn shown(token: &str) -> String {
    let read = |part: &str| match URL_SAFE_NO_PAD.decode(part) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => part.to_owned(),
    };
    format!(
        "{token:?}: {:?}",
        token.split('.').map(read).collect::<Vec<_>>()
    )
}

#[track_caller]
fn assert_passes(token: &str) {
    assert!(verify(token).is_ok(), "{}", shown(token));
}

#[track_caller]
fn assert_refused(token: &str) {
    assert_eq!(verify(token), REFUSED, "{}", shown(token));
}

fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn message(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", encode(header), encode(payload))
}

/// Signs a message as it stands, however malformed it is.
fn seal_with(secret: &str, algorithm: Algorithm, message: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, algorithm).expect("a signature");
    format!("{message}.{signature}")
}

fn seal(message: &str) -> String {
    seal_with(SECRET, Algorithm::HS256, message)
}

fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    seal(&message(header, payload))
}

fn good_payload() -> String {
    format!("{{{MEMBERS}}}")
}

fn good() -> String {
    signed(HEADER, good_payload())
}

/// A good token whose payload has more members.
fn with(members: &str) -> String {
    signed(HEADER, format!("{{{MEMBERS},{members}}}"))
}

/// A good token whose header has more members.
fn headed(members: &str) -> String {
    signed(format!(r#"{{"alg":"HS256",{members}}}"#), good_payload())
}

fn expiring(exp: &str) -> String {
    signed(
        HEADER,
        format!(r#"{{"sub":"user_1","tenant_id":"acme","exp":{exp}}}"#),
    )
}

fn of_user(sub: &Value) -> String {
    signed(
        HEADER,
        format!(r#"{{"sub":{sub},"tenant_id":"acme","exp":1800000060}}"#),
    )
}

/// A token that is good but for its tenant, which `members` may name.
fn placed(members: &str) -> String {
    signed(
        HEADER,
        format!(r#"{{"sub":"user_1","exp":1800000060,{members}}}"#),
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
fn a_guessable_secret_and_a_public_key_are_no_secrets() {
    assert_eq!("".parse::<JwtSecret>().unwrap_err(), BadSecret::Short(0));
    assert_eq!(
        "x".repeat(31).parse::<JwtSecret>().unwrap_err(),
        BadSecret::Short(31)
    );
    assert_eq!(PEM.parse::<JwtSecret>().unwrap_err(), BadSecret::Pem);
}

#[test]
fn an_unsigned_token_is_refused() {
    let token = good();
    let (_, signature) = token.rsplit_once('.').unwrap();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let message = message(format!(r#"{{"alg":"{alg}"}}"#), good_payload());
        assert_refused(&message);
        assert_refused(&format!("{message}."));
        assert_refused(&format!("{message}.{signature}"));
        assert_refused(&seal(&message));
    }
}

#[test]
fn the_algorithm_is_exactly_hs256() {
    let algorithms = [
        ("HS256", Algorithm::HS256),
        ("HS384", Algorithm::HS384),
        ("HS512", Algorithm::HS512),
    ];
    for (name, named) in algorithms {
        for (_, used) in algorithms {
            let message = message(format!(r#"{{"alg":"{name}"}}"#), good_payload());
            let verified = verify(&seal_with(SECRET, used, &message));
            if (named, used) == (Algorithm::HS256, Algorithm::HS256) {
                assert!(verified.is_ok());
            } else {
                assert_eq!(verified, REFUSED, "{name} signed with {used:?}");
            }
        }
    }
    for alg in [
        json!("hs256"),
        json!("HS256 "),
        json!("HS256\0"),
        json!(""),
        json!(null),
        json!(256),
        json!(["HS256"]),
        json!({"HS256": null}),
    ] {
        let header = json!({"alg": alg}).to_string();
        assert_refused(&signed(header, good_payload()));
    }
    assert_refused(&signed(r#"{"typ":"JWT"}"#, good_payload()));
}

#[test]
fn an_asymmetric_algorithm_is_refused() {
    let zeros = |bytes: usize| encode(vec![0_u8; bytes]);
    for alg in [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ] {
        let message = message(format!(r#"{{"alg":"{alg}"}}"#), good_payload());
        assert_refused(&seal(&message));
        assert_refused(&seal_with(PEM, Algorithm::HS256, &message));
        for signature in [String::new(), zeros(32), zeros(64), zeros(96), zeros(256)] {
            assert_refused(&format!("{message}.{signature}"));
        }
    }
}

#[test]
fn another_secret_is_refused() {
    let message = message(HEADER, good_payload());
    let longer = format!("{SECRET}0");
    let shorter = &SECRET[1..];
    for secret in [OTHER_SECRET, PEM, longer.as_str(), shorter, ""] {
        let token = seal_with(secret, Algorithm::HS256, &message);
        assert_refused(&token);
    }
}

#[test]
fn a_signature_is_whole_and_of_its_own_message() {
    let token = good();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = with(r#""jti":"1""#);
    let (_, stranger) = other.rsplit_once('.').unwrap();
    for signature in [
        String::new(),
        stranger.to_owned(),
        encode([0_u8; 32]),
        encode([0xff_u8; 32]),
        signature[..4].to_owned(),
        signature[..40].to_owned(),
        format!("{signature}{signature}"),
        format!("{signature}A"),
    ] {
        assert_refused(&format!("{message}.{signature}"));
    }
}

#[test]
fn every_character_counts() {
    let verifier = verifier();
    let token = good();
    assert!(verifier.verify(&token, now()).is_ok());
    for (position, character) in token.char_indices() {
        for other in ALPHABET.chars().filter(|other| *other != character) {
            let mut forged = token.clone();
            forged.replace_range(position..=position, other.encode_utf8(&mut [0; 4]));
            assert_eq!(
                verifier.verify(&forged, now()),
                REFUSED,
                "{position}: {forged}"
            );
        }
    }
}

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
fn a_payload_is_a_json_object() {
    let payload = good_payload();
    let cut = &payload[..payload.len() - 1];
    for bad in [
        "",
        " ",
        "null",
        "true",
        "7",
        r#""acme""#,
        "[]",
        "{}",
        cut,
        &format!("[{payload}]"),
        &format!("{payload}x"),
        &format!("{payload}{payload}"),
        &format!("{payload}\0"),
        &format!("\u{feff}{payload}"),
        &format!("{payload}\u{feff}"),
        &format!("{{{MEMBERS},}}"),
        &payload.replace('"', "'"),
        &json!(payload).to_string(),
    ] {
        assert_refused(&signed(HEADER, bad));
    }
    let utf_16: Vec<u8> = payload.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_refused(&signed(HEADER, utf_16));
}

#[test]
fn a_list_of_values_is_neither_header_nor_payload() {
    assert_refused(&signed(r#"["HS256"]"#, good_payload()));
    for list in [
        r#"["user_1",1800000060]"#,
        r#"["user_1",1800000060,0,0,null,null,"acme"]"#,
        r#"["user_1",1800000060,0,0,null,null,"acme",null,null,null,null,null]"#,
    ] {
        assert_refused(&signed(HEADER, list));
    }
}

#[test]
fn a_payload_is_utf_8_whether_it_is_read_or_not() {
    let invalid: [&[u8]; 4] = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f"];
    for name in ["email", "unread"] {
        let text = format!(r#"{{{MEMBERS},"{name}":"?"}}"#);
        let (before, after) = text.split_once('?').unwrap();
        for bytes in invalid {
            let payload = [before.as_bytes(), bytes, after.as_bytes()].concat();
            assert_refused(&signed(HEADER, payload));
        }
    }
}

#[test]
fn a_deep_payload_is_refused_without_a_panic() {
    let lists = format!("{}{}", "[".repeat(2_500), "]".repeat(2_500));
    let objects = format!("{}0{}", r#"{"a":"#.repeat(800), "}".repeat(800));
    for deep in [lists, objects] {
        for name in [
            "nbf",
            "aud",
            "app_metadata",
            "user_metadata",
            "role",
            "email",
        ] {
            let token = with(&format!(r#""{name}":{deep}"#));
            assert!(token.len() < 8_192);
            assert_refused(&token);
        }
        assert_refused(&headed(&format!(r#""kid":{deep}"#)));
        assert_refused(&signed(HEADER, &deep));
        assert_refused(&signed(&deep, good_payload()));
        let _ = verify(&with(&format!(r#""unread":{deep}"#)));
    }
}

#[test]
fn a_token_has_8_kib_at_most() {
    let payload = good_payload();
    let sized = |bytes: usize| signed(HEADER, format!("{payload:bytes$}"));
    let (largest, over) = (sized(6_083), sized(6_084));
    assert_eq!((largest.len(), over.len()), (8_192, 8_193));
    assert_passes(&largest);
    assert_refused(&over);

    let huge = "[".repeat(5 << 20);
    assert_refused(&huge);
    assert_refused(&".".repeat(5 << 20));
    assert_refused(&signed(HEADER, &huge));
}

#[test]
fn a_token_has_three_parts() {
    let token = good();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "....".to_owned(),
        header.to_owned(),
        message.to_owned(),
        format!("{header}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
        seal(header),
        seal(&format!("{header}.")),
        seal(&format!(".{payload}")),
        seal(&format!("{message}.")),
        seal(&format!("{message}.{payload}")),
        seal(&format!("{header}..{payload}.{payload}")),
        format!("Bearer {token}"),
        format!("sk_live_{}", "0".repeat(64)),
    ] {
        assert_refused(&bad);
    }
}

#[test]
fn a_part_has_no_padding() {
    let payload = good_payload();
    let width = payload.len().next_multiple_of(3) + 1;
    let payload = format!("{payload:width$}");
    let (header, bare, padded) = (encode(HEADER), encode(&payload), URL_SAFE.encode(&payload));
    assert_eq!(padded, format!("{bare}=="));
    assert_passes(&seal(&format!("{header}.{bare}")));
    for message in [
        format!("{header}.{padded}"),
        format!("{header}.{bare}="),
        format!("{header}=.{bare}"),
        format!("{header}====.{bare}"),
    ] {
        assert_refused(&seal(&message));
    }
    assert_refused(&format!("{}=", good()));
}

#[test]
fn a_part_has_no_loose_bits() {
    let payload = good_payload();
    let width = payload.len().next_multiple_of(3) + 1;
    let (header, tight) = (encode(HEADER), encode(format!("{payload:width$}")));
    assert_passes(&seal(&format!("{header}.{tight}")));
    let stem = tight.strip_suffix('A').unwrap();
    for last in ["B", "H", "P", ""] {
        let token = seal(&format!("{header}.{stem}{last}"));
        assert_refused(&token);
    }
}

#[test]
fn a_part_is_of_the_url_alphabet() {
    let payload = format!(r#"{{{MEMBERS},"jti":">>>>>>>>???????"}}"#);
    let (header, standard) = (encode(HEADER), STANDARD_NO_PAD.encode(&payload));
    assert!(standard.contains('+') && standard.contains('/'));
    assert_passes(&signed(HEADER, &payload));
    assert_refused(&seal(&format!("{header}.{standard}")));

    let token = (0..100)
        .map(|nonce| with(&format!(r#""jti":{nonce}"#)))
        .find(|token| {
            let (_, signature) = token.rsplit_once('.').unwrap();
            signature.contains(['-', '_'])
        })
        .unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = signature.replace('-', "+").replace('_', "/");
    assert_passes(&token);
    assert_refused(&format!("{message}.{signature}"));
}

#[test]
fn white_space_is_no_part_of_a_token() {
    let (header, payload) = (encode(HEADER), encode(good_payload()));
    let token = good();
    let (message, signature) = token.rsplit_once('.').unwrap();
    for space in [" ", "\t", "\n", "\r\n", "\0", "\u{a0}", "%20"] {
        for message in [
            format!("{space}{header}.{payload}"),
            format!("{header}{space}.{payload}"),
            format!("{header}.{space}{payload}"),
            format!("{header}.{payload}{space}"),
        ] {
            assert_refused(&seal(&message));
        }
        for token in [
            format!("{space}{token}"),
            format!("{token}{space}"),
            format!("{message}.{space}{signature}"),
        ] {
            assert_refused(&token);
        }
    }
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

#[test]
fn a_previous_secret_counts_until_it_is_dropped() {
    let (previous, current) = (secret(OTHER_SECRET), secret(SECRET));
    let text = message(HEADER, good_payload());
    let older = seal_with(OTHER_SECRET, Algorithm::HS256, &text);
    let newer = seal(&text);
    let stranger = seal_with(
        "a secret of nobody at all, 0123456789",
        Algorithm::HS256,
        &text,
    );

    let during = Verifier::new(&current, Some(&previous), None, None);
    assert!(during.verify(&older, now()).is_ok());
    assert!(during.verify(&newer, now()).is_ok());
    assert_eq!(during.verify(&stranger, now()), REFUSED);
    assert_eq!(during.verify(&older, later(90_000)), REFUSED);
    assert_eq!(
        during.verify(&seal_with(OTHER_SECRET, Algorithm::HS512, &text), now()),
        REFUSED
    );

    let afterwards = Verifier::new(&current, None, None, None);
    assert_eq!(afterwards.verify(&older, now()), REFUSED);
    assert!(afterwards.verify(&newer, now()).is_ok());
}
