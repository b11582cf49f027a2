//! The month that usage and analytics are asked for.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use model::period::Period;

use crate::app::App;
use crate::error::{Error, Result};
use crate::params::Params;

/// The query parameter `period`, such as `2026-03`; this month where there is none.
pub struct Month(pub Period);

impl FromRequestParts<App> for Month {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let mut params = Params::from_request_parts(parts, app).await?;
        match params.optional("period", str::parse::<Period>) {
            Some(period) => Ok(Self(period.unwrap_or_else(|| Period::of(app.clock.now())))),
            None => Err(params.faults()),
        }
    }
}
