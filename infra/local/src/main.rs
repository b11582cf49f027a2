//! `portal-local`: the portal on one machine.

use std::process::ExitCode;

use clap::Parser;
use portal_local::cli::Cli;

/// It gives back what an upload needed for a moment, as `.cargo/config.toml` tells it to.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error.into()),
    };
    match runtime.block_on(portal_local::run(cli)) {
        Ok(code) => code,
        Err(error) => refuse(&error),
    }
}

/// One line that says what is wrong.
fn refuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("portal-local: {error:#}");
    ExitCode::from(2)
}
