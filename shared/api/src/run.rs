//! A family as a Lambda.

use std::sync::Arc;

use aws_types::SdkConfig;
use indexing::Indexes;
use lambda_http::tracing;
use search::Store;

use crate::app::App;
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::{BadConfig, Config, StoreConfig, bad};
use crate::edge::{serve, serve_with_open};

/// How much of what was read of the search store a sandbox keeps on its disk, of which every Lambda
/// has 512 MB.
const DISK_CACHE: u64 = 400 << 20;

/// Serves `routes` to the Lambda runtime. A setting that cannot be used ends the process before
/// its first request.
pub async fn run(routes: crate::Router) -> Result<(), lambda_http::Error> {
    start(|app| serve(routes, app), |_, _| Ok(None), true).await
}

/// The same for a family that never asks the table.
pub async fn run_without_table(routes: crate::Router) -> Result<(), lambda_http::Error> {
    start(|app| serve(routes, app), |_, _| Ok(None), false).await
}

/// The same for a family that searches or writes records: it needs `SEARCH_STORE_URL`.
pub async fn run_with_search(routes: crate::Router) -> Result<(), lambda_http::Error> {
    start(|app| serve(routes, app), needed, true).await
}

/// The same for the open family, which searches.
pub async fn run_open(routes: crate::Router) -> Result<(), lambda_http::Error> {
    let service = |app: &App| serve_with_open(crate::Router::new(), routes, app);
    start(service, needed, true).await
}

/// A search store, without which the process does not start.
fn needed(config: &Config, aws: &Aws) -> Result<Option<Store>, BadConfig> {
    open(&config.search, aws).map(Some)
}

async fn start(
    service: impl FnOnce(&App) -> axum::Router,
    store: impl FnOnce(&Config, &Aws) -> Result<Option<Store>, BadConfig>,
    asks_table: bool,
) -> Result<(), lambda_http::Error> {
    tracing::init_default_subscriber();
    let config = Config::from_env()?;
    let aws = Aws::from_env()?;
    let store = store(&config, &aws)?;
    let files = config.open_files(Some(&aws.roots))?;
    let table = aws.table()?;
    // Connections that are made now are not made at the first request's expense: until the runtime
    // asks for that, a sandbox has a whole processor.
    if asks_table {
        let connect = async {
            if let Some(store) = &store {
                store.connect().await;
            }
        };
        tokio::join!(table.connect(), connect);
    }
    let mut app = App::new(table, store, config, Clock::System, None);
    if let Some(files) = files {
        app = app.with_files(files);
    }
    lambda_http::run(service(&app)).await
}

/// The whole service of the deployment, for a function that answers no requests: it needs
/// `SEARCH_STORE_URL` and `UPLOAD_STORE_URL`.
pub async fn app_from_env() -> Result<App, BadConfig> {
    let config = Config::from_env()?;
    let aws = Aws::from_env()?;
    let store = open(&config.search, &aws)?;
    let files = config.open_files(Some(&aws.roots))?;
    let files = files.ok_or_else(|| bad("UPLOAD_STORE_URL", "is not set"))?;
    let table = aws.table()?;
    tokio::join!(table.connect(), store.connect());
    let app = App::new(table, Some(store), config, Clock::System, None);
    Ok(app.with_files(files))
}

/// What the SDK needs to call functions of the deployment.
pub fn lambda_from_env() -> Result<SdkConfig, BadConfig> {
    Aws::from_env()?.lambda()
}

/// The search indexes of the deployment, for a function that answers no requests.
pub async fn indexes_from_env() -> Result<Indexes, BadConfig> {
    let aws = Aws::from_env()?;
    let store = open(&StoreConfig::from_env(), &aws)?;
    let table = aws.table()?;
    tokio::join!(table.connect(), store.connect());
    let now = Arc::new(|| Clock::System.now());
    Ok(Indexes::new(table, store, now, None))
}

fn open(config: &StoreConfig, aws: &Aws) -> Result<Store, BadConfig> {
    config.open(DISK_CACHE, Some(&aws.roots))
}
