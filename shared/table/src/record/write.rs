//! Adding and changing records.

use aws_sdk_dynamodb::types::BatchStatementRequest;
use futures_util::{StreamExt, stream};
use model::id::{RecordId, UploadId};
use model::record::{Record, Visibility};
use model::time::stored;
use tokio::time::Instant;

use super::{Body, CONCURRENCY, Existing, Place, text_of};
use crate::item;
use crate::retry::{Change, Outcome, back_off};
use crate::{Error, Result, Table, collection};

/// The most statements that one `BatchExecuteStatement` takes.
const BATCH_STATEMENTS: usize = 25;

/// What became of a row that was to be added.
#[derive(Debug, Clone, PartialEq)]
pub enum Added {
    /// It is a record now.
    Yes,
    /// The record exists; this is it.
    Exists(Box<Existing>),
    /// The table would not take it before the deadline.
    NotWritten,
}

/// What adding rows came to.
#[derive(Debug, Default)]
pub struct Additions {
    /// For each row, in the order of the rows; `None` where a failure left it open.
    pub rows: Vec<Option<Added>>,
    /// Whether the table asked to slow down.
    pub slowed: bool,
    /// Why some rows are open. What was written is written.
    pub failure: Option<Error>,
}

impl Table {
    /// Adds records where there are none. Rows must not repeat an id.
    pub async fn add_records(
        &self,
        place: &Place,
        records: &[&Record],
        deadline: Instant,
    ) -> Additions {
        let mut additions = Additions {
            rows: vec![None; records.len()],
            ..Additions::default()
        };
        let batches: Vec<_> = (0..records.len())
            .step_by(BATCH_STATEMENTS)
            .map(|start| start..records.len().min(start + BATCH_STATEMENTS))
            .collect();
        let mut done = stream::iter(batches)
            .map(|batch| async move {
                let added = self
                    .add_batch(place, &records[batch.clone()], deadline)
                    .await;
                (batch, added)
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((batch, added)) = done.next().await {
            additions.slowed |= added.slowed;
            additions.failure = additions.failure.or(added.failure);
            additions.rows.splice(batch, added.rows);
        }
        additions
    }

    async fn add_batch(&self, place: &Place, records: &[&Record], deadline: Instant) -> Additions {
        let mut batch = Additions {
            rows: vec![None; records.len()],
            ..Additions::default()
        };
        for attempt in 1.. {
            let open: Vec<usize> = (0..records.len())
                .filter(|row| batch.rows[*row].is_none())
                .collect();
            if open.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                for row in open {
                    batch.rows[row] = Some(Added::NotWritten);
                }
                break;
            }
            match self.try_batch(place, records, &open, &mut batch.rows).await {
                Ok(()) | Err(Error::Unavailable(_)) => {}
                Err(error) => {
                    batch.failure = Some(error);
                    break;
                }
            }
            if batch.rows.iter().any(Option::is_none) {
                batch.slowed = true;
                back_off(attempt).await;
            }
        }
        batch
    }

    /// One call for the rows that are open.
    async fn try_batch(
        &self,
        place: &Place,
        records: &[&Record],
        open: &[usize],
        rows: &mut [Option<Added>],
    ) -> Result<()> {
        let statements = open
            .iter()
            .map(|row| self.insert_statement(place, records[*row]))
            .collect::<Result<Vec<_>>>()?;
        let answer = self
            .client
            .batch_execute_statement()
            .set_statements(Some(statements))
            .send()
            .await?;
        // One that fails does not keep the others from being told.
        let mut failure = Ok(());
        let mut known = Vec::new();
        for (row, response) in open.iter().zip(answer.responses.unwrap_or_default()) {
            let Some(error) = response.error else {
                rows[*row] = Some(Added::Yes);
                continue;
            };
            let code = error.code.as_ref().map_or("", |code| code.as_str());
            if code == "DuplicateItem" {
                known.push(*row);
            } else if !Error::is_passing(code) {
                let message = error.message.as_deref().unwrap_or_default();
                failure = Err(Error::Refused(format!("{code}: {message}").into()));
            }
        }
        if let Some(first) = known.first() {
            let ids: Vec<RecordId> = known.iter().map(|row| records[*row].id).collect();
            let collection = &records[*first].collection;
            let mut existing = self.existing(place, collection, &ids).await?;
            for row in known {
                // One that is gone again by now stays open: it may be added after all.
                rows[row] = existing
                    .remove(&records[row].id)
                    .map(|existing| added_before(records[row], existing));
            }
        }
        failure
    }

    fn insert_statement(&self, place: &Place, record: &Record) -> Result<BatchStatementRequest> {
        let mut members = Vec::new();
        let mut parameters = Vec::new();
        for (name, value) in item::build(&place.key(record.id), &Body::of(record)?)? {
            members.push(format!("'{name}': ?"));
            parameters.push(value);
        }
        Ok(BatchStatementRequest::builder()
            .statement(format!(
                "INSERT INTO \"{}\" VALUE {{{}}}",
                self.name,
                members.join(", ")
            ))
            .set_parameters(Some(parameters))
            .build()?)
    }

    /// Replaces a record by `new`, the next version of `old`, if `old` is still what the table
    /// holds; says whether it was. A change of visibility moves the counter in one transaction.
    pub async fn change_record(
        &self,
        place: &Place,
        old: &Record,
        new: &Record,
        by: UploadId,
    ) -> Result<bool> {
        let change = replacement(old, new, Some(by))?;
        let key = place.key(new.id);
        let done = if old.visibility == new.visibility {
            self.update(&key, &change).await?.is_some()
        } else {
            let one = if new.visibility == Visibility::Public {
                1
            } else {
                -1
            };
            let count = Change::update("ADD #public :one")
                .name("#public", "public")
                .value(":one", item::number(one));
            let counter = collection::count_key(&place.tenant, place.of, new.id.shard());
            let writes = vec![
                self.update_write(&key, &change)?,
                self.update_write(&counter, &count)?,
            ];
            self.transact(writes).await? == Outcome::Done
        };
        if done {
            return Ok(true);
        }
        // A call whose answer was lost is repeated, and the repetition meets its own work.
        let current = self.get(&key).await?.map(item::read::<Body>).transpose()?;
        let mut made = Body::of(new)?;
        made.changed_by = Some(by);
        Ok(current.is_some_and(|current| {
            made.born = current.born;
            current == made
        }))
    }
}

/// A record that names this very row of this upload was added by a call whose answer was lost,
/// whatever became of it since.
fn added_before(record: &Record, existing: Existing) -> Added {
    let met = &existing.record;
    if met.upload == record.upload && met.row == record.row {
        Added::Yes
    } else {
        Added::Exists(Box::new(existing))
    }
}

/// The update that makes `new` of `old`, if the item is still `old`.
pub(super) fn replacement(old: &Record, new: &Record, by: Option<UploadId>) -> Result<Change> {
    let mut set = vec![
        "#name = :name",
        "#data = :data",
        "visibility = :visibility",
        "updated_at = :updated_at",
        "version = :next",
    ];
    let mut remove = Vec::new();
    let mut change_values = vec![
        (":name", item::text(&new.name)),
        (":data", item::text(text_of(&new.data)?)),
        (":updated_at", item::text(stored(new.updated_at))),
        (":next", item::number(new.version)),
        (":visibility", item::value(&new.visibility)?),
    ];
    for (name, place, value) in [
        (
            "description = :description",
            ":description",
            &new.description,
        ),
        (
            "source_name = :source_name",
            ":source_name",
            &new.source_name,
        ),
    ] {
        match value {
            Some(value) => {
                set.push(name);
                change_values.push((place, item::text(value)));
            }
            None => remove.push(&place[1..]),
        }
    }
    if let Some(by) = by {
        set.push("changed_by = :by");
        change_values.push((":by", item::text(by.to_string())));
    }
    let mut expression = format!("SET {}", set.join(", "));
    if !remove.is_empty() {
        expression += &format!(" REMOVE {}", remove.join(", "));
    }
    let mut change = Change::update(expression)
        .when(UNCHANGED)
        .name("#name", "name")
        .name("#data", "data");
    for (place, value) in change_values {
        change = change.value(place, value);
    }
    Ok(unchanged(change, old))
}

/// The condition that an item is still the record that was read: a record that was deleted and made
/// anew in between may have the same version. Its values come by [`unchanged`].
pub(super) const UNCHANGED: &str = "version = :seen AND #upload = :upload AND #row = :row";

pub(super) fn unchanged(change: Change, seen: &Record) -> Change {
    change
        .name("#upload", "upload")
        .name("#row", "row")
        .value(":seen", item::number(seen.version))
        .value(":upload", item::text(seen.upload.to_string()))
        .value(":row", item::number(seen.row))
}
