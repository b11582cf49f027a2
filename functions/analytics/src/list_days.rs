//! `GET /portal/analytics/daily`: the open searches of each day of a month, to today.

use api::{App, Caller, Month, Result};
use axum::Json;
use axum::extract::State;
use model::id::TenantId;
use model::period::Day;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Answer {
    tenant_id: TenantId,
    period: String,
    total_open_searches: u64,
    days: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    date: Day,
    open_searches: u64,
}

pub(crate) async fn list_days(
    State(app): State<App>,
    caller: Caller,
    Month(period): Month,
) -> Result<Json<Answer>> {
    let searches = app.table.open_searches(&caller.tenant, period).await?;
    let days = period.days_to(Day::of(app.clock.now()));
    let rows = days.map(|date| Row {
        date,
        open_searches: searches.values().map(|of| of.on(date)).sum(),
    });
    Ok(Json(Answer {
        period: period.to_string(),
        total_open_searches: searches.values().map(|of| of.total).sum(),
        days: rows.collect(),
        tenant_id: caller.tenant,
    }))
}
