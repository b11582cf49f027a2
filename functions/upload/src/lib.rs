//! Upload: a file in, records out; schemas that its rows are checked against; and a collection's
//! replacement by a file.
//!
//! `form` takes the file out of a request; what becomes of it is the ingestion's. A batch of records in
//! a request (`upload_batch`) is one more file of JSON. A file that is too large for a request is
//! announced (`create_upload`), sent by an address of its own, and processed in the background.

mod answer;
mod cancel_replace;
mod create_upload;
mod delete_schema;
mod form;
mod get_schema;
mod get_upload;
mod job;
mod list_dlq;
mod list_errors;
mod list_schemas;
mod list_uploads;
mod put_schema;
mod register_schema;
mod repeat;
mod replace_collection;
mod replace_status;
mod show_schema;
mod show_schemas;
mod standing;
mod swap;
mod upload_batch;
mod upload_file;

use api::by_key;
use axum::routing::{get, post};
use model::key::Scope;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new()
        .route(
            "/portal/upload/{collection}/{record_type}/upload",
            post(upload_file::upload_file),
        )
        .route(
            "/upload/{collection}/{record_type}/upload",
            by_key(Scope::Upload, post(upload_file::upload_file)),
        )
        .route(
            "/upload/{collection}/{record_type}/file",
            by_key(Scope::Upload, post(upload_file::upload_file)),
        )
        .route(
            "/upload/{collection}/{record_type}/batch",
            by_key(Scope::Upload, post(upload_batch::upload_batch)),
        )
        .route(
            "/ingest/upload/{collection}/{record_type}",
            by_key(Scope::Upload, post(upload_file::upload_file)),
        )
        .route(
            "/ingest/batch/{collection}/{record_type}",
            by_key(Scope::Upload, post(upload_batch::upload_batch)),
        )
        .route(
            "/portal/uploads",
            post(create_upload::create_upload).get(list_uploads::list_uploads),
        )
        .route("/portal/uploads/{id}", get(get_upload::get_upload))
        .route("/portal/uploads/{id}/errors", get(list_errors::list_errors))
        .route(
            "/uploads/{id}",
            by_key(Scope::Upload, get(get_upload::get_upload)),
        )
        .route(
            "/uploads/{id}/dlq",
            by_key(Scope::Upload, get(list_dlq::list_dlq)),
        )
        .route("/portal/schemas", get(list_schemas::list_schemas))
        .route(
            "/portal/schemas/{collection}/{record_type}",
            get(get_schema::get_schema)
                .put(put_schema::put_schema)
                .delete(delete_schema::delete_schema),
        )
        .route(
            "/schemas",
            by_key(Scope::Records, post(register_schema::register_schema))
                .merge(by_key(Scope::Search, get(show_schemas::show_schemas))),
        )
        .route(
            "/schemas/{collection}/{record_type}",
            by_key(Scope::Search, get(show_schema::show_schema)),
        )
        .route(
            "/portal/collections/{name}/replace",
            post(replace_collection::replace_collection),
        )
        .route(
            "/portal/collections/{name}/replace-status",
            get(replace_status::replace_status),
        )
        .route("/portal/collections/{name}/swap", post(swap::swap))
        .route(
            "/portal/collections/{name}/cancel-replace",
            post(cancel_replace::cancel_replace),
        )
}
