//! What every secret looks like.

/// Checks that a secret is its prefix, 56 random hex digits and their CRC-32 in 8 more.
#[track_caller]
pub(crate) fn assert_secret(secret: &str) {
    let digits = secret.strip_prefix("sk_live_").expect("the prefix");
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    assert!(digits.len() == 64 && digits.bytes().all(lower_hex));
    let (random, check) = digits.split_at(56);
    assert_eq!(check, format!("{:08x}", crc32fast::hash(random.as_bytes())));
}
