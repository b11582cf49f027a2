//! What every request of a process shares.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use auth::Verifier;
use model::collection::Collection;
use model::id::{CollectionName, TenantId, UploadId, UserId};
use model::period::Period;
use model::record::Record;
use model::time::Moment;
use table::Table;
use table::cap::{Caps, Hold};
use table::summary::{Summary, View};

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::indexes::Indexes;
use crate::limiter::{Admission, Limiter, admitted};

/// The parts of the service. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// The table.
    pub table: Table,
    /// The time.
    pub clock: Clock,
    /// Ids and secrets.
    pub ids: Ids,
    /// The settings.
    pub config: Config,
    pub(crate) verifier: Verifier,
    pub(crate) limiter: Limiter,
    indexes: Indexes,
    alone_since: Option<Moment>,
    welcomed: Mutex<HashSet<(TenantId, UserId)>>,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// How many callers a process remembers to have welcomed.
const MAX_WELCOMED: usize = 10_000;

impl App {
    /// An app over `table`. `alone_since` is set where no other process can still be writing what
    /// it began before then, as when the table's engine started with this process: what such an
    /// upload left behind is settled at once and not only after its time.
    #[must_use]
    pub fn new(table: Table, config: Config, clock: Clock, alone_since: Option<Moment>) -> Self {
        Self(Arc::new(Parts {
            verifier: config.verifier(),
            limiter: Limiter::default(),
            indexes: Indexes::default(),
            ids: Ids,
            welcomed: Mutex::default(),
            table,
            clock,
            config,
            alone_since,
        }))
    }

    /// Makes sure that a caller's tenant and user exist. A process asks the table once for each:
    /// neither is ever deleted. A caller whom the limiter refuses creates nothing.
    pub(crate) async fn welcome(&self, caller: &auth::Caller, admission: &Admission) -> Result<()> {
        let (tenant, user) = (&caller.tenant, &caller.user);
        let who = (tenant.clone(), user.clone());
        let welcomed = || self.welcomed.lock().unwrap_or_else(PoisonError::into_inner);
        if welcomed().contains(&who) {
            return Ok(());
        }
        let (tenant_known, user_known) = self.table.known(tenant, user).await?;
        if !tenant_known || !user_known {
            admitted(admission).await?;
        }
        let now = self.clock.now();
        if !tenant_known {
            self.table
                .create_tenant(tenant, self.config.default_plan, now)
                .await?;
        }
        if !user_known {
            self.table
                .create_user(tenant, user, &caller.profile, now)
                .await?;
        }
        let mut welcomed = welcomed();
        if welcomed.len() >= MAX_WELCOMED {
            welcomed.clear();
        }
        welcomed.insert(who);
        Ok(())
    }

    /// Everything small that is known of a tenant, true now: uploads that a crash cut short are
    /// settled first.
    pub async fn summary(&self, tenant: &TenantId) -> Result<Summary> {
        loop {
            let now = self.clock.now();
            let summary = self.table.summary(tenant, Period::of(now)).await?;
            if !self.settle(tenant, &summary.caps).await? {
                return Ok(summary);
            }
        }
    }

    /// What a page of one collection needs, true now as [`App::summary`] is.
    pub async fn view(&self, tenant: &TenantId, collection: &CollectionName) -> Result<View> {
        loop {
            let view = self.table.view(tenant, collection).await?;
            if !self.settle(tenant, &view.caps).await? {
                return Ok(view);
            }
        }
    }

    /// Settles what is abandoned and says whether there was any.
    async fn settle(&self, tenant: &TenantId, caps: &Caps) -> Result<bool> {
        let now = self.clock.now();
        let abandoned = caps.abandoned(now, self.alone_since);
        for (upload, hold) in &abandoned {
            tracing::warn!(%tenant, %upload, "settling an upload that was cut short");
            self.recount(tenant, *upload, hold).await?;
        }
        Ok(!abandoned.is_empty())
    }

    /// Settles an upload by the records that name it, where nobody knows what it wrote.
    pub async fn recount(&self, tenant: &TenantId, upload: UploadId, hold: &Hold) -> Result<()> {
        self.table.settle_abandoned(tenant, upload, hold).await?;
        // What it wrote may have gone past the index.
        self.indexes.forget(tenant, hold.number, hold.generation);
        Ok(())
    }

    /// Finds a page in a collection, and says whether its index was in memory already.
    pub async fn search(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        request: search::Request,
    ) -> Result<(search::Page, bool)> {
        let (index, warm) = self.indexes.open(&self.table, tenant, collection).await?;
        let page = tokio::task::spawn_blocking(move || index.search(&request)).await??;
        Ok((page, warm))
    }

    /// Brings records that were just written into the collection's index, if it is in memory: when
    /// this returns, every search finds them.
    pub async fn written(
        &self,
        tenant: &TenantId,
        collection: &Collection,
        records: Vec<Record>,
    ) -> Result<()> {
        self.indexes
            .written(&self.table, tenant, collection, records)
            .await
    }
}

impl From<auth::Refusal> for Error {
    fn from(refusal: auth::Refusal) -> Self {
        match refusal {
            auth::Refusal::Invalid => Self::Unauthorized,
            auth::Refusal::NoTenant => Self::Forbidden("The token names no usable tenant"),
        }
    }
}
