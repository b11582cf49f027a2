//! API keys: issue, list, change, revoke, rotate. By a user of the portal, or by a key that may.

mod answer;
mod before;
mod create_key;
mod list_keys;
mod revoke_key;
mod rotate_key;
mod update_key;

use api::by_key;
use axum::routing::{delete, get, patch, post};
use model::key::Scope::Admin;

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
        .route(
            "/auth/keys",
            by_key(
                Admin,
                get(list_keys::list_keys).post(create_key::create_key),
            ),
        )
        .route(
            "/auth/keys/{key_id}",
            by_key(Admin, delete(revoke_key::revoke_key)),
        )
        .route(
            "/auth/keys/{key_id}/rotate",
            by_key(Admin, post(rotate_key::rotate_key)),
        )
}
