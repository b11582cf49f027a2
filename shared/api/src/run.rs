//! A family as a Lambda.

use lambda_http::tracing;
use table::Table;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::edge::serve;

/// The table's name where `TABLE_NAME` says nothing.
const TABLE_NAME: &str = "portal";

/// Serves `routes` to the Lambda runtime. A setting that cannot be used ends the process before
/// its first request.
pub async fn run(routes: crate::Router) -> Result<(), lambda_http::Error> {
    tracing::init_default_subscriber();
    let config = Config::from_env()?;
    #[expect(clippy::disallowed_methods, reason = "read once, at start")]
    let name = std::env::var("TABLE_NAME").unwrap_or_else(|_| TABLE_NAME.to_owned());
    let table = Table::from_environment(name).await;
    let app = App::new(table, config, Clock::System, None);
    lambda_http::run(serve(routes, &app)).await
}
