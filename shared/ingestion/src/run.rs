//! From the first look to the last part.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use api::{App, Error, Result};
use chrono::TimeDelta;
use formats::{Cursor, Hints, Source};
use indexing::Ahead;
use model::id::{RecordId, TenantId, UploadId};
use model::index::Pointer;
use model::plan::Plan;
use model::upload::{Job, RowError, Status, Way};
use schemas::Validator;
use table::cap::{Ending, Hold, Note, Request, Reserved};
use table::record::Place;
use table::upload::UploadLease;
use tokio::time::Instant;

use crate::errors::Errors;
use crate::input::{Input, Target, failure};
use crate::look::{Look, layout};
use crate::part::{Part, fold, moved, reject, survey};
use crate::window::Window;
use crate::write::{Author, Writer};

/// How much longer than it may write an upload's reservation is held: longer than its last call to
/// the table takes, so that nobody settles for it while it still writes.
pub(crate) const HELD_LONGER: TimeDelta = TimeDelta::minutes(1);

/// How long a step's reservation waits for the next step.
const FOLLOWS: TimeDelta = TimeDelta::minutes(15);

/// How long an upload waits for others on which it depends whether it fits the plan.
const WAITING: Duration = Duration::from_secs(5);

/// An upload whose file is there.
pub struct Upload {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's plan.
    pub plan: Plan,
    /// The upload, not written down yet.
    pub job: Job,
    /// The file.
    pub source: Arc<dyn Source>,
    /// The generation that it fills, if it replaces a collection.
    pub staging: Option<u32>,
}

/// What came of an upload.
#[derive(Debug)]
pub struct Outcome {
    /// The upload as it ended.
    pub job: Job,
    /// The first row errors, in the order of the rows.
    pub errors: Vec<RowError>,
    /// Whether the counters were written with the rows.
    pub settled: bool,
}

/// An upload at work.
pub(crate) struct Run<'a> {
    pub(crate) app: &'a App,
    pub(crate) plan: Plan,
    pub(crate) job: Job,
    pub(crate) input: Input,
    pub(crate) staging: Option<u32>,
    pub(crate) lease: Option<UploadLease>,
    pub(crate) errors: Errors,
    /// When no further slice is begun; a file with a request is written to its end or not at all.
    pub(crate) stop: Option<Instant>,
    /// When rows are given up.
    pub(crate) deadline: Instant,
    /// The same for those who settle for it.
    pub(crate) until: model::time::Moment,
    pub(crate) settled: bool,
}

/// What reserving came to.
pub(crate) enum Room {
    /// There is room.
    Yes(Box<Reservation>),
    /// The file has no good row.
    NotNeeded,
    /// Others hold it, and the step's time is over.
    Later,
}

/// A reservation, and what is written under it.
pub(crate) struct Reservation {
    pub(crate) hold: Hold,
    /// Of the index that the records go into, if there is one.
    pub(crate) pointer: Option<Pointer>,
    pub(crate) window: Window,
}

impl Upload {
    /// Writes the file that came with a request. A plan's cap, and what is wrong with the file as a
    /// whole, are decided before anything is written; such a file leaves no upload.
    pub async fn run(self, app: &App) -> Result<Outcome> {
        let (tenant, mut job) = (&self.tenant, self.job);
        let input = Input::open(app, tenant, &mut job, self.source).await?;
        let now = app.clock.now();
        job.status = Status::Processing;
        job.started_at = Some(now);
        job.until = now + app.config.upload_time + HELD_LONGER;
        let mut run = Run {
            app,
            plan: self.plan,
            until: job.until,
            job,
            input,
            staging: self.staging,
            lease: None,
            errors: Errors::default(),
            stop: None,
            deadline: Instant::now() + app.config.upload_time,
            settled: true,
        };
        let look = run.look().await?;
        let done = match run.reserve(look).await? {
            Room::Yes(reservation) => run.parts(*reservation).await,
            Room::NotNeeded => run.reject_all().await,
            Room::Later => Err(held()),
        };
        if let Err(error) = done {
            // What the rows came to is told by this error; the upload is not worth another.
            if let Err(error) = run.abandon().await {
                tracing::warn!(%tenant, cause = ?error, "a failed upload is not written down");
            }
            return Err(error);
        }
        Ok(Outcome {
            errors: run.errors.into_listed(),
            job: run.job,
            settled: run.settled,
        })
    }
}

