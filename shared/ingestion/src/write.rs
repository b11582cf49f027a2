//! Writing rows: adding what is new, changing what is there.

use std::collections::{HashMap, HashSet};

use api::{App, Error, Result};
use formats::Cursor;
use futures_util::{StreamExt, TryStreamExt, stream};
use indexing::Ahead;
use model::Faults;
use model::collection::Collection;
use model::id::{RecordId, UploadId};
use model::record::{Origin, Record, SourceType, Visibility};
use model::time::Moment;
use model::upload::{Glimpse, Summary};
use table::back_off;
use table::cap::{Note, Tally};
use table::record::{Added, Existing, Place};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::errors::Errors;
use crate::input::Target;
use crate::window::{Candidate, Slice};

/// How many changed records are written at once.
const CHANGES: usize = 16;

/// How many records one call reads, and how many such calls are under way at once.
const READ: usize = 100;
const READS: usize = 8;

/// Whose rows they are.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    pub(crate) target: Target,
    /// The id under which they are written.
    pub(crate) upload: UploadId,
    pub(crate) source_type: SourceType,
    pub(crate) source_name: Option<String>,
    /// Who may find a new record whose row does not say.
    pub(crate) visibility: Visibility,
}

impl Author {
    /// The record that a row becomes where there is none.
    pub(crate) fn record(&self, candidate: Candidate, at: Moment) -> Record {
        let Candidate { row, id, mut draft } = candidate;
        draft.visibility = draft.visibility.or(Some(self.visibility));
        draft.into_record(Origin {
            id,
            collection: self.target.collection.clone(),
            record_type: self.target.record_type.clone(),
            source_type: self.source_type,
            source_name: self.source_name.clone(),
            upload: self.upload,
            row,
            at,
        })
    }
}

/// Who writes what where.
pub(crate) struct Writer<'a> {
    pub(crate) app: &'a App,
    pub(crate) author: &'a Author,
    pub(crate) place: Place,
    /// As it was when the part began.
    pub(crate) collection: &'a Collection,
    /// The most records that the part may add: so many are reserved.
    pub(crate) rows: u64,
    /// Where what is added is indexed meanwhile, if it is.
    pub(crate) ahead: Option<&'a Ahead>,
    /// The upload, if it tells how far it is.
    pub(crate) note: Option<Note<'a>>,
    /// Those under which this part was written in attempts that were cut short.
    pub(crate) earlier: HashSet<UploadId>,
    /// Those under which anything of this upload was written before.
    pub(crate) own: HashSet<UploadId>,
    /// When to give up.
    pub(crate) deadline: Instant,
    /// Whether the collection is listed among those that have public records.
    pub(crate) listed: OnceCell<()>,
}

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) summary: Summary,
    pub(crate) tally: Tally,
    /// When the last row was written.
    pub(crate) last: Option<Moment>,
    /// Whether the database asked to slow down.
    pub(crate) slowed: bool,
    /// Whether a row that is called rejected may have been written.
    pub(crate) unsure: bool,
    /// What was wrong with the rows that were rejected, until it is kept.
    pub(crate) faults: Vec<(u64, Faults)>,
}

/// A slice that was written, as far as it could be.
pub(crate) struct Done {
    /// How many records it might have added.
    pub(crate) promised: u64,
    /// Where the next slice begins, and how many bytes of the file lie before it.
    pub(crate) end: Cursor,
    pub(crate) bytes: u64,
    /// What was written is counted, also if the rest failed.
    pub(crate) written: Written,
    pub(crate) result: Result<()>,
}

/// A row as the record that it becomes where there is none.
struct Pending {
    record: Record,
    /// What the row says of who may find it, if it does.
    visibility: Option<Visibility>,
}

enum Change {
    Written(RecordId),
    /// An earlier attempt of this upload did it, and it was counted.
    Before,
    None,
    NotWritten,
}

impl Written {
    /// What a slice comes to whose candidates are still to be written.
    pub(crate) fn before(slice: &mut Slice) -> Self {
        let faults = std::mem::take(&mut slice.rejected);
        let summary = Summary {
            submitted: slice.submitted,
            rejected: faults.len() as u64,
            dedup_skipped: slice.repeated,
            ..Summary::default()
        };
        Self {
            summary,
            faults,
            ..Self::default()
        }
    }

