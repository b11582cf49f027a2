//! Collections, records and search: the dashboard's data browser, and the same for programs.

mod change;
mod collection;
mod create_record;
mod delete_collection;
mod delete_record;
mod delete_records;
mod get_record;
mod list_collections;
mod list_records;
mod page_records;
mod record;
mod search_collection;
mod show_collections;
mod update_collection;
mod update_record;
mod update_records;
mod update_visibilities;
mod update_visibility;

use axum::routing::{delete, get, patch, post};
use model::key::Scope;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new()
        .route(
            "/portal/collections",
            get(list_collections::list_collections),
        )
        .route(
            "/portal/collections/{name}",
            delete(delete_collection::delete_collection),
        )
        .route(
            "/collections",
            api::by_key(Scope::Search, get(show_collections::show_collections)),
        )
        .route(
            "/collections/{collection}",
            api::by_key(Scope::Records, patch(update_collection::update_collection)),
        )
        .route("/portal/records", get(list_records::list_records))
        .route(
            "/portal/records/{id}",
            get(get_record::get_record)
                .patch(update_record::update_record)
                .delete(delete_record::delete_record),
        )
        .route(
            "/records",
            api::by_key(Scope::Search, get(page_records::page_records)).merge(api::by_key(
                Scope::Records,
                post(create_record::create_record),
            )),
        )
        .route(
            "/records/{id}",
            api::by_key(Scope::Search, get(get_record::get_record)).merge(api::by_key(
                Scope::Records,
                patch(update_record::update_record).delete(delete_record::delete_record),
            )),
        )
        .route(
            "/records/{id}/visibility",
            api::by_key(Scope::Records, patch(update_visibility::update_visibility)),
        )
        .route(
            "/records/bulk",
            api::by_key(Scope::Records, patch(update_records::update_records)),
        )
        .route(
            "/records/bulk-delete",
            api::by_key(Scope::Records, post(delete_records::delete_records)),
        )
        .route(
            "/records/bulk-visibility",
            api::by_key(
                Scope::Records,
                post(update_visibilities::update_visibilities),
            ),
        )
        .route(
            "/portal/search/{collection}",
            post(search_collection::search_collection),
        )
        .route(
            "/search/{collection}",
            api::by_key(
                Scope::Search,
                post(search_collection::search_collection).get(search_collection::search_shortly),
            ),
        )
}
