//! Collections and their counters.
//!
//! - `TENANT#<tenant>#SUMMARY` / `COLL#<name>`: the collection; `schemas` counts what was put of
//!   them, so that none is missed when the collection is deleted ([`crate::gone`])
//! - `TENANT#<tenant>#SUMMARY` / `COUNT#<number>#<shard>`: what is counted of the records in one
//!   shard of the first generation; 16 items, summed on read. A later generation's have its number
//!   too: `COUNT#<number>#<shard>#<generation>`
//!
//! A collection is live from its first record: until the upload that made it has settled with
//! one, its item is only a reserved number and is not shown.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use model::collection::{Collection, CollectionPatch, Counts, Lease, Replace, Retired};
use model::id::{CollectionName, RecordType, TenantId};
use model::index::Pointer;
use model::record::Visibility;
use model::time::{Moment, stored};
use serde::{Deserialize, Serialize};

use crate::item::{self, Item, Key, moment_option};
use crate::marker::Generation;
use crate::retry::Change;
use crate::tenant::summary_pk;
use crate::{Error, Result, Table};

pub(crate) const PREFIX: &str = "COLL#";
pub(crate) const COUNT_PREFIX: &str = "COUNT#";

/// The attribute that counts the schemas that were put.
pub(crate) const SCHEMAS: &str = "schemas";

#[derive(Serialize, Deserialize)]
struct Body {
    name: CollectionName,
    number: u32,
    generation: u32,
    /// Zero in an item that had one generation when it was written.
    #[serde(default)]
    last_generation: u32,
    replace: Option<Replace>,
    /// Each as [`retired_text`] has it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    retired: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    record_types: BTreeSet<RecordType>,
    description: Option<String>,
    category: Option<String>,
    default_visibility: Option<Visibility>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    listed: bool,
    live: bool,
    /// The pointer of each generation's index.
    #[serde(default)]
    index: BTreeMap<String, Pointer>,
    lease: Option<Lease>,
}

pub(crate) fn key(tenant: &TenantId, name: &CollectionName) -> Key {
    Key::new(summary_pk(tenant), format!("{PREFIX}{name}"))
}

/// The collection whose item has this key; `None` if it is another kind of item.
#[must_use]
pub fn of_key(pk: &str, sk: &str) -> Option<(TenantId, CollectionName)> {
    let tenant = pk.strip_prefix("TENANT#")?.strip_suffix("#SUMMARY")?;
    let name = sk.strip_prefix(PREFIX)?;
    Some((tenant.parse().ok()?, name.parse().ok()?))
}

/// The counters of a shard of records. The first generation's key is older than generations.
pub(crate) fn count_key(tenant: &TenantId, of: Generation, shard: u8) -> Key {
    let Generation { number, generation } = of;
    let mut sk = format!("{COUNT_PREFIX}{number:010}#{shard:02}");
    if generation > 1 {
        sk += &format!("#{generation:06}");
    }
    Key::new(summary_pk(tenant), sk)
}

/// A retired generation as an element of a set.
pub(crate) fn retired_text(retired: Retired) -> String {
    format!("{:06}#{}", retired.generation, stored(retired.at))
}

fn read_retired(text: &str) -> Option<Retired> {
    let (generation, at) = text.split_once('#')?;
    Some(Retired {
        generation: generation.parse().ok()?,
        at: at.parse().ok()?,
    })
}

/// A collection that is not live yet. Its index holds nothing, as its generation does.
pub(crate) fn new(name: &CollectionName, number: u32, format: u32) -> Collection {
    Collection {
        name: name.clone(),
        number,
        generation: 1,
        last_generation: 1,
        replace: None,
        retired: Vec::new(),
        record_types: BTreeSet::new(),
        description: None,
        category: None,
        default_visibility: Visibility::default(),
        listed: false,
        indexes: BTreeMap::from([(1, Pointer::empty(format, 1, 0))]),
        lease: None,
    }
}

/// The item of a collection that is not live yet.
pub(crate) fn reserved(tenant: &TenantId, collection: &Collection) -> Result<Item> {
    let indexes = collection.indexes.iter();
    let body = Body {
        name: collection.name.clone(),
        number: collection.number,
        generation: collection.generation,
        last_generation: collection.last_generation,
        replace: collection.replace.clone(),
        retired: collection
            .retired
            .iter()
            .copied()
            .map(retired_text)
            .collect(),
        record_types: collection.record_types.clone(),
        description: collection.description.clone(),
        category: collection.category.clone(),
        default_visibility: None,
        listed: collection.listed,
        live: false,
        index: indexes
            .map(|(generation, pointer)| (generation.to_string(), pointer.clone()))
            .collect(),
        lease: None,
    };
    item::build(&key(tenant, &collection.name), &body)
}

/// A collection, and whether it is live.
pub(crate) fn read(item: Item) -> Result<(Collection, bool)> {
    let body: Body = item::read(item)?;
    let staging = body.replace.as_ref().map(|replace| replace.generation);
    let last = body.last_generation.max(body.generation);
    let collection = Collection {
        name: body.name,
        number: body.number,
        generation: body.generation,
        last_generation: last.max(staging.unwrap_or_default()),
        replace: body.replace,
        retired: body
            .retired
            .iter()
            .filter_map(|text| read_retired(text))
            .collect(),
        record_types: body.record_types,
        description: body.description,
        category: body.category,
        default_visibility: body.default_visibility.unwrap_or_default(),
        listed: body.listed,
        indexes: body
            .index
            .into_iter()
            .filter_map(|(generation, pointer)| Some((generation.parse().ok()?, pointer)))
            .collect(),
        lease: body.lease,
    };
    Ok((collection, body.live))
}

