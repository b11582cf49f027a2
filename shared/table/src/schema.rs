//! Schemas of what collections hold: for each record type the current one, and every version.
//!
//! - `TENANT#<tenant>#SCHEMAS` / `<collection>#<record type>`: the current version. Of a schema that was
//!   deleted the number is left, so that the next version has another
//! - `TENANT#<tenant>#SCHEMA#<collection>#<record type>` / `<number>#<version>`: each version there
//!   was. The number is the collection's: the next one of the name may begin with the same versions
//!
//! - which collections have one is one query of all but their texts
//! - those of a deleted collection are taken from use in the transaction that deletes it; their
//!   versions are erased after it, and what is left of the current one last ([`crate::gone`])
//!
//! A version, what makes it the current one, the quickstart's stamp and, where there is none, the
//! collection are one transaction: a collection lives from its first record or schema.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use model::collection::Collection;
use model::id::{CollectionName, RecordType, TenantId};
use model::plan::Limits;
use model::quickstart::Step;
use model::time::{Moment, stored};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cap::Room;
use crate::item::{self, Key, moment};
use crate::retry::{ABSENT, Change, Outcome};
use crate::summary::Summary;
use crate::{Result, Table, cap, collection};

/// A schema of the data of one record type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The collection.
    pub collection: CollectionName,
    /// The record type.
    pub record_type: RecordType,
    /// Counts the schemas that the record type had, from 1.
    pub version: u64,
    /// The schema as JSON text; empty where a list leaves it out.
    pub schema: String,
    /// When the record type got a schema.
    pub created_at: Moment,
    /// When it got this version.
    pub updated_at: Moment,
}

/// A schema that is to be the current one.
#[derive(Debug, Clone, Copy)]
pub struct NewSchema<'a> {
    /// The collection, which need not exist.
    pub collection: &'a CollectionName,
    /// The record type.
    pub record_type: &'a RecordType,
    /// The schema.
    pub schema: &'a Value,
    /// Now.
    pub at: Moment,
    /// The format of search indexes that this code writes.
    pub format: u32,
}

/// What putting a schema came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is the current one; if it was already, it has the version that it had.
    Yes(Schema),
    /// The collection would pass the plan's cap.
    CollectionCap,
    /// It depends on uploads in flight, or another call was faster: ask again with a new summary.
    Again,
}

