//! How often a tenant's public records were found by others: 16 counters a collection and month,
//! which tell the days apart.
//!
//! `TENANT#<tenant>#OPEN` / `<period>#<number>#<shard>`
//!
//! - a month of all collections, with its days, is one query
//! - a search, or all that were collected for a moment, is one add on a random shard

use std::collections::BTreeMap;

use model::id::TenantId;
use model::period::{Day, Period};

use crate::daily::{self, Daily};
use crate::item::Key;
use crate::{Error, Result, Table};

fn pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#OPEN")
}

impl Table {
    /// Adds searches that returned public records of the collection with that number.
    pub async fn count_open_searches(
        &self,
        tenant: &TenantId,
        day: Day,
        number: u32,
        count: u64,
    ) -> Result<()> {
        let (period, shard) = (day.period(), daily::shard());
        let key = Key::new(pk(tenant), format!("{period}#{number:010}#{shard:02}"));
        self.update(&key, &daily::count(day, count)).await?;
        Ok(())
    }

    /// The open searches of a month by collection number, day by day.
    pub async fn open_searches(
        &self,
        tenant: &TenantId,
        period: Period,
    ) -> Result<BTreeMap<u32, Daily>> {
        let mut searches: BTreeMap<u32, Daily> = BTreeMap::new();
        self.query(&pk(tenant), &format!("{period}#"), None, |item| {
            let Key { pk, sk } = Key::of(&item);
            let number = sk.split('#').nth(1).and_then(|number| number.parse().ok());
            let number: u32 = number.ok_or_else(|| Error::Corrupt {
                pk,
                sk,
                reason: "no collection number in its key".to_owned(),
            })?;
            searches.entry(number).or_default().add(&item)
        })
        .await?;
        Ok(searches)
    }
}
