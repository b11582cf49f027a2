//! Records.
//!
//! `TENANT#<tenant>#RECORDS#<collection number>#<generation>#<shard>` / `<id>`, 16 shards by id
//!
//! - pages are hydrated by [`Table::records`], one batch of up to 100 keys
//! - rows are added by `INSERT` statements, 25 a call, each of which fails alone where the record
//!   exists; a changed row is an update on the version that was read
//! - the search index takes in what changed by [`Table::marked_records`] and is built anew from
//!   [`Table::shard_records`]
//! - an id leads to its record in two reads, [`Table::find_records`]: one query of the tenant's
//!   collections, of which one has the id's number, and one batch
//! - one record is made, changed or deleted in one transaction; one that is made under a cap is
//!   reserved on `CAPS` in it
//!
//! `collection_data` is kept as JSON text: it comes back as it was read, empty values included, and
//! costs one attribute.

mod change;
mod create;
mod find;
mod write;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::ready;

use futures_util::{StreamExt, TryStreamExt, stream};
use model::id::{CollectionName, RecordId, RecordType, SHARDS, TenantId, UploadId};
use model::json;
use model::record::{Record, SourceType, Visibility};
use model::time::Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cap::ShardTally;
use crate::item::{self, Item, Key, moment};
use crate::marker::{Batch, Generation, RecordMarker};
use crate::retry::BATCH_GET;
use crate::{Error, Result, Table};

pub use create::{Creation, Making};
pub use find::Located;
pub use write::{Added, Additions};

/// How many batches are under way at once.
const CONCURRENCY: usize = 8;

/// Where the records of one generation of a collection lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    tenant: TenantId,
    of: Generation,
    prefix: String,
}

/// One of the partitions of a [`Place`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    pk: String,
    pub(crate) number: u8,
}

/// What one upload did to a shard.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) tally: ShardTally,
    pub(crate) batch: Batch,
    /// When it wrote there last, if it did.
    pub(crate) last_written: Option<Moment>,
}

impl Place {
    /// The place of a collection's generation.
    #[must_use]
    pub fn new(tenant: &TenantId, number: u32, generation: u32) -> Self {
        Self {
            tenant: tenant.clone(),
            of: Generation { number, generation },
            prefix: format!("TENANT#{tenant}#RECORDS#{number:010}#{generation:06}"),
        }
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = Shard> {
        (0..SHARDS).map(|number| self.shard(number))
    }

    /// The partition keys of all shards.
    pub(crate) fn partitions(&self) -> Vec<String> {
        self.shards().map(|shard| shard.pk).collect()
    }

    fn shard(&self, number: u8) -> Shard {
        Shard {
            pk: format!("{}#{number:02}", self.prefix),
            number,
        }
    }

    pub(crate) fn key(&self, id: RecordId) -> Key {
        Key::new(self.shard(id.shard()).pk, id.to_string())
    }
}

/// Records, and those that are not what this code wrote.
#[derive(Debug, Default)]
pub struct Readable {
    /// The records.
    pub records: HashMap<RecordId, Record>,
    /// The ids of items that cannot be read.
    pub corrupt: HashSet<RecordId>,
}

impl Readable {
    /// Whether a record is at least what its marker says.
    fn agrees(&self, id: RecordId, marker: &RecordMarker) -> bool {
        if self.corrupt.contains(&id) {
            return true;
        }
        match self.records.get(&id) {
            None => marker.gone,
            Some(record) if (record.upload, record.row) == (marker.upload, marker.row) => {
                !marker.gone && record.version >= marker.version
            }
            // It was made anew since.
            Some(_) => true,
        }
    }

