//! Where a list goes on, as text that a client gives back.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Fault;
use model::id::TenantId;
use sha2::{Digest, Sha256};

/// How many bytes of its hash a cursor carries.
const CHECK: usize = 8;

/// The cursors of one tenant's list. A cursor says where a page ended and nothing more, so it need
/// not be secret; but one of another tenant or another list, or one that was changed, is refused.
pub struct Cursor {
    scope: String,
}

impl Cursor {
    /// Cursors of a list, by its name.
    #[must_use]
    pub fn new(tenant: &TenantId, list: &str) -> Self {
        Self {
            scope: format!("{tenant}/{list}"),
        }
    }

    /// The cursor for a place.
    pub fn write(&self, place: &impl Display) -> String {
        let place = place.to_string();
        let mut bytes = self.check(&place).to_vec();
        bytes.extend_from_slice(place.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor is for.
    pub fn read<T: FromStr>(&self, cursor: &str) -> Result<T, Fault> {
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let (check, place) = bytes.split_at_checked(CHECK)?;
            let place = std::str::from_utf8(place).ok()?;
            (check == self.check(place)).then(|| place.parse().ok())?
        };
        read().ok_or_else(|| {
            let message = "The cursor is none that this list has given out";
            Fault::new("value_error", message)
        })
    }

    fn check(&self, place: &str) -> [u8; CHECK] {
        let hash = Sha256::new()
            .chain_update((self.scope.len() as u64).to_be_bytes())
            .chain_update(&self.scope)
            .chain_update(place)
            .finalize();
        let mut check = [0; CHECK];
        check.copy_from_slice(&hash[..CHECK]);
        check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(tenant: &str, list: &str) -> Cursor {
        Cursor::new(&tenant.parse().unwrap(), list)
    }

    #[test]
    fn a_cursor_is_good_for_its_tenant_and_its_list_alone() {
        let own = cursor("t_1", "uploads");
        let text = own.write(&42);
        assert_eq!(own.read::<u32>(&text), Ok(42));
        for other in [cursor("t_2", "uploads"), cursor("t_1", "errors")] {
            assert_eq!(other.read::<u32>(&text).unwrap_err().kind, "value_error");
        }
    }

    #[test]
    fn a_cursor_that_was_changed_is_refused() {
        let own = cursor("t_1", "uploads");
        let text = own.write(&42);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(own.read::<u32>(&changed).is_err(), "{changed}");
        }
        for bad in ["", "A", "%", &text[1..]] {
            assert!(own.read::<u32>(bad).is_err(), "{bad}");
        }
    }
}
