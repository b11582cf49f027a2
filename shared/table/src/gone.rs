//! Collections that are deleted: what is left of them until it is erased.
//!
//! `GONE#COLLECTIONS` / `<tenant>#<name>#<number>`
//!
//! - deleting is one transaction: the collection's item, what uploads in flight have reserved in it,
//!   its schemas and its place among those with public records go, and this item comes. From then on
//!   nobody finds the collection, its name is free, and no upload to it can settle. Of very many
//!   schemas, some go a moment later
//! - what is left has the collection's number in its keys, and is erased later, when nobody can be
//!   at it any more; this item goes last, so that what is cut short is done by whoever comes next
//! - what is to be erased is one query, of all tenants or of one name: a partition of its own, since
//!   whoever comes next does not know the tenant

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use model::collection::Collection;
use model::id::{CollectionName, TenantId};
use model::time::Moment;
use serde::{Deserialize, Serialize};

use crate::cap::{self, Caps};
use crate::item::{self, Item, Key, moment};
use crate::marker::Generation;
use crate::retry::{ATTEMPTS, Change, Outcome, back_off};
use crate::schema::Mark;
use crate::{Error, Result, Table, collection};

/// The partition. It is no tenant's.
const PK: &str = "GONE#COLLECTIONS";

/// The most schemas that go in the transaction itself, which takes 100 writes; others go after it.
const SCHEMAS: usize = 90;

/// A collection that is deleted and not erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The tenant.
    pub tenant: TenantId,
    /// The name, which another collection may have by now.
    pub name: CollectionName,
    /// The number, which no other has.
    pub number: u32,
    /// When it was deleted.
    pub at: Moment,
    /// When an upload to it that was in flight has stopped writing, whatever happened.
    pub until: Moment,
    generations: BTreeSet<u32>,
    /// The last version of each record type's schema.
    schemas: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(with = "moment")]
    at: Moment,
    #[serde(with = "moment")]
    until: Moment,
    generations: BTreeSet<u32>,
    schemas: BTreeMap<String, u64>,
}

impl Gone {
    /// A collection as it is deleted: with every generation of which something may be left.
    fn of(tenant: &TenantId, collection: &Collection, schemas: &[Mark], now: Moment) -> Self {
        let retired = collection.retired.iter().map(|retired| retired.generation);
        let used = [Some(collection.generation), collection.staging()];
        let marks = schemas.iter();
        Self {
            tenant: tenant.clone(),
            name: collection.name.clone(),
            number: collection.number,
            at: now,
            until: now,
            generations: used.into_iter().flatten().chain(retired).collect(),
            schemas: marks
                .map(|mark| (mark.record_type.clone(), mark.version))
                .collect(),
        }
    }

    /// Its generations of which something may be left.
    pub fn generations(&self) -> impl Iterator<Item = Generation> + '_ {
        self.generations.iter().map(|generation| Generation {
            number: self.number,
            generation: *generation,
        })
    }

    fn key(&self) -> Key {
        let prefix = prefix(&self.tenant, &self.name);
        Key::new(PK, format!("{prefix}{:010}", self.number))
    }

    fn item(&self) -> Result<Item> {
        let body = Body {
            at: self.at,
            until: self.until,
            generations: self.generations.clone(),
            schemas: self.schemas.clone(),
        };
        item::build(&self.key(), &body)
    }

    fn read(item: Item) -> Result<Self> {
        let key = Key::of(&item);
        let Some((tenant, name, number)) = parse(&key.sk) else {
            return Err(Error::Corrupt {
                pk: key.pk,
                sk: key.sk,
                reason: "no deleted collection".to_owned(),
            });
        };
        let body: Body = item::read(item)?;
        Ok(Self {
            tenant,
            name,
            number,
            at: body.at,
            until: body.until,
            generations: body.generations,
            schemas: body.schemas,
        })
    }
}

fn prefix(tenant: &TenantId, name: &CollectionName) -> String {
    format!("{tenant}#{name}#")
}

fn parse(sk: &str) -> Option<(TenantId, CollectionName, u32)> {
    let mut parts = sk.splitn(3, '#');
    let tenant = parts.next()?.parse().ok()?;
    let name = parts.next()?.parse().ok()?;
    Some((tenant, name, parts.next()?.parse().ok()?))
}

/// The condition that a collection is what was read, as far as what is to be erased depends on it.
fn unchanged(collection: &Collection, schemas: Option<AttributeValue>) -> Change {
    let same = "live = :live AND #number = :number \
                AND (attribute_not_exists(#last) OR #last = :last)";
    let change = match schemas {
        Some(schemas) => {
            Change::condition(format!("{same} AND #schemas = :schemas")).value(":schemas", schemas)
        }
        None => Change::condition(format!("{same} AND attribute_not_exists(#schemas)")),
    };
    change
        .name("#number", "number")
        .name("#last", "last_generation")
        .name("#schemas", collection::SCHEMAS)
        .value(":live", AttributeValue::Bool(true))
        .value(":number", item::number(collection.number))
        .value(":last", item::number(collection.last_generation))
}

