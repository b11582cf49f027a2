//! Deleting many items, whatever they are.

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::item::Key;
use crate::retry::{ATTEMPTS, back_off};
use crate::{Error, Result, Table};

/// The most keys that one `BatchWriteItem` takes.
const BATCH: usize = 25;

/// How many batches of one page are under way at once.
const CONCURRENCY: usize = 4;

impl Table {
    /// Deletes items; those that do not exist are none to it. Each key once.
    pub(crate) async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        let batches: Vec<Vec<Key>> = keys.chunks(BATCH).map(<[Key]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| async move { self.delete_batch(&batch).await })
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await
    }

    async fn delete_batch(&self, keys: &[Key]) -> Result<()> {
        let mut left = keys
            .iter()
            .map(|key| {
                let delete = DeleteRequest::builder().set_key(Some(key.item())).build()?;
                Ok(WriteRequest::builder().delete_request(delete).build())
            })
            .collect::<Result<Vec<_>>>()?;
        for attempt in 1..=ATTEMPTS {
            let answer = self
                .client
                .batch_write_item()
                .request_items(&self.name, left)
                .send()
                .await?;
            left = answer
                .unprocessed_items
                .and_then(|mut items| items.remove(&self.name))
                .unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            back_off(attempt).await;
        }
        Err(Error::Unavailable("unprocessed items".to_owned()))
    }

    /// Deletes every item of a partition, a page of it after the other.
    pub(crate) async fn delete_partition(&self, pk: &str) -> Result<()> {
        let mut start = None;
        loop {
            let (keys, last) = self.keys(pk, start).await?;
            self.delete_all(&keys).await?;
            if last.is_none() {
                return Ok(());
            }
            start = last;
        }
    }

    /// The next keys of a partition, from after `start`, and where to go on.
    async fn keys(&self, pk: &str, start: Option<Key>) -> Result<(Vec<Key>, Option<Key>)> {
        let (items, last) = self.page(pk, start, Some("pk, sk")).await?;
        Ok((items.iter().map(Key::of).collect(), last))
    }
}
