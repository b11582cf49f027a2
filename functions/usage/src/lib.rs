//! What a tenant uses and what it costs.

mod get_usage;

use axum::routing::get;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new().route("/portal/usage", get(get_usage::get_usage))
}
