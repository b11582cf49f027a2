//! The table that a command works on: of a data folder, whoever serves it; of an engine; or of AWS.

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use table::Table;

use crate::TABLE;
use crate::cli::{DynamoDbAddr, Reach};
use crate::data::Folder;
use crate::engine::{Engine, open};

impl Reach {
    /// Does something with the table.
    pub(crate) async fn with_table<T>(
        &self,
        work: impl AsyncFnOnce(&Table) -> Result<T>,
    ) -> Result<T> {
        match (&self.endpoint, &self.table) {
            (Some(endpoint), name) => {
                let name = name.as_deref().unwrap_or(TABLE);
                work(&Table::at_endpoint(endpoint, name)).await
            }
            (None, Some(name)) => work(&in_aws(name).await).await,
            (None, None) => {
                let folder = Folder::open(&self.data.path)?;
                match folder.try_lock()? {
                    // Nobody serves the folder, so this process does, for as long as it takes.
                    Some(_lock) => {
                        let off = Some(DynamoDbAddr::Off);
                        let engine = Engine::start(open(Some(&folder))?, off).await?;
                        let table = Table::at_endpoint(&engine.endpoint, TABLE);
                        table.create().await?;
                        let done = work(&table).await;
                        drop(table);
                        engine.stop().await;
                        done
                    }
                    None => work(&Table::at_endpoint(&folder.endpoint()?, TABLE)).await,
                }
            }
        }
    }

    /// Whether the table is that of the data folder.
    pub(crate) fn is_folder(&self) -> bool {
        self.endpoint.is_none() && self.table.is_none()
    }
}

/// The table of the account that the machine's AWS configuration names: a developer's has profiles
/// and sign-ins, which a function has not.
async fn in_aws(name: &str) -> Table {
    let machine = aws_config::load_from_env().await;
    let config = table::with_retries(Builder::from(&machine)).build();
    Table::new(Client::from_conf(config), name)
}
