//! Which markers are being folded, as whoever folds them has noted it.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use model::collection::Lease;
use model::id::{CollectionName, TenantId, UploadId};
use model::time::Moment;

use super::{Generation, MarkerId, Markers, Version, bytes_of, ids_of, key};
use crate::item::{self, Item, Key};
use crate::retry::Change;
use crate::{Result, Table};

/// The most markers that are noted as being folded.
const NOTED: usize = 10_000;

pub(super) const FOLD: &str = "FOLD";

/// That markers are being folded, by whoever has the lease of that token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folding {
    token: String,
    takes: BTreeSet<Version>,
}

impl Folding {
    fn item(&self, key: &Key) -> Item {
        let bytes = |of: &dyn Fn(&Version) -> Option<Vec<u8>>| -> AttributeValue {
            let bytes: Vec<u8> = self.takes.iter().filter_map(of).flatten().collect();
            AttributeValue::B(bytes.into())
        };
        let mut item = key.item();
        item.insert("token".to_owned(), item::text(&self.token));
        let records = bytes(&|version| match version {
            Version::Record(ver) => Some(ver.to_be_bytes().to_vec()),
            Version::Batch(_) => None,
        });
        let batches = bytes(&|version| match version {
            Version::Batch(id) => Some(id.0.as_bytes().to_vec()),
            Version::Record(_) => None,
        });
        item.insert("records".to_owned(), records);
        item.insert("batches".to_owned(), batches);
        item
    }

    pub(super) fn read(item: &Item) -> Self {
        let records = bytes_of(item, "records").chunks_exact(8);
        let records = records.filter_map(|ver| Some(u64::from_be_bytes(ver.try_into().ok()?)));
        let batches = ids_of(item, "batches").map(UploadId);
        Self {
            token: item
                .get("token")
                .and_then(|token| token.as_s().ok())
                .cloned()
                .unwrap_or_default(),
            takes: records
                .map(Version::Record)
                .chain(batches.map(Version::Batch))
                .collect(),
        }
    }
}

impl Markers {
    /// Whether a marker, as it is now, is being folded by whoever has the lease.
    #[must_use]
    pub fn is_folding(&self, marker: MarkerId, lease: Option<&Lease>, now: Moment) -> bool {
        let (Some(folding), Some(lease)) = (&self.folding, lease) else {
            return false;
        };
        let version = match marker {
            MarkerId::Record(id) => self.records.get(&id).map(|it| Version::Record(it.ver)),
            MarkerId::Batch(id) => self.batches.get(&id).map(|_| Version::Batch(id)),
        };
        lease.token == folding.token
            && lease.until > now
            && version.is_some_and(|version| folding.takes.contains(&version))
    }
}

impl Table {
    /// The key of the note which markers of a generation are being folded.
    pub(crate) fn folding_key(tenant: &TenantId, name: &CollectionName, of: Generation) -> Key {
        key(tenant, name, of, FOLD)
    }

    /// Notes which markers are being folded under a lease; of very many, the first.
    pub async fn note_folding(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
        takes: impl IntoIterator<Item = Version>,
        lease: &Lease,
    ) -> Result<()> {
        let folding = Folding {
            token: lease.token.clone(),
            takes: takes.into_iter().take(NOTED).collect(),
        };
        self.put(folding.item(&key(tenant, name, of, FOLD))).await
    }

    /// Notes that nothing is being folded under a lease any more.
    pub async fn forget_folding(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
        lease: &Lease,
    ) -> Result<()> {
        let ours = Change::condition("#token = :token")
            .name("#token", "token")
            .value(":token", item::text(&lease.token));
        self.delete(&key(tenant, name, of, FOLD), &ours).await?;
        Ok(())
    }
}
