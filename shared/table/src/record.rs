//! Records.
//!
//! `TENANT#<tenant>#RECORDS#<collection number>#<generation>#<shard>` / `<id>`, 16 shards by id
//!
//! - pages are hydrated by [`Table::records`], one batch of up to 100 keys
//! - rows are added by `INSERT` statements, 25 a call, each of which fails alone where the record
//!   exists; a changed row is an update on the version that was read
//! - an index is built from [`Table::shard_records`]
//!
//! `collection_data` is kept as JSON text: it comes back as it was read, empty values included, and
//! costs one attribute.

use std::collections::{HashMap, HashSet};
use std::future::ready;

use aws_sdk_dynamodb::types::BatchStatementRequest;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::id::{CollectionName, RecordId, RecordType, SHARDS, TenantId, UploadId};
use model::json;
use model::record::{Record, SourceType, Visibility};
use model::time::{Moment, stored};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::cap::ShardTally;
use crate::item::{self, Item, Key, moment};
use crate::retry::{BATCH_GET, Change, Outcome, back_off};
use crate::{Error, Result, Table, collection};

/// The most statements that one `BatchExecuteStatement` takes.
const BATCH_STATEMENTS: usize = 25;

/// How many batches are under way at once.
const CONCURRENCY: usize = 8;

/// Where the records of one generation of a collection lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    tenant: TenantId,
    number: u32,
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
    /// When it wrote there last, if it did.
    pub(crate) last_written: Option<Moment>,
}

impl Place {
    /// The place of a collection's generation.
    #[must_use]
    pub fn new(tenant: &TenantId, number: u32, generation: u32) -> Self {
        Self {
            tenant: tenant.clone(),
            number,
            prefix: format!("TENANT#{tenant}#RECORDS#{number:010}#{generation:06}"),
        }
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = Shard> {
        (0..SHARDS).map(|number| self.shard(number))
    }

    fn shard(&self, number: u8) -> Shard {
        Shard {
            pk: format!("{}#{number:02}", self.prefix),
            number,
        }
    }

    fn key(&self, id: RecordId) -> Key {
        Key::new(self.shard(id.shard()).pk, id.to_string())
    }
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
    let key = Key::of(&item);
    let body: Body = item::read(item)?;
    // Not serde_json's own maps: they take some keys for private signs of other things.
    let data = match json::parse(body.data.as_bytes()) {
        Ok(Value::Object(data)) => data,
        parsed => {
            return Err(Error::Corrupt {
                pk: key.pk,
                sk: key.sk,
                reason: parsed.map_or_else(|error| error.to_string(), |_| "no object".to_owned()),
            });
        }
    };
    Ok(Record {
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
    })
}

/// What became of a row that was to be added.
#[derive(Debug, Clone, PartialEq)]
pub enum Added {
    /// It is a record now.
    Yes,
    /// The record exists; this is it.
    Exists(Box<Record>),
    /// The table would not take it before the deadline.
    NotWritten,
}

/// What adding rows came to.
#[derive(Debug, Default)]
pub struct Additions {
    /// For each row, in the order of the rows; `None` where a failure left it open.
    pub rows: Vec<Option<Added>>,
    /// Whether the table asked to slow down.
    pub slowed: bool,
    /// Why some rows are open. What was written is written.
    pub failure: Option<Error>,
}

impl Table {
    /// Reads records by id; what does not exist is not among them. In any order.
    pub async fn records(
        &self,
        place: &Place,
        collection: &CollectionName,
        ids: &[RecordId],
    ) -> Result<HashMap<RecordId, Record>> {
        let mut records = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(BATCH_GET) {
            let keys: Vec<Key> = chunk.iter().map(|id| place.key(*id)).collect();
            for item in self.batch_get(&keys, None).await? {
                let record = from_item(collection, item)?;
                records.insert(record.id, record);
            }
        }
        Ok(records)
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

    /// Reads every record of one shard, from 0 to 15.
    pub async fn shard_records(
        &self,
        place: &Place,
        collection: &CollectionName,
        shard: u8,
    ) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        self.query(&place.shard(shard).pk, "", None, |item| {
            records.push(from_item(collection, item)?);
            Ok(())
        })
        .await?;
        Ok(records)
    }

