//! The HTTP edge: what every endpoint shares.
//!
//! A family is a `Router<App>` of handlers; [`serve()`] puts it under `/api/v1` behind the layers of
//! every request, and [`run()`] or [`run_with_search()`] makes it a Lambda; the open family lies under
//! `/open/v1`, by [`serve_with_open()`] and [`run_open()`]. A route asks for a token, or for an API
//! key if it is marked by [`by_key()`] or [`by_any_key()`], and its handler need not know which.
//! Handlers name what they need: [`Caller`], [`Editor`] or [`Searcher`] for who is calling, [`Body`],
//! [`Params`] and [`Path`] for what they say, [`App`] for everything else.

mod address;
mod app;
mod aws;
mod body;
mod caller;
mod clock;
mod config;
mod cursor;
mod edge;
mod error;
mod idempotency;
mod ids;
mod key;
mod limiter;
mod month;
mod params;
mod patience;
mod remembered;
mod run;

pub use address::{OpenSearcher, Visitor};
pub use app::App;
pub use body::Body;
pub use caller::{Caller, Editor, Searcher};
pub use clock::Clock;
pub use config::{BadConfig, Config, StoreConfig};
pub use cursor::Cursor;
pub use edge::{serve, serve_with_open};
pub use error::{Error, Place, Result};
pub use idempotency::{Idempotency, Replayable, same};
pub use ids::Ids;
pub use key::{by_any_key, by_key};
pub use month::Month;
pub use params::{Params, Path};
pub use patience::Patience;
pub use run::{
    app_from_env, indexes_from_env, lambda_from_env, run, run_open, run_with_search,
    run_without_table,
};

/// Milliseconds, to the microsecond: a duration in an answer.
#[must_use]
pub fn millis(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A family's routes, before [`serve()`].
pub type Router = axum::Router<App>;
