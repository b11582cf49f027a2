//! Folds what is marked into the search indexes: on the table's stream, and sweeps on a schedule.
//!
//! It is not needed for search to be right, which takes in what is marked by itself; it keeps what
//! there is to take in small. The stream's keys are all that it reads.

use std::collections::BTreeMap;

use api::Clock;
use indexing::Indexes;
use model::id::{CollectionName, TenantId};
use serde::{Deserialize, Serialize};
use table::{collection, marker};

/// An event: changes of the table, or the time to sweep.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// A batch of the table's stream.
    Changes {
        /// The changes, oldest first.
        #[serde(rename = "Records")]
        records: Vec<Change>,
    },
    /// A schedule's call.
    Schedule {
        /// `aws.scheduler` or `aws.events`.
        source: String,
    },
}

/// A change of an item.
#[derive(Debug, Deserialize)]
pub struct Change {
    #[serde(rename = "eventName")]
    kind: Kind,
    dynamodb: Stream,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Insert,
    Modify,
    Remove,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stream {
    keys: Keys,
    sequence_number: String,
}

#[derive(Debug, Deserialize)]
struct Keys {
    pk: Text,
    sk: Text,
}

#[derive(Debug, Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

/// The answer to a batch: which changes to send again. The stream sends them all again from the
/// first of these.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

/// Folds and sweeps.
pub struct Indexer {
    indexes: Indexes,
}

impl Indexer {
    /// An indexer of these indexes.
    #[must_use]
    pub fn new(indexes: Indexes) -> Self {
        Self { indexes }
    }

    /// Does what an event asks for. What cannot be folded now is to be sent again.
    pub async fn handle(&self, event: Event) -> Result<Answer, lambda_runtime::Error> {
        let records = match event {
            Event::Changes { records } => records,
            Event::Schedule { source } => {
                let swept = self.indexes.sweep(false, Clock::System.now()).await?;
                tracing::info!(source, swept, "swept the search store");
                return Ok(Answer::default());
            }
        };
        let mut touched: BTreeMap<(TenantId, CollectionName), String> = BTreeMap::new();
        for change in records {
            if let Some(collection) = change.collection() {
                let first = touched.entry(collection);
                first.or_insert(change.dynamodb.sequence_number);
            }
        }
        let mut answer = Answer::default();
        for ((tenant, name), item_identifier) in touched {
            match self.indexes.tend(&tenant, &name).await {
                Ok(true) => continue,
                Ok(false) => {
                    tracing::info!(%tenant, collection = %name, "somebody else is folding");
                }
                Err(error) => {
                    tracing::error!(%tenant, collection = %name, %error, "a fold failed");
                }
            }
            answer.batch_item_failures.push(Failure { item_identifier });
        }
        Ok(answer)
    }
}

impl Change {
    /// The collection that may need a fold after it: a marker came or changed, or the collection's
    /// item, whose pointer may name many segments.
    #[must_use]
    pub fn collection(&self) -> Option<(TenantId, CollectionName)> {
        let (pk, sk) = (&self.dynamodb.keys.pk.text, &self.dynamodb.keys.sk.text);
        if self.kind == Kind::Remove {
            return None;
        }
        if let Some(tenant) = marker::tenant_of(pk) {
            return Some((tenant, marker::collection_of(sk)?));
        }
        collection::of_key(pk, sk)
    }
}
