//! Upload: a file in, records out.
//!
//! As data flows: `form` takes the file out of the request, `text` makes it text, `rows`
//! finds the rows in it, `ingest` writes them, `answer` tells what became of them.

mod answer;
mod csv_rows;
mod form;
mod ingest;
mod json_rows;
mod rows;
mod text;
mod upload_file;
mod window;

use axum::routing::post;

/// This family's routes.
pub fn router() -> api::Router {
    api::Router::new().route(
        "/portal/upload/{collection}/{record_type}/upload",
        post(upload_file::upload_file),
    )
}
