//! `GET /portal/analytics/agents`: which agents found public records in a month, how often and on
//! which days, the busiest first. Those after the first 100 of a day are counted together.

use std::cmp::Reverse;

use api::{App, Caller, Month, Result};
use axum::Json;
use axum::extract::State;
use model::id::TenantId;
use model::period::{Day, Period};
use serde::Serialize;
use table::daily::Daily;

#[derive(Serialize)]
pub(crate) struct Answer {
    tenant_id: TenantId,
    period: String,
    agents: Vec<Row>,
    other: Searches,
}

#[derive(Serialize)]
struct Row {
    agent: String,
    #[serde(flatten)]
    counted: Searches,
}

#[derive(Serialize)]
struct Searches {
    searches: u64,
    days: Vec<OnDay>,
}

#[derive(Serialize)]
struct OnDay {
    date: Day,
    searches: u64,
}

impl Searches {
    /// The days without any are left out: most agents come on few.
    fn new(daily: &Daily, period: Period, today: Day) -> Self {
        let days = period.days_to(today).map(|date| OnDay {
            date,
            searches: daily.on(date),
        });
        Self {
            searches: daily.total,
            days: days.filter(|day| day.searches > 0).collect(),
        }
    }
}

pub(crate) async fn list_agents(
    State(app): State<App>,
    caller: Caller,
    Month(period): Month,
) -> Result<Json<Answer>> {
    let found = app.table.agents(&caller.tenant, period).await?;
    let today = Day::of(app.clock.now());
    let counted = |daily: &Daily| Searches::new(daily, period, today);
    let rows = found.named.into_iter().map(|(agent, daily)| Row {
        counted: counted(&daily),
        agent,
    });
    // Names are in order, which the sort keeps among those that came equally often.
    let mut agents: Vec<Row> = rows.collect();
    agents.sort_by_key(|row| Reverse(row.counted.searches));
    Ok(Json(Answer {
        period: period.to_string(),
        agents,
        other: counted(&found.other),
        tenant_id: caller.tenant,
    }))
}
