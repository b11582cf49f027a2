//! How often a tenant's public records were found by others: 16 counters a collection and month.
//!
//! `TENANT#<tenant>#OPEN` / `<period>#<number>#<shard>`
//!
//! - a month of all collections is one query

use std::collections::BTreeMap;

use model::id::{SHARDS, TenantId};
use model::period::Period;

use crate::item::{self, Key};
use crate::retry::{Change, random};
use crate::search::count;
use crate::{Error, Result, Table};

fn pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#OPEN")
}

impl Table {
    /// Adds one search that returned public records of the collection with that number.
    pub async fn count_open_search(
        &self,
        tenant: &TenantId,
        period: Period,
        number: u32,
    ) -> Result<()> {
        let shard = random() % u64::from(SHARDS);
        let key = Key::new(pk(tenant), format!("{period}#{number:010}#{shard:02}"));
        let change = Change::update("ADD n :one").value(":one", item::number(1));
        self.update(&key, &change).await?;
        Ok(())
    }

    /// The open searches of a month by collection number.
    pub async fn open_searches(
        &self,
        tenant: &TenantId,
        period: Period,
    ) -> Result<BTreeMap<u32, u64>> {
        let mut searches = BTreeMap::new();
        self.query(&pk(tenant), &format!("{period}#"), None, |item| {
            let Key { pk, sk } = Key::of(&item);
            let number = sk.split('#').nth(1).and_then(|number| number.parse().ok());
            let number: u32 = number.ok_or_else(|| Error::Corrupt {
                pk,
                sk,
                reason: "no collection number in its key".to_owned(),
            })?;
            *searches.entry(number).or_default() += count(item)?;
            Ok(())
        })
        .await?;
        Ok(searches)
    }
}
