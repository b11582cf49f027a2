//! Making one record by a call of its own: what the plan has room for, the collection that it is the
//! first of, and what counts it, in one transaction.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use model::collection::Collection;
use model::id::{RecordId, TenantId, UploadId};
use model::plan::Limits;
use model::record::{Identity, NewRecord, Origin, Record, SourceType, Visibility};
use model::time::Moment;

use super::Place;
use super::change::OWN_WRITES;
use crate::cap::{self, Request, Reserved};
use crate::item;
use crate::retry::{ABSENT, Change, Outcome};
use crate::summary::Summary;
use crate::{Result, Table, collection};

/// When what is left of a reservation goes with the next look, if its own call did not remove it.
const LEFT: Duration = Duration::from_mins(1);

/// A record that a call makes.
#[derive(Debug, Clone, Copy)]
pub struct Making<'a> {
    /// What it is to be.
    pub new: &'a NewRecord,
    /// The id of the call, which identifies the record if its source does not.
    pub call: UploadId,
    /// Now.
    pub at: Moment,
    /// The format of search indexes that this code writes.
    pub format: u32,
}

/// What making a record came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Creation {
    /// It is there, in a generation of its collection.
    Yes {
        /// The record.
        record: Box<Record>,
        /// The generation.
        generation: u32,
    },
    /// One that its source knows by the same id is there already.
    Exists,
    /// The record would pass the plan's cap.
    RecordCap,
    /// The collection would pass the plan's cap.
    CollectionCap,
    /// It depends on uploads in flight, or another call was faster: ask again with a new summary.
    Again,
}

impl Making<'_> {
    /// The record in its collection.
    fn record(&self, tenant: &TenantId, collection: &Collection) -> Record {
        let NewRecord {
            record_type,
            source_name,
            draft,
            ..
        } = self.new;
        let mut draft = draft.clone();
        let default = collection.default_visibility;
        draft.visibility = draft.visibility.or(Some(default));
        let identity = match &draft.source_id {
            Some(id) => Identity::Source(id),
            None => Identity::Call(self.call),
        };
        let (name, number) = (&collection.name, collection.number);
        let id = RecordId::derive(tenant, name, number, record_type, &identity);
        draft.into_record(Origin {
            id,
            collection: name.clone(),
            record_type: record_type.clone(),
            source_type: SourceType::Api,
            source_name: source_name.clone(),
            upload: self.call,
            row: 1,
            at: self.at,
        })
    }
}

impl Table {
    /// Makes a record where there is none, given what is known of the tenant. A collection that does
    /// not live yet does then, if the plan has room for both.
    pub async fn make_record(
        &self,
        tenant: &TenantId,
        summary: &Summary,
        limits: &Limits,
        making: &Making<'_>,
    ) -> Result<Creation> {
        let name = &making.new.collection;
        let request = Request {
            upload: making.call,
            collection: name,
            record_type: &making.new.record_type,
            rows: 1,
            since: making.at,
            until: making.at + LEFT,
            format: making.format,
        };
        match cap::refusal(summary, limits, &request, None) {
            None => {}
            Some(Reserved::RecordCap) => return Ok(Creation::RecordCap),
            Some(Reserved::CollectionCap) => return Ok(Creation::CollectionCap),
            Some(_) => return Ok(Creation::Again),
        }
        let known = summary.collection(name);
        let collection = known
            .cloned()
            .unwrap_or_else(|| collection::new(name, summary.caps.next_number(), making.format));
        let record = making.record(tenant, &collection);
        if record.visibility == Visibility::Public && !collection.listed {
            if known.is_none() {
                // Only a collection that has an item can be listed.
                self.reserve_number(tenant, summary, &collection).await?;
                return Ok(Creation::Again);
            }
            self.list_openly(tenant, name, collection.number).await?;
        }

        let mut others = Vec::new();
        let mut live = summary.collections.iter();
        let is_live = live.any(|(collection, _)| collection.name == *name);
        let is_capped = limits.records.is_some();
        if is_capped || !is_live {
            let caps = &summary.caps;
            let next = if is_capped {
                caps.with_counted(&collection, &request)
            } else {
                caps.with_number(collection.number)
            };
            let next = item::build(&cap::key(tenant), &next)?;
            others.push(self.put_write(next, &caps.unchanged())?);
        }
        if !is_live || !collection.record_types.contains(&record.record_type) {
            others.push(self.reviving_write(tenant, &collection, &record, known.is_none())?);
        }

        let place = Place::new(tenant, collection.number, collection.generation);
        let outcome = self.create_with(&place, &record, &others).await?;
        if outcome == Outcome::Done {
            if is_capped {
                // What is left of the reservation goes with the next look after its time, if not now.
                let _ = self.release(tenant, making.call).await;
            }
            return Ok(Creation::Yes {
                record: Box::new(record),
                generation: collection.generation,
            });
        }
        let moved = (0..others.len()).any(|other| outcome.refused(OWN_WRITES + other));
        Ok(if outcome.refused(0) && !moved {
            Creation::Exists
        } else {
            Creation::Again
        })
    }

    /// Gives a new collection its number and an item that is not shown yet, unless another call was
    /// faster.
    async fn reserve_number(
        &self,
        tenant: &TenantId,
        summary: &Summary,
        collection: &Collection,
    ) -> Result<()> {
        let caps = &summary.caps;
        let next = caps.with_number(collection.number);
        let next = item::build(&cap::key(tenant), &next)?;
        let item = collection::reserved(tenant, collection)?;
        self.transact(vec![
            self.put_write(next, &caps.unchanged())?,
            self.put_write(item, &Change::condition(ABSENT))?,
        ])
        .await?;
        Ok(())
    }

    /// The write after which a record's collection lives and has its type, if it is still what was
    /// read.
    fn reviving_write(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        record: &Record,
        is_new: bool,
    ) -> Result<TransactWriteItem> {
        let live = AttributeValue::Bool(true);
        let types = AttributeValue::Ss(vec![record.record_type.to_string()]);
        if is_new {
            let mut item = collection::reserved(tenant, collection)?;
            item.insert("live".to_owned(), live);
            item.insert("record_types".to_owned(), types);
            return self.put_write(item, &Change::condition(ABSENT));
        }
        let change = Change::update("SET live = :live ADD record_types :types")
            .when("#number = :number AND #generation = :generation")
            .name("#number", "number")
            .name("#generation", "generation")
            .value(":live", live)
            .value(":types", types)
            .value(":number", item::number(collection.number))
            .value(":generation", item::number(collection.generation));
        self.update_write(&collection::key(tenant, &collection.name), &change)
    }
}
