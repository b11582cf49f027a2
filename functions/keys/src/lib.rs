//! API keys: issue, list, change, revoke, rotate.

mod answer;
mod create_key;
mod list_keys;
mod revoke_key;
mod rotate_key;
mod update_key;

use axum::routing::{get, patch, post};

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new()
        .route(
            "/portal/keys",
            get(list_keys::list_keys).post(create_key::create_key),
        )
        .route(
            "/portal/keys/{key_id}",
            patch(update_key::update_key).delete(revoke_key::revoke_key),
        )
        .route("/portal/keys/{key_id}/rotate", post(rotate_key::rotate_key))
}
