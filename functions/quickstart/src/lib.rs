//! The quickstart checklist.

mod get_quickstart;

use axum::routing::get;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new().route("/portal/quickstart", get(get_quickstart::get_quickstart))
}
