//! The items that an upload writes, written by the same call into an engine of the same kind, with
//! nothing around it: as fast as the service could be.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest};
use futures_util::{StreamExt, stream};
use table::{Table, local_config};

use crate::writes::engine;

/// The table's name.
const TABLE: &str = "portal";

/// Statements of a call.
const STATEMENTS: usize = 25;

/// Calls at once.
const AT_ONCE: usize = 4;

/// An item: its attributes by name.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The items of an engine's table that are records.
pub(crate) async fn records(endpoint: &str) -> Result<Vec<Item>> {
    let client = Client::from_conf(local_config(endpoint).build());
    let mut records = Vec::new();
    let mut after = None;
    loop {
        let scan = client.scan().table_name(TABLE).consistent_read(true);
        let page = scan.set_exclusive_start_key(after).send().await?;
        let items = page.items.unwrap_or_default();
        records.extend(items.into_iter().filter(is_record));
        after = page.last_evaluated_key;
        if after.is_none() {
            return Ok(records);
        }
    }
}

fn is_record(item: &Item) -> bool {
    let key = item.get("pk").and_then(|key| key.as_s().ok());
    key.is_some_and(|key| key.contains("#RECORDS#"))
}

/// Writes items into a new table, and returns how long it took. The statements are made before.
pub(crate) async fn write(items: &[Item]) -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let endpoint = engine(folder.path()).await?;
    Table::at_endpoint(&endpoint, TABLE).create().await?;
    let client = Client::from_conf(local_config(&endpoint).build());
    let calls: Vec<Vec<BatchStatementRequest>> = items
        .chunks(STATEMENTS)
        .map(|items| items.iter().map(statement).collect())
        .collect::<Result<_>>()?;
    let started = Instant::now();
    let mut answers = stream::iter(calls)
        .map(|statements| {
            let call = client.batch_execute_statement();
            call.set_statements(Some(statements)).send()
        })
        .buffer_unordered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        let responses = answer?.responses.unwrap_or_default();
        if let Some(error) = responses
            .iter()
            .find_map(|response| response.error.as_ref())
        {
            bail!("an item was not written: {error:?}");
        }
    }
    Ok(started.elapsed())
}

fn statement(item: &Item) -> Result<BatchStatementRequest> {
    let (mut members, mut parameters) = (Vec::new(), Vec::new());
    for (name, value) in item {
        members.push(format!("'{name}': ?"));
        parameters.push(value.clone());
    }
    let members = members.join(", ");
    Ok(BatchStatementRequest::builder()
        .statement(format!("INSERT INTO \"{TABLE}\" VALUE {{{members}}}"))
        .set_parameters(Some(parameters))
        .build()?)
}
