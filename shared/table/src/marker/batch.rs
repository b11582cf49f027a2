//! The markers of uploads, and the ids of the records that they are of.
//!
//! `TENANT#<tenant>#BATCH#<upload>#<part>` / `<token>`: the ids of an upload's records, as one that
//! settled for it wrote them

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::time::Moment;
use serde::{Deserialize, Serialize};

use super::{Generation, MarkerId, ids_of, key};
use crate::item::{self, Item, Key, moment};
use crate::retry::Change;
use crate::{Result, Table};

/// The most ids in one item: an item holds 400 KB, an id takes 16 bytes.
const PART: usize = 20_000;

/// How long the ids of an upload are kept that nobody removed, in seconds.
const KEPT: i64 = 30 * 24 * 60 * 60;

/// The records that an upload added and changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchMarker {
    /// How many there are.
    pub count: u64,
    /// In how many items their ids are.
    pub parts: u32,
    /// Which items: each attempt to settle writes its own.
    pub token: u64,
    /// The version of the index's pointer before the first of them was written: as long as it has
    /// that version, the index does not hold what the upload added.
    pub base: u64,
    /// When the upload began.
    #[serde(with = "moment")]
    pub since: Moment,
    /// Until when it is left to the upload's own call.
    #[serde(with = "moment")]
    pub until: Moment,
}

/// The ids of an upload's records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records that it made.
    pub added: Vec<RecordId>,
    /// Records that it changed.
    pub changed: Vec<RecordId>,
}

impl Batch {
    /// The records, each once.
    #[must_use]
    pub fn ids(&self) -> HashSet<RecordId> {
        self.added.iter().chain(&self.changed).copied().collect()
    }
}

/// Each part has a partition of its own, which takes some 1,000 KB a second.
pub(super) fn batch_key(tenant: &TenantId, upload: UploadId, part: u32, token: u64) -> Key {
    Key::new(
        format!("TENANT#{tenant}#BATCH#{upload}#{part:06}"),
        format!("{token:016x}"),
    )
}

impl Table {
    /// The item that marks an upload's records as changed.
    pub(crate) fn batch_marker(
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
        upload: UploadId,
        marker: &BatchMarker,
    ) -> Result<Item> {
        let tail = MarkerId::Batch(upload).tail();
        item::build(&key(tenant, name, of, &tail), marker)
    }

    /// Writes the ids of an upload's records and says in how many items they are.
    pub(crate) async fn write_batch(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        token: u64,
        batch: &Batch,
        now: Moment,
    ) -> Result<u32> {
        let mut part = 0;
        for (kind, ids) in [("added", &batch.added), ("changed", &batch.changed)] {
            for ids in ids.chunks(PART) {
                let bytes: Vec<u8> = ids.iter().flat_map(|id| id.0.into_bytes()).collect();
                let mut item = batch_key(tenant, upload, part, token).item();
                item.insert(kind.to_owned(), AttributeValue::B(bytes.into()));
                item.insert("ttl".to_owned(), item::number(now.timestamp() + KEPT));
                self.put(item).await?;
                part += 1;
            }
        }
        Ok(part)
    }

    /// Reads the ids of an upload's records; `None` if some of them are not there any more, because
    /// the upload was folded in the meantime.
    pub async fn batch(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        marker: &BatchMarker,
    ) -> Result<Option<Batch>> {
        let keys: Vec<Key> = (0..marker.parts)
            .map(|part| batch_key(tenant, upload, part, marker.token))
            .collect();
        let mut batch = Batch::default();
        let mut found = 0;
        // A part is up to 320 KB, and an answer at most 16 MB.
        for keys in keys.chunks(32) {
            for item in self.batch_get(keys, None).await? {
                found += 1;
                batch.added.extend(ids_of(&item, "added").map(RecordId));
                batch.changed.extend(ids_of(&item, "changed").map(RecordId));
            }
        }
        Ok((found == marker.parts).then_some(batch))
    }

    /// Removes the ids of an upload's records.
    pub(crate) async fn remove_batch(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        (parts, token): (u32, u64),
    ) -> Result<()> {
        for part in 0..parts {
            let key = batch_key(tenant, upload, part, token);
            self.delete(&key, &Change::default()).await?;
        }
        Ok(())
    }

    /// Leaves an upload's marker to whoever folds next.
    pub async fn leave_batch(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
        upload: UploadId,
        now: Moment,
    ) -> Result<()> {
        let change = Change::update("SET #until = :now")
            .when(crate::retry::PRESENT)
            .name("#until", "until")
            .value(":now", item::text(model::time::stored(now)));
        let tail = MarkerId::Batch(upload).tail();
        self.update(&key(tenant, name, of, &tail), &change).await?;
        Ok(())
    }
}