    /// Rejects a row that may have been written all the same.
    pub(crate) fn not_written(&mut self, row: u64) {
        self.unsure = true;
        self.left_out(row);
    }

    /// Rejects a row with which nothing was tried.
    fn left_out(&mut self, row: u64) {
        let fault = model::Fault::new(
            "not_written",
            "The row could not be written in time; send the file again",
        );
        self.summary.rejected += 1;
        self.faults.push((row, vec![fault]));
    }

    /// Adds what further rows came to.
    pub(crate) fn add(&mut self, other: Self, errors: &mut Errors) {
        self.summary.add(other.summary);
        self.tally.merge(other.tally);
        self.last = self.last.max(other.last);
        self.slowed |= other.slowed;
        self.unsure |= other.unsure;
        for (row, faults) in other.faults {
            errors.add(row, faults);
        }
    }
}

impl Writer<'_> {
    /// Tells how far the part is. Nothing depends on it.
    pub(crate) async fn tell(&self, written: &Written, bytes: u64) {
        let Some(note) = self.note else { return };
        let mut job = note.job.clone();
        job.glimpse = Some(Glimpse {
            summary: written.summary,
            bytes,
        });
        let (tenant, now) = (&self.author.target.tenant, self.app.clock.now());
        let note = Note { job: &job, ..note };
        if let Err(error) = self.app.table.note_upload(tenant, note, now).await {
            tracing::warn!(%tenant, upload = %job.id, %error, "how far an upload is was not told");
        }
    }

    /// Writes a slice, and adds no more records than `left`.
    pub(crate) async fn write(&self, mut slice: Slice, left: u64) -> Done {
        let mut written = Written::before(&mut slice);
        let promised = slice.may_add(left);
        let (end, bytes) = (slice.end, slice.bytes);
        let result = self.try_write(slice, left, &mut written).await;
        Done {
            promised,
            end,
            bytes,
            written,
            result,
        }
    }

    async fn try_write(&self, slice: Slice, left: u64, written: &mut Written) -> Result<()> {
        let now = self.app.clock.now();
        let candidates = slice.candidates.into_iter();
        let pending: Vec<Pending> = candidates.map(|row| self.pending(row, now)).collect();
        self.list_openly(&pending).await?;
        let (new, mut changes) = self.sort(pending, left, written).await?;
        let records: Vec<&Record> = new.iter().map(|pending| &pending.record).collect();
        let (table, deadline) = (&self.app.table, self.deadline);
        let additions = table.add_records(&self.place, &records, deadline).await;
        written.slowed |= additions.slowed;

        let mut fresh = Vec::new();
        for (pending, added) in new.into_iter().zip(additions.rows) {
            match added {
                Some(Added::Yes) => {
                    let record = pending.record;
                    written.summary.accepted += 1;
                    written.tally.add(record.id, record.visibility);
                    written.last = Some(now);
                    fresh.push(record);
                }
                Some(Added::Exists(existing)) => changes.push((pending, *existing)),
                Some(Added::NotWritten) => written.not_written(pending.record.row),
                // A failure left it open, and ends the upload.
                None => {}
            }
        }
        if let Some(ahead) = self.ahead {
            ahead.take(fresh).await;
        }
        let mut changed = stream::iter(changes)
            .map(|(pending, existing)| async move {
                let row = pending.record.row;
                (row, self.change(pending, existing).await)
            })
            .buffer_unordered(CHANGES);
        let mut failure: Option<Error> = additions.failure.map(Error::from);
        while let Some((row, change)) = changed.next().await {
            match change {
                Ok(Change::Written(record)) => {
                    written.summary.accepted += 1;
                    written.tally.change(record);
                    written.last = Some(now);
                }
                Ok(Change::Before) => written.summary.accepted += 1,
                Ok(Change::None) => written.summary.dedup_skipped += 1,
                Ok(Change::NotWritten) => written.not_written(row),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sorts rows into those that are to be added, which may exist all the same, and those that exist.
    ///
    /// No more are added than are reserved. A row whose record existed when the new ones were counted
    /// has nothing reserved, and its record may have been deleted since and others have filled its
    /// place: where not every row could be added, it is read first which records exist. Those are not
    /// added even if they are gone by then; rows for which nothing is left are rejected.
    async fn sort(
        &self,
        pending: Vec<Pending>,
        left: u64,
        written: &mut Written,
    ) -> Result<(Vec<Pending>, Vec<(Pending, Existing)>)> {
        if pending.len() as u64 <= left {
            return Ok((pending, Vec::new()));
        }
        let (mut new, mut known) = (Vec::new(), Vec::new());
        let Some(mut existing) = self.existing(&pending, written).await? else {
            // As whatever is late: a step in the background that comes to this tries the part again.
            for pending in pending {
                written.not_written(pending.record.row);
            }
            return Ok((new, known));
        };
        for pending in pending {
            match existing.remove(&pending.record.id) {
                Some(existing) => known.push((pending, existing)),
                None if (new.len() as u64) < left => new.push(pending),
                None => written.left_out(pending.record.row),
            }
        }
        Ok((new, known))
    }

    /// What there is of the rows' records; `None` if it could not be read before the deadline.
    async fn existing(
        &self,
        pending: &[Pending],
        written: &mut Written,
    ) -> Result<Option<HashMap<RecordId, Existing>>> {
        let ids: Vec<RecordId> = pending.iter().map(|pending| pending.record.id).collect();
        let (table, place) = (&self.app.table, &self.place);
        let collection = &self.author.target.collection;
        for attempt in 1.. {
            if Instant::now() >= self.deadline {
                break;
            }
            let chunks: Vec<Vec<RecordId>> = ids.chunks(READ).map(<[RecordId]>::to_vec).collect();
            let read = stream::iter(chunks)
                .map(|ids| async move { table.existing(place, collection, &ids).await })
                .buffer_unordered(READS)
                .try_concat()
                .await;
            match read {
                Err(table::Error::Unavailable(_)) => {
                    written.slowed = true;
                    back_off(attempt).await;
                }
                read => return Ok(Some(read?)),
            }
        }
        Ok(None)
    }

    /// Sees to it that the collection is listed before the first public record is there.
    async fn list_openly(&self, rows: &[Pending]) -> Result<()> {
        let is_public = |row: &Pending| row.record.visibility == Visibility::Public;
        if self.collection.listed || !rows.iter().any(is_public) {
            return Ok(());
        }
        let Collection { name, number, .. } = self.collection;
        let tenant = &self.author.target.tenant;
        let list = || self.app.table.list_openly(tenant, name, *number);
        self.listed.get_or_try_init(list).await?;
        Ok(())
    }

    fn pending(&self, candidate: Candidate, now: Moment) -> Pending {
        let visibility = candidate.draft.visibility;
        let record = self.author.record(candidate, now);
        Pending { record, visibility }
    }

    /// Changes a record to what its row says, if it is not that already. A record that its own
    /// content identifies is the same whatever became of it since.
    async fn change(&self, pending: Pending, mut existing: Existing) -> Result<Change> {
        let row = pending.record;
        let met = &existing.record;
        if met.row == row.row && self.own.contains(&met.upload) {
            return Ok(Change::Before);
        }
        if row.source_id.is_none() {
            return Ok(Change::None);
        }
        for attempt in 1.. {
            if Instant::now() >= self.deadline {
                break;
            }
            let met = &existing.record;
            let mut next = row.clone();
            next.visibility = pending.visibility.unwrap_or(met.visibility);
            if same(&next, met) {
                let before = existing
                    .changed_by
                    .is_some_and(|by| self.earlier.contains(&by));
                return Ok(if before { Change::Before } else { Change::None });
            }
            next.created_at = met.created_at;
            next.version = met.version + 1;
            next.upload = met.upload;
            next.row = met.row;
            next.source_type = met.source_type;
            next.source_name = row.source_name.clone().or_else(|| met.source_name.clone());
            let table = &self.app.table;
            match table
                .change_record(&self.place, met, &next, self.author.upload)
                .await
            {
                Ok(true) => return Ok(Change::Written(next.id)),
                Ok(false) => {}
                Err(table::Error::Unavailable(_)) => {
                    back_off(attempt).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let ids = [row.id];
            match table.existing(&self.place, &row.collection, &ids).await {
                Ok(mut current) => match current.remove(&row.id) {
                    Some(record) => existing = record,
                    None => break,
                },
                // What it was met as is no longer there, so that it is read again.
                Err(table::Error::Unavailable(_)) => back_off(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Change::NotWritten)
    }
}

fn same(row: &Record, existing: &Record) -> bool {
    row.name == existing.name
        && row.description == existing.description
        && row.data == existing.data
        && row.visibility == existing.visibility
}
