//! Uploads, their row errors, and the lease of the one that works on an upload.
//!
//! - `TENANT#<tenant>#UPLOADS` / `<upload>`: the upload; ids are in the order of time
//! - `TENANT#<tenant>#UPLOAD#<upload>` / `LEASE`: who works on it in the background
//! - `TENANT#<tenant>#UPLOAD#<upload>` / `ERRORS#<part>#<number>`: row errors, some hundred an item
//!
//! All of them expire a month after the last word of the upload.

use aws_sdk_dynamodb::types::TransactWriteItem;
use model::id::{TenantId, UploadId};
use model::idempotency::Attempt;
use model::time::{Moment, stored};
use model::upload::{Job, RowError};
use serde::Deserialize;

use crate::cap::Note;
use crate::item::{self, Item, Key};
use crate::retry::{ABSENT, Change, Outcome, random};
use crate::{Error, Result, Table};

/// How long an upload is remembered, in seconds.
const KEPT: i64 = 30 * 24 * 60 * 60;

const LEASE: &str = "LEASE";
const ERRORS: &str = "ERRORS#";

/// That somebody, and nobody else, works on an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadLease {
    token: String,
    /// When it is over if it is not extended.
    pub until: Moment,
}

/// Where a list of row errors goes on: behind so many errors of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorPlace {
    /// The item: its part and its number in that.
    pub item: (u32, u32),
    /// How many of its errors were listed.
    pub skip: usize,
}

/// What announcing an upload came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// It is there.
    Yes,
    /// An earlier call under the same `Idempotency-Key` announced one.
    Before,
}

fn pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#UPLOADS")
}

fn own_pk(tenant: &TenantId, id: UploadId) -> String {
    format!("TENANT#{tenant}#UPLOAD#{id}")
}

pub(crate) fn key(tenant: &TenantId, id: UploadId) -> Key {
    Key::new(pk(tenant), id.to_string())
}

fn lease_key(tenant: &TenantId, id: UploadId) -> Key {
    Key::new(own_pk(tenant, id), LEASE)
}

fn errors_sk((part, number): (u32, u32)) -> String {
    format!("{ERRORS}{part:06}#{number:08}")
}

fn parse_errors_sk(sk: &str) -> Option<(u32, u32)> {
    let (part, number) = sk.strip_prefix(ERRORS)?.split_once('#')?;
    Some((part.parse().ok()?, number.parse().ok()?))
}

fn expiring(mut item: Item, now: Moment) -> Item {
    item.insert("ttl".to_owned(), item::number(now.timestamp() + KEPT));
    item
}

fn job_item(tenant: &TenantId, job: &Job, now: Moment) -> Result<Item> {
    Ok(expiring(item::build(&key(tenant, job.id), job)?, now))
}

fn read_errors(item: Item) -> Result<Vec<RowError>> {
    #[derive(Deserialize)]
    struct Body {
        errors: String,
    }
    let key = Key::of(&item);
    let body: Body = item::read(item)?;
    serde_json::from_str(&body.errors).map_err(|error| Error::Corrupt {
        pk: key.pk,
        sk: key.sk,
        reason: error.to_string(),
    })
}

impl Table {
    /// Notes an upload that is announced, and the call, if it may be sent again, in one transaction.
    pub async fn create_upload(
        &self,
        tenant: &TenantId,
        job: &Job,
        attempt: Option<&Attempt>,
    ) -> Result<Announced> {
        let now = job.created_at;
        let item = job_item(tenant, job, now)?;
        let mut writes = vec![self.put_write(item, &Change::condition(ABSENT))?];
        if let Some(attempt) = attempt {
            writes.push(self.call_write(tenant, attempt, &job.id, now)?);
        }
        match self.transact(writes).await? {
            Outcome::Done => Ok(Announced::Yes),
            outcome if outcome.refused(1) => Ok(Announced::Before),
            Outcome::Refused(_) => Err(Error::Corrupt {
                pk: pk(tenant),
                sk: job.id.to_string(),
                reason: "a new upload's id exists".to_owned(),
            }),
        }
    }

    /// Writes an upload down as it is, by whoever works on it.
    pub async fn save_upload(&self, tenant: &TenantId, job: &Job, now: Moment) -> Result<()> {
        self.put(job_item(tenant, job, now)?).await
    }

    /// The same under a lease; false if somebody else has it by now.
    pub async fn note_upload(
        &self,
        tenant: &TenantId,
        note: Note<'_>,
        now: Moment,
    ) -> Result<bool> {
        let mut writes = vec![self.upload_write(tenant, note.job, now)?];
        if let Some(lease) = note.lease {
            writes.push(self.lease_write(tenant, note.job.id, lease)?);
        }
        Ok(self.transact(writes).await? == Outcome::Done)
    }

    /// The same as part of a transaction.
    pub(crate) fn upload_write(
        &self,
        tenant: &TenantId,
        job: &Job,
        now: Moment,
    ) -> Result<TransactWriteItem> {
        self.put_write(job_item(tenant, job, now)?, &Change::default())
    }

    /// An upload.
    pub async fn find_upload(&self, tenant: &TenantId, id: UploadId) -> Result<Option<Job>> {
        let item = self.get(&key(tenant, id)).await?;
        item.map(item::read).transpose()
    }

    /// The next uploads of a tenant, newest first, from before `before`; and whether there are more.
    pub async fn list_uploads(
        &self,
        tenant: &TenantId,
        before: Option<UploadId>,
        limit: usize,
    ) -> Result<(Vec<Job>, bool)> {
        let start = before.map(|id| key(tenant, id));
        let mut items = self
            .page_backwards(&pk(tenant), start, limit.saturating_add(1))
            .await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let jobs: Result<Vec<Job>> = items.into_iter().map(item::read).collect();
        Ok((jobs?, more))
    }

