//! Writing an upload: count what is new, reserve it, write it, settle, fold it into the index.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use api::{App, Error, Result};
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use indexing::{Effort, Folded, Own};
use model::collection::Collection;
use model::id::{RecordId, UploadId};
use model::plan::Plan;
use model::record::{Origin, Record, SourceType, Visibility};
use model::time::Moment;
use table::cap::{Hold, Request, Reserved, Tally};
use table::marker::Generation;
use table::record::{Added, Place};
use tokio::time::Instant;

use crate::answer::{Errors, Summary};
use crate::rows::{Cursor, Rows};
use crate::window::{Candidate, SLICE, Target, Window};

/// How much longer than it may write an upload's reservation is held: longer than its last call to
/// the table takes, so that nobody settles for it while it still writes.
const HELD_LONGER: TimeDelta = TimeDelta::minutes(1);

/// How long an upload waits for others on which it depends whether it fits the plan.
const WAITING: Duration = Duration::from_secs(5);

/// How many changed records are written at once.
const CHANGES: usize = 16;

/// How many added records are kept at hand for the index; of larger uploads they are read again.
const KNOWN: usize = SLICE;

/// How often a record is read again that others change at the same time.
const ROUNDS: usize = 20;

/// A file on its way into a collection.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) target: Target,
    pub(crate) upload: UploadId,
    pub(crate) source_name: Option<String>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) plan: Plan,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    pub(crate) errors: Errors,
    /// Whether the database asked to slow down.
    pub(crate) slowed: bool,
    /// Whether the counters were written with the rows.
    pub(crate) settled: bool,
    /// Whether a row that is called rejected may have been written.
    unsure: bool,
    tally: Tally,
    /// The records that were added, as long as they are few.
    added: Vec<Record>,
    last_written: Option<Moment>,
}

impl Ingest {
    /// Writes the file. A plan's cap is decided before anything is written.
    pub(crate) async fn run(self, app: &App) -> Result<Outcome> {
        let Some((collection, hold)) = self.reserve(app).await? else {
            return self.reject_all().await;
        };
        let deadline = Instant::now() + app.config.upload_time;
        let mut outcome = Outcome::default();
        let written = self.write(app, &collection, deadline, &mut outcome).await;
        // Whatever was written is counted, also when the rest failed; where it is not known what
        // was, by the records themselves.
        let tenant = &self.target.tenant;
        if written.is_err() || outcome.unsure {
            app.recount(tenant, self.upload, &hold).await?;
            outcome.settled = true;
            outcome.added.clear();
        } else {
            let last = outcome.last_written.unwrap_or(hold.since);
            let settled = app
                .table
                .settle(tenant, self.upload, &hold, &outcome.tally, last);
            outcome.settled = settled.await?;
        }
        if written.is_err() || outcome.unsure || !outcome.tally.is_empty() {
            let added = std::mem::take(&mut outcome.added);
            self.fold(app, &hold, added, deadline).await;
        }
        written?;
        Ok(outcome)
    }

