//! `POST|GET /open/v1/search/{collection}`: searches the public records of all collections of a name.
//! Where there is none, nothing is found.

use std::time::Instant;

use api::{App, Body, Error, Params, Path, Place, Result};
use axum::extract::State;
use axum::response::Response;
use finding::Ask;
use model::id::CollectionName;

use crate::seeker::Seeker;

pub(crate) async fn search_collection(
    State(app): State<App>,
    seeker: Seeker,
    Path(collection): Path<String>,
    body: Body,
) -> Result<Response> {
    let started = Instant::now();
    let name = named(&collection)?;
    let ask = body.parse(Ask::from_body)?;
    seeker.search(&app, Some(&name), ask, started).await
}

/// The short form: `GET /open/v1/search/{collection}?q=`.
pub(crate) async fn search_shortly(
    State(app): State<App>,
    seeker: Seeker,
    Path(collection): Path<String>,
    params: Params,
) -> Result<Response> {
    let started = Instant::now();
    let name = named(&collection)?;
    let ask = Ask::from_params(params)?;
    seeker.search(&app, Some(&name), ask, started).await
}

/// The name in a path.
pub(crate) fn named(collection: &str) -> Result<CollectionName> {
    let named = collection.parse::<CollectionName>();
    named.map_err(|fault| Error::invalid(Place::Path, "collection", fault))
}
