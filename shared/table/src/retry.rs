//! Reading, writing and trying again, for every entity.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Get, KeysAndAttributes, Put, ReturnValue,
    TransactGetItem, TransactWriteItem, Update,
};

use crate::error::cancellation;
use crate::item::{Item, Key};
use crate::{Error, Result, Table};

/// How often a transaction is tried that meets another's, or a batch whose rest was not taken.
pub(crate) const ATTEMPTS: u32 = 10;

/// The most keys that one BatchGetItem takes.
pub(crate) const BATCH_GET: usize = 100;

/// The most items of a page. DynamoDB ends one after 1 MB by itself; the engine of `portal-local` reads
/// all that is left of the partition before it does, so that to read a large one would cost the square
/// of it.
const PAGE: i32 = 1_000;

fn conflict() -> Error {
    Error::Unavailable("transaction conflict".to_owned())
}

/// What a transaction came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it was written.
    Done,
    /// Nothing was written: for each write, whether its condition failed.
    Refused(Vec<bool>),
}

impl Outcome {
    /// Whether the condition of write number `index` failed.
    pub(crate) fn refused(&self, index: usize) -> bool {
        matches!(self, Self::Refused(failed) if failed.get(index) == Some(&true))
    }
}

/// Waits before try number `attempt`, counted from 1: up to 10 ms, then twice as long each time
/// up to 640 ms, at random, so that those who met do not meet again.
pub async fn back_off(attempt: u32) {
    let ceiling = 10 * 2_u64.pow(attempt.min(7) - 1);
    let wait = random() % ceiling + 1;
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

/// A random number, for jitter and for spreading over shards; nothing secret depends on it.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// A write of a transaction or alone: a key, an expression, its names and values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    update: Option<String>,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Change {
    pub(crate) fn update(expression: impl Into<String>) -> Self {
        Self {
            update: Some(expression.into()),
            ..Self::default()
        }
    }

    pub(crate) fn set(mut self, expression: impl Into<String>) -> Self {
        self.update = Some(expression.into());
        self
    }

    pub(crate) fn condition(condition: impl Into<String>) -> Self {
        Self::default().when(condition)
    }

    pub(crate) fn when(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    pub(crate) fn name(mut self, place: impl Into<String>, name: impl Into<String>) -> Self {
        self.names.insert(place.into(), name.into());
        self
    }

    pub(crate) fn value(mut self, place: impl Into<String>, value: AttributeValue) -> Self {
        self.values.insert(place.into(), value);
        self
    }

    fn names(&self) -> Option<HashMap<String, String>> {
        Some(self.names.clone()).filter(|names| !names.is_empty())
    }

    fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        Some(self.values.clone()).filter(|values| !values.is_empty())
    }
}

/// The condition that an item does not exist.
pub(crate) const ABSENT: &str = "attribute_not_exists(pk)";
/// The condition that an item exists.
pub(crate) const PRESENT: &str = "attribute_exists(pk)";