    /// What an upload did to one shard, as the records tell it.
    pub(crate) async fn count_made_by(&self, shard: &Shard, upload: UploadId) -> Result<Made> {
        #[derive(Deserialize)]
        struct Written {
            upload: UploadId,
            born: Visibility,
            changed_by: Option<UploadId>,
            #[serde(with = "moment")]
            updated_at: Moment,
        }
        let mut made = Made::default();
        let projection = Some("pk, sk, upload, born, changed_by, updated_at");
        self.query(&shard.pk, "", projection, |item| {
            let written: Written = item::read(item)?;
            if written.upload == upload {
                made.tally.added += 1;
                made.tally.public += u64::from(written.born == Visibility::Public);
            }
            if written.upload == upload || written.changed_by == Some(upload) {
                made.last_written = made.last_written.max(Some(written.updated_at));
            }
            Ok(())
        })
        .await?;
        Ok(made)
    }

    /// Adds records where there are none. Rows must not repeat an id.
    pub async fn add_records(
        &self,
        place: &Place,
        records: &[&Record],
        deadline: Instant,
    ) -> Additions {
        let mut additions = Additions {
            rows: vec![None; records.len()],
            ..Additions::default()
        };
        let batches: Vec<_> = (0..records.len())
            .step_by(BATCH_STATEMENTS)
            .map(|start| start..records.len().min(start + BATCH_STATEMENTS))
            .collect();
        let mut done = stream::iter(batches)
            .map(|batch| async move {
                let added = self
                    .add_batch(place, &records[batch.clone()], deadline)
                    .await;
                (batch, added)
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((batch, added)) = done.next().await {
            additions.slowed |= added.slowed;
            additions.failure = additions.failure.or(added.failure);
            additions.rows.splice(batch, added.rows);
        }
        additions
    }

    async fn add_batch(&self, place: &Place, records: &[&Record], deadline: Instant) -> Additions {
        let mut batch = Additions {
            rows: vec![None; records.len()],
            ..Additions::default()
        };
        for attempt in 1.. {
            let open: Vec<usize> = (0..records.len())
                .filter(|row| batch.rows[*row].is_none())
                .collect();
            if open.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                for row in open {
                    batch.rows[row] = Some(Added::NotWritten);
                }
                break;
            }
            match self.try_batch(place, records, &open, &mut batch.rows).await {
                Ok(()) | Err(Error::Unavailable(_)) => {}
                Err(error) => {
                    batch.failure = Some(error);
                    break;
                }
            }
            if batch.rows.iter().any(Option::is_none) {
                batch.slowed = true;
                back_off(attempt).await;
            }
        }
        batch
    }

    /// One call for the rows that are open.
    async fn try_batch(
        &self,
        place: &Place,
        records: &[&Record],
        open: &[usize],
        rows: &mut [Option<Added>],
    ) -> Result<()> {
        let statements = open
            .iter()
            .map(|row| self.insert_statement(place, records[*row]))
            .collect::<Result<Vec<_>>>()?;
        let answer = self
            .client
            .batch_execute_statement()
            .set_statements(Some(statements))
            .send()
            .await?;
        // One that fails does not keep the others from being told.
        // One that fails does not keep the others from being told.
        let mut failure = Ok(());
        let mut known = Vec::new();
        for (row, response) in open.iter().zip(answer.responses.unwrap_or_default()) {
            let Some(error) = response.error else {
                rows[*row] = Some(Added::Yes);
                continue;
            };
            let code = error.code.as_ref().map_or("", |code| code.as_str());
            if code == "DuplicateItem" {
                known.push(*row);
            } else if !Error::is_passing(code) {
                let message = error.message.as_deref().unwrap_or_default();
                failure = Err(Error::Refused(format!("{code}: {message}").into()));
            }
        }
        if let Some(first) = known.first() {
            let ids: Vec<RecordId> = known.iter().map(|row| records[*row].id).collect();
            let collection = &records[*first].collection;
            let mut existing = self.records(place, collection, &ids).await?;
            for row in known {
                // One that is gone again by now stays open: it may be added after all.
                rows[row] = existing
                    .remove(&records[row].id)
                    .map(|existing| added_before(records[row], existing));
            }
        }
        failure
    }

    fn insert_statement(&self, place: &Place, record: &Record) -> Result<BatchStatementRequest> {
        let mut members = Vec::new();
        let mut parameters = Vec::new();
        for (name, value) in item::build(&place.key(record.id), &Body::of(record)?)? {
            members.push(format!("'{name}': ?"));
            parameters.push(value);
        }
        Ok(BatchStatementRequest::builder()
            .statement(format!(
                "INSERT INTO \"{}\" VALUE {{{}}}",
                self.name,
                members.join(", ")
            ))
            .set_parameters(Some(parameters))
            .build()?)
    }

    /// Replaces a record by `new`, the next version of `old`, if `old` is still what the table
    /// holds; says whether it was. A change of visibility moves the counter in one transaction.
    pub async fn change_record(
        &self,
        place: &Place,
        old: &Record,
        new: &Record,
        by: UploadId,
    ) -> Result<bool> {
        let mut set = vec![
            "#name = :name",
            "#data = :data",
            "visibility = :visibility",
            "updated_at = :updated_at",
            "version = :next",
            "changed_by = :by",
        ];
        let mut remove = Vec::new();
        let mut change_values = vec![
            (":name", item::text(&new.name)),
            (":data", item::text(text_of(&new.data)?)),
            (":updated_at", item::text(stored(new.updated_at))),
            (":next", item::number(new.version)),
            (":seen", item::number(old.version)),
            (":by", item::text(by.to_string())),
            (":visibility", item::value(&new.visibility)?),
        ];
        for (name, place, value) in [
            (
                "description = :description",
                ":description",
                &new.description,
            ),
            (
                "source_name = :source_name",
                ":source_name",
                &new.source_name,
            ),
        ] {
            match value {
                Some(value) => {
                    set.push(name);
                    change_values.push((place, item::text(value)));
                }
                None => remove.push(&place[1..]),
            }
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression += &format!(" REMOVE {}", remove.join(", "));
        }
        let mut change = Change::update(expression)
            .when("version = :seen")
            .name("#name", "name")
            .name("#data", "data");
        for (place, value) in change_values {
            change = change.value(place, value);
        }
        let key = place.key(new.id);
        if old.visibility == new.visibility {
            if self.update(&key, &change).await?.is_some() {
                return Ok(true);
            }
            // The SDK repeats a call whose answer was lost, and the repetition meets its own work.
            let current = self.get(&key).await?.map(item::read::<Body>).transpose()?;
            let mut made = Body::of(new)?;
            made.changed_by = Some(by);
            return Ok(current.is_some_and(|current| {
                Body {
                    born: made.born,
                    ..current
                } == made
            }));
        }
        let one = if new.visibility == Visibility::Public {
            1
        } else {
            -1
        };
        let count = Change::update("ADD #public :one")
            .name("#public", "public")
            .value(":one", item::number(one));
        let counter = collection::count_key(&place.tenant, place.number, new.id.shard());
        let writes = vec![
            self.update_write(&key, &change)?,
            self.update_write(&counter, &count)?,
        ];
        Ok(self.transact(writes).await? == Outcome::Done)
    }
}

/// A record that names this very row of this upload was added by a call whose answer was lost,
/// whatever became of it since.
fn added_before(record: &Record, existing: Record) -> Added {
    if existing.upload == record.upload && existing.row == record.row {
        Added::Yes
    } else {
        Added::Exists(Box::new(existing))
    }
}
