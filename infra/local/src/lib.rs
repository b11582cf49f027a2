//! The portal on one machine: every family on one port, over an embedded DynamoDB.
//!
//! It stands in for API Gateway, takes large files in S3's place, and does what the stream and the
//! schedule start on AWS: the routers, the table's verbs and the SDK client are those of production.

mod arrivals;
pub mod cli;
mod data;
mod demo;
mod engine;
mod env;
mod plan;
mod put_file;
mod reach;
mod reindex;
mod serve;
mod token;
mod upload;
mod welcome;

use std::process::ExitCode;

/// The routes of every family but the open one, whose routes are under a path of their own.
pub fn routes() -> api::Router {
    api::Router::new()
        .merge(account::router())
        .merge(analytics::router())
        .merge(health::router())
        .merge(keys::router())
        .merge(quickstart::router())
        .merge(records::router())
        .merge(::upload::router())
        .merge(usage::router())
}

/// The name of the table.
pub const TABLE: &str = "portal";

/// The tenant of the printed token.
const DEMO_TENANT: &str = "t_demo";

/// Its user.
const DEMO_USER: &str = "u_demo";

/// Does what the command line says.
pub async fn run(cli: cli::Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None => serve::serve(cli.serve).await?,
        Some(cli::Command::Serve(args)) => serve::serve(args).await?,
        Some(cli::Command::Token(args)) => token::token(args)?,
        Some(cli::Command::Upload(args)) => return upload::upload(args).await,
        Some(cli::Command::Plan(args)) => plan::plan(args).await?,
        Some(cli::Command::Reindex(args)) => reindex::reindex(args).await?,
        Some(cli::Command::Env(args)) => env::env(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}
