//! Who is calling: tokens in, [`Caller`] out.
//!
//! The functions, the local server and, in AWS, the gateway's authorizer decide with this one
//! crate. It follows RFC 8725: one algorithm a key, nothing in a token's header is trusted, and
//! what the library would let pass is refused before it is asked.

mod mint;
mod secret;
mod token;

pub use mint::{Grant, mint};
pub use secret::{BadSecret, JwtSecret};
pub use token::{Refusal, Verifier};

use model::account::Profile;
use model::id::{TenantId, UserId};

/// The token or API key of an `Authorization` header's value: the scheme in any case, one space, and
/// a token without any.
#[must_use]
pub fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && plain).then_some(token)
}

/// A verified caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant whose data the caller sees; no request can name another.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// What the user may do.
    pub role: Role,
    /// What the token says about the user.
    pub profile: Profile,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Read and search.
    Viewer,
    /// Everything.
    Member,
}

impl Role {
    /// The role's name in a token; a member's needs none.
    pub const VIEWER: &'static str = "viewer";

    /// Whether the role may change anything.
    #[must_use]
    pub fn may_change(self) -> bool {
        self == Self::Member
    }
}
