//! Markers: what the search index has not taken in yet.
//!
//! `TENANT#<tenant>#MARKERS`
//!
//! - `<collection>#<number>#<generation>#R#<record>`: a record that one call changed or deleted
//! - `<collection>#<number>#<generation>#B#<upload>`: the records of an upload, whose ids lie apart
//! - `<collection>#<number>#<generation>#FOLD`: which markers are being folded
//!
//! `TENANT#<tenant>#BATCH#<upload>#<part>` / `<token>`: the ids of an upload's records, as one that
//! settled for it wrote them
//!
//! A marker is written in the transaction that makes its change visible, and removed after the
//! index that holds the change is published, if it is still the same. Whoever searches reads the
//! markers first and the index's pointer second, so that no change can slip between the two; and no
//! marker goes without the pointer's version having moved. The rate limits of the plans keep a
//! tenant's markers well under what one partition takes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::collection::{Collection, Lease};
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::record::Record;
use model::time::Moment;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::item::{self, Item, Key, moment};
use crate::retry::{Change, random};
use crate::{Error, Result, Table};

/// The most ids in one item: an item holds 400 KB, an id takes 16 bytes.
const PART: usize = 20_000;

/// How long the ids of an upload are kept that nobody removed, in seconds.
const KEPT: i64 = 30 * 24 * 60 * 60;

/// The most markers that are noted as being folded.
const NOTED: usize = 10_000;

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

/// The name of a marker within its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkerId {
    /// Of a record.
    Record(RecordId),
    /// Of an upload.
    Batch(UploadId),
}

/// That markers are being folded, by whoever has the lease of that token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folding {
    token: String,
    takes: BTreeSet<Version>,
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

/// The markers of a tenant, by collection.
pub type AllMarkers = HashMap<CollectionName, HashMap<Generation, Markers>>;

impl Markers {
    /// Whether the index has taken in everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.batches.is_empty()
    }

    /// The markers and their versions.
    pub fn versions(&self) -> impl Iterator<Item = (MarkerId, Version)> {
        let records = self.records.iter();
        let batches = self.batches.keys();
        records
            .map(|(id, marker)| (MarkerId::Record(*id), Version::Record(marker.ver)))
            .chain(batches.map(|id| (MarkerId::Batch(*id), Version::Batch(*id))))
    }

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

const FOLD: &str = "FOLD";

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

    fn read(item: &Item) -> Self {
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

/// Each part has a partition of its own, which takes some 1,000 KB a second.
fn batch_key(tenant: &TenantId, upload: UploadId, part: u32, token: u64) -> Key {
    Key::new(
        format!("TENANT#{tenant}#BATCH#{upload}#{part:06}"),
        format!("{token:016x}"),
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
            let Some((name, of, tail)) = parse(&key.sk) else {
                return Err(corrupt(key));
            };
            let markers = all.entry(name).or_default().entry(of).or_default();
            if tail == FOLD {
                markers.folding = Some(Folding::read(&item));
                return Ok(());
            }
            match MarkerId::parse(tail) {
                Some(MarkerId::Record(id)) => {
                    markers.records.insert(id, item::read(item)?);
                }
                Some(MarkerId::Batch(id)) => {
                    markers.batches.insert(id, item::read(item)?);
                }
                None => return Err(corrupt(key)),
            }
            Ok(())
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
