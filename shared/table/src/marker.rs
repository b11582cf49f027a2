//! Markers: what the search index has not taken in yet.
//!
//! `TENANT#<tenant>#MARKERS`
//!
//! - `<collection>#<number>#<generation>#R#<record>`: a record that one call changed or deleted
//! - `<collection>#<number>#<generation>#B#<upload>`: the records of an upload, whose ids lie apart
//! - `<collection>#<number>#<generation>#FOLD`: which markers are being folded
//!
//! A marker is written in the transaction that makes its change visible, and removed after the
//! index that holds the change is published, if it is still the same. Whoever searches reads the
//! markers first and the index's pointer second, so that no change can slip between the two; and no
//! marker goes without the pointer's version having moved. The rate limits of the plans keep a
//! tenant's markers well under what one partition takes.

mod batch;
mod folding;

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use model::collection::Collection;
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::record::Record;
use model::time::Moment;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::item::{self, Item, Key, moment};
use crate::retry::{Change, random};
use crate::{Error, Result, Table};

use batch::batch_key;
pub use batch::{Batch, BatchMarker};
use folding::{FOLD, Folding};

/// How many markers are removed at once.
const CONCURRENCY: usize = 16;

/// Which of a collection's indexes: a collection that is deleted and made anew has another number,
/// and a replace fills another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation {
    /// The collection's number.
    pub number: u32,
    /// The generation of its records.
    pub generation: u32,
}

impl Generation {
    /// The generation of a collection that is served.
    #[must_use]
    pub fn served(collection: &Collection) -> Self {
        Self {
            number: collection.number,
            generation: collection.generation,
        }
    }

    /// The generation of a collection that a replace fills.
    #[must_use]
    pub fn staging(collection: &Collection) -> Option<Self> {
        Some(Self {
            number: collection.number,
            generation: collection.staging()?,
        })
    }
}

/// A record that one call changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordMarker {
    /// Another with each change.
    pub ver: u64,
    /// Whether the change was that it is gone.
    #[serde(default)]
    pub gone: bool,
    /// The version that the change made, or ended.
    pub version: u64,
    /// The upload and the row that made the record: a record that is deleted and made anew counts
    /// its versions anew.
    pub upload: UploadId,
    /// See `upload`.
    pub row: u64,
    /// When it changed.
    #[serde(with = "moment")]
    pub at: Moment,
}

/// The name of a marker within its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkerId {
    /// Of a record.
    Record(RecordId),
    /// Of an upload.
    Batch(UploadId),
}

/// A marker's state: another with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Of a record's marker.
    Record(u64),
    /// Of an upload's marker, which never changes.
    Batch(UploadId),
}

/// The markers of one generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markers {
    /// Of records.
    pub records: BTreeMap<RecordId, RecordMarker>,
    /// Of uploads.
    pub batches: BTreeMap<UploadId, BatchMarker>,
    folding: Option<Folding>,
}

/// The markers of a tenant, by collection.
pub type AllMarkers = HashMap<CollectionName, HashMap<Generation, Markers>>;

impl Markers {
    /// Whether the index has taken in everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.batches.is_empty()
    }

    /// Takes in the item of one of them.
    pub(crate) fn take(&mut self, item: Item) -> Result<()> {
        let key = Key::of(&item);
        let tail = parse(&key.sk).map(|(_, _, tail)| tail);
        if tail == Some(FOLD) {
            self.folding = Some(Folding::read(&item));
            return Ok(());
        }
        match tail.and_then(MarkerId::parse) {
            Some(MarkerId::Record(id)) => {
                self.records.insert(id, item::read(item)?);
            }
            Some(MarkerId::Batch(id)) => {
                self.batches.insert(id, item::read(item)?);
            }
            None => return Err(corrupt(key)),
        }
        Ok(())
    }

    /// The markers and their versions.
    pub fn versions(&self) -> impl Iterator<Item = (MarkerId, Version)> {
        let records = self.records.iter();
        let batches = self.batches.keys();
        records
            .map(|(id, marker)| (MarkerId::Record(*id), Version::Record(marker.ver)))
            .chain(batches.map(|id| (MarkerId::Batch(*id), Version::Batch(*id))))
    }
}

impl MarkerId {
    fn tail(self) -> String {
        match self {
            Self::Record(id) => format!("R#{id}"),
            Self::Batch(id) => format!("B#{id}"),
        }
    }

    fn parse(tail: &str) -> Option<Self> {
        let (kind, id) = tail.split_once('#')?;
        match kind {
            "R" => Some(Self::Record(id.parse().ok()?)),
            "B" => Some(Self::Batch(id.parse().ok()?)),
            _ => None,
        }
    }
}

/// The bytes of an attribute; none if it has none.
fn bytes_of<'a>(item: &'a Item, name: &str) -> &'a [u8] {
    let bytes = item.get(name).and_then(|bytes| bytes.as_b().ok());
    bytes.map(AsRef::as_ref).unwrap_or_default()
}

/// The ids that an attribute holds, 16 bytes each.
fn ids_of<'a>(item: &'a Item, name: &str) -> impl Iterator<Item = Uuid> + use<'a> {
    let bytes = bytes_of(item, name).chunks_exact(16);
    bytes.filter_map(|id| Uuid::from_slice(id).ok())
}

fn pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#MARKERS")
}

fn key(tenant: &TenantId, name: &CollectionName, of: Generation, tail: &str) -> Key {
    let Generation { number, generation } = of;
    Key::new(
        pk(tenant),
        format!("{name}#{number:010}#{generation:06}#{tail}"),
    )
}