#[derive(Serialize, Deserialize)]
struct Body {
    collection: CollectionName,
    record_type: RecordType,
    /// The collection's number. Zero in an item that was written before it was kept here.
    #[serde(default)]
    number: u32,
    version: u64,
    /// Empty if it is deleted.
    #[serde(default)]
    schema: String,
    #[serde(with = "moment")]
    created_at: Moment,
    #[serde(with = "moment")]
    updated_at: Moment,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

impl Body {
    fn into_schema(self) -> Option<Schema> {
        (!self.deleted).then_some(Schema {
            collection: self.collection,
            record_type: self.record_type,
            version: self.version,
            schema: self.schema,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }

    /// Whether the collection of that number uses it. It may be that an earlier one of the name was
    /// deleted, and this not yet taken from use.
    fn is_used_by(&self, number: u32) -> bool {
        !self.deleted && [0, number].contains(&self.number)
    }

    fn is(&self, schema: &Value) -> bool {
        let kept = serde_json::from_str::<Value>(&self.schema);
        kept.is_ok_and(|kept| kept == *schema)
    }
}

/// That a record type has, or had, a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    collection: String,
    pub(crate) record_type: String,
    pub(crate) version: u64,
    pub(crate) deleted: bool,
}

/// What a schema has in a list beside its text, in bytes.
const FRAME: usize = 300;

fn pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#SCHEMAS")
}

fn key(tenant: &TenantId, collection: &CollectionName, record_type: &RecordType) -> Key {
    Key::new(pk(tenant), format!("{collection}#{record_type}"))
}

fn versions_pk(tenant: &TenantId, collection: &CollectionName, record_type: &str) -> String {
    format!("TENANT#{tenant}#SCHEMA#{collection}#{record_type}")
}

/// What the sort keys of the versions begin with that the collection of that number has.
fn own_prefix(number: u32) -> String {
    format!("{number:010}#")
}

/// The sort key of a version. With the number zero it is that of one from before there were numbers in
/// these keys.
fn version_sk(number: u32, version: u64) -> String {
    if number == 0 {
        format!("{version:010}")
    } else {
        format!("{}{version:010}", own_prefix(number))
    }
}

fn version_key(
    tenant: &TenantId,
    collection: &CollectionName,
    record_type: &RecordType,
    (number, version): (u32, u64),
) -> Key {
    let pk = versions_pk(tenant, collection, record_type.as_str());
    Key::new(pk, version_sk(number, version))
}

/// The condition that there is a schema, and that it is in use.
const USED: &str = "attribute_exists(pk) AND attribute_not_exists(#deleted)";

/// Takes a schema that there is from use, at `now`.
fn deleting(now: Moment) -> Change {
    Change::update("SET #deleted = :yes, updated_at = :now REMOVE #schema")
        .when(USED)
        .name("#deleted", "deleted")
        .name("#schema", "schema")
        .value(":yes", AttributeValue::Bool(true))
        .value(":now", item::text(stored(now)))
}

impl Table {
    /// Makes a schema the current one of its record type, given what is known of the tenant. A
    /// collection that does not live yet does then, if the plan has room for it.
    pub async fn put_schema(
        &self,
        tenant: &TenantId,
        summary: &Summary,
        limits: &Limits,
        new: &NewSchema<'_>,
    ) -> Result<Put> {
        let key = key(tenant, new.collection, new.record_type);
        let found = self.get(&key).await?;
        let found: Option<Body> = found.map(item::read).transpose()?;
        let known = summary.collection(new.collection);
        let number = known.map_or_else(|| summary.caps.next_number(), |known| known.number);
        let is_live = is_live(summary, new.collection);
        let used = found.as_ref().filter(|body| body.is_used_by(number));
        if is_live && used.is_some_and(|body| body.is(new.schema)) {
            let kept = found.and_then(Body::into_schema);
            return Ok(kept.map_or(Put::Again, Put::Yes));
        }
        match cap::room(summary, limits, new.collection) {
            Room::Yes => {}
            Room::Full => return Ok(Put::CollectionCap),
            // The collection may be one of those that uploads hold.
            Room::Held => return Ok(Put::Again),
        }
        let unchanged = match &found {
            Some(body) => Change::condition("version = :version")
                .value(":version", item::number(body.version)),
            None => Change::condition(ABSENT),
        };
        let body = Body {
            collection: new.collection.clone(),
            record_type: new.record_type.clone(),
            number,
            version: found.as_ref().map_or(1, |body| body.version + 1),
            schema: new.schema.to_string(),
            created_at: used.map_or(new.at, |body| body.created_at),
            updated_at: new.at,
            deleted: false,
        };
        let version = (number, body.version);
        let version = version_key(tenant, new.collection, new.record_type, version);
        let mut writes = vec![
            self.put_write(item::build(&key, &body)?, &unchanged)?,
            self.put_write(item::build(&version, &body)?, &Change::condition(ABSENT))?,
        ];
        let stamped = summary.checklist.completed_at(Step::DefineSchema);
        if stamped.is_none() {
            writes.push(self.stamp_write(tenant, Step::DefineSchema, new.at)?);
        }
        match known {
            Some(collection) if is_live => {
                writes.push(self.count_schema(
                    tenant,
                    collection,
                    Change::update("ADD #schemas :one"),
                )?);
            }
            _ => writes.extend(self.revive_writes(tenant, summary, new)?),
        }
        match self.transact(writes).await? {
            Outcome::Done => Ok(body.into_schema().map_or(Put::Again, Put::Yes)),
            Outcome::Refused(_) => Ok(Put::Again),
        }
    }

