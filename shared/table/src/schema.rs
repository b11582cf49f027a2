//! Schemas of what collections hold: for each record type the current one, and every version.
//!
//! - `TENANT#<tenant>#SCHEMAS` / `<collection>#<record type>`: the current version. Of a schema that was
//!   deleted the number is left, so that the next version has another
//! - `TENANT#<tenant>#SCHEMA#<collection>#<record type>` / `<version>`: each version there was
//!
//! A version, what makes it the current one, the quickstart's stamp and, where there is none, the
//! collection are one transaction: a collection lives from its first record or schema.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use model::id::{CollectionName, RecordType, TenantId};
use model::plan::Limits;
use model::quickstart::Step;
use model::time::{Moment, stored};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cap::Room;
use crate::item::{self, Key, moment};
use crate::retry::{ABSENT, Change, Outcome, PRESENT};
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

    fn is(&self, schema: &Value) -> bool {
        let kept = serde_json::from_str::<Value>(&self.schema);
        !self.deleted && kept.is_ok_and(|kept| kept == *schema)
    }
}

/// What a schema has in a list beside its text, in bytes.
const FRAME: usize = 300;

fn pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#SCHEMAS")
}

fn key(tenant: &TenantId, collection: &CollectionName, record_type: &RecordType) -> Key {
    Key::new(pk(tenant), format!("{collection}#{record_type}"))
}

fn version_key(
    tenant: &TenantId,
    collection: &CollectionName,
    record_type: &RecordType,
    version: u64,
) -> Key {
    Key::new(
        format!("TENANT#{tenant}#SCHEMA#{collection}#{record_type}"),
        format!("{version:010}"),
    )
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
        let is_live = is_live(summary, new.collection);
        if is_live && found.as_ref().is_some_and(|body| body.is(new.schema)) {
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
        let earlier = found.as_ref().filter(|body| !body.deleted);
        let body = Body {
            collection: new.collection.clone(),
            record_type: new.record_type.clone(),
            version: found.as_ref().map_or(1, |body| body.version + 1),
            schema: new.schema.to_string(),
            created_at: earlier.map_or(new.at, |body| body.created_at),
            updated_at: new.at,
            deleted: false,
        };
        let version = version_key(tenant, new.collection, new.record_type, body.version);
        let mut writes = vec![
            self.put_write(item::build(&key, &body)?, &unchanged)?,
            self.put_write(item::build(&version, &body)?, &Change::condition(ABSENT))?,
        ];
        let stamped = summary.checklist.completed_at(Step::DefineSchema);
        if stamped.is_none() {
            writes.push(self.stamp_write(tenant, Step::DefineSchema, new.at)?);
        }
        if !is_live {
            writes.extend(self.revive_writes(tenant, summary, new)?);
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
        let collection = if summary.collection(new.collection).is_some() {
            let change = Change::update("SET live = :live")
                .when(PRESENT)
                .value(":live", live);
            self.update_write(&collection::key(tenant, new.collection), &change)?
        } else {
            next.last_number += 1;
            let made = collection::new(new.collection, next.last_number, new.format);
            let mut item = collection::reserved(tenant, &made)?;
            item.insert("live".to_owned(), live);
            self.put_write(item, &Change::condition(ABSENT))?
        };
        let unchanged = if next.version == 0 {
            Change::condition(ABSENT)
        } else {
            Change::condition("version = :version").value(":version", item::number(next.version))
        };
        next.version += 1;
        let caps = item::build(&cap::key(tenant), &next)?;
        Ok(vec![self.put_write(caps, &unchanged)?, collection])
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
        let key = version_key(tenant, collection, record_type, version);
        let item = self.get(&key).await?;
        let body: Option<Body> = item.map(item::read).transpose()?;
        Ok(body.and_then(Body::into_schema))
    }

    /// The current schemas in the order of collections and record types. After the one with which
    /// they would pass `most` bytes, they are without their text.
    pub async fn list_schemas(&self, tenant: &TenantId, most: usize) -> Result<Vec<Schema>> {
        let mut schemas = Vec::new();
        let mut size = 0;
        self.query(&pk(tenant), "", None, |item| {
            let body: Body = item::read(item)?;
            if let Some(mut schema) = body.into_schema() {
                size += FRAME + schema.schema.len();
                if size > most {
                    schema.schema.clear();
                }
                schemas.push(schema);
            }
            Ok(())
        })
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
        let change = Change::update("SET #deleted = :yes, updated_at = :now REMOVE #schema")
            .when("attribute_exists(pk) AND attribute_not_exists(#deleted)")
            .name("#deleted", "deleted")
            .name("#schema", "schema")
            .value(":yes", AttributeValue::Bool(true))
            .value(":now", item::text(stored(now)));
        let key = key(tenant, collection, record_type);
        // A transaction, so that a call whose answer was lost does not meet its own work.
        let deleted = self.transact(vec![self.update_write(&key, &change)?]);
        Ok(deleted.await? == Outcome::Done)
    }
}

fn is_live(summary: &Summary, name: &CollectionName) -> bool {
    let mut live = summary.collections.iter();
    live.any(|(collection, _)| collection.name == *name)
}
