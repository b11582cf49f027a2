//! How often each agent found a tenant's public records: 16 counters an agent and month, which tell
//! the days apart.
//!
//! - `TENANT#<tenant>#AGENTS` / `<period>#<shard>#<agent>`: a counter; with no agent in its key, that
//!   of all who came when a day had as many as it may have
//! - `TENANT#<tenant>#AGENTS` / `NAMES#<day>`: the agents that are told apart on that day
//!
//! - a month is one query
//! - a search is one add under the condition that the counter has that day; where it has not, the
//!   day's names are asked for room, so that an agent with a name asks once a day and shard
//!
//! Who calls names himself, so names are bounded: without that, anybody could fill the table.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use model::id::TenantId;
use model::period::{Day, Period};

use crate::daily::{self, Daily};
use crate::item::{self, Key};
use crate::retry::Change;
use crate::{Error, Result, Table};

/// How many agents are told apart on one day: those who came first.
pub const MOST: usize = 100;

/// The searches of agents in a month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agents {
    /// By the agent's name.
    pub named: BTreeMap<String, Daily>,
    /// Of all that came after the first [`MOST`] of a day.
    pub other: Daily,
}

/// Stands for all whom a day has no room for; no agent has an empty name.
const OTHER: &str = "";

fn pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#AGENTS")
}

fn counter(tenant: &TenantId, period: Period, agent: &str) -> Key {
    let shard = daily::shard();
    Key::new(pk(tenant), format!("{period}#{shard:02}#{agent}"))
}

fn names(tenant: &TenantId, day: Day) -> Key {
    Key::new(pk(tenant), format!("NAMES#{day}"))
}

impl Table {
    /// Adds searches of an agent, of whatever collections, that returned public records of the
    /// tenant. The agent has a name of at most some hundred bytes.
    pub async fn count_agent_searches(
        &self,
        tenant: &TenantId,
        day: Day,
        agent: &str,
        count: u64,
    ) -> Result<()> {
        let own = counter(tenant, day.period(), agent);
        let change = daily::count(day, count);
        let known = change.clone().when(daily::counted_on(day));
        if self.update(&own, &known).await?.is_some() {
            return Ok(());
        }
        let key = if self.name_agent(tenant, day, agent).await? {
            own
        } else {
            counter(tenant, day.period(), OTHER)
        };
        self.update(&key, &change).await?;
        Ok(())
    }

    /// Makes an agent one of a day's if it is not and there is room, and says whether it is.
    async fn name_agent(&self, tenant: &TenantId, day: Day, agent: &str) -> Result<bool> {
        let change = Change::update("ADD #names :agents")
            .when(
                "attribute_not_exists(#names) OR contains(#names, :agent) OR size(#names) < :most",
            )
            .name("#names", "names")
            .value(":agents", AttributeValue::Ss(vec![agent.to_owned()]))
            .value(":agent", item::text(agent))
            .value(":most", item::number(MOST));
        let named = self.update(&names(tenant, day), &change).await?;
        Ok(named.is_some())
    }

    /// The searches of agents in a month, day by day.
    pub async fn agents(&self, tenant: &TenantId, period: Period) -> Result<Agents> {
        let mut agents = Agents::default();
        self.query(&pk(tenant), &format!("{period}#"), None, |item| {
            let Key { pk, sk } = Key::of(&item);
            let agent = sk.splitn(3, '#').nth(2).ok_or_else(|| Error::Corrupt {
                pk,
                sk: sk.clone(),
                reason: "no agent in its key".to_owned(),
            })?;
            let daily = if agent == OTHER {
                &mut agents.other
            } else {
                agents.named.entry(agent.to_owned()).or_default()
            };
            daily.add(&item)
        })
        .await?;
        Ok(agents)
    }
}