    /// Writes after which a collection lives that does not: one that an upload has reserved, or a new
    /// one. The caps' version moves, so that nobody else takes the same room.
    fn revive_writes(
        &self,
        tenant: &TenantId,
        summary: &Summary,
        new: &NewSchema<'_>,
    ) -> Result<Vec<TransactWriteItem>> {
        let live = AttributeValue::Bool(true);
        let mut next = summary.caps.clone();
        let collection = if let Some(collection) = summary.collection(new.collection) {
            let change = Change::update("SET live = :live ADD #schemas :one").value(":live", live);
            self.count_schema(tenant, collection, change)?
        } else {
            next.last_number += 1;
            let made = collection::new(new.collection, next.last_number, new.format);
            let mut item = collection::reserved(tenant, &made)?;
            item.insert("live".to_owned(), live);
            self.put_write(item, &Change::condition(ABSENT))?
        };
        let unchanged = next.unchanged();
        next.version += 1;
        let caps = item::build(&cap::key(tenant), &next)?;
        Ok(vec![self.put_write(caps, &unchanged)?, collection])
    }

    /// Counts on the item of a collection that one of its schemas was put, so that whoever deletes it
    /// meanwhile looks again; and finds that the collection is still there.
    fn count_schema(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        change: Change,
    ) -> Result<TransactWriteItem> {
        let change = change
            .when("#number = :number")
            .name("#number", "number")
            .name("#schemas", collection::SCHEMAS)
            .value(":one", item::number(1))
            .value(":number", item::number(collection.number));
        self.update_write(&collection::key(tenant, &collection.name), &change)
    }

    /// The current schema of a record type.
    pub async fn find_schema(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        record_type: &RecordType,
    ) -> Result<Option<Schema>> {
        let item = self.get(&key(tenant, collection, record_type)).await?;
        let body: Option<Body> = item.map(item::read).transpose()?;
        Ok(body.and_then(Body::into_schema))
    }

    /// A version of it, which may be of a schema that was deleted.
    pub async fn find_schema_version(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        record_type: &RecordType,
        version: u64,
    ) -> Result<Option<Schema>> {
        let current = self.get(&key(tenant, collection, record_type)).await?;
        let current: Option<Body> = current.map(item::read).transpose()?;
        let number = current.map_or(0, |current| current.number);
        let key = |number| version_key(tenant, collection, record_type, (number, version));
        let mut item = self.get(&key(number)).await?;
        if item.is_none() && number > 0 {
            // It may be from before there were numbers in these keys.
            item = self.get(&key(0)).await?;
        }
        let body: Option<Body> = item.map(item::read).transpose()?;
        Ok(body.and_then(Body::into_schema))
    }

    /// The current schemas, or those of one collection, in the order of collections and record types.
    /// From the one on with which they would pass `most` bytes, they are without their text.
    pub async fn list_schemas(
        &self,
        tenant: &TenantId,
        collection: Option<&CollectionName>,
        most: usize,
    ) -> Result<Vec<Schema>> {
        let prefix = collection.map(|name| format!("{name}#"));
        let mut schemas = Vec::new();
        let mut size = 0;
        self.query(
            &pk(tenant),
            prefix.as_deref().unwrap_or_default(),
            None,
            |item| {
                let body: Body = item::read(item)?;
                if let Some(mut schema) = body.into_schema() {
                    size += FRAME + schema.schema.len();
                    if size > most {
                        schema.schema.clear();
                    }
                    schemas.push(schema);
                }
                Ok(())
            },
        )
        .await?;
        Ok(schemas)
    }

    /// Deletes the current schema of a record type, and says whether there was one. Its versions stay.
    pub async fn delete_schema(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        record_type: &RecordType,
        now: Moment,
    ) -> Result<bool> {
        let key = key(tenant, collection, record_type);
        // A transaction, so that a call whose answer was lost does not meet its own work.
        let deleted = self.transact(vec![self.update_write(&key, &deleting(now))?]);
        Ok(deleted.await? == Outcome::Done)
    }

