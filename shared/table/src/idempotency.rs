//! Calls that were sent under an `Idempotency-Key`, for a day.
//!
//! - `TENANT#<tenant>#CALLS` / `<hash of method, path and key>`: a hash of what was asked for, the id of
//!   what was made, and until when the call may still be at it
//!
//! What was answered is not kept. It may have held a secret; what did not is told again from what was
//! made.

use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::TimeDelta;
use model::id::TenantId;
use model::idempotency::{Attempt, Sha256Hex};
use model::time::{Moment, stored};
use serde::{Deserialize, Serialize};

use crate::item::{self, Item, Key, moment, moment_option};
use crate::retry::{Change, Outcome};
use crate::{Result, Table};

/// How long a call is remembered.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// An earlier call under the same key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Earlier {
    /// A hash of what it asked for.
    pub body: Sha256Hex,
    /// The id of what it made, or is making.
    pub made: String,
    /// When it began.
    #[serde(with = "moment")]
    pub began_at: Moment,
    /// Until when it may be at it, if it was not over at once.
    #[serde(with = "moment_option", default)]
    pub busy_until: Option<Moment>,
    /// What only its answer told of an upload, once it was given.
    #[serde(default)]
    pub told: Option<Told>,
    /// Until when it is remembered.
    #[serde(with = "moment")]
    ends_at: Moment,
}

/// What only the answer to an upload tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// How long it took, in milliseconds.
    pub processing_time_ms: f64,
    /// Whether every row was accounted for and counted with the others.
    pub reconciled: bool,
}

/// What claiming a call came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// It is the caller's to do.
    Yes,
    /// There was one before.
    Earlier(Earlier),
}

fn key(tenant: &TenantId, attempt: &Attempt) -> Key {
    Key::new(format!("TENANT#{tenant}#CALLS"), attempt.call.to_string())
}

/// The condition that no call is remembered.
fn forgotten(now: Moment) -> Change {
    Change::condition("attribute_not_exists(pk) OR ends_at <= :now")
        .value(":now", item::text(stored(now)))
}

/// The condition that what is remembered is the call that made this.
fn made_is(made: &impl ToString) -> Change {
    Change::condition("made = :made").value(":made", item::text(made.to_string()))
}

fn call_item(
    tenant: &TenantId,
    attempt: &Attempt,
    made: String,
    now: Moment,
    busy_until: Option<Moment>,
) -> Result<Item> {
    let body = Earlier {
        body: attempt.body.clone(),
        made,
        began_at: now,
        busy_until,
        told: None,
        ends_at: now + KEPT,
    };
    let mut item = item::build(&key(tenant, attempt), &body)?;
    item.insert("ttl".to_owned(), item::number(body.ends_at.timestamp()));
    Ok(item)
}

impl Table {
    /// The earlier call under the same key, if one is remembered.
    pub async fn find_call(
        &self,
        tenant: &TenantId,
        attempt: &Attempt,
        now: Moment,
    ) -> Result<Option<Earlier>> {
        let item = self.get(&key(tenant, attempt)).await?;
        let earlier: Option<Earlier> = item.map(item::read).transpose()?;
        Ok(earlier.filter(|earlier| earlier.ends_at > now))
    }

    /// Remembers a call together with what it makes, unless there was one before.
    pub(crate) fn call_write(
        &self,
        tenant: &TenantId,
        attempt: &Attempt,
        made: &impl ToString,
        now: Moment,
    ) -> Result<TransactWriteItem> {
        let item = call_item(tenant, attempt, made.to_string(), now, None)?;
        self.put_write(item, &forgotten(now))
    }

    /// Claims a call that takes until `busy_until` at most: if none is remembered, or in place of
    /// `instead`, which came to nothing.
    pub async fn claim_call(
        &self,
        tenant: &TenantId,
        attempt: &Attempt,
        made: &impl ToString,
        (now, busy_until): (Moment, Moment),
        instead: Option<&Earlier>,
    ) -> Result<Claimed> {
        let mut instead = instead;
        loop {
            let condition = match instead {
                None => forgotten(now),
                Some(earlier) => made_is(&earlier.made),
            };
            let item = call_item(tenant, attempt, made.to_string(), now, Some(busy_until))?;
            let put = self.put_write(item, &condition)?;
            if self.transact(vec![put]).await? == Outcome::Done {
                return Ok(Claimed::Yes);
            }
            match self.find_call(tenant, attempt, now).await? {
                Some(earlier) => return Ok(Claimed::Earlier(earlier)),
                // It was given up meanwhile.
                None => instead = None,
            }
        }
    }

    /// Notes what the answer to a call told, so that it can be told again.
    pub async fn note_told(
        &self,
        tenant: &TenantId,
        attempt: &Attempt,
        made: &impl ToString,
        told: Told,
    ) -> Result<()> {
        let change = made_is(made)
            .set("SET told = :told")
            .value(":told", item::value(&told)?);
        self.update(&key(tenant, attempt), &change).await?;
        Ok(())
    }

    /// Gives up a call that came to nothing: it may be sent again.
    pub async fn give_up_call(
        &self,
        tenant: &TenantId,
        attempt: &Attempt,
        made: &impl ToString,
    ) -> Result<()> {
        self.delete(&key(tenant, attempt), &made_is(made)).await?;
        Ok(())
    }
}