/// The parts of a marker's sort key.
fn parse(sk: &str) -> Option<(CollectionName, Generation, &str)> {
    let mut parts = sk.splitn(4, '#');
    let name = parts.next()?.parse().ok()?;
    let number = parts.next()?.parse().ok()?;
    let generation = parts.next()?.parse().ok()?;
    Some((name, Generation { number, generation }, parts.next()?))
}

/// The tenant whose markers lie in a partition; `None` if it is another kind of partition.
#[must_use]
pub fn tenant_of(pk: &str) -> Option<TenantId> {
    let tenant = pk.strip_prefix("TENANT#")?.strip_suffix("#MARKERS")?;
    tenant.parse().ok()
}

/// The collection that a marker with this sort key is of; `None` if it is no marker.
#[must_use]
pub fn collection_of(sk: &str) -> Option<CollectionName> {
    let (name, _, tail) = parse(sk)?;
    MarkerId::parse(tail).map(|_| name)
}

fn corrupt(key: Key) -> Error {
    Error::Corrupt {
        pk: key.pk,
        sk: key.sk,
        reason: "not a marker".to_owned(),
    }
}

impl Table {
    /// The markers of a collection, by generation.
    pub async fn markers(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
    ) -> Result<HashMap<Generation, Markers>> {
        let mut all = self.read_markers(tenant, &format!("{name}#")).await?;
        Ok(all.remove(name).unwrap_or_default())
    }

    /// The markers of all collections of a tenant.
    pub async fn all_markers(&self, tenant: &TenantId) -> Result<AllMarkers> {
        self.read_markers(tenant, "").await
    }

    async fn read_markers(&self, tenant: &TenantId, prefix: &str) -> Result<AllMarkers> {
        let mut all = AllMarkers::new();
        self.query(&pk(tenant), prefix, None, |item| {
            let key = Key::of(&item);
            let Some((name, of, _)) = parse(&key.sk) else {
                return Err(corrupt(key));
            };
            all.entry(name)
                .or_default()
                .entry(of)
                .or_default()
                .take(item)
        })
        .await?;
        Ok(all)
    }

    /// The item that marks a record as changed, or as gone.
    pub(crate) fn record_marker(
        tenant: &TenantId,
        of: Generation,
        record: &Record,
        gone: bool,
        at: Moment,
    ) -> Result<Item> {
        let marker = RecordMarker {
            ver: random(),
            gone,
            version: record.version,
            upload: record.upload,
            row: record.row,
            at,
        };
        let tail = MarkerId::Record(record.id).tail();
        item::build(&key(tenant, &record.collection, of, &tail), &marker)
    }

    /// The key of a record's marker.
    pub(crate) fn record_marker_key(
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
        id: RecordId,
    ) -> Key {
        key(tenant, name, of, &MarkerId::Record(id).tail())
    }

    /// Removes markers whose changes the published index holds, but those that have changed since.
    pub async fn remove_markers(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
        markers: impl IntoIterator<Item = (MarkerId, Version)>,
        batches: &BTreeMap<UploadId, BatchMarker>,
    ) -> Result<()> {
        stream::iter(markers)
            .map(|(marker, version)| async move {
                let key = key(tenant, name, of, &marker.tail());
                let same = match version {
                    Version::Record(ver) => {
                        Change::condition("ver = :ver").value(":ver", item::number(ver))
                    }
                    Version::Batch(_) => Change::default(),
                };
                self.delete(&key, &same).await?;
                if let MarkerId::Batch(upload) = marker
                    && let Some(batch) = batches.get(&upload)
                {
                    let parts = (batch.parts, batch.token);
                    self.remove_batch(tenant, upload, parts).await?;
                }
                Ok(())
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await
    }

    /// Deletes the markers of a generation, and the ids of the uploads that they name before them:
    /// what is cut short is done by the next call.
    pub(crate) async fn delete_markers(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
    ) -> Result<()> {
        let (mut markers, mut parts) = (Vec::new(), Vec::new());
        let prefix = key(tenant, name, of, "").sk;
        self.query(&pk(tenant), &prefix, None, |item| {
            let key = Key::of(&item);
            let marker = parse(&key.sk).and_then(|(_, _, tail)| MarkerId::parse(tail));
            if let Some(MarkerId::Batch(upload)) = marker {
                let batch: BatchMarker = item::read(item)?;
                let keys =
                    (0..batch.parts).map(|part| batch_key(tenant, upload, part, batch.token));
                parts.extend(keys);
            }
            markers.push(key);
            Ok(())
        })
        .await?;
        self.delete_all(&parts).await?;
        self.delete_all(&markers).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_says_what_it_is_of() {
        let tenant: TenantId = "t_1".parse().unwrap();
        let name: CollectionName = "a.b-c".parse().unwrap();
        let of = Generation {
            number: 7,
            generation: 2,
        };
        let key = key(&tenant, &name, of, FOLD);
        assert_eq!(parse(&key.sk), Some((name.clone(), of, FOLD)));
        assert_eq!(tenant_of(&key.pk).as_ref(), Some(&tenant));
        assert_eq!(collection_of(&key.sk), None);
        assert_eq!(tenant_of("TENANT#t_1#KEYS"), None);
        for id in [
            MarkerId::Record(RecordId(Uuid::from_u128(1))),
            MarkerId::Batch(UploadId(Uuid::from_u128(2))),
        ] {
            assert_eq!(MarkerId::parse(&id.tail()), Some(id));
            let key = super::key(&tenant, &name, of, &id.tail());
            assert_eq!(collection_of(&key.sk).as_ref(), Some(&name));
        }
    }
}
