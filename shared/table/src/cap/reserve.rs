//! Reserving what an upload may write, under the version of `CAPS` that was read.

use aws_sdk_dynamodb::types::AttributeValue;
use model::collection::Collection;
use model::id::{CollectionName, RecordType, TenantId, UploadId};
use model::plan::Limits;
use model::time::{Moment, stored};

use super::{Hold, Note, in_use, key, of_generation, refusal};
use crate::item;
use crate::retry::{ABSENT, Change, Outcome};
use crate::summary::Summary;
use crate::{Result, Table, collection};

/// What an upload asks for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The upload.
    pub upload: UploadId,
    /// The collection, which need not exist.
    pub collection: &'a CollectionName,
    /// The record type.
    pub record_type: &'a RecordType,
    /// How many records it adds at most.
    pub rows: u64,
    /// Now.
    pub since: Moment,
    /// When it has stopped writing, whatever happens.
    pub until: Moment,
    /// The format of search indexes that this code writes.
    pub format: u32,
}

/// What reserving came to.
#[expect(clippy::large_enum_variant, reason = "an upload has one of them")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// Write to this collection.
    Yes(Collection, Hold),
    /// The records would pass the plan's cap.
    RecordCap,
    /// The collection would pass the plan's cap.
    CollectionCap,
    /// It depends on uploads in flight, or another one was faster: ask again with a new summary.
    Again,
    /// Somebody else works on the upload, or the replace that it fills is cancelled.
    Lost,
}

impl Table {
    /// Reserves what `request` asks for, given what is known of the tenant.
    pub async fn reserve(
        &self,
        tenant: &TenantId,
        summary: &Summary,
        limits: &Limits,
        request: &Request<'_>,
    ) -> Result<Reserved> {
        self.reserve_for(tenant, summary, limits, request, (None, None))
            .await
    }

    /// The same for a generation that a replace fills, if one is named, together with the note of
    /// the upload, if there is one.
    pub async fn reserve_for(
        &self,
        tenant: &TenantId,
        summary: &Summary,
        limits: &Limits,
        request: &Request<'_>,
        (staging, note): (Option<u32>, Option<Note<'_>>),
    ) -> Result<Reserved> {
        if let Some(refused) = refusal(summary, limits, request, staging) {
            return Ok(refused);
        }
        let caps = &summary.caps;
        let known = summary.collection(request.collection);
        if staging.is_some() && staging != known.and_then(Collection::staging) {
            return Ok(Reserved::Lost);
        }
        let collection = known.cloned().unwrap_or_else(|| {
            collection::new(request.collection, caps.last_number + 1, request.format)
        });
        let generation = staging.unwrap_or(collection.generation);
        let pointer = collection.indexes.get(&generation);
        let hold = Hold {
            collection: collection.name.clone(),
            number: collection.number,
            generation,
            record_type: request.record_type.clone(),
            rows: request.rows,
            since: request.since,
            until: request.until,
            base: pointer.map_or(0, |pointer| pointer.version),
            staging: staging.is_some(),
            done: false,
        };
        let mut next = caps.with_number(collection.number);
        next.held.insert(request.upload.to_string(), hold.clone());
        let mut writes = Vec::new();
        if let Some(lease) = note.and_then(|note| note.lease.map(|lease| (note.job.id, lease))) {
            writes.push(self.lease_write(tenant, lease.0, lease.1)?);
        }
        let leased = !writes.is_empty();
        writes.push(self.put_write(item::build(&key(tenant), &next)?, &caps.unchanged())?);
        if known.is_none() {
            let item = collection::reserved(tenant, &collection)?;
            writes.push(self.put_write(item, &Change::condition(ABSENT))?);
        } else {
            // A swap moves no reservation, so one that came in between is found here.
            let key = collection::key(tenant, request.collection);
            let same = Change::condition(format!("#number = :number AND {}", in_use(staging)))
                .name("#number", "number")
                .value(":number", item::number(collection.number));
            writes.push(self.check_write(&key, &of_generation(same, staging, generation))?);
        }
        if let Some(note) = note {
            writes.push(self.upload_write(tenant, note.job, request.since)?);
        }
        match self.transact(writes).await? {
            Outcome::Done => Ok(Reserved::Yes(collection, hold)),
            outcome if leased && outcome.refused(0) => Ok(Reserved::Lost),
            Outcome::Refused(_) => Ok(Reserved::Again),
        }
    }

    /// Moves a reservation under which nothing is written yet: to the generation and the pointer's
    /// version that the collection has by now, and to another end. False if it is not there any more.
    pub async fn move_hold(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        hold: &Hold,
    ) -> Result<bool> {
        let change = Change::update(
            "SET held.#upload.#base = :base, held.#upload.generation = :generation, \
             held.#upload.#until = :until, version = version + :one",
        )
        .when("held.#upload.done = :no")
        .name("#upload", upload.to_string())
        .name("#base", "base")
        .name("#until", "until")
        .value(":base", item::number(hold.base))
        .value(":generation", item::number(hold.generation))
        .value(":until", item::text(stored(hold.until)))
        .value(":one", item::number(1))
        .value(":no", AttributeValue::Bool(false));
        Ok(self.update(&key(tenant), &change).await?.is_some())
    }
}
