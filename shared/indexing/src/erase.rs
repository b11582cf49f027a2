//! Erasing collections that are deleted: packs, records, counters, markers and schemas. Nobody finds
//! them from the deletion on, so it has time, and whoever comes next does what is left of it.

use model::id::{CollectionName, TenantId};
use model::time::Moment;
use table::gone::Gone;

use crate::{Error, Indexes, RETIRED_FOR, Result};

impl Indexes {
    /// Erases what is left of deleted collections of that name that nobody can be at any more. False
    /// if some have to stay for a while yet; an error if some cannot be erased, once the others are.
    pub async fn erase(&self, tenant: &TenantId, name: &CollectionName) -> Result<bool> {
        let gone = self.0.table.gone_of(tenant, name).await?;
        self.erase_those(gone).await
    }

    /// The same of all deleted collections.
    pub(crate) async fn erase_all(&self) -> Result<bool> {
        let gone = self.0.table.gone_collections().await?;
        self.erase_those(gone).await
    }

    /// Tells the worker of this process which deleted collections an earlier one has not erased.
    pub(crate) async fn resume(&self) {
        let gone = match self.0.table.gone_collections().await {
            Ok(gone) => gone,
            Err(error) => {
                tracing::warn!(%error, "what is deleted is not known");
                return;
            }
        };
        for gone in gone {
            match gone {
                Ok(gone) => self.touched(&gone.tenant, &gone.name),
                Err(error) => tracing::error!(%error, "a deleted collection cannot be read"),
            }
        }
    }

    /// What is wrong with one of them keeps nobody from the others.
    async fn erase_those(&self, gone: Vec<table::Result<Gone>>) -> Result<bool> {
        let (mut done, mut failed) = (true, None::<Error>);
        for gone in gone {
            let gone = match gone {
                Ok(gone) => gone,
                Err(error) => {
                    tracing::error!(%error, "a deleted collection cannot be read");
                    failed = failed.or(Some(error.into()));
                    continue;
                }
            };
            if self.is_at(&gone) {
                done = false;
                continue;
            }
            let (tenant, collection, number) = (&gone.tenant, &gone.name, gone.number);
            match self.erase_one(&gone).await {
                Ok(()) => {
                    tracing::info!(%tenant, %collection, number, "erased a deleted collection");
                }
                Err(error) => {
                    tracing::error!(
                        %tenant, %collection, number, %error,
                        "a deleted collection is not erased"
                    );
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    async fn erase_one(&self, gone: &Gone) -> Result<()> {
        // The packs first, as with a generation: what the table knows is not forgotten.
        for of in gone.generations() {
            self.delete_packs(&gone.tenant, &gone.name, of).await?;
        }
        self.0.table.erase_collection(gone).await?;
        Ok(())
    }

    /// Whether a call, a fold or an upload that began before may still be at a deleted collection. A
    /// fold cannot keep its lease from then on, and a lease is over sooner than a call.
    fn is_at(&self, gone: &Gone) -> bool {
        let now = self.now();
        let dead = |since: Moment| self.0.alone_since.is_some_and(|alone| since < alone);
        !dead(gone.at) && (gone.at > now - RETIRED_FOR || gone.until > now)
    }
}