    fn take(&mut self, collection: &CollectionName, item: Item) -> Result<()> {
        let key = Key::of(&item);
        match from_item(collection, item) {
            Ok(record) => drop(self.records.insert(record.id, record)),
            Err(error) => {
                let Ok(id) = key.sk.parse() else {
                    return Err(error);
                };
                self.corrupt.insert(id);
            }
        }
        Ok(())
    }
}

/// A record that is there already.
#[derive(Debug, Clone, PartialEq)]
pub struct Existing {
    /// The record.
    pub record: Record,
    /// The last upload that changed it, if one did.
    pub changed_by: Option<UploadId>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Body {
    id: RecordId,
    record_type: RecordType,
    name: String,
    description: Option<String>,
    data: String,
    visibility: Visibility,
    /// The visibility when the record was made: what its upload counts.
    born: Visibility,
    source_type: SourceType,
    source_name: Option<String>,
    source_id: Option<String>,
    #[serde(with = "moment")]
    created_at: Moment,
    #[serde(with = "moment")]
    updated_at: Moment,
    version: u64,
    upload: UploadId,
    row: u64,
    /// The last upload that changed the record, if one did.
    changed_by: Option<UploadId>,
}

fn text_of(data: &Map<String, Value>) -> Result<String> {
    serde_json::to_string(data).map_err(|error| Error::Refused(Box::new(error)))
}

impl Body {
    /// The item of a record as its upload makes it.
    fn of(record: &Record) -> Result<Self> {
        Ok(Self {
            id: record.id,
            record_type: record.record_type.clone(),
            name: record.name.clone(),
            description: record.description.clone(),
            data: text_of(&record.data)?,
            visibility: record.visibility,
            born: record.visibility,
            source_type: record.source_type,
            source_name: record.source_name.clone(),
            source_id: record.source_id.clone(),
            created_at: record.created_at,
            updated_at: record.updated_at,
            version: record.version,
            upload: record.upload,
            row: record.row,
            changed_by: None,
        })
    }
}

fn from_item(collection: &CollectionName, item: Item) -> Result<Record> {
    authored(collection, item).map(|existing| existing.record)
}

pub(crate) fn authored(collection: &CollectionName, item: Item) -> Result<Existing> {
    let key = Key::of(&item);
    let body: Body = item::read(item)?;
    // Not serde_json's own maps: they take some keys for private signs of other things.
    let data = match json::parse_record(&body.data) {
        Ok(Value::Object(data)) => data,
        parsed => {
            return Err(Error::Corrupt {
                pk: key.pk,
                sk: key.sk,
                reason: parsed.map_or_else(|error| error.to_string(), |_| "no object".to_owned()),
            });
        }
    };
    let record = Record {
        id: body.id,
        collection: collection.clone(),
        record_type: body.record_type,
        name: body.name,
        description: body.description,
        data,
        visibility: body.visibility,
        source_type: body.source_type,
        source_name: body.source_name,
        source_id: body.source_id,
        created_at: body.created_at,
        updated_at: body.updated_at,
        version: body.version,
        upload: body.upload,
        row: body.row,
    };
    Ok(Existing {
        record,
        changed_by: body.changed_by,
    })
}

impl Table {
    /// Reads records by id; what does not exist is not among them. In any order.
    pub async fn records(
        &self,
        place: &Place,
        collection: &CollectionName,
        ids: &[RecordId],
    ) -> Result<HashMap<RecordId, Record>> {
        let existing = self.existing(place, collection, ids).await?;
        let records = existing.into_iter();
        Ok(records
            .map(|(id, existing)| (id, existing.record))
            .collect())
    }

    /// The same for those that an upload meets, each with the last upload that changed it.
    pub async fn existing(
        &self,
        place: &Place,
        collection: &CollectionName,
        ids: &[RecordId],
    ) -> Result<HashMap<RecordId, Existing>> {
        let keys: Vec<Key> = ids.iter().map(|id| place.key(*id)).collect();
        let mut found = HashMap::with_capacity(ids.len());
        for keys in keys.chunks(BATCH_GET) {
            for item in self.batch_get(keys, None).await? {
                let existing = authored(collection, item)?;
                found.insert(existing.record.id, existing);
            }
        }
        Ok(found)
    }