impl Table {
    /// Deletes a collection, and tells what is left to be erased; `None` if there is none, or one
    /// that is only reserved.
    pub async fn delete_collection(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        now: Moment,
    ) -> Result<Option<Gone>> {
        for attempt in 1..=ATTEMPTS {
            // What is reserved and the schemas are read after it: a change of either is then found by
            // the transaction.
            let Some(item) = self.get(&collection::key(tenant, name)).await? else {
                return Ok(None);
            };
            let schema_count = item.get(collection::SCHEMAS).cloned();
            let (collection, live) = collection::read(item)?;
            if !live {
                return Ok(None);
            }
            let same = unchanged(&collection, schema_count);
            if let Some(gone) = self.try_delete(tenant, &collection, same, now).await? {
                return Ok(Some(gone));
            }
            back_off(attempt).await;
        }
        Err(Error::Unavailable(
            "the collection keeps changing".to_owned(),
        ))
    }

    async fn try_delete(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        same: Change,
        now: Moment,
    ) -> Result<Option<Gone>> {
        let name = &collection.name;
        let caps = self.get(&cap::key(tenant)).await?;
        let caps: Caps = caps.map(item::read).transpose()?.unwrap_or_default();
        let schemas = self.schema_marks(tenant, Some(name)).await?;
        let mut gone = Gone::of(tenant, collection, &schemas, now);
        let (left, until) = caps.without(collection.number);
        gone.until = gone.until.max(until.unwrap_or(now));

        let mut writes = vec![
            self.delete_write(&collection::key(tenant, name), &same)?,
            self.put_write(item::build(&cap::key(tenant), &left)?, &caps.unchanged())?,
            self.put_write(gone.item()?, &Change::default())?,
            self.unlist_write(tenant, name)?,
        ];
        let current = schemas.iter().filter(|mark| !mark.deleted);
        let mut current = current
            .map(|mark| self.delete_schema_write(tenant, collection, &mark.record_type, now));
        for write in current.by_ref().take(SCHEMAS) {
            writes.push(write?);
        }
        let later = current.collect::<Result<Vec<_>>>()?;
        if self.transact(writes).await? != Outcome::Done {
            return Ok(None);
        }
        for write in later {
            // The collection is deleted, whatever comes of it: who erases it takes these too.
            if self.transact(vec![write]).await.is_err() {
                break;
            }
        }
        Ok(Some(gone))
    }

    /// The deleted collections of which something is left, of all tenants: each, or why its item cannot
    /// be read, which is no reason not to erase the others.
    pub async fn gone_collections(&self) -> Result<Vec<Result<Gone>>> {
        self.read_gone("").await
    }

    /// The same of one name, the oldest first.
    pub async fn gone_of(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
    ) -> Result<Vec<Result<Gone>>> {
        self.read_gone(&prefix(tenant, name)).await
    }

    async fn read_gone(&self, prefix: &str) -> Result<Vec<Result<Gone>>> {
        let mut gone = Vec::new();
        self.query(PK, prefix, None, |item| {
            gone.push(Gone::read(item));
            Ok(())
        })
        .await?;
        Ok(gone)
    }

    /// Erases the schemas of a deleted collection. Nobody can use them, so it need not wait; those of
    /// another collection of the name are left, whenever this is done.
    pub async fn erase_schemas(&self, gone: &Gone) -> Result<()> {
        for (record_type, version) in &gone.schemas {
            let last = (record_type.as_str(), *version);
            self.erase_schema(&gone.tenant, &gone.name, gone.number, last)
                .await?;
        }
        Ok(())
    }

    /// Erases all that the table has of a deleted collection that nobody can be at any more: its
    /// records, counters, markers and schemas, then the note that it is deleted. What is cut short is
    /// done by the next call.
    pub async fn erase_collection(&self, gone: &Gone) -> Result<()> {
        for of in gone.generations() {
            self.erase_generation(&gone.tenant, &gone.name, of).await?;
        }
        self.erase_schemas(gone).await?;
        self.delete(&gone.key(), &Change::default()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_read_as_it_was_written() {
        let at: Moment = "2026-03-08T12:00:00.000123Z".parse().unwrap();
        let gone = Gone {
            tenant: "t_1".parse().unwrap(),
            name: "a.b-c".parse().unwrap(),
            number: 7,
            at,
            until: at,
            generations: BTreeSet::from([1, 12]),
            schemas: BTreeMap::from([("product".to_owned(), 3)]),
        };
        assert_eq!(gone.key().sk, "t_1#a.b-c#0000000007");
        assert_eq!(Gone::read(gone.item().unwrap()).unwrap(), gone);
        assert_eq!(parse("t_1#a.b-c"), None);
    }
}
