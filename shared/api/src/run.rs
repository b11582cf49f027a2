//! A family as a Lambda.

use std::sync::Arc;

use indexing::Indexes;
use lambda_http::tracing;
use search::Store;
use table::Table;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{BadConfig, Config, StoreConfig};
use crate::edge::serve;

/// The table's name where `TABLE_NAME` says nothing.
const TABLE_NAME: &str = "portal";

/// How much of what was read of the search store a sandbox keeps on its disk, of which every Lambda
/// has 512 MB.
const DISK_CACHE: u64 = 400 << 20;

/// Serves `routes` to the Lambda runtime. A setting that cannot be used ends the process before
/// its first request.
pub async fn run(routes: crate::Router) -> Result<(), lambda_http::Error> {
    start(routes, |_| Ok(None)).await
}

/// The same for a family that searches or writes records: it needs `SEARCH_STORE_URL`.
pub async fn run_with_search(routes: crate::Router) -> Result<(), lambda_http::Error> {
    start(routes, |config| Ok(Some(config.search.open(DISK_CACHE)?))).await
}

async fn start(
    routes: crate::Router,
    store: impl FnOnce(&Config) -> Result<Option<Store>, BadConfig>,
) -> Result<(), lambda_http::Error> {
    tracing::init_default_subscriber();
    let config = Config::from_env()?;
    let store = store(&config)?;
    let table = table_from_env().await;
    let app = App::new(table, store, config, Clock::System, None);
    lambda_http::run(serve(routes, &app)).await
}

/// The search indexes of the deployment, for a function that answers no requests.
pub async fn indexes_from_env() -> Result<Indexes, BadConfig> {
    let store = StoreConfig::from_env().open(DISK_CACHE)?;
    let now = Arc::new(|| Clock::System.now());
    Ok(Indexes::new(table_from_env().await, store, now, None))
}

async fn table_from_env() -> Table {
    #[expect(clippy::disallowed_methods, reason = "read once, at start")]
    let name = std::env::var("TABLE_NAME").unwrap_or_else(|_| TABLE_NAME.to_owned());
    Table::from_environment(name).await
}