impl Table {
    /// A collection; `None` if there is none, or one that is only reserved.
    pub async fn find_collection(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
    ) -> Result<Option<Collection>> {
        let item = self.get(&key(tenant, name)).await?;
        let found = item.map(read).transpose()?;
        Ok(found.and_then(|(collection, live)| live.then_some(collection)))
    }

    /// Changes what the owner of a collection says of it, in one conditional update, and returns the
    /// collection as it is then; `None` if there is none, or one that is only reserved.
    pub async fn update_collection(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        patch: &CollectionPatch,
    ) -> Result<Option<Collection>> {
        if patch.is_empty() {
            return self.find_collection(tenant, name).await;
        }
        let updated = self.update(&key(tenant, name), &patched(patch)?).await?;
        let updated = updated.map(read).transpose()?;
        Ok(updated.map(|(collection, _)| collection))
    }
}

/// What a patch does to a collection that is live.
fn patched(patch: &CollectionPatch) -> Result<Change> {
    let mut change = Change::default();
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    for (name, text) in [
        ("description", &patch.description),
        ("category", &patch.category),
    ] {
        let Some(text) = text else { continue };
        change = change.name(format!("#{name}"), name);
        if let Some(text) = text {
            set.push(format!("#{name} = :{name}"));
            change = change.value(format!(":{name}"), item::text(text));
        } else {
            remove.push(format!("#{name}"));
        }
    }
    if let Some(visibility) = patch.default_visibility {
        set.push("default_visibility = :visibility".to_owned());
        change = change.value(":visibility", item::value(&visibility)?);
    }
    let mut expression = String::new();
    for (verb, parts) in [("SET", set), ("REMOVE", remove)] {
        if !parts.is_empty() {
            expression += &format!("{verb} {} ", parts.join(", "));
        }
    }
    Ok(change
        .set(expression.trim_end())
        .when("live = :live")
        .value(":live", AttributeValue::Bool(true)))
}

/// What is counted in shards. One shard may be below zero for a while: a record whose upload has not
/// settled yet is not in the sum, and may already be taken out of it again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sums {
    total: i64,
    public: i64,
    #[serde(with = "moment_option")]
    last_updated: Option<Moment>,
}

impl Sums {
    pub(crate) fn add(&mut self, shard: &Self) {
        self.total += shard.total;
        self.public += shard.public;
        self.last_updated = self.last_updated.max(shard.last_updated);
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |sum: i64| u64::try_from(sum).unwrap_or(0);
        Counts {
            total: count(self.total),
            public: count(self.public),
            pending: 0,
            processing: 0,
            failed: 0,
            last_updated: self.last_updated,
        }
    }
}

/// A counter item: whose records it counts, and what one shard counts.
pub(crate) fn read_sums(item: Item) -> Result<(Generation, Sums)> {
    let Key { pk, sk } = Key::of(&item);
    let of = counted(&sk).ok_or_else(|| Error::Corrupt {
        pk,
        sk,
        reason: "no collection number in its key".to_owned(),
    })?;
    Ok((of, item::read(item)?))
}

/// Whose records an item with this sort key counts.
fn counted(sk: &str) -> Option<Generation> {
    let mut parts = sk.strip_prefix(COUNT_PREFIX)?.split('#');
    let number = parts.next()?.parse().ok()?;
    parts.next()?;
    let generation = match parts.next() {
        Some(generation) => generation.parse().ok()?,
        None => 1,
    };
    Some(Generation { number, generation })
}

/// Adds to a shard's counter, and dates it unless it has a later date.
pub(crate) fn count(total: i64, public: i64, at: Moment, newer: bool) -> Change {
    let add = "ADD #total :total, #public :public";
    let change = if newer {
        Change::update(add)
    } else {
        Change::update(format!("SET last_updated = :at {add}"))
            .when("attribute_not_exists(last_updated) OR last_updated <= :at")
            .value(":at", item::text(stored(at)))
    };
    change
        .name("#total", "total")
        .name("#public", "public")
        .value(":total", item::number(total))
        .value(":public", item::number(public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_each_generation_have_keys_of_their_own() {
        let tenant: TenantId = "t_1".parse().unwrap();
        let key = |generation| {
            let of = Generation {
                number: 7,
                generation,
            };
            let sk = count_key(&tenant, of, 3).sk;
            assert_eq!(counted(&sk), Some(of));
            sk
        };
        assert_eq!(key(1), "COUNT#0000000007#03");
        assert_eq!(key(2), "COUNT#0000000007#03#000002");
    }

    #[test]
    fn a_retired_generation_is_read_as_it_was_written() {
        let retired = Retired {
            generation: 12,
            at: "2026-03-08T12:00:00.000123Z".parse().unwrap(),
        };
        let text = retired_text(retired);
        assert_eq!(text, "000012#2026-03-08T12:00:00.000123Z");
        assert_eq!(read_retired(&text), Some(retired));
    }
}
