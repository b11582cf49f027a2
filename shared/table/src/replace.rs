//! Replacing a collection's records without downtime: another generation is filled beside the one
//! that is served, and one write of the collection's item swaps them.
//!
//! - `COLL#<name>`: `replace`, the one that is under way; `retired`, the generations that went out
//!   of use, each with when
//!
//! Everything that is kept of a generation has its number in its key, so that nothing of two
//! generations is ever mixed, and no number is used twice. What a replace leaves behind stays for
//! whoever read the collection before, and is then deleted by [`Table::delete_generation`].

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::collection::{Collection, Replace, Retired};
use model::id::{CollectionName, RecordType, SHARDS, TenantId, UploadId};
use model::index::Pointer;
use model::time::Moment;

use crate::cap::{self, Caps};
use crate::collection::{self, retired_text};
use crate::item::{self, Item, Key};
use crate::marker::Generation;
use crate::record::Place;
use crate::retry::Change;
use crate::{Result, Table};

/// How often a replace is begun anew whose collection changes meanwhile.
const ATTEMPTS: u32 = 5;

/// How many shards are deleted at once.
const SHARDS_AT_ONCE: usize = 4;

/// What beginning a replace came to.
#[expect(clippy::large_enum_variant, reason = "a replace has one of them")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is under way: the collection as it is now, and the generation to fill.
    Yes(Collection, u32),
    /// Another one is.
    Busy,
    /// There is no such collection.
    NotFound,
}

/// What a swap came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    /// The new generation is served.
    Yes,
    /// The collection is not what was read any more.
    Moved,
}

/// A set of one text.
fn one(text: impl Into<String>) -> AttributeValue {
    AttributeValue::Ss(vec![text.into()])
}

/// The conditions and values that name a replace and what is served beside it.
fn naming(change: Change, served: u32, replace: &Replace) -> Change {
    change
        .when(
            "#generation = :served AND #replace.#generation = :staged \
             AND #replace.#upload = :upload",
        )
        .name("#generation", "generation")
        .name("#replace", "replace")
        .name("#upload", "upload")
        .name("#retired", "retired")
        .value(":served", item::number(served))
        .value(":staged", item::number(replace.generation))
        .value(":upload", item::text(replace.upload.to_string()))
}

impl Table {
    /// Begins a replace by an upload, whose search index is written in `format`.
    pub async fn begin_replace(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        upload: UploadId,
        record_type: &RecordType,
        now: Moment,
        format: u32,
    ) -> Result<Begun> {
        for _ in 0..ATTEMPTS {
            let Some(collection) = self.find_collection(tenant, name).await? else {
                return Ok(Begun::NotFound);
            };
            match &collection.replace {
                // A call whose answer was lost is repeated, and the repetition meets its own work.
                Some(replace) if replace.upload == upload => {
                    let generation = replace.generation;
                    return Ok(Begun::Yes(collection, generation));
                }
                Some(_) => return Ok(Begun::Busy),
                None => {}
            }
            if collection.indexes.is_empty() {
                self.prepare_pointers(tenant, name).await?;
            }
            let replace = Replace {
                generation: collection.last_generation + 1,
                upload,
                record_type: record_type.clone(),
                started_at: now,
            };
            if let Some(item) = self
                .try_begin(tenant, &collection, &replace, format)
                .await?
            {
                let (collection, _) = collection::read(item)?;
                return Ok(Begun::Yes(collection, replace.generation));
            }
        }
        Ok(Begun::Busy)
    }

    async fn try_begin(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        replace: &Replace,
        format: u32,
    ) -> Result<Option<Item>> {
        let change =
            Change::update("SET #replace = :replace, #last = :next, #index.#next = :pointer")
                .when(
                    "live = :live AND #number = :number AND #generation = :served \
             AND attribute_not_exists(#replace) \
             AND (attribute_not_exists(#last) OR #last = :last)",
                )
                .name("#replace", "replace")
                .name("#last", "last_generation")
                .name("#index", "index")
                .name("#next", replace.generation.to_string())
                .name("#number", "number")
                .name("#generation", "generation")
                .value(":replace", item::value(replace)?)
                .value(":next", item::number(replace.generation))
                .value(":pointer", item::value(&Pointer::empty(format, 1, 0))?)
                .value(":live", AttributeValue::Bool(true))
                .value(":number", item::number(collection.number))
                .value(":served", item::number(collection.generation))
                .value(":last", item::number(collection.last_generation));
        let key = collection::key(tenant, &collection.name);
        self.update(&key, &change).await
    }

