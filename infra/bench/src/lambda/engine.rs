//! A DynamoDB engine in memory, in threads of its own, reached with TLS and without.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, anyhow, ensure};
use dynoxide::Database;
use model::id::{KeyId, TenantId};
use model::key::{Key, KeySecret, SECRET_BYTES, Scope};
use model::plan::Plan;
use table::Table;
use table::key::Created;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::Endpoint;
use super::process::Variable;
use super::tls::{self, Authority};

/// Whose the events are.
const TENANT: &str = "t_event";

/// Any free port.
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// How many keys the tenant has.
const KEYS: u8 = 1;

/// A running engine.
pub(crate) struct Engine {
    plain: SocketAddr,
    secure: SocketAddr,
    authority: Authority,
    _runtime: Runtime,
}

impl Engine {
    /// Starts one with a table in which the tenant is.
    pub(crate) fn start() -> Result<Self> {
        let authority = Authority::new()?;
        let acceptor = authority.acceptor()?;
        let database = Database::memory().map_err(|error| anyhow!("{error}"))?;
        // More threads would be awake at the function's expense: it makes one request at a time.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (plain, secure) = runtime.block_on(async {
            let (engine, proxy) = (TcpListener::bind(ANY).await?, TcpListener::bind(ANY).await?);
            let (plain, secure) = (engine.local_addr()?, proxy.local_addr()?);
            tokio::spawn(dynoxide::server::serve_on(engine, database));
            tokio::spawn(tls::serve(proxy, acceptor, plain));
            let table = Table::at_endpoint(&format!("http://{plain}"), super::TABLE);
            seed(&table).await?;
            Ok::<_, anyhow::Error>((plain, secure))
        })?;
        Ok(Self {
            plain,
            secure,
            authority,
            _runtime: runtime,
        })
    }

    /// What makes functions ask it.
    pub(crate) fn variables(&self, endpoint: Endpoint) -> Vec<Variable> {
        let (url, mut variables) = match endpoint {
            Endpoint::Http => (format!("http://{}", self.plain), Vec::new()),
            Endpoint::Https => (
                format!("https://{}", self.secure),
                self.authority.variables(),
            ),
        };
        variables.push(("AWS_ENDPOINT_URL_DYNAMODB", url.into()));
        variables
    }
}

async fn seed(table: &Table) -> Result<()> {
    let tenant: TenantId = TENANT.parse().ok().context("a tenant")?;
    let now = super::now();
    table.create().await?;
    table.set_plan(&tenant, Plan::Pro, now).await?;
    for number in 1..=KEYS {
        let key = Key {
            id: KeyId(Uuid::from_u128(number.into())),
            name: format!("Key {number}"),
            scopes: vec![Scope::Search],
            created_at: now,
            last_used_at: None,
            expires_at: None,
        };
        let hash = KeySecret::from_random([number; SECRET_BYTES]).hash();
        let created = table.create_key(&tenant, &key, &hash, None).await?;
        ensure!(created == Created::Yes, "a key was not created");
    }
    Ok(())
}
