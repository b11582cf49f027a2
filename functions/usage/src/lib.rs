//! What a tenant uses and what it costs.

mod get_usage;
mod list_days;
mod list_keys;

use axum::routing::get;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new()
        .route("/portal/usage", get(get_usage::get_usage))
        .route("/usage", api::by_any_key(get(get_usage::get_usage)))
        .route("/portal/usage/daily", get(list_days::list_days))
        .route("/portal/usage/keys", get(list_keys::list_keys))
}
