//! Building an index anew from the table, under a new build number.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use model::id::{CollectionName, SHARDS, TenantId};
use model::record::Visibility;
use search::{Change, Effort, Fold};

use crate::fold::{Folded, Leased, Writing};
use crate::{Error, Indexes, Result};

impl Indexes {
    /// Builds the index of the generation that is served anew, unless its pointer is not that of
    /// version `seen` any more; false if somebody else is at the index. By a task of its own: a
    /// caller that gives up does not stop it half way.
    pub async fn rebuild(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        seen: Option<u64>,
    ) -> Result<bool> {
        let (indexes, tenant, name) = (self.clone(), tenant.clone(), name.clone());
        let rebuild = async move {
            let Some(mut leased) = indexes.lease(&tenant, &name, None).await? else {
                return Ok(false);
            };
            let rebuilt = if leased.pointer().map(|pointer| pointer.version) == seen {
                leased.rebuild().await
            } else {
                Ok(Folded::Nothing)
            };
            leased.end().await;
            match rebuilt {
                Err(Error::LeaseLost) => Ok(false),
                rebuilt => rebuilt.map(|_| true),
            }
        };
        tokio::spawn(rebuild).await?
    }
}

impl Leased {
    /// Builds the index anew. What is marked by then is in it: the markers are read first.
    pub(crate) async fn rebuild(&mut self) -> Result<Folded> {
        let indexes = self.indexes.clone();
        let (table, store) = (&indexes.0.table, &indexes.0.store);
        let (name, number) = (self.collection.name.clone(), self.collection.number);
        let (tenant, known) = (self.tenant.clone(), self.collection.listed);
        tracing::info!(%tenant, collection = %name, "building an index anew");
        if self.pointer().is_none() {
            table.prepare_pointers(&tenant, &name).await?;
        }
        let markers = self.markers().await?;
        let takes: Vec<_> = markers.versions().collect();
        self.note(&takes).await?;
        let (prefix, place) = (self.prefix(), self.place());
        let before = self.pointer().cloned();
        let work = async {
            let fold = Fold::rebuild(store, &prefix, before.as_ref(), indexes.now()).await?;
            let mut writing = Writing::of(&indexes, &prefix, fold);
            let mut failed = BTreeSet::new();
            let mut records = 0;
            let mut listed = known;
            for shard in 0..SHARDS {
                let mut after = None;
                loop {
                    let page = table.shard_records(&place, &name, shard, after).await?;
                    // Public records may be older than the directory of collections that have any.
                    let mut read = page.0.records.values();
                    if !listed && read.any(|record| record.visibility == Visibility::Public) {
                        table.list_openly(&tenant, &name, number).await?;
                        listed = true;
                    }
                    failed.extend(page.0.corrupt);
                    records += page.0.records.len();
                    let changes = page.0.records.into_values().map(|record| Change {
                        id: record.id,
                        record: Some(record),
                        is_new: true,
                    });
                    writing = writing.write(changes.collect()).await?;
                    after = page.1;
                    if after.is_none() {
                        break;
                    }
                }
            }
            Ok((writing, failed, records))
        };
        let (writing, failed, records) = self.keeping(work.boxed()).await?;
        self.publish(writing, failed, Effort::Background, &takes, &markers)
            .await?;
        Ok(Folded::Yes(records))
    }
}