    /// Serves what a replace has filled, in place of what was served before, if the collection is
    /// still as it was read.
    pub async fn swap(&self, tenant: &TenantId, read: &Collection, now: Moment) -> Result<Swapped> {
        let Some(replace) = &read.replace else {
            return Ok(Swapped::Moved);
        };
        let old = Retired {
            generation: read.generation,
            at: now,
        };
        let change = Change::update(
            "SET #generation = :staged, record_types = :types REMOVE #replace \
             ADD #retired :retired",
        )
        .value(":types", one(replace.record_type.to_string()))
        .value(":retired", one(retired_text(old)));
        let change = naming(change, read.generation, replace);
        let key = collection::key(tenant, &read.name);
        if self.update(&key, &change).await?.is_some() {
            return Ok(Swapped::Yes);
        }
        // As with the beginning, the answer may have been lost.
        let current = self.find_collection(tenant, &read.name).await?;
        let done = current.is_some_and(|current| {
            (current.number, current.generation) == (read.number, replace.generation)
        });
        Ok(if done { Swapped::Yes } else { Swapped::Moved })
    }

    /// Ends a replace without a swap, that of `upload` or whichever is under way; says whether there
    /// was one.
    pub async fn cancel_replace(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        upload: Option<UploadId>,
        now: Moment,
    ) -> Result<bool> {
        let Some(read) = self.find_collection(tenant, name).await? else {
            return Ok(false);
        };
        let Some(replace) = &read.replace else {
            return Ok(false);
        };
        if upload.is_some_and(|upload| upload != replace.upload) {
            return Ok(false);
        }
        let staged = Retired {
            generation: replace.generation,
            at: now,
        };
        let change = Change::update("REMOVE #replace ADD #retired :retired")
            .value(":retired", one(retired_text(staged)));
        let change = naming(change, read.generation, replace);
        if self
            .update(&collection::key(tenant, name), &change)
            .await?
            .is_some()
        {
            return Ok(true);
        }
        let current = self.find_collection(tenant, name).await?;
        Ok(current.is_some_and(|current| !current.uses(replace.generation)))
    }

    /// Whether an upload that has reserved may still write to a generation.
    pub async fn is_held(&self, tenant: &TenantId, of: Generation) -> Result<bool> {
        let caps = self.get(&cap::key(tenant)).await?;
        let caps: Caps = caps.map(item::read).transpose()?.unwrap_or_default();
        Ok(caps.holds(of))
    }

    /// Deletes all that the table has of a retired generation: its records, counters and markers,
    /// then its pointer and the note that it is retired. What is cut short is done by the next call.
    /// False if it is not retired.
    pub async fn delete_generation(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
    ) -> Result<bool> {
        let Some(collection) = self.find_collection(tenant, name).await? else {
            return Ok(false);
        };
        let mut retired = collection.retired.iter();
        let retired = retired.find(|retired| retired.generation == of.generation);
        let Some(retired) = retired.filter(|_| collection.number == of.number) else {
            return Ok(false);
        };
        self.erase_generation(tenant, name, of).await?;
        let forget = if collection.indexes.contains_key(&of.generation) {
            Change::update("REMOVE #index.#of DELETE #retired :retired")
                .name("#index", "index")
                .name("#of", of.generation.to_string())
        } else {
            Change::update("DELETE #retired :retired")
        };
        let forget = forget
            .when("#number = :number")
            .name("#number", "number")
            .name("#retired", "retired")
            .value(":number", item::number(of.number))
            .value(":retired", one(retired_text(*retired)));
        self.update(&collection::key(tenant, name), &forget).await?;
        Ok(true)
    }

    /// Erases the records, counters and markers of a generation that nobody can be at.
    pub(crate) async fn erase_generation(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
    ) -> Result<()> {
        let place = Place::new(tenant, of.number, of.generation);
        stream::iter(place.partitions())
            .map(|pk| async move { self.delete_partition(&pk).await })
            .buffer_unordered(SHARDS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let counters = (0..SHARDS).map(|shard| collection::count_key(tenant, of, shard));
        let counters: Vec<Key> = counters.collect();
        self.delete_all(&counters).await?;
        self.delete_markers(tenant, name, of).await
    }
}
