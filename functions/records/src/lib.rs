//! Collections, records and search: the dashboard's data browser.

mod format;
mod list_collections;
mod list_records;
mod search_collection;

use axum::routing::{get, post};

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new()
        .route(
            "/portal/collections",
            get(list_collections::list_collections),
        )
        .route("/portal/records", get(list_records::list_records))
        .route(
            "/portal/search/{collection}",
            post(search_collection::search_collection),
        )
}
