//! The tenant's own item: what it pays for and since when it is here.
//!
//! `TENANT#<tenant>#SUMMARY` / `TENANT`
//!
//! - read with the rest of the summary, or with one collection ([`crate::summary`])
//! - created by the first call of a new tenant, by conditional write

use model::id::TenantId;
use model::plan::Plan;
use model::time::Moment;
use serde::{Deserialize, Serialize};

use crate::item::{self, Key, moment};
use crate::retry::Change;
use crate::summary::plan_of;
use crate::{Result, Table, limit};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// What it pays for.
    pub plan: Plan,
    /// When it first called.
    #[serde(with = "moment")]
    pub created_at: Moment,
}

pub(crate) const SK: &str = "TENANT";

pub(crate) fn summary_pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#SUMMARY")
}

pub(crate) fn key(tenant: &TenantId) -> Key {
    Key::new(summary_pk(tenant), SK)
}

impl Table {
    /// The tenant, or `None` before its first call.
    pub async fn find_tenant(&self, tenant: &TenantId) -> Result<Option<Tenant>> {
        self.get(&key(tenant)).await?.map(item::read).transpose()
    }

    /// The plan of a tenant that has called: a missing one is a fault of the table.
    pub async fn plan(&self, tenant: &TenantId) -> Result<Plan> {
        plan_of(self.find_tenant(tenant).await?.as_ref(), tenant)
    }

    /// Creates the tenant with `plan`, and says whether it did: it does nothing to one that exists.
    pub async fn create_tenant(&self, tenant: &TenantId, plan: Plan, now: Moment) -> Result<bool> {
        let body = Tenant {
            plan,
            created_at: now,
        };
        self.create_item(item::build(&key(tenant), &body)?).await
    }

    /// Sets a tenant's plan, of one that never called too. The limiter's copy changes with it.
    pub async fn set_plan(&self, tenant: &TenantId, plan: Plan, now: Moment) -> Result<()> {
        let plan = item::text(plan.to_string());
        let own = Change::update("SET #plan = :plan, created_at = if_not_exists(created_at, :now)")
            .name("#plan", "plan")
            .value(":plan", plan.clone())
            .value(":now", item::text(model::time::stored(now)));
        let copy = Change::update("SET #plan = :plan")
            .name("#plan", "plan")
            .value(":plan", plan);
        self.transact(vec![
            self.update_write(&key(tenant), &own)?,
            self.update_write(&limit::key(tenant), &copy)?,
        ])
        .await?;
        Ok(())
    }
}
