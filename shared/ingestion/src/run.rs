//! From the first look to the last part.

mod open;
mod parts;
mod reserve;

use std::sync::Arc;

use api::{App, Error, Result};
use chrono::TimeDelta;
use formats::{Cursor, Source};
use model::collection::Collection;
use model::id::TenantId;
use model::plan::Plan;
use model::upload::{Job, RowError, Status, Way};
use table::cap::{Hold, Note};
use table::upload::UploadLease;
use tokio::time::Instant;

use crate::errors::Errors;
use crate::input::Input;
use crate::part::Part;
use crate::window::Window;

/// How much longer than it may write an upload's reservation is held: longer than its last call to
/// the table takes, so that nobody settles for it while it still writes.
pub(crate) const HELD_LONGER: TimeDelta = TimeDelta::minutes(1);

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
    pub(crate) window: Window,
    pub(crate) collection: Collection,
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

impl Run<'_> {
    fn tenant(&self) -> &TenantId {
        &self.input.target.tenant
    }

    pub(crate) fn is_late(&self) -> bool {
        self.stop.is_some_and(|stop| Instant::now() >= stop)
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

pub(crate) fn deleted() -> Error {
    Error::Conflict("The collection was deleted meanwhile".to_owned())
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
