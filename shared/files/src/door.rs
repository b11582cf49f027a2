//! Addresses of a server on this machine, which takes files for a store that the world cannot
//! reach.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use model::id::{TenantId, UploadId};
use model::time::Moment;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Files;

/// Where such a server listens, and what it signs addresses with.
#[derive(Clone)]
pub struct Door {
    base: String,
    mac: Hmac<Sha256>,
}

impl fmt::Debug for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("Door")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// The query of a signed address.
#[derive(Clone, Deserialize)]
pub struct Grant {
    /// How many bytes the file has to have.
    pub size: u64,
    expires: i64,
    signature: String,
}

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It was not signed, or not as it is.
    Signature,
    /// Its time is over.
    Expired,
}

impl Door {
    /// The route of the addresses.
    pub const ROUTE: &'static str = "/local/files/{tenant}/{upload}";

    /// A server below an address like `http://127.0.0.1:3000`, with the secret that it signs
    /// everything with. What is signed here is good for nothing else.
    #[must_use]
    pub fn new(base: &str, secret: &[u8]) -> Self {
        let own = Sha256::new_with_prefix(b"addresses of files\0").chain_update(secret);
        let mut key = [0; 64];
        key[..32].copy_from_slice(&own.finalize());
        Self {
            base: base.trim_end_matches('/').to_owned(),
            mac: <Hmac<Sha256> as KeyInit>::new(&key.into()),
        }
    }

    pub(crate) fn address(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        size: u64,
        expires_at: Moment,
    ) -> String {
        let expires = expires_at.timestamp();
        let mac = self.sign(tenant, upload, size, expires).finalize();
        let signature = hex::encode(mac.into_bytes());
        let path = Self::ROUTE
            .replace("{tenant}", tenant.as_str())
            .replace("{upload}", &upload.to_string());
        let base = &self.base;
        format!("{base}{path}?size={size}&expires={expires}&signature={signature}")
    }

    fn sign(&self, tenant: &TenantId, upload: UploadId, size: u64, expires: i64) -> Hmac<Sha256> {
        let signed = format!("PUT\n{tenant}\n{upload}\n{size}\n{expires}");
        self.mac.clone().chain_update(signed)
    }
}

impl Files {
    /// Checks that an address was signed for a file, and that its time is not over.
    pub fn admit(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        grant: &Grant,
        now: Moment,
    ) -> Result<(), Refused> {
        let door = self.0.door.as_ref().ok_or(Refused::Signature)?;
        let signature = hex::decode(&grant.signature).map_err(|_| Refused::Signature)?;
        let mac = door.sign(tenant, upload, grant.size, grant.expires);
        // In a time that does not tell how much of it is right.
        mac.verify_slice(&signature)
            .map_err(|_| Refused::Signature)?;
        if now.timestamp() >= grant.expires {
            return Err(Refused::Expired);
        }
        Ok(())
    }
}
