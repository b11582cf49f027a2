//! The quickstart checklist: an attribute a step, written once.
//!
//! `TENANT#<tenant>#SUMMARY` / `QUICKSTART`
//!
//! - read with the rest of the summary
//! - stamped in the transaction of the act itself, where the act is one

use aws_sdk_dynamodb::types::TransactWriteItem;
use model::id::TenantId;
use model::quickstart::{Checklist, Step};
use model::time::{Moment, stored};

use crate::item::{self, Item, Key};
use crate::retry::Change;
use crate::tenant::summary_pk;
use crate::{Result, Table};

pub(crate) const SK: &str = "QUICKSTART";

pub(crate) fn key(tenant: &TenantId) -> Key {
    Key::new(summary_pk(tenant), SK)
}

pub(crate) fn read(item: Item) -> Result<Checklist> {
    use std::collections::HashMap;
    let stamps: HashMap<String, String> = item::read(item)?;
    let mut checklist = Checklist::default();
    for step in Step::ALL {
        if let Some(moment) = stamps.get(step.id()).and_then(|text| text.parse().ok()) {
            checklist.stamp(step, moment);
        }
    }
    Ok(checklist)
}

fn stamp(step: Step, now: Moment) -> Change {
    Change::update("SET #step = if_not_exists(#step, :now)")
        .name("#step", step.id())
        .value(":now", item::text(stored(now)))
}

impl Table {
    /// Stamps a step, if it has no stamp yet.
    pub async fn stamp(&self, tenant: &TenantId, step: Step, now: Moment) -> Result<()> {
        self.update(&key(tenant), &stamp(step, now)).await?;
        Ok(())
    }

    /// The same as part of a transaction.
    pub(crate) fn stamp_write(
        &self,
        tenant: &TenantId,
        step: Step,
        now: Moment,
    ) -> Result<TransactWriteItem> {
        self.update_write(&key(tenant), &stamp(step, now))
    }

    /// The checklist.
    pub async fn checklist(&self, tenant: &TenantId) -> Result<Checklist> {
        let item = self.get(&key(tenant)).await?;
        Ok(item.map(read).transpose()?.unwrap_or_default())
    }
}
