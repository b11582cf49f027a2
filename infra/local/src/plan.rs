//! `portal-local plan`: sets a tenant's plan.

use anyhow::Result;
use api::Clock;
use table::Table;

use crate::TABLE;
use crate::cli::SetPlan;
use crate::data::Folder;
use crate::engine::{Engine, open};

pub(crate) async fn plan(args: SetPlan) -> Result<()> {
    let set = async |table: &Table| {
        table
            .set_plan(&args.tenant, args.plan, Clock::System.now())
            .await
    };
    match (&args.endpoint, &args.table) {
        (Some(endpoint), name) => {
            let name = name.as_deref().unwrap_or(TABLE);
            set(&Table::at_endpoint(endpoint, name)).await?;
        }
        (None, Some(name)) => set(&Table::from_environment(name).await).await?,
        (None, None) => {
            let folder = Folder::open(&args.data.path)?;
            match folder.try_lock()? {
                // Nobody serves the folder, so this process does, for this one write.
                Some(_lock) => {
                    let off = Some(crate::cli::DynamoDbAddr::Off);
                    let engine = Engine::start(open(Some(&folder))?, off).await?;
                    let table = Table::at_endpoint(&engine.endpoint, TABLE);
                    table.create().await?;
                    let done = set(&table).await;
                    drop(table);
                    engine.stop().await;
                    done?;
                }
                None => set(&Table::at_endpoint(&folder.endpoint()?, TABLE)).await?,
            }
        }
    }
    println!("{} is on the {} plan", args.tenant, args.plan);
    Ok(())
}
