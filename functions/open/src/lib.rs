//! Open: the public records of all tenants, for everybody. Collections of one name are one collection
//! here, and nothing tells whose records they are.
//!
//! Which collections may have public records is in the table's directory; who may find a record, the
//! record itself says (`public`). A search is counted for those whose records it returned (`counting`).

mod agent;
mod counting;
mod fields;
mod get_record;
mod get_schema;
mod list_collections;
mod public;
mod search_collection;
mod search_everything;
mod seeker;

use axum::Extension;
use axum::routing::{get, post};

pub use counting::Counting;

/// This family's routes, under `/open/v1`. A search is counted in its call.
pub fn router() -> api::Router {
    router_with(Counting::at_once())
}

/// The same with searches counted as a process likes to that lives on after an answer.
pub fn router_with(counting: Counting) -> api::Router {
    api::Router::new()
        .route("/collections", get(list_collections::list_collections))
        .route(
            "/collections/{collection}/schema",
            get(get_schema::get_schema),
        )
        .route("/records/{id}", get(get_record::get_record))
        .route(
            "/search",
            post(search_everything::search_everything)
                .get(search_everything::search_everything_shortly),
        )
        .route(
            "/search/{collection}",
            post(search_collection::search_collection).get(search_collection::search_shortly),
        )
        .route_layer(Extension(counting))
}