impl Table {
    pub(crate) fn put_write(&self, item: Item, change: &Change) -> Result<TransactWriteItem> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item))
            .set_condition_expression(change.condition.clone())
            .set_expression_attribute_names(change.names())
            .set_expression_attribute_values(change.values())
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    pub(crate) fn update_write(&self, key: &Key, change: &Change) -> Result<TransactWriteItem> {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key.item()))
            .set_update_expression(change.update.clone())
            .set_condition_expression(change.condition.clone())
            .set_expression_attribute_names(change.names())
            .set_expression_attribute_values(change.values())
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    pub(crate) fn delete_write(&self, key: &Key, change: &Change) -> Result<TransactWriteItem> {
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(key.item()))
            .set_condition_expression(change.condition.clone())
            .set_expression_attribute_names(change.names())
            .set_expression_attribute_values(change.values())
            .build()?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// A condition on an item that a transaction does not write.
    pub(crate) fn check_write(&self, key: &Key, change: &Change) -> Result<TransactWriteItem> {
        let check = ConditionCheck::builder()
            .table_name(&self.name)
            .set_key(Some(key.item()))
            .condition_expression(change.condition.clone().unwrap_or_default())
            .set_expression_attribute_names(change.names())
            .set_expression_attribute_values(change.values())
            .build()?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Writes all of `writes` or nothing. A meeting with another transaction is tried again; the
    /// SDK repeats a call whose answer was lost under one token, so it is not done twice.
    pub(crate) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<Outcome> {
        for attempt in 1.. {
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes.clone()))
                .send()
                .await;
            let Err(error) = sent else {
                return Ok(Outcome::Done);
            };
            let Some(reasons) = cancellation(&error) else {
                return Err(error.into());
            };
            let passing = reasons.iter().any(|code| Error::is_passing(code));
            if passing && attempt < ATTEMPTS {
                back_off(attempt).await;
                continue;
            }
            if passing {
                return Err(conflict());
            }
            let failed: Vec<bool> = reasons
                .iter()
                .map(|code| code == "ConditionalCheckFailed")
                .collect();
            if failed.contains(&true) {
                return Ok(Outcome::Refused(failed));
            }
            return Err(error.into());
        }
        Err(conflict())
    }

    /// Changes one item and returns it as it is then; `None` if the condition failed. A meeting with
    /// a transaction is tried again.
    pub(crate) async fn update(&self, key: &Key, change: &Change) -> Result<Option<Item>> {
        for attempt in 1.. {
            let sent = self
                .client
                .update_item()
                .table_name(&self.name)
                .set_key(Some(key.item()))
                .set_update_expression(change.update.clone())
                .set_condition_expression(change.condition.clone())
                .set_expression_attribute_names(change.names())
                .set_expression_attribute_values(change.values())
                .return_values(ReturnValue::AllNew)
                .send()
                .await;
            let error = match sent {
                Ok(answer) => return Ok(Some(answer.attributes.unwrap_or_default())),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => return Ok(None),
                Some(UpdateItemError::TransactionConflictException(_)) if attempt < ATTEMPTS => {
                    back_off(attempt).await;
                }
                _ => return Err(error.into()),
            }
        }
        Err(conflict())
    }

    /// Puts an item where there is none, and says whether it did. A transaction, so that a call
    /// whose answer was lost does not meet its own work.
    pub(crate) async fn create_item(&self, item: Item) -> Result<bool> {
        let put = self.put_write(item, &Change::condition(ABSENT))?;
        Ok(self.transact(vec![put]).await? == Outcome::Done)
    }

    /// Puts an item, whatever is there.
    pub(crate) async fn put(&self, item: Item) -> Result<()> {
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .send()
            .await?;
        Ok(())
    }

    /// Deletes an item and says whether the condition held. A meeting with a transaction is tried
    /// again.
    pub(crate) async fn delete(&self, key: &Key, condition: &Change) -> Result<bool> {
        for attempt in 1.. {
            let sent = self
                .client
                .delete_item()
                .table_name(&self.name)
                .set_key(Some(key.item()))
                .set_condition_expression(condition.condition.clone())
                .set_expression_attribute_names(condition.names())
                .set_expression_attribute_values(condition.values())
                .send()
                .await;
            let Err(error) = sent else { return Ok(true) };
            match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => return Ok(false),
                Some(DeleteItemError::TransactionConflictException(_)) if attempt < ATTEMPTS => {
                    back_off(attempt).await;
                }
                _ => return Err(error.into()),
            }
        }
        Err(conflict())
    }

    /// Reads one item.
    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Item>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key.item()))
            .consistent_read(true)
            .send()
            .await?;
        Ok(answer.item)
    }

    /// Reads up to 100 items by key, in any order; what does not exist is not among them.
    pub(crate) async fn batch_get(
        &self,
        keys: &[Key],
        projection: Option<&str>,
    ) -> Result<Vec<Item>> {
        let mut items = Vec::with_capacity(keys.len());
        let mut wanted: Vec<Item> = keys.iter().map(Key::item).collect();
        for attempt in 1.. {
            if wanted.is_empty() {
                break;
            }
            let request = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .set_projection_expression(projection.map(str::to_owned))
                .build()?;
            let mut answer = self
                .client
                .batch_get_item()
                .request_items(&self.name, request)
                .send()
                .await?;
            if let Some(found) = answer.responses.as_mut().and_then(|r| r.remove(&self.name)) {
                items.extend(found);
            }
            wanted = answer
                .unprocessed_keys
                .and_then(|mut keys| keys.remove(&self.name))
                .map(|keys| keys.keys)
                .unwrap_or_default();
            if !wanted.is_empty() {
                if attempt == ATTEMPTS {
                    return Err(Error::Unavailable("unprocessed keys".to_owned()));
                }
                back_off(attempt).await;
            }
        }
        Ok(items)
    }

    /// Reads the items of a partition whose sort key begins with `prefix`, page after page.
    pub(crate) async fn query(
        &self,
        pk: &str,
        prefix: &str,
        projection: Option<&str>,
        mut each: impl FnMut(Item) -> Result<()>,
    ) -> Result<()> {
        let mut start = None;
        loop {
            let mut request = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .set_projection_expression(projection.map(str::to_owned))
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .set_exclusive_start_key(start);
            request = if prefix.is_empty() {
                request.key_condition_expression("pk = :pk")
            } else {
                request
                    .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                    .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
            };
            let page = request.send().await?;
            for item in page.items.unwrap_or_default() {
                each(item)?;
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads the next page of a partition, from after `start`, and where to go on.
    pub(crate) async fn page(
        &self,
        pk: &str,
        start: Option<Key>,
        projection: Option<&str>,
    ) -> Result<(Vec<Item>, Option<Key>)> {
        let page = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .set_projection_expression(projection.map(str::to_owned))
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .limit(PAGE)
            .set_exclusive_start_key(start.map(|key| key.item()))
            .send()
            .await?;
        let last = page.last_evaluated_key.as_ref().map(Key::of);
        Ok((page.items.unwrap_or_default(), last))
    }

    /// Reads the last items of a partition, last first, from before `start`.
    pub(crate) async fn page_backwards(
        &self,
        pk: &str,
        start: Option<Key>,
        limit: usize,
    ) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut start = start.map(|key| key.item());
        loop {
            let left = i32::try_from(limit - items.len()).unwrap_or(i32::MAX);
            let page = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .scan_index_forward(false)
                .limit(left)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .set_exclusive_start_key(start)
                .send()
                .await?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() || items.len() >= limit {
                return Ok(items);
            }
        }
    }

    /// Reads items at one moment, each `None` if it does not exist. A meeting with a transaction is
    /// tried again.
    pub(crate) async fn get_together(&self, keys: &[Key]) -> Result<Vec<Option<Item>>> {
        let gets = keys.iter().map(|key| {
            let get = Get::builder()
                .table_name(&self.name)
                .set_key(Some(key.item()))
                .build()?;
            Ok(TransactGetItem::builder().get(get).build())
        });
        let gets = gets.collect::<Result<Vec<_>>>()?;
        for attempt in 1..=ATTEMPTS {
            let sent = self
                .client
                .transact_get_items()
                .set_transact_items(Some(gets.clone()))
                .send()
                .await;
            match sent {
                Ok(answer) => {
                    let items = answer.responses.unwrap_or_default();
                    return Ok(items.into_iter().map(|response| response.item).collect());
                }
                Err(error) => match error.as_service_error() {
                    Some(TransactGetItemsError::TransactionCanceledException(_))
                        if attempt < ATTEMPTS =>
                    {
                        back_off(attempt).await;
                    }
                    _ => return Err(error.into()),
                },
            }
        }
        Err(conflict())
    }
}
