//! How AI agents query a tenant's public data.

mod get_analytics;

use axum::routing::get;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new().route("/portal/analytics", get(get_analytics::get_analytics))
}
