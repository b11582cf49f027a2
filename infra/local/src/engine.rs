//! The embedded DynamoDB: an engine on SQLite, served on loopback to this process's own SDK
//! client and, unless it is switched off, to other programs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cli::DynamoDbAddr;
use crate::data::Folder;

/// Where DynamoDB is served if nothing is said and the port is free.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
/// Any free port.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How long other programs may hold up the end.
const GRACE: Duration = Duration::from_secs(5);

/// A running engine.
pub(crate) struct Engine {
    /// Its address.
    pub(crate) endpoint: String,
    /// How it came to that address.
    pub(crate) reach: Reach,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::result::Result<(), String>>,
}

/// Who an engine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Other programs too, at the address that was asked for or is the default.
    Served,
    /// Other programs too, at another port because the default one is taken.
    Elsewhere,
    /// This process.
    Private,
}

/// Opens the database of a folder, or one in memory.
pub(crate) fn open(folder: Option<&Folder>) -> Result<Database> {
    let Some(folder) = folder else {
        return Database::memory().map_err(|error| anyhow!("cannot make a database: {error}"));
    };
    let path = folder.database();
    let cannot = || format!("cannot open the database {}", path.display());
    let text = path.to_str().with_context(cannot)?;
    let database = Database::new(text)
        .map_err(|error| anyhow!("{error}"))
        .with_context(cannot)?;
    // Writes go to the write-ahead log without waiting for the disk: a killed process loses
    // nothing, a power cut may lose the last commits: up to 32 MB of them, which is when the log is
    // taken into the database (`.cargo/config.toml`).
    database
        .disable_bulk_loading()
        .map_err(|error| anyhow!("{error}"))
        .with_context(cannot)?;
    Ok(database)
}

impl Engine {
    /// Starts to serve a database.
    pub(crate) async fn start(database: Database, asked: Option<DynamoDbAddr>) -> Result<Self> {
        let (listener, reach) = match asked {
            Some(DynamoDbAddr::At(address)) => {
                let listener = TcpListener::bind(address)
                    .await
                    .with_context(|| format!("cannot serve DynamoDB on {address}"))?;
                (listener, Reach::Served)
            }
            Some(DynamoDbAddr::Off) => (any().await?, Reach::Private),
            None => match TcpListener::bind(DEFAULT).await {
                Ok(listener) => (listener, Reach::Served),
                Err(_) => (any().await?, Reach::Elsewhere),
            },
        };
        let endpoint = format!("http://{}", reachable(listener.local_addr()?));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database,
            async {
                // A dropped sender stops it too.
                let _ = stopped.await;
            },
        ));
        Ok(Self {
            endpoint,
            reach,
            stop,
            serving,
        })
    }

    /// Stops serving, after the requests that are running.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        match tokio::time::timeout(GRACE, self.serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(error, "the database did not stop well"),
            Ok(Err(error)) => tracing::error!(%error, "the database did not stop well"),
            // Somebody holds a connection; what was answered is written.
            Err(_) => tracing::warn!("the database has a client that does not hang up"),
        }
    }
}

async fn any() -> Result<TcpListener> {
    TcpListener::bind(ANY)
        .await
        .context("cannot serve DynamoDB on loopback")
}

/// The address at which a client on this machine reaches a listener, which may listen on all.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
    } else {
        address
    }
}
