//! The directory: which collections have, or had, public records, of all tenants.
//!
//! `OPEN#COLLECTIONS` / `<collection>#<tenant>`
//!
//! - the collections of one name, or all, are one query
//! - a collection is listed before its first record becomes public: one read of its item, and one
//!   transaction if that does not say `listed` yet
//! - it is taken out in the transaction that deletes it
//! - a record is looked for in those of the number that its id names, a hundred at a time: one batch
//!   for the collections, one for the record in each
//!
//! So a public record's collection is always in it. That a collection is in it says nothing more: who
//! may find a record, the record itself says.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use model::id::{CollectionName, RecordId, TenantId};
use model::record::Record;
use serde::{Deserialize, Serialize};

use crate::item::{self, Item, Key};
use crate::record::{Place, authored};
use crate::retry::{BATCH_GET, Change};
use crate::{Error, Result, Table, collection};

const PK: &str = "OPEN#COLLECTIONS";

/// A collection that has, or had, public records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The collection's name.
    pub collection: CollectionName,
    /// The tenant that has it.
    pub tenant: TenantId,
    /// Its number within the tenant.
    pub number: u32,
}

#[derive(Serialize, Deserialize)]
struct Body {
    number: u32,
}

fn key(tenant: &TenantId, name: &CollectionName) -> Key {
    Key::new(PK, format!("{name}#{tenant}"))
}

fn read(item: Item) -> Result<Listed> {
    let Key { pk, sk } = Key::of(&item);
    let named = sk.split_once('#');
    let named = named.and_then(|(name, tenant)| Some((name.parse().ok()?, tenant.parse().ok()?)));
    let Some((collection, tenant)) = named else {
        let reason = "no collection and tenant in its key".to_owned();
        return Err(Error::Corrupt { pk, sk, reason });
    };
    let Body { number } = item::read(item)?;
    Ok(Listed {
        collection,
        tenant,
        number,
    })
}

impl Table {
    /// Lists the collection of that number, live or reserved, unless it is listed. It has to be before
    /// a record of it becomes public. Nothing happens if there is no such collection any more.
    pub async fn list_openly(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        number: u32,
    ) -> Result<()> {
        let own = collection::key(tenant, name);
        let item = self.get(&own).await?;
        let known = item.map(collection::read).transpose()?;
        let unlisted = known.filter(|(known, _)| known.number == number && !known.listed);
        if unlisted.is_none() {
            return Ok(());
        }
        let listing = item::build(&key(tenant, name), &Body { number })?;
        let listed = Change::update("SET listed = :yes")
            .when("#number = :number")
            .name("#number", "number")
            .value(":yes", AttributeValue::Bool(true))
            .value(":number", item::number(number));
        // Refused if it was deleted meanwhile: then nothing of it becomes public either.
        self.transact(vec![
            self.put_write(listing, &Change::default())?,
            self.update_write(&own, &listed)?,
        ])
        .await?;
        Ok(())
    }

    /// Takes a collection out, as part of the transaction that deletes it.
    pub(crate) fn unlist_write(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
    ) -> Result<TransactWriteItem> {
        self.delete_write(&key(tenant, name), &Change::default())
    }

    /// The collections of that name that are listed, or all, in the order of names and tenants.
    pub async fn listed_openly(&self, name: Option<&CollectionName>) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let prefix = name.map_or_else(String::new, |name| format!("{name}#"));
        self.query(PK, &prefix, None, |item| {
            listed.push(read(item)?);
            Ok(())
        })
        .await?;
        Ok(listed)
    }
}

impl Table {
    /// The record of that id in whichever listed collection it is, private or not.
    pub async fn find_listed_record(&self, id: RecordId) -> Result<Option<Record>> {
        let mut listed = self.listed_openly(None).await?;
        listed.retain(|listed| listed.number == id.collection_number());
        for some in listed.chunks(BATCH_GET) {
            let own = |listed: &Listed| collection::key(&listed.tenant, &listed.collection);
            let keys: Vec<Key> = some.iter().map(own).collect();
            let mut places = Vec::with_capacity(some.len());
            for item in self.batch_get(&keys, None).await? {
                let key = Key::of(&item);
                let listed = some.iter().find(|listed| own(listed) == key);
                let found = served(item, id);
                places.extend(listed.zip(found).map(|(listed, generation)| {
                    let place = Place::new(&listed.tenant, listed.number, generation);
                    (place.key(id), &listed.collection)
                }));
            }
            let keys: Vec<Key> = places.iter().map(|(key, _)| key.clone()).collect();
            for item in self.batch_get(&keys, None).await? {
                let key = Key::of(&item);
                if let Some((_, name)) = places.iter().find(|(place, _)| *place == key) {
                    return authored(name, item).map(|found| Some(found.record));
                }
            }
        }
        Ok(None)
    }
}

/// The generation that a collection serves, if the id is of that collection. One that cannot be read
/// is no reason to find nothing of another's; whoever searches it tells what is wrong.
fn served(item: Item, id: RecordId) -> Option<u32> {
    let (collection, live) = collection::read(item).ok()?;
    let is_it = live && collection.number == id.collection_number();
    is_it.then_some(collection.generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_says_whose_collection_it_is() {
        let (tenant, name) = ("t_1-x".parse().unwrap(), "a.b-c_d".parse().unwrap());
        let item = item::build(&key(&tenant, &name), &Body { number: 7 }).unwrap();
        let expected = Listed {
            collection: name,
            tenant,
            number: 7,
        };
        assert_eq!(read(item).unwrap(), expected);
    }
}
