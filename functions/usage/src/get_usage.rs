//! `GET /portal/usage`, `GET /usage`: a month's usage and its estimated cost. Of a past month the
//! searches are that month's; records, plan and prices are those of now.

use api::{App, Caller, Month, Result};
use axum::Json;
use axum::extract::State;
use model::id::TenantId;
use model::plan::Plan;
use model::usage::{Money, Usage};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Answer {
    tenant_id: TenantId,
    plan: Plan,
    period: String,
    records: Usage,
    searches: Usage,
    rate_limit: RateLimit,
    allows_overage: bool,
    estimated_overage_total: Money,
}

#[derive(Serialize)]
struct RateLimit {
    requests_per_minute: u32,
    search_per_minute: u32,
    /// -1 for no limit.
    max_collections: i64,
}

pub(crate) async fn get_usage(
    State(app): State<App>,
    caller: Caller,
    Month(period): Month,
) -> Result<Json<Answer>> {
    let summary = app.summary(&caller.tenant).await?;
    let plan = summary.plan(&caller.tenant)?;
    let limits = plan.limits();
    let used = if period == summary.period {
        summary.searches
    } else {
        app.table.searches(&caller.tenant, period).await?.total
    };
    let searches = Usage::of_searches(used, limits.searches);
    Ok(Json(Answer {
        plan,
        period: period.to_string(),
        records: Usage::of_records(summary.records(), limits.records),
        rate_limit: RateLimit {
            requests_per_minute: limits.requests_per_minute,
            search_per_minute: limits.searches_per_minute,
            max_collections: limits.collections.map_or(-1, i64::from),
        },
        allows_overage: limits.allows_overage,
        estimated_overage_total: searches.overage_cost,
        searches,
        tenant_id: caller.tenant,
    }))
}
