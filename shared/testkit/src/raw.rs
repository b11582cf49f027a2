//! The table as the engine has it, past the verbs.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use model::id::TenantId;
use table::local_config;

use crate::{TABLE, TestApp};

/// An item: its attributes by name.
pub type Item = HashMap<String, AttributeValue>;

/// A client of an engine that meets no faults.
#[must_use]
pub fn dynamodb(endpoint: &str) -> Client {
    Client::from_conf(local_config(endpoint).build())
}

/// Every item of an engine's table.
pub async fn items(endpoint: &str) -> Vec<Item> {
    let scanned = dynamodb(endpoint)
        .scan()
        .table_name(TABLE)
        .consistent_read(true)
        .send()
        .await
        .expect("a scan");
    assert!(scanned.last_evaluated_key().is_none(), "a longer table");
    scanned.items.unwrap_or_default()
}

/// A map as text, however it is hashed.
fn ordered(map: &Item) -> String {
    let members: BTreeMap<&String, String> = map
        .iter()
        .map(|(name, value)| (name, text(value)))
        .collect();
    format!("{members:?}")
}

fn text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(map) => ordered(map),
        AttributeValue::L(list) => {
            let members: Vec<String> = list.iter().map(text).collect();
            format!("{members:?}")
        }
        value => format!("{value:?}"),
    }
}

impl TestApp {
    /// Every item of the table as text, in one order.
    pub async fn dump(&self) -> String {
        let mut dump: Vec<String> = items(&self.endpoint).await.iter().map(ordered).collect();
        dump.sort();
        dump.join("\n")
    }

    /// Puts an item among those that make up the tenant's summary.
    pub async fn plant<'a>(
        &self,
        tenant: &TenantId,
        sk: &str,
        attributes: impl IntoIterator<Item = (&'a str, AttributeValue)>,
    ) {
        let put = dynamodb(&self.endpoint)
            .put_item()
            .table_name(TABLE)
            .item("pk", AttributeValue::S(format!("TENANT#{tenant}#SUMMARY")))
            .item("sk", AttributeValue::S(sk.to_owned()));
        let put = attributes
            .into_iter()
            .fold(put, |put, (name, value)| put.item(name, value));
        put.send().await.expect("an item");
    }
}
