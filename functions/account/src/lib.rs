//! The caller's own account.

mod answer;
mod get_account;
mod update_account;

use axum::routing::get;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new().route(
        "/portal/account",
        get(get_account::get_account).patch(update_account::update_account),
    )
}