    /// Which of these records exist.
    pub async fn existing_records(
        &self,
        place: &Place,
        ids: &[RecordId],
    ) -> Result<HashSet<RecordId>> {
        let chunks: Vec<Vec<Key>> = ids
            .chunks(BATCH_GET)
            .map(|chunk| chunk.iter().map(|id| place.key(*id)).collect())
            .collect();
        stream::iter(chunks)
            .map(|keys| async move { self.batch_get(&keys, Some("pk, sk")).await })
            .buffer_unordered(CONCURRENCY)
            .try_fold(HashSet::new(), |mut found, items| {
                found.extend(
                    items
                        .iter()
                        .filter_map(|item| Key::of(item).sk.parse::<RecordId>().ok()),
                );
                ready(Ok(found))
            })
            .await
    }

    /// Reads records that are marked as changed, as their markers say or as they are since; and
    /// tells those that cannot be read. What does not exist is in neither.
    ///
    /// A batch of reads may see a transaction half: its marker and not yet its record. Where the two
    /// do not agree, they are read together.
    pub async fn marked_records(
        &self,
        place: &Place,
        collection: &CollectionName,
        ids: &[RecordId],
        markers: &BTreeMap<RecordId, RecordMarker>,
    ) -> Result<Readable> {
        let chunks: Vec<Vec<Key>> = ids
            .chunks(BATCH_GET)
            .map(|chunk| chunk.iter().map(|id| place.key(*id)).collect())
            .collect();
        let mut readable = stream::iter(chunks)
            .map(|keys| async move { self.batch_get(&keys, None).await })
            .buffer_unordered(CONCURRENCY)
            .try_fold(Readable::default(), |mut readable, items| {
                let taken = items
                    .into_iter()
                    .try_for_each(|item| readable.take(collection, item));
                ready(taken.map(|()| readable))
            })
            .await?;
        let half: Vec<RecordId> = ids
            .iter()
            .filter(|id| {
                markers
                    .get(id)
                    .is_some_and(|marker| !readable.agrees(**id, marker))
            })
            .copied()
            .collect();
        for id in half {
            let marker = Self::record_marker_key(&place.tenant, collection, place.of, id);
            let mut items = self.get_together(&[place.key(id), marker]).await?;
            readable.records.remove(&id);
            if let Some(item) = items.swap_remove(0) {
                readable.take(collection, item)?;
            }
        }
        Ok(readable)
    }

    /// Reads the next records of one shard, from 0 to 15, after `after`: some thousand, and where to
    /// go on if there are more.
    pub async fn shard_records(
        &self,
        place: &Place,
        collection: &CollectionName,
        shard: u8,
        after: Option<RecordId>,
    ) -> Result<(Readable, Option<RecordId>)> {
        let mut readable = Readable::default();
        let start = after.map(|id| Key::new(place.shard(shard).pk, id.to_string()));
        let (items, last) = self.page(&place.shard(shard).pk, start, None).await?;
        for item in items {
            readable.take(collection, item)?;
        }
        Ok((readable, last.and_then(|key| key.sk.parse().ok())))
    }

    /// What an upload did to one shard, as the records tell it.
    pub(crate) async fn count_made_by(&self, shard: &Shard, upload: UploadId) -> Result<Made> {
        #[derive(Deserialize)]
        struct Written {
            id: RecordId,
            upload: UploadId,
            born: Visibility,
            changed_by: Option<UploadId>,
            #[serde(with = "moment")]
            updated_at: Moment,
        }
        let mut made = Made::default();
        let projection = Some("pk, sk, id, upload, born, changed_by, updated_at");
        let mut start = None;
        loop {
            let (items, last) = self.page(&shard.pk, start, projection).await?;
            for item in items {
                let written: Written = item::read(item)?;
                if written.upload == upload {
                    made.tally.added += 1;
                    made.tally.public += u64::from(written.born == Visibility::Public);
                    made.batch.added.push(written.id);
                } else if written.changed_by == Some(upload) {
                    made.batch.changed.push(written.id);
                }
                if written.upload == upload || written.changed_by == Some(upload) {
                    made.last_written = made.last_written.max(Some(written.updated_at));
                }
            }
            if last.is_none() {
                return Ok(made);
            }
            start = last;
        }
    }
}