impl Input {
    /// Finds out how a file is read, and what its rows are checked against.
    pub(crate) async fn open(
        app: &App,
        tenant: &TenantId,
        job: &mut Job,
        source: Arc<dyn Source>,
    ) -> Result<Self> {
        // The one that is current when the upload begins: one that comes later is for later uploads.
        let (table, of) = (&app.table, (&job.collection, &job.record_type));
        let schema = match job.schema {
            None => table.find_schema(tenant, of.0, of.1).await?,
            Some(0) => None,
            Some(version) => {
                table
                    .find_schema_version(tenant, of.0, of.1, version)
                    .await?
            }
        };
        job.schema = Some(schema.as_ref().map_or(0, |schema| schema.version));
        let hints = hints(job);
        let whole = job.whole;
        let target = Target {
            tenant: tenant.clone(),
            collection: job.collection.clone(),
            record_type: job.record_type.clone(),
        };
        let open = move || {
            let schema = match schema {
                Some(kept) => {
                    let schema = Validator::from_text(&kept.schema);
                    let broken =
                        |_| Error::internal(std::io::Error::other("a kept schema is broken"));
                    Some(Arc::new(schema.map_err(broken)?))
                }
                None => None,
            };
            Ok::<_, Error>(Self {
                layout: layout(&source, &hints, whole).map_err(failure)?,
                source,
                schema,
                target,
            })
        };
        tokio::task::spawn_blocking(open).await?
    }
}

pub(crate) fn hints(job: &Job) -> Hints {
    Hints {
        file_name: job.file_name.clone(),
        name_column: job.name_column.clone(),
        record_tag: job.record_tag.clone(),
    }
}

