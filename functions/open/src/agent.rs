//! What an agent calls itself.

use axum::http::HeaderMap;

/// The longest name, in characters.
const MAX_NAME: usize = 100;

/// The name in the one `X-Agent-Id` header, if it is printable and not too long. A header that says
/// nothing of use is none: nobody is refused for what is only counted.
pub(crate) fn named(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("x-agent-id").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let name = value.to_str().ok()?.trim();
    let is_printable = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_name = is_printable && (1..=MAX_NAME).contains(&name.len());
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn name_of(values: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-agent-id", HeaderValue::from_bytes(value).unwrap());
        }
        named(&headers)
    }

    #[test]
    fn a_printable_name_of_up_to_100_characters_is_one() {
        let long = "x".repeat(100);
        for name in ["claude", "My Agent/1.0 (+https://example.com)", &long] {
            assert_eq!(name_of(&[name.as_bytes()]).as_deref(), Some(name));
        }
        assert_eq!(name_of(&[b" padded "]).as_deref(), Some("padded"));
    }

    #[test]
    fn anything_else_is_none() {
        let too_long = "x".repeat(101);
        let others: [&[&[u8]]; 6] = [
            &[],
            &[b""],
            &[b"  "],
            &[too_long.as_bytes()],
            &[b"caf\xc3\xa9"],
            &[b"one", b"other"],
        ];
        for values in others {
            assert_eq!(name_of(values), None, "{values:?}");
        }
    }
}
