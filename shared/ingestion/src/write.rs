//! Writing rows: adding what is new, changing what is there.

use std::collections::HashSet;

use api::{App, Error, Result};
use futures_util::{StreamExt, stream};
use indexing::Ahead;
use model::id::{RecordId, UploadId};
use model::record::{Origin, Record, SourceType, Visibility};
use model::time::Moment;
use model::upload::{Glimpse, Summary};
use table::cap::{Note, Tally};
use table::record::{Added, Existing, Place};
use tokio::time::Instant;

use crate::errors::Errors;
use crate::input::Target;
use crate::window::{Candidate, Slice};

/// How many changed records are written at once.
const CHANGES: usize = 16;

/// How often a record is read again that others change at the same time.
const ROUNDS: usize = 20;

/// Whose rows they are.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    pub(crate) target: Target,
    /// The id under which they are written.
    pub(crate) upload: UploadId,
    pub(crate) source_name: Option<String>,
}

impl Author {
    /// The record that a row becomes where there is none.
    pub(crate) fn record(&self, candidate: Candidate, at: Moment) -> Record {
        let Candidate { row, id, draft } = candidate;
        draft.into_record(Origin {
            id,
            collection: self.target.collection.clone(),
            record_type: self.target.record_type.clone(),
            source_type: SourceType::FileUpload,
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
    pub(crate) fn not_written(&mut self, row: u64, errors: &mut Errors) {
        self.summary.rejected += 1;
        self.unsure = true;
        errors.add(
            row,
            [model::Fault::new(
                "not_written",
                "The row could not be written in time; send the file again",
            )],
        );
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

    /// Writes a slice. What was written is counted, also if the rest failed.
    pub(crate) async fn write(
        &self,
        mut slice: Slice,
        written: &mut Written,
        errors: &mut Errors,
    ) -> Result<()> {
        slice.count(&mut written.summary, errors);
        let now = self.app.clock.now();
        let candidates = slice.candidates.into_iter();
        let pending: Vec<Pending> = candidates.map(|row| self.pending(row, now)).collect();
        let all: Vec<&Record> = pending.iter().map(|pending| &pending.record).collect();
        let table = &self.app.table;
        let additions = table.add_records(&self.place, &all, self.deadline).await;
        written.slowed |= additions.slowed;

        let (mut fresh, mut changes) = (Vec::new(), Vec::new());
        for (pending, added) in pending.into_iter().zip(additions.rows) {
            match added {
                Some(Added::Yes) => {
                    let record = pending.record;
                    written.summary.accepted += 1;
                    written.tally.add(record.id, record.visibility);
                    written.last = Some(now);
                    fresh.push(record);
                }
                Some(Added::Exists(existing)) => changes.push((pending, *existing)),
                Some(Added::NotWritten) => written.not_written(pending.record.row, errors),
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
                Ok(Change::NotWritten) => written.not_written(row, errors),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
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
        for _ in 0..ROUNDS {
            if Instant::now() >= self.deadline {
                return Ok(Change::NotWritten);
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
                Err(table::Error::Unavailable(_)) => continue,
                Err(error) => return Err(error.into()),
            }
            let ids = [row.id];
            let mut current = table.existing(&self.place, &row.collection, &ids).await?;
            match current.remove(&row.id) {
                Some(record) => existing = record,
                None => return Ok(Change::NotWritten),
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