    /// Folds what was written into the search index, so that it is indexed when the call answers.
    /// Where that cannot be now, somebody else does it later: search finds it all the same.
    async fn fold(&self, app: &App, hold: &Hold, added: Vec<Record>, deadline: Instant) {
        let (tenant, name) = (&self.target.tenant, &hold.collection);
        let own = Own {
            upload: Some(self.upload),
            added: if added.len() > KNOWN {
                Vec::new()
            } else {
                added
            },
        };
        let folding = async {
            let indexes = app.indexes()?;
            let folded = indexes.fold(tenant, name, hold.generation, own, Effort::Call);
            Ok::<_, Error>(folded.await?)
        };
        let folded = tokio::time::timeout_at(deadline, folding).await;
        match &folded {
            Ok(Ok(Folded::Yes(_) | Folded::Nothing)) => return,
            Ok(Ok(Folded::Busy)) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::warn!(%tenant, collection = %name, cause = ?error, "an upload was not folded");
            }
        }
        let of = Generation {
            number: hold.number,
            generation: hold.generation,
        };
        let left = app
            .table
            .leave_batch(tenant, name, of, self.upload, app.clock.now())
            .await;
        if let Err(error) = left {
            tracing::warn!(%tenant, %error, "an upload is folded only after its time");
        }
        if let Ok(indexes) = app.indexes() {
            indexes.touched(tenant, name);
        }
    }

    /// Reserves what the file adds; `None` if it has no good row.
    async fn reserve(&self, app: &App) -> Result<Option<(Collection, Hold)>> {
        let limits = self.plan.limits();
        let give_up = Instant::now() + WAITING.min(app.config.upload_time);
        let mut wait = Duration::from_millis(5);
        let mut ids: Option<(u32, Vec<RecordId>)> = None;
        loop {
            let tenant = &self.target.tenant;
            let summary = app.summary(tenant).await?;
            let known = summary.collection(&self.target.collection);
            // Ids depend on the collection's number; for counting, any will do.
            let number = known.map_or(0, |collection| collection.number);
            let ids = match &ids {
                Some((of, ids)) if *of == number => ids,
                _ => &ids.insert((number, self.distinct(number).await?)).1,
            };
            if ids.is_empty() {
                return Ok(None);
            }
            let mut rows = ids.len();
            // All of them are live afterwards. More than there are now means that some are new.
            let most = limits.records.map(|most| most.max(summary.records()));
            if most.is_some_and(|most| rows as u64 > most) {
                return Err(self.over_records());
            }
            if let (Some(_), Some(known)) = (limits.records, known) {
                let place = Place::new(tenant, known.number, known.generation);
                rows -= app.table.existing_records(&place, ids).await?.len();
            }
            let since = app.clock.now();
            let request = Request {
                upload: self.upload,
                collection: &self.target.collection,
                record_type: &self.target.record_type,
                rows: rows as u64,
                since,
                until: since + app.config.upload_time + HELD_LONGER,
                format: search::FORMAT,
            };
            match app
                .table
                .reserve(tenant, &summary, limits, &request)
                .await?
            {
                Reserved::Yes(collection, hold) => return Ok(Some((collection, hold))),
                Reserved::RecordCap => return Err(self.over_records()),
                Reserved::CollectionCap => return Err(self.over_collections()),
                Reserved::Again if Instant::now() < give_up => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_millis(200));
                }
                Reserved::Again => {
                    return Err(Error::Unavailable(Arc::new(std::io::Error::other(
                        "other uploads of the tenant hold what this one needs",
                    ))));
                }
            }
        }
    }

    fn over_records(&self) -> Error {
        let limit = self.plan.limits().records.unwrap_or_default();
        Error::PaymentRequired(format!(
            "The upload would pass the {limit} records of the {} plan",
            self.plan
        ))
    }

    fn over_collections(&self) -> Error {
        let limit = self.plan.limits().collections.unwrap_or_default();
        let noun = if limit == 1 {
            "collection"
        } else {
            "collections"
        };
        Error::PaymentRequired(format!(
            "The upload would pass the {limit} {noun} of the {} plan",
            self.plan
        ))
    }

    /// The ids of the file's good rows, each once.
    async fn distinct(&self, number: u32) -> Result<Vec<RecordId>> {
        let (rows, target) = (Arc::clone(&self.rows), self.target.clone());
        let distinct = tokio::task::spawn_blocking(move || {
            let mut ids = HashSet::new();
            let mut cursor = Cursor::default();
            loop {
                let window = rows.read(&mut cursor, SLICE);
                if window.is_empty() {
                    return ids.into_iter().collect();
                }
                let drafts = window.into_iter().filter_map(|(_, row)| row.ok());
                ids.extend(drafts.map(|draft| target.id(number, &draft)));
            }
        });
        Ok(distinct.await?)
    }

    /// What a file without a good row comes to.
    async fn reject_all(self) -> Result<Outcome> {
        let mut outcome = Outcome {
            settled: true,
            ..Outcome::default()
        };
        let mut cursor = Cursor::default();
        loop {
            let window = Arc::new(self.survey(cursor, 0).await?);
            if window.end.row == cursor.row {
                return Ok(outcome);
            }
            while self
                .read(&window, &mut cursor, 0, &mut outcome)
                .await?
                .is_some()
            {}
        }
    }

    /// Looks through the window that begins at `start`.
    async fn survey(&self, start: Cursor, number: u32) -> Result<Window> {
        let (rows, target) = (Arc::clone(&self.rows), self.target.clone());
        let survey = move || Window::survey(&rows, start, &target, number);
        Ok(tokio::task::spawn_blocking(survey).await?)
    }

    /// The next candidates of a window; `None` at its end.
    async fn read(
        &self,
        window: &Arc<Window>,
        cursor: &mut Cursor,
        number: u32,
        outcome: &mut Outcome,
    ) -> Result<Option<Vec<Candidate>>> {
        let (rows, target) = (Arc::clone(&self.rows), self.target.clone());
        let (window, mut at) = (Arc::clone(window), *cursor);
        let mut summary = outcome.summary;
        let mut errors = std::mem::take(&mut outcome.errors);
        let read = move || {
            let found = window.read(&rows, &mut at, &target, number, (&mut summary, &mut errors));
            (found, at, summary, errors)
        };
        let (found, at, summary, errors) = tokio::task::spawn_blocking(read).await?;
        *cursor = at;
        outcome.summary = summary;
        outcome.errors = errors;
        Ok(found)
    }

    async fn write(
        &self,
        app: &App,
        collection: &Collection,
        deadline: Instant,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let number = collection.number;
        let mut cursor = Cursor::default();
        loop {
            let window = Arc::new(self.survey(cursor, number).await?);
            if window.end.row == cursor.row {
                return Ok(());
            }
            while let Some(found) = self.read(&window, &mut cursor, number, outcome).await? {
                self.slice(app, collection, found, deadline, outcome)
                    .await?;
            }
        }
    }

    async fn slice(
        &self,
        app: &App,
        collection: &Collection,
        candidates: Vec<Candidate>,
        deadline: Instant,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let tenant = &self.target.tenant;
        let place = Place::new(tenant, collection.number, collection.generation);
        let now = app.clock.now();
        let pending: Vec<Pending> = candidates
            .into_iter()
            .map(|candidate| self.pending(candidate, now))
            .collect();
        let all: Vec<&Record> = pending.iter().map(|pending| &pending.record).collect();
        let additions = app.table.add_records(&place, &all, deadline).await;
        outcome.slowed |= additions.slowed;

        let mut changes = Vec::new();
        for (pending, added) in pending.into_iter().zip(additions.rows) {
            match added {
                Some(Added::Yes) => {
                    let record = pending.record;
                    outcome.summary.accepted += 1;
                    outcome.tally.add(record.id, record.visibility);
                    outcome.last_written = Some(now);
                    if outcome.added.len() <= KNOWN {
                        outcome.added.push(record);
                    }
                }
                Some(Added::Exists(existing)) => changes.push((pending, *existing)),
                Some(Added::NotWritten) => outcome.not_written(pending.row),
                // A failure left it open, and ends the call.
                None => {}
            }
        }
        let mut changed = stream::iter(changes)
            .map(|(pending, existing)| {
                let (row, place) = (pending.row, &place);
                async move {
                    let change = self.change(app, place, pending, existing, deadline).await;
                    (row, change)
                }
            })
            .buffer_unordered(CHANGES);
        let mut failure: Option<Error> = additions.failure.map(Error::from);
        while let Some((row, change)) = changed.next().await {
            match change {
                Ok(Change::Written(record)) => {
                    outcome.summary.accepted += 1;
                    outcome.tally.change(record);
                    outcome.last_written = Some(now);
                }
                Ok(Change::None) => outcome.summary.dedup_skipped += 1,
                Ok(Change::NotWritten) => outcome.not_written(row),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn pending(&self, candidate: Candidate, now: Moment) -> Pending {
        let Candidate { row, id, draft } = candidate;
        let visibility = draft.visibility;
        let record = draft.into_record(Origin {
            id,
            collection: self.target.collection.clone(),
            record_type: self.target.record_type.clone(),
            source_type: SourceType::FileUpload,
            source_name: self.source_name.clone(),
            upload: self.upload,
            row,
            at: now,
        });
        Pending {
            row,
            record,
            visibility,
        }
    }

    /// Changes a record to what its row says, if it is not that already. A record that its own
    /// content identifies is the same whatever became of it since.
    async fn change(
        &self,
        app: &App,
        place: &Place,
        pending: Pending,
        mut existing: Record,
        deadline: Instant,
    ) -> Result<Change> {
        let row = pending.record;
        if row.source_id.is_none() {
            return Ok(Change::None);
        }
        for _ in 0..ROUNDS {
            if Instant::now() >= deadline {
                return Ok(Change::NotWritten);
            }
            let mut next = row.clone();
            next.visibility = pending.visibility.unwrap_or(existing.visibility);
            if same(&next, &existing) {
                return Ok(Change::None);
            }
            next.created_at = existing.created_at;
            next.version = existing.version + 1;
            next.upload = existing.upload;
            next.row = existing.row;
            next.source_type = existing.source_type;
            next.source_name = row
                .source_name
                .clone()
                .or_else(|| existing.source_name.clone());
            match app
                .table
                .change_record(place, &existing, &next, self.upload)
                .await
            {
                Ok(true) => return Ok(Change::Written(next.id)),
                Ok(false) => {}
                Err(table::Error::Unavailable(_)) => continue,
                Err(error) => return Err(error.into()),
            }
            let mut current = app.table.records(place, &row.collection, &[row.id]).await?;
            match current.remove(&row.id) {
                Some(record) => existing = record,
                None => return Ok(Change::NotWritten),
            }
        }
        Ok(Change::NotWritten)
    }
}

/// A row as the record that it becomes where there is none.
struct Pending {
    row: u64,
    record: Record,
    /// What the row says of who may find it, if it does.
    visibility: Option<Visibility>,
}

enum Change {
    Written(RecordId),
    None,
    NotWritten,
}

fn same(row: &Record, existing: &Record) -> bool {
    row.name == existing.name
        && row.description == existing.description
        && row.data == existing.data
        && row.visibility == existing.visibility
}

impl Outcome {
    fn not_written(&mut self, row: u64) {
        self.summary.rejected += 1;
        self.unsure = true;
        self.errors.add(
            row,
            [model::Fault::new(
                "not_written",
                "The row could not be written in time; send the file again",
            )],
        );
    }
}
