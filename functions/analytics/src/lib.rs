//! How AI agents query a tenant's public data.

mod get_analytics;
mod list_agents;
mod list_days;

use axum::routing::get;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new()
        .route("/portal/analytics", get(get_analytics::get_analytics))
        .route("/portal/analytics/daily", get(list_days::list_days))
        .route("/portal/analytics/agents", get(list_agents::list_agents))
}
