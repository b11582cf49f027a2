//! The secret that tokens are signed with.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

/// HS256 asks for a key at least as long as its hash.
const MIN_BYTES: usize = 32;

/// An HS256 secret of at least 32 bytes. It cannot be printed.
#[derive(Debug, Clone)]
pub struct JwtSecret(SecretString);

/// Why a secret is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// It can be guessed.
    #[error("it has {0} bytes, at least {MIN_BYTES} are needed")]
    Short(usize),
    /// It is an asymmetric key, whose public half the world knows.
    #[error("it is a PEM, which is a key for another algorithm")]
    Pem,
}

impl FromStr for JwtSecret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Self, BadSecret> {
        if text.contains("-----BEGIN") {
            return Err(BadSecret::Pem);
        }
        if text.len() < MIN_BYTES {
            return Err(BadSecret::Short(text.len()));
        }
        Ok(Self(text.to_owned().into()))
    }
}

impl JwtSecret {
    /// The secret itself, for whoever has to hand it on.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_secret_is_refused() {
        assert_eq!("".parse::<JwtSecret>().unwrap_err(), BadSecret::Short(0));
        assert_eq!(
            "x".repeat(31).parse::<JwtSecret>().unwrap_err(),
            BadSecret::Short(31)
        );
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}", "x".repeat(64));
        assert_eq!(pem.parse::<JwtSecret>().unwrap_err(), BadSecret::Pem);
        assert!("x".repeat(32).parse::<JwtSecret>().is_ok());
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret: JwtSecret = "0123456789abcdef0123456789abcdef".parse().unwrap();
        assert!(!format!("{secret:?}").contains("0123"));
    }
}