    /// The record types that have a schema, of each collection of which one has.
    pub async fn types_with_schema(
        &self,
        tenant: &TenantId,
    ) -> Result<BTreeMap<CollectionName, BTreeSet<RecordType>>> {
        let marks = self.schema_marks(tenant, None).await?;
        let mut types: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for mark in marks.into_iter().filter(|mark| !mark.deleted) {
            if let (Ok(collection), Ok(record_type)) =
                (mark.collection.parse(), mark.record_type.parse())
            {
                types.entry(collection).or_default().insert(record_type);
            }
        }
        Ok(types)
    }

    /// The record types of one collection, or of all, that have or had a schema.
    pub(crate) async fn schema_marks(
        &self,
        tenant: &TenantId,
        collection: Option<&CollectionName>,
    ) -> Result<Vec<Mark>> {
        #[derive(Deserialize)]
        struct Body {
            version: u64,
            #[serde(default)]
            deleted: bool,
        }
        let mut marks = Vec::new();
        let prefix = collection.map(|name| format!("{name}#"));
        let prefix = prefix.unwrap_or_default();
        let projection = Some("pk, sk, version, deleted");
        self.query(&pk(tenant), &prefix, projection, |item| {
            let sk = Key::of(&item).sk;
            if let Some((collection, record_type)) = sk.split_once('#') {
                let body: Body = item::read(item)?;
                marks.push(Mark {
                    collection: collection.to_owned(),
                    record_type: record_type.to_owned(),
                    version: body.version,
                    deleted: body.deleted,
                });
            }
            Ok(())
        })
        .await?;
        Ok(marks)
    }

    /// The write that takes a schema from use with its collection, unless it is already one of a later
    /// collection of the name.
    pub(crate) fn delete_schema_write(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        record_type: &str,
        now: Moment,
    ) -> Result<TransactWriteItem> {
        let key = Key::new(pk(tenant), format!("{}#{record_type}", collection.name));
        let not_later = "(attribute_not_exists(#number) OR #number <= :number)";
        let change = deleting(now)
            .when(format!("{USED} AND {not_later}"))
            .name("#number", "number")
            .value(":number", item::number(collection.number));
        self.update_write(&key, &change)
    }

    /// Erases a schema of a deleted collection: its versions, then what is left of the current one, in
    /// use or not. What a later collection of the name has, has another number, so it does not matter
    /// how often this is done, by how many, or how late.
    pub(crate) async fn erase_schema(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        number: u32,
        (record_type, version): (&str, u64),
    ) -> Result<()> {
        let mut versions = Vec::new();
        // Of those without a number, which nobody writes any more, the last version tells them.
        let (own, last) = (own_prefix(number), version_sk(0, version));
        let versions_pk = versions_pk(tenant, collection, record_type);
        self.query(&versions_pk, "", Some("pk, sk"), |item| {
            let key = Key::of(&item);
            let unnumbered = !key.sk.contains('#');
            if key.sk.starts_with(&own) || unnumbered && key.sk <= last {
                versions.push(key);
            }
            Ok(())
        })
        .await?;
        self.delete_all(&versions).await?;
        let same = Change::condition(
            "#number = :number OR \
             (attribute_not_exists(#number) AND version = :version AND #deleted = :yes)",
        )
        .name("#number", "number")
        .name("#deleted", "deleted")
        .value(":number", item::number(number))
        .value(":version", item::number(version))
        .value(":yes", AttributeValue::Bool(true));
        let key = Key::new(pk(tenant), format!("{collection}#{record_type}"));
        self.delete(&key, &same).await?;
        Ok(())
    }
}

fn is_live(summary: &Summary, name: &CollectionName) -> bool {
    let mut live = summary.collections.iter();
    live.any(|(collection, _)| collection.name == *name)
}
