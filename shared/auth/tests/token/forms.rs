//! The form of a token: its parts, its size, and the JSON in it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};
use serde_json::json;

use crate::common::{
    HEADER, MEMBERS, assert_passes, assert_refused, encode, good, good_payload, headed, seal,
    signed, verify, with,
};

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
