//! What every request of a process shares.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use auth::Verifier;
use files::Files;
use indexing::Indexes;
use model::id::{CollectionName, TenantId, UploadId, UserId};
use model::period::Period;
use model::plan::SearchTerms;
use model::time::Moment;
use search::Store;
use table::Table;
use table::cap::{Caps, Hold};
use table::marker::{AllMarkers, Generation};
use table::summary::{Summary, View};

use crate::address::Visitors;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::key::Uses;
use crate::limiter::{Admission, Limiter, admitted};
use crate::remembered::Remembered;

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
    pub(crate) uses: Uses,
    pub(crate) visitors: Visitors,
    indexes: Option<Indexes>,
    files: OnceLock<Files>,
    alone_since: Option<Moment>,
    welcomed: Remembered<(TenantId, UserId)>,
    /// Tenants whose plan capped searches when it was last read.
    capped: Remembered<TenantId>,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// How often a summary is read until nothing changes meanwhile.
const STEADY: u32 = 5;

impl App {
    /// An app over `table`, with the packs of search indexes on `store`; families that neither
    /// search nor write records need none. `alone_since` is set where no other process can still be writing what
    /// it began before then, as when the table's engine started with this process: what such an
    /// upload left behind is settled at once and not only after its time.
    #[must_use]
    pub fn new(
        table: Table,
        store: Option<Store>,
        config: Config,
        clock: Clock,
        alone_since: Option<Moment>,
    ) -> Self {
        let indexes = store.map(|store| {
            let clock = clock.clone();
            let now = Arc::new(move || clock.now());
            Indexes::new(table.clone(), store, now, alone_since)
        });
        Self(Arc::new(Parts {
            verifier: config.verifier(),
            limiter: Limiter::default(),
            uses: Uses::default(),
            visitors: Visitors::default(),
            indexes,
            files: OnceLock::new(),
            ids: Ids,
            welcomed: Remembered::default(),
            capped: Remembered::default(),
            table,
            clock,
            config,
            alone_since,
        }))
    }

    /// The same with a store of uploaded files, for families that take them.
    #[must_use]
    pub fn with_files(self, files: Files) -> Self {
        // An app has one store from its first request on.
        let _ = self.0.files.set(files);
        self
    }

    /// Makes sure that a caller's tenant and user exist. A process asks the table once for each:
    /// neither is ever deleted. A caller whom the limiter refuses creates nothing.
    pub(crate) async fn welcome(&self, caller: &auth::Caller, admission: &Admission) -> Result<()> {
        let (tenant, user) = (&caller.tenant, &caller.user);
        let who = (tenant.clone(), user.clone());
        if self.welcomed.contains(&who) {
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
        self.welcomed.insert(who);
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

    /// The same for a search. Where the tenant's plan caps searches, those of before are read with
    /// it, which costs a read of its own only if this process did not know.
    pub async fn search_view(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
    ) -> Result<View> {
        loop {
            let view = if self.capped.contains(tenant) {
                let period = Period::of(self.clock.now());
                self.table
                    .view_with_searches(tenant, collection, period)
                    .await?
            } else {
                self.table.view(tenant, collection).await?
            };
            if self.settle(tenant, &view.caps).await? {
                continue;
            }
            match view.plan(tenant)?.limits().searches {
                SearchTerms::Capped(_) => self.capped.insert(tenant.clone()),
                _ => self.capped.remove(tenant),
            }
            return Ok(view);
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
        if let Some(indexes) = &self.indexes {
            indexes.touched(tenant, &hold.collection);
        }
        Ok(())
    }

    /// The search indexes.
    pub fn indexes(&self) -> Result<&Indexes> {
        let missing = || Error::internal(std::io::Error::other("the app has no search store"));
        self.indexes.as_ref().ok_or_else(missing)
    }

    /// The uploaded files.
    pub fn files(&self) -> Result<&Files> {
        let missing = || Error::internal(std::io::Error::other("UPLOAD_STORE_URL is not set"));
        self.files.get().ok_or_else(missing)
    }

    /// Since when no other process can still be at what it began before.
    #[must_use]
    pub fn alone_since(&self) -> Option<Moment> {
        self.alone_since
    }

    /// As [`App::summary`], with how far each collection's index is.
    pub async fn summary_with_progress(&self, tenant: &TenantId) -> Result<Summary> {
        let indexes = self.indexes()?;
        let (mut summary, markers) = self.marked_summary(tenant).await?;
        for (collection, counts) in &mut summary.collections {
            let served = Generation::served(collection);
            let of_collection = markers.get(&collection.name);
            let markers = of_collection.and_then(|markers| markers.get(&served));
            let markers = markers.cloned().unwrap_or_default();
            let progress = indexes.progress(tenant, collection, &markers).await?;
            // A record that was deleted since may still be marked by its upload.
            counts.failed = progress.failed.min(counts.total);
            counts.processing = progress.processing.min(counts.total - counts.failed);
            let left = counts.total - counts.failed - counts.processing;
            counts.pending = progress.pending.min(left);
        }
        Ok(summary)
    }

    /// A summary, and the markers of the same moment. Where none is left, all that was counted
    /// before is folded; where some are, what was counted or folded while they were read may belong to
    /// neither, so both are read until nothing was.
    async fn marked_summary(&self, tenant: &TenantId) -> Result<(Summary, AllMarkers)> {
        let mut summary = self.summary(tenant).await?;
        for _ in 1..STEADY {
            let markers = self.table.all_markers(tenant).await?;
            if markers.is_empty() {
                return Ok((summary, markers));
            }
            let after = self.summary(tenant).await?;
            if after.collections == summary.collections {
                return Ok((summary, markers));
            }
            summary = after;
        }
        Ok((summary, self.table.all_markers(tenant).await?))
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