    /// Keeps row errors of a part of an upload, under a number within it.
    pub async fn keep_errors(
        &self,
        tenant: &TenantId,
        id: UploadId,
        place: (u32, u32),
        errors: &[RowError],
        now: Moment,
    ) -> Result<()> {
        let text = serde_json::to_string(errors).map_err(|error| Error::Refused(error.into()))?;
        let mut item = Key::new(own_pk(tenant, id), errors_sk(place)).item();
        item.insert("errors".to_owned(), item::text(text));
        self.put(expiring(item, now)).await
    }

    /// Forgets the row errors of a part that is written anew.
    pub async fn forget_errors(&self, tenant: &TenantId, id: UploadId, part: u32) -> Result<()> {
        let pk = own_pk(tenant, id);
        let mut keys = Vec::new();
        let prefix = format!("{ERRORS}{part:06}#");
        self.query(&pk, &prefix, Some("pk, sk"), |item| {
            keys.push(Key::of(&item));
            Ok(())
        })
        .await?;
        for key in keys {
            self.delete(&key, &Change::default()).await?;
        }
        Ok(())
    }

    /// The next row errors of an upload, in the order of the rows, and where to go on if there are
    /// more.
    pub async fn list_errors(
        &self,
        tenant: &TenantId,
        id: UploadId,
        from: &ErrorPlace,
        limit: usize,
    ) -> Result<(Vec<RowError>, Option<ErrorPlace>)> {
        let pk = own_pk(tenant, id);
        let mut found = Vec::new();
        let mut start = Some(Key::new(&pk, before(&errors_sk(from.item))));
        while let Some(after) = start.take() {
            let (items, next) = self.page(&pk, Some(after), None).await?;
            for item in items {
                let Some(place) = parse_errors_sk(&Key::of(&item).sk) else {
                    continue;
                };
                if place < from.item {
                    continue;
                }
                let listed = if place == from.item { from.skip } else { 0 };
                for (index, error) in read_errors(item)?.into_iter().enumerate().skip(listed) {
                    if found.len() == limit {
                        let place = ErrorPlace {
                            item: place,
                            skip: index,
                        };
                        return Ok((found, Some(place)));
                    }
                    found.push(error);
                }
            }
            start = next;
        }
        Ok((found, None))
    }

    /// Takes the lease of an upload until then, if nobody has it; what was taken before
    /// `alone_since` is nobody's any more.
    pub async fn lease_upload(
        &self,
        tenant: &TenantId,
        id: UploadId,
        (now, until): (Moment, Moment),
        alone_since: Option<Moment>,
    ) -> Result<Option<UploadLease>> {
        let token = format!("{:016x}{:016x}", random(), random());
        let mut free = "attribute_not_exists(pk) OR #until <= :now".to_owned();
        let mut change =
            Change::update("SET #token = :token, #until = :until, since = :now, #ttl = :ttl")
                .name("#token", "token")
                .name("#until", "until")
                .name("#ttl", "ttl")
                .value(":token", item::text(&token))
                .value(":until", item::text(stored(until)))
                .value(":now", item::text(stored(now)))
                .value(":ttl", item::number(now.timestamp() + KEPT));
        if let Some(alone_since) = alone_since {
            free += " OR since < :alone_since";
            change = change.value(":alone_since", item::text(stored(alone_since)));
        }
        // A transaction, so that a call whose answer was lost does not meet its own work.
        let write = self.update_write(&lease_key(tenant, id), &change.when(free))?;
        let taken = self.transact(vec![write]).await? == Outcome::Done;
        Ok(taken.then_some(UploadLease { token, until }))
    }

    fn lease_change(lease: &UploadLease, until: Moment) -> Change {
        Change::update("SET #until = :until")
            .when("#token = :token")
            .name("#until", "until")
            .name("#token", "token")
            .value(":token", item::text(&lease.token))
            .value(":until", item::text(stored(until)))
    }

    /// Keeps a lease until then; false if somebody else has taken it. Until `now` gives it back.
    pub async fn extend_upload_lease(
        &self,
        tenant: &TenantId,
        id: UploadId,
        lease: &UploadLease,
        until: Moment,
    ) -> Result<bool> {
        let change = Self::lease_change(lease, until);
        Ok(self
            .update(&lease_key(tenant, id), &change)
            .await?
            .is_some())
    }

    /// The same as part of a transaction, which so is nobody else's.
    pub(crate) fn lease_write(
        &self,
        tenant: &TenantId,
        id: UploadId,
        lease: &UploadLease,
    ) -> Result<TransactWriteItem> {
        let held = Change::condition("#token = :token")
            .name("#token", "token")
            .value(":token", item::text(&lease.token));
        self.check_write(&lease_key(tenant, id), &held)
    }
}

/// A sort key a little before this one: a page begins after it, and the item itself is in it.
fn before(sk: &str) -> String {
    // Numbers are of one width, so the text without its last digit precedes all that begin with it.
    sk[..sk.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_the_order_of_parts_and_numbers() {
        let mut keys = [(0, 0), (0, 9), (0, 10), (1, 0), (12, 3)].map(errors_sk);
        keys.sort();
        assert_eq!(
            keys.map(|sk| parse_errors_sk(&sk)),
            [(0, 0), (0, 9), (0, 10), (1, 0), (12, 3)].map(Some)
        );
        assert!(before(&errors_sk((3, 17))) < errors_sk((3, 10)));
        assert_eq!(parse_errors_sk(LEASE), None);
    }
}
