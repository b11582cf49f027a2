//! `portal-local reindex`: builds a collection's search index anew from the table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use api::{Clock, StoreConfig};
use indexing::Indexes;

use crate::cli::Reindex;
use crate::data::{Folder, packs_of};

/// How long it waits for a fold that is under way.
const WAITING: Duration = Duration::from_mins(2);

pub(crate) async fn reindex(args: Reindex) -> Result<()> {
    let mut store = StoreConfig::from_env();
    if store.url.is_none() {
        if !args.reach.is_folder() {
            bail!("SEARCH_STORE_URL does not say where the search indexes of the table are");
        }
        store.url = Some(packs_of(&Folder::open(&args.reach.data.path)?)?);
    }
    let (tenant, name) = (&args.tenant, &args.collection);
    let started = Instant::now();
    args.reach
        .with_table(async |table| {
            let now = Arc::new(|| Clock::System.now());
            let indexes = Indexes::new(table.clone(), store.open(0, None)?, now, None);
            loop {
                let view = table.index_view(tenant, name).await?;
                let view = view.with_context(|| format!("{tenant} has no collection {name}"))?;
                let version = view.collection.index().map(|index| index.version);
                if indexes.rebuild(tenant, name, version).await? {
                    return Ok(());
                }
                if started.elapsed() > WAITING {
                    bail!("somebody else is at the index of {name}; try again");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
        .await?;
    let took = started.elapsed().as_secs_f64();
    println!("the index of {name} is built anew, in {took:.1} s");
    Ok(())
}