impl Run<'_> {
    fn tenant(&self) -> &TenantId {
        &self.input.target.tenant
    }

    /// Looks through the file.
    pub(crate) async fn look(&mut self) -> Result<Look> {
        let summary = self.app.summary(self.tenant()).await?;
        let records = self.plan.limits().records;
        let wanted = records.map(|most| most.max(summary.records()));
        let known = summary.collection(&self.job.collection);
        let number = known.map_or(summary.caps.next_number(), |known| known.number);
        let mut look = self.look_as(number, wanted).await;
        if let Err(formats::Error::NotUtf8) = look {
            self.job.whole = true;
            let (source, hints) = (Arc::clone(&self.input.source), hints(&self.job));
            let again = move || layout(&source, &hints, true);
            self.input.layout = tokio::task::spawn_blocking(again).await?.map_err(failure)?;
            look = self.look_as(number, wanted).await;
        }
        let look = look.map_err(failure)?;
        let job = &mut self.job;
        job.rows = Some(look.rows);
        job.file_hash = Some(look.hash.clone());
        let layout = &self.input.layout;
        job.format = Some(layout.format().to_owned());
        job.encoding = Some(layout.encoding().to_owned());
        job.delimiter = layout.delimiter();
        Ok(look)
    }

    async fn look_as(
        &self,
        number: u32,
        wanted: Option<u64>,
    ) -> std::result::Result<Look, formats::Error> {
        let input = self.input.clone();
        let look = move || Look::take(&input, number, wanted);
        let look = tokio::task::spawn_blocking(look).await;
        look.map_err(|error| formats::Error::Io(std::io::Error::other(error)))?
    }

    /// Reserves what the file adds.
    pub(crate) async fn reserve(&mut self, mut look: Look) -> Result<Room> {
        if !look.is_good {
            return Ok(Room::NotNeeded);
        }
        let limits = self.plan.limits();
        // Nobody waits for a step; who waits for an answer is asked to come again.
        let soon = Instant::now() + WAITING.min(self.app.config.upload_time);
        let give_up = self.stop.unwrap_or(soon);
        let mut wait = Duration::from_millis(5);
        let tenant = self.tenant().clone();
        loop {
            let summary = self.app.summary(&tenant).await?;
            let known = summary.collection(&self.job.collection);
            let before = self.job.checkpoint.generation;
            if before.is_some_and(|before| known.is_none_or(|it| !it.uses(before))) {
                return Err(replaced());
            }
            let mut rows = look.rows;
            if let Some(most) = limits.records {
                // Ids depend on the collection's number.
                let number = known.map_or(look.number, |known| known.number);
                let most = most.max(summary.records());
                if number != look.number {
                    look = self.look_as(number, Some(most)).await.map_err(failure)?;
                }
                // All of them are live afterwards. More than there are now means that some are new.
                rows = look.ids.len() as u64;
                if rows > most {
                    return Err(self.over_records());
                }
                if let (Some(known), None) = (known, self.staging) {
                    let place = Place::new(&tenant, known.number, known.generation);
                    let ids: Vec<RecordId> = look.ids.iter().copied().collect();
                    rows -= self.app.table.existing_records(&place, &ids).await?.len() as u64;
                }
            }
            let checkpoint = self.job.checkpoint;
            self.job.checkpoint.begun = true;
            let request = Request {
                upload: self.job.writer(checkpoint.part, checkpoint.attempt),
                collection: &self.job.collection,
                record_type: &self.job.record_type,
                rows,
                since: self.app.clock.now(),
                until: self.until,
                format: search::FORMAT,
            };
            let note = Note {
                job: &self.job,
                lease: self.lease.as_ref(),
            };
            match self
                .app
                .table
                .reserve_for(
                    &tenant,
                    &summary,
                    limits,
                    &request,
                    (self.staging, Some(note)),
                )
                .await?
            {
                Reserved::Yes(collection, hold) => {
                    let start = cursor(&self.job);
                    let is_first = look.window.start == start;
                    let window = if is_first && collection.number == look.number {
                        look.window
                    } else {
                        survey(&self.input, start, collection.number).await?
                    };
                    return Ok(Room::Yes(Box::new(Reservation {
                        pointer: collection.indexes.get(&hold.generation).cloned(),
                        hold,
                        window,
                    })));
                }
                Reserved::RecordCap => return Err(self.over_records()),
                Reserved::CollectionCap => return Err(self.over_collections()),
                Reserved::Again if Instant::now() < give_up => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_millis(200));
                }
                Reserved::Again if self.stop.is_some() => return Ok(Room::Later),
                Reserved::Again => return Err(held()),
                Reserved::Lost if self.staging.is_some() => return Err(cancelled()),
                Reserved::Lost => return Err(unavailable("somebody else works on the upload")),
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

    /// What a file without a good row comes to, or the rest of one for which there is no time: every
    /// row that is left is rejected. In the background that has a step's time, too.
    pub(crate) async fn reject_all(&mut self) -> Result<()> {
        let number = 0;
        loop {
            let window = survey(&self.input, cursor(&self.job), number).await?;
            if window.end == window.start.row {
                break;
            }
            self.errors.begin();
            let errors = (&mut self.errors, (self.job.id, self.job.checkpoint.part));
            let part = reject(self.app, (&self.input, &window.into()), number, errors).await?;
            self.take(&part);
            if self.is_late() {
                return self.save().await;
            }
        }
        self.end();
        self.save().await
    }

    /// Writes part after part.
    pub(crate) async fn parts(&mut self, mut now: Reservation) -> Result<()> {
        while let Some(next) = self.part(now).await? {
            now = next;
        }
        Ok(())
    }

    /// Writes a part and settles; what comes next, if anything does.
    pub(crate) async fn part(&mut self, reservation: Reservation) -> Result<Option<Reservation>> {
        let Reservation {
            hold,
            pointer,
            window,
        } = reservation;
        let (tenant, number) = (self.tenant().clone(), hold.number);
        let checkpoint = self.job.checkpoint;
        let upload = self.job.writer(checkpoint.part, checkpoint.attempt);
        let author = Author {
            target: self.input.target.clone(),
            upload,
            source_name: self.job.source_name.clone(),
        };
        let ahead = self.ahead(&hold, pointer)?;
        let writer = Writer {
            app: self.app,
            ahead: ahead.as_ref(),
            author: &author,
            place: Place::new(&tenant, number, hold.generation),
            note: self.lease.as_ref().map(|lease| Note {
                job: &self.job,
                lease: Some(lease),
            }),
            earlier: self.earlier(),
            own: self.own(),
            deadline: self.deadline,
        };
        let end = window.end;
        self.errors.begin();
        let errors = (&mut self.errors, (self.job.id, checkpoint.part));
        let (input, window) = (&self.input, Arc::new(window));
        let written = Part::write(&writer, (input, &window), number, self.stop, errors).await;
        let (part, done) = written;
        let last = part.written.last.unwrap_or(hold.since);
        // Whatever was written is counted, also when the rest failed; where it is not known what
        // was, by the records themselves.
        if done.is_err() || part.written.unsure {
            self.app.recount(&tenant, upload, &hold).await?;
            fold(self.app, &tenant, (upload, &hold), ahead, self.deadline).await;
            done?;
            // The next step tries the part again.
            if self.lease.is_some() {
                return Ok(None);
            }
            self.take(&part);
            return self.reject_all().await.map(|()| None);
        }
        self.job.checkpoint.generation = Some(hold.generation);
        self.take(&part);
        let is_over = part.end.row >= end && part.end.row >= self.job.rows.unwrap_or(0);
        let next = (!is_over).then(|| self.next(&hold, part.written.tally.added()));
        if is_over {
            self.end();
        }
        let ending = Ending {
            note: Some(Note {
                job: &self.job,
                lease: self.lease.as_ref(),
            }),
            next: next.as_ref().map(|(id, hold)| (*id, hold)),
        };
        let tally = &part.written.tally;
        let settled = self
            .app
            .table
            .settle_part(&tenant, (upload, &hold), tally, last, ending)
            .await?;
        let folded = tally.is_empty()
            || fold(self.app, &tenant, (upload, &hold), ahead, self.deadline).await;
        if !settled {
            self.settled = false;
            return match &self.lease {
                Some(_) => Err(unavailable("somebody else works on the upload")),
                // Somebody counted what was written and nothing is reserved for the rest.
                None if is_over => Ok(None),
                None => self.reject_all().await.map(|()| None),
            };
        }
        match next {
            Some((id, hold)) if !self.is_late() => self.begin_part(id, &hold).await.map(Some),
            // It became late since: the reservation waits for the next step.
            Some((id, mut hold)) if self.job.checkpoint.begun => {
                hold.until = self.until + FOLLOWS;
                if self.app.table.move_hold(&tenant, id, &hold).await? {
                    self.job.checkpoint.begun = false;
                    self.save().await?;
                }
                Ok(None)
            }
            // What went to a generation that is swapped out is not found by anybody.
            None if !folded => match moved(self.app, &tenant, &hold).await {
                Err(conflict @ Error::Conflict(_)) => Err(conflict),
                // Whatever else is wrong by now, the rows are written and counted.
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Takes what is added into the index while more is written.
    fn ahead(&self, hold: &Hold, pointer: Option<Pointer>) -> Result<Option<Ahead>> {
        let (indexes, tenant) = (self.app.indexes()?, self.tenant());
        Ok(pointer.map(|pointer| indexes.ahead(tenant, &hold.collection, hold.of(), pointer)))
    }

    /// The ids under which anything of the upload was written before: no row of it is written twice.
    fn own(&self) -> HashSet<UploadId> {
        let checkpoint = self.job.checkpoint;
        let parts = 0..=checkpoint.part;
        let attempts = |part| (0..=checkpoint.attempts).map(move |attempt| (part, attempt));
        let all = parts.flat_map(attempts);
        let before = all.filter(|place| *place < (checkpoint.part, checkpoint.attempt));
        before
            .map(|(part, attempt)| self.job.writer(part, attempt))
            .collect()
    }

    /// The ids under which the rows of this part were written before.
    fn earlier(&self) -> HashSet<UploadId> {
        let checkpoint = self.job.checkpoint;
        (0..checkpoint.attempt)
            .map(|attempt| self.job.writer(checkpoint.part, attempt))
            .collect()
    }

    pub(crate) fn is_late(&self) -> bool {
        self.stop.is_some_and(|stop| Instant::now() >= stop)
    }

    /// What is reserved for the next part, which goes on in this step or a later one.
    fn next(&mut self, hold: &Hold, added: u64) -> (UploadId, Hold) {
        let is_late = self.is_late();
        let checkpoint = &mut self.job.checkpoint;
        checkpoint.begun = !is_late;
        let id = self.job.writer(self.job.checkpoint.part, 0);
        let mut next = hold.clone();
        next.rows = hold.rows.saturating_sub(added);
        next.since = self.app.clock.now();
        next.until = self.until + if is_late { FOLLOWS } else { TimeDelta::zero() };
        (id, next)
    }

    /// Begins the part whose reservation is there: where the index is by now, what is added is known
    /// to be new.
    pub(crate) async fn begin_part(
        &mut self,
        upload: UploadId,
        hold: &Hold,
    ) -> Result<Reservation> {
        let tenant = self.tenant().clone();
        let (mut hold, pointer) = moved(self.app, &tenant, hold).await?;
        hold.until = self.until;
        if !self.app.table.move_hold(&tenant, upload, &hold).await? {
            return Err(unavailable("what was reserved is gone"));
        }
        let window = survey(&self.input, cursor(&self.job), hold.number).await?;
        Ok(Reservation {
            hold,
            pointer,
            window,
        })
    }

    /// Gives back what a failed upload holds, once what it wrote is counted, and writes it down.
    async fn abandon(&mut self) -> Result<()> {
        self.fail("The upload could not be ended; send the file again to complete it");
        self.save().await?;
        give_back(self.app, self.tenant(), &self.job).await
    }

    /// Notes what a part came to and where the next one begins.
    fn take(&mut self, part: &Part) {
        let job = &mut self.job;
        job.summary.add(part.written.summary);
        job.glimpse = None;
        job.slowed |= part.written.slowed;
        job.errors = self.errors.count;
        job.bytes = part.bytes.max(job.bytes);
        job.checkpoint.at = part.end.at;
        job.checkpoint.row = part.end.row;
        job.checkpoint.part += 1;
        job.checkpoint.attempt = 0;
    }

    fn end(&mut self) {
        let job = &mut self.job;
        job.status = job.summary.status();
        job.bytes = job.size_bytes;
        job.checkpoint.begun = false;
        job.finished_at = Some(self.app.clock.now());
    }

    /// The upload failed as a whole.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.job.status = Status::Failed;
        self.job.detail = Some(why.into());
        self.job.finished_at = Some(self.app.clock.now());
    }

    /// Writes the upload down.
    pub(crate) async fn save(&self) -> Result<()> {
        let (tenant, now) = (self.tenant(), self.app.clock.now());
        let table = &self.app.table;
        match &self.lease {
            None => table.save_upload(tenant, &self.job, now).await?,
            Some(lease) => {
                let note = Note {
                    job: &self.job,
                    lease: Some(lease),
                };
                if !table.note_upload(tenant, note, now).await? {
                    return Err(unavailable("somebody else works on the upload"));
                }
            }
        }
        Ok(())
    }
}

fn cursor(job: &Job) -> Cursor {
    Cursor {
        at: job.checkpoint.at,
        row: job.checkpoint.row,
    }
}

/// Gives back what an upload holds that is over, once what it wrote is counted.
pub(crate) async fn give_back(app: &App, tenant: &TenantId, job: &Job) -> Result<()> {
    let upload = job.writer(job.checkpoint.part, job.checkpoint.attempt);
    let caps = app.summary(tenant).await?.caps;
    match caps.hold(upload) {
        Some(hold) => app.recount(tenant, upload, hold).await,
        None => Ok(()),
    }
}

fn held() -> Error {
    unavailable("other uploads of the tenant hold what this one needs")
}

pub(crate) fn replaced() -> Error {
    let message = "The collection was replaced meanwhile; send the file again";
    Error::Conflict(message.to_owned())
}

pub(crate) fn cancelled() -> Error {
    Error::Conflict("The replace was cancelled meanwhile".to_owned())
}

pub(crate) fn unavailable(why: &'static str) -> Error {
    Error::Unavailable(Arc::new(std::io::Error::other(why)))
}

/// Whether an upload is one of those that go on in the background.
pub(crate) fn is_background(job: &Job) -> bool {
    job.way == Way::File
}
