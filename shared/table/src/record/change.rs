//! One record at a time: each change is one transaction of the record, its shard's counter and the
//! marker that tells the search index. Writers of different shards share no item.

use aws_sdk_dynamodb::types::TransactWriteItem;
use model::record::{Record, Visibility};
use model::time::Moment;

use super::write::{UNCHANGED, replacement, unchanged};
use super::{Body, Place};
use crate::item;
use crate::retry::{ABSENT, Change, Outcome};
use crate::{Result, Table, collection};

/// How many writes the transaction of one change has: the record, its shard's counter, its marker.
pub(super) const OWN_WRITES: usize = 3;

/// What a change adds to the counters of a shard.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    total: i64,
    public: i64,
}

fn public(record: &Record) -> i64 {
    i64::from(record.visibility == Visibility::Public)
}

impl Table {
    /// Makes a record where there is none; says whether it did.
    pub async fn create_record(&self, place: &Place, record: &Record) -> Result<bool> {
        let made = self.create_with(place, record, &[]);
        Ok(made.await? == Outcome::Done)
    }

    /// The same together with other writes: what became of the transaction, in which the record is
    /// the first write and the others come after [`OWN_WRITES`].
    pub(super) async fn create_with(
        &self,
        place: &Place,
        record: &Record,
        others: &[TransactWriteItem],
    ) -> Result<Outcome> {
        let item = item::build(&place.key(record.id), &Body::of(record)?)?;
        let write = self.put_write(item, &Change::condition(ABSENT))?;
        let counts = Counts {
            total: 1,
            public: public(record),
        };
        let at = record.updated_at;
        self.change(place, record, (write, others), counts, (false, at))
            .await
    }

    /// Replaces a record by `new`, the next version of `old`, if `old` is still what the table
    /// holds; says whether it was.
    pub async fn update_record(&self, place: &Place, old: &Record, new: &Record) -> Result<bool> {
        let change = replacement(old, new, None)?;
        let write = self.update_write(&place.key(new.id), &change)?;
        let counts = Counts {
            total: 0,
            public: public(new) - public(old),
        };
        let at = new.updated_at;
        let changed = self.change(place, new, (write, &[]), counts, (false, at));
        Ok(changed.await? == Outcome::Done)
    }

    /// Deletes a record, if it is still what the table holds; says whether it was.
    pub async fn delete_record(&self, place: &Place, old: &Record, at: Moment) -> Result<bool> {
        let same = unchanged(Change::condition(UNCHANGED), old);
        let write = self.delete_write(&place.key(old.id), &same)?;
        let counts = Counts {
            total: -1,
            public: -public(old),
        };
        let deleted = self.change(place, old, (write, &[]), counts, (true, at));
        Ok(deleted.await? == Outcome::Done)
    }

    async fn change(
        &self,
        place: &Place,
        record: &Record,
        (write, others): (TransactWriteItem, &[TransactWriteItem]),
        counts: Counts,
        (gone, at): (bool, Moment),
    ) -> Result<Outcome> {
        let marker = Self::record_marker(&place.tenant, place.of, record, gone, at)?;
        let marker = self.put_write(marker, &Change::default())?;
        let counter = collection::count_key(&place.tenant, place.of, record.id.shard());
        // Another writer, whose clock is ahead, may have dated the shard already.
        let mut newer = false;
        loop {
            let count = self.update_write(
                &counter,
                &collection::count(counts.total, counts.public, at, newer),
            )?;
            let mut writes = vec![write.clone(), count, marker.clone()];
            writes.extend_from_slice(others);
            let all = writes.len();
            let outcome = self.transact(writes).await?;
            let is_dated =
                outcome.refused(1) && !(0..all).any(|write| write != 1 && outcome.refused(write));
            if newer || !is_dated {
                return Ok(outcome);
            }
            newer = true;
        }
    }
}
