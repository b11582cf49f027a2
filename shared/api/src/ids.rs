//! The one source of ids and randomness.

use model::id::{KeyId, UploadId};
use model::key::{KeySecret, SECRET_BYTES};
use model::time::Moment;
use uuid::Builder;

/// Makes ids and secrets from the operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ids;

impl Ids {
    /// An id for a key made at `now`. It begins with the time, so that ids sort by age.
    #[must_use]
    pub fn key(self, now: Moment) -> KeyId {
        KeyId(timed(now))
    }

    /// An id for an upload that begins at `now`, as [`Ids::key`].
    #[must_use]
    pub fn upload(self, now: Moment) -> UploadId {
        UploadId(timed(now))
    }

    /// A secret for a key.
    #[must_use]
    pub fn secret(self) -> KeySecret {
        KeySecret::from_random(random::<SECRET_BYTES>())
    }

    /// An id for a request: `req_` and 32 hex digits.
    #[must_use]
    pub fn request(self) -> String {
        format!("req_{:032x}", u128::from_be_bytes(random()))
    }
}

fn timed(now: Moment) -> uuid::Uuid {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random()).into_uuid()
}

/// Without randomness nothing here is safe: the request ends in a 500 and issues nothing.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the source of randomness"
    )]
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the operating system has no randomness: {error}");
    }
    bytes
}
