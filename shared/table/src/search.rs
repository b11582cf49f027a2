//! How many searches a tenant made in a month and on its days: 16 counters, summed on read.
//!
//! `TENANT#<tenant>#SUMMARY` / `SEARCHES#<period>#<shard>`
//!
//! - this month's are read with the rest of the summary ([`crate::summary`])
//! - a month with its days is one query
//!
//! A search is counted before it is answered and given back if it fails: a crash in between
//! leaves one too many, never one too few. Under a cap all searches go to shard 0, whose
//! condition makes the cap exact. The SDK repeats a write whose answer was lost: a plain add may so
//! count one too many, which is allowed; where it would be wrong, the write is a transaction, which
//! is repeated under one token.

use model::id::{SHARDS, TenantId};
use model::period::{Day, Period};

use crate::daily::{self, Daily};
use crate::item::{self, Item, Key};
use crate::retry::Outcome;
use crate::tenant::summary_pk;
use crate::{Result, Table};

pub(crate) const PREFIX: &str = "SEARCHES#";

pub(crate) fn period_prefix(period: Period) -> String {
    format!("{PREFIX}{period}#")
}

/// The shard of all searches under a cap.
const CAPPED: u8 = 0;

/// The counters of a month but for that of searches under a cap.
pub(crate) fn uncapped_keys(tenant: &TenantId, period: Period) -> impl Iterator<Item = Key> {
    let shards = (0..SHARDS).filter(|shard| *shard != CAPPED);
    shards.map(move |shard| key(tenant, period, shard))
}

fn key(tenant: &TenantId, period: Period, shard: u8) -> Key {
    Key::new(
        summary_pk(tenant),
        format!("{}{shard:02}", period_prefix(period)),
    )
}

/// What a counter item counts in its month.
pub(crate) fn count(item: Item) -> Result<u64> {
    daily::month(&item)
}

/// A search that was counted; give it back if it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    day: Day,
    shard: u8,
}

impl Table {
    /// Counts a search where there is no cap.
    pub async fn count_search(&self, tenant: &TenantId, day: Day) -> Result<Counted> {
        let shard = daily::shard();
        let key = key(tenant, day.period(), shard);
        self.update(&key, &daily::count(day, 1)).await?;
        Ok(Counted { day, shard })
    }

    /// Counts a search if fewer than `cap` were made in the month of `day`; `None` if not.
    pub async fn count_capped_search(
        &self,
        tenant: &TenantId,
        day: Day,
        cap: u64,
    ) -> Result<Option<Counted>> {
        let period = day.period();
        let own = key(tenant, period, CAPPED);
        let mut uncapped = 0;
        self.query(&own.pk, &period_prefix(period), None, |item| {
            if Key::of(&item) != own {
                uncapped += count(item)?;
            }
            Ok(())
        })
        .await?;
        self.count_search_below(tenant, day, cap.saturating_sub(uncapped))
            .await
    }

    /// The same where it is known how many of a month's searches were not made under a cap, from
    /// [`crate::summary::View::uncapped`]: `left` is the cap without them.
    pub async fn count_search_below(
        &self,
        tenant: &TenantId,
        day: Day,
        left: u64,
    ) -> Result<Option<Counted>> {
        if left == 0 {
            return Ok(None);
        }
        let change = daily::count(day, 1)
            .when("attribute_not_exists(n) OR n < :left")
            .value(":left", item::number(left));
        let own = key(tenant, day.period(), CAPPED);
        let counted = self
            .transact(vec![self.update_write(&own, &change)?])
            .await?;
        let shard = CAPPED;
        Ok((counted == Outcome::Done).then_some(Counted { day, shard }))
    }

    /// Gives back a search that was not answered.
    pub async fn uncount_search(&self, tenant: &TenantId, counted: Counted) -> Result<()> {
        let less = daily::count(counted.day, -1);
        let key = key(tenant, counted.day.period(), counted.shard);
        self.transact(vec![self.update_write(&key, &less)?]).await?;
        Ok(())
    }

    /// The searches of a month, day by day.
    pub async fn searches(&self, tenant: &TenantId, period: Period) -> Result<Daily> {
        let mut daily = Daily::default();
        let prefix = period_prefix(period);
        self.query(&summary_pk(tenant), &prefix, None, |item| daily.add(&item))
            .await?;
        Ok(daily)
    }
}
