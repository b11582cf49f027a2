//! `portal-local serve`: from the data folder to the last answer.

use std::future::IntoFuture;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use ::open::Counting;
use anyhow::{Context, Result};
use api::{App, Clock, Config};
use auth::Grant;
use chrono::TimeDelta;
use model::plan::Plan;
use model::time::Moment;
use table::Table;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::arrivals::Arrivals;
use crate::cli::Serve;
use crate::data::{Folder, Own, Settings, settings};
use crate::engine::{Engine, open, reachable};
use crate::token::sign;
use crate::{DEMO_TENANT, DEMO_USER, TABLE, demo, put_file, routes, welcome};

/// How long running requests may take after a signal.
const GRACE: Duration = Duration::from_mins(1);

/// How much of what was read of a search store on the network is kept on the disk.
const DISK_CACHE: u64 = 1 << 30;

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
    let Settings { mut config, own } = settings(folder.as_ref())?;
    let _lock = folder.as_ref().map(Folder::lock).transpose()?;
    let listener = TcpListener::bind(args.addr)
        .await
        .with_context(|| format!("cannot serve the API on {}", args.addr))?;
    let addr = listener.local_addr()?;
    let engine = Engine::start(open(folder.as_ref())?, args.dynamodb_addr).await?;
    let own_door = || format!("http://{}", reachable(addr));
    let door = config.door.get_or_insert_with(own_door);
    if let Some(folder) = &folder {
        folder.note(&engine.endpoint, door)?;
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

    let app = app(table, config, now)?;
    let (stop, mut stopped) = watch::channel(false);
    let arrivals = Arrivals::new(&app, stopped.clone());
    tend(&app, &arrivals, own).await?;
    let counting = Counting::gathering(&app.table);
    let open = ::open::router_with(counting.clone());
    let service = api::serve_with_open(routes(), open, &app);
    let router = service.merge(put_file::router(&app, arrivals));
    if args.demo
        && let Err(error) = demo::load(&router, &token).await
    {
        tracing::warn!("{error:#}");
    }
    tokio::spawn(signals(stop)?);
    let data = folder.as_ref().map(Folder::path);
    welcome::print(addr, data, &engine, plan, &token);

    let mut graceful = stopped.clone();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service)
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
    counting.flush().await;
    drop(app);
    engine.stop().await;
    Ok(())
}

/// The service, which began with this process.
fn app(table: Table, config: Config, now: Moment) -> Result<App> {
    let store = config.search.open(DISK_CACHE, None)?;
    let files = config.open_files(None)?;
    let files = files.context("there is no store of files")?;
    // The engine began with this process too, so no upload of before can still be writing.
    let app = App::new(table, Some(store), config, Clock::System, Some(now));
    Ok(app.with_files(files))
}

/// Goes on with what a process that was killed left on the stores, or sweeps it up, and keeps folding
/// what calls leave behind.
async fn tend(app: &App, arrivals: &Arrivals, own: Own) -> Result<()> {
    let indexes = app.indexes()?.clone();
    // Whose packs and files there are on a store of others is not for this process to say.
    if own.packs {
        let swept = indexes.sweep(true, Clock::System.now()).await?;
        if swept > 0 {
            tracing::info!(swept, "swept up packs that no index names");
        }
    }
    // After that: what is ingested writes packs that no index names yet.
    if own.files {
        arrivals.tend().await?;
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
