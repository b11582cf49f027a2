//! Health, the one family that asks for nothing.

mod get_health;

use axum::routing::get;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new().route("/health", get(get_health::get_health))
}
