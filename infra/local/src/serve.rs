//! `portal-local serve`: from the data folder to the last answer.

use std::future::IntoFuture;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result};
use api::{App, Clock};
use auth::Grant;
use chrono::TimeDelta;
use model::plan::Plan;
use table::Table;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::cli::Serve;
use crate::data::{Folder, Settings, settings};
use crate::engine::{Engine, open};
use crate::token::sign;
use crate::{DEMO_TENANT, TABLE, demo, routes, welcome};

/// How long running requests may take after a signal.
const GRACE: Duration = Duration::from_mins(1);

/// How much of what was read of a search store on the network is kept on the disk.
const DISK_CACHE: u64 = 1 << 30;

/// The user of the printed token.
const DEMO_USER: &str = "u_demo";

pub(crate) async fn serve(args: Serve) -> Result<()> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,dynoxide=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();

    let folder = if args.memory {
        None
    } else {
        Some(Folder::open(&args.data.path)?)
    };
    let Settings {
        config,
        packs_are_own,
    } = settings(folder.as_ref())?;
    let _lock = folder.as_ref().map(Folder::lock).transpose()?;
    let listener = TcpListener::bind(args.addr)
        .await
        .with_context(|| format!("cannot serve the API on {}", args.addr))?;
    let addr = listener.local_addr()?;
    let engine = Engine::start(open(folder.as_ref())?, args.dynamodb_addr).await?;
    if let Some(folder) = &folder {
        folder.note_endpoint(&engine.endpoint)?;
    }
    let table = Table::at_endpoint(&engine.endpoint, TABLE);
    table.create().await?;

    let now = Clock::System.now();
    let tenant = DEMO_TENANT
        .parse()
        .map_err(|_| anyhow::anyhow!("not a tenant"))?;
    table.create_tenant(&tenant, Plan::Pro, now).await?;
    let plan = table.plan(&tenant).await?;
    let token = sign(
        &config,
        &Grant {
            tenant: &tenant,
            user: &DEMO_USER
                .parse()
                .map_err(|_| anyhow::anyhow!("not a user"))?,
            role: auth::Role::Member,
            email: Some("developer@example.com"),
            name: Some("Jane Developer"),
            issued_at: now,
            expires_at: now + TimeDelta::hours(24),
        },
    )?;

    // The engine began with this process, so no upload of before can still be writing.
    let store = config.search.open(DISK_CACHE, None)?;
    let app = App::new(table, Some(store), config, Clock::System, Some(now));
    tend(&app, packs_are_own).await?;
    let router = api::serve(routes(), &app);
    if args.demo
        && let Err(error) = demo::load(&router, &token).await
    {
        tracing::warn!("{error:#}");
    }
    let (stop, mut stopped) = watch::channel(false);
    tokio::spawn(signals(stop)?);
    let data = folder.as_ref().map(Folder::path);
    welcome::print(addr, data, &engine, plan, &token);

    let mut graceful = stopped.clone();
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            let _ = graceful.wait_for(|stop| *stop).await;
        })
        .into_future();
    let grace = async {
        let _ = stopped.wait_for(|stop| *stop).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served.context("the server failed")?,
        () = grace => tracing::warn!("some requests did not end in time"),
    }
    drop(app);
    engine.stop().await;
    Ok(())
}

/// Sweeps up what a process that was killed left on the search store, and keeps folding what calls
/// leave behind.
async fn tend(app: &App, packs_are_own: bool) -> Result<()> {
    let indexes = app.indexes()?.clone();
    // Whose packs there are on a store of others is not for this process to say.
    if packs_are_own {
        let swept = indexes.sweep(true, Clock::System.now()).await?;
        if swept > 0 {
            tracing::info!(swept, "swept up packs that no index names");
        }
    }
    tokio::spawn(async move { indexes.work().await });
    Ok(())
}

/// Waits for SIGINT or SIGTERM; a second one ends the process at once.
fn signals(stop: watch::Sender<bool>) -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    Ok(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.send_replace(true) {
                std::process::exit(1);
            }
            tracing::info!("stopping: running requests may end");
        }
    })
}
