//! Uploads whose file lies on the store: step by step, each as long as whoever runs it has time.

use std::sync::Arc;
use std::time::Duration;

use api::{App, Error, Result};
use chrono::TimeDelta;
use model::fault::Step as PathStep;
use model::id::{TenantId, UploadId};
use model::upload::{Job, Status};
use table::upload::UploadLease;
use tokio::time::Instant;

use crate::errors::Errors;
use crate::input::Input;
use crate::run::{HELD_LONGER, Room, Run, give_back, is_background, unavailable};

/// How long a lease lasts, and how often it is kept. One that works and cannot keep it writes no
/// longer than half of that.
const LEASE: TimeDelta = TimeDelta::minutes(1);
const KEEP: Duration = Duration::from_secs(15);

/// How long one waits for a lease that may be that of a process that is gone.
const PATIENCE: Duration = Duration::from_secs(75);

/// How often it is asked for.
const ASK: Duration = Duration::from_secs(3);

/// How much longer than its time a step may write what it has begun.
const LATE: Duration = Duration::from_secs(30);

/// No step takes longer.
const LONGEST: Duration = Duration::from_hours(1);

/// In more steps than this no upload ends.
pub const MAX_STEPS: u32 = 200;

/// How far an upload came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is over, or somebody else works on it.
    Done,
    /// Its file is not done: run it again.
    More,
}

/// Works on an upload for about `time`. What is wrong with its file ends it; an error is ours, and the
/// same step may be run again.
pub async fn run(
    app: &App,
    tenant: &TenantId,
    upload: UploadId,
    time: Duration,
) -> Result<Progress> {
    // From here on, whatever comes before the first row.
    let stop = Instant::now() + time.min(LONGEST);
    let unfinished = |job: &Job| {
        is_background(job) && matches!(job.status, Status::Pending | Status::Processing)
    };
    let find = || async {
        let found = app.table.find_upload(tenant, upload).await?;
        Ok::<_, Error>(found.filter(unfinished))
    };
    if find().await?.is_none() {
        return Ok(Progress::Done);
    }
    let Some(lease) = lease(app, tenant, upload).await? else {
        return Ok(Progress::Done);
    };
    let step = async {
        // Whoever had the lease may have ended it.
        match find().await? {
            Some(job) => work(app, tenant, job, &lease, stop).await,
            None => Ok(Progress::Done),
        }
    };
    // A step holds a page of state: not on the stack of everybody who waits for it.
    let done = Box::pin(keeping(app, (tenant, upload), &lease, step)).await;
    let now = app.clock.now();
    let given_back = app.table.extend_upload_lease(tenant, upload, &lease, now);
    if let Err(error) = given_back.await {
        tracing::warn!(%tenant, %upload, %error, "an upload's lease was not given back");
    }
    done
}

/// Takes the lease, also that of a process that is gone; `None` if somebody keeps it.
async fn lease(app: &App, tenant: &TenantId, upload: UploadId) -> Result<Option<UploadLease>> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let now = app.clock.now();
        let times = (now, now + LEASE);
        let alone_since = app.alone_since();
        let taken = app.table.lease_upload(tenant, upload, times, alone_since);
        if let Some(lease) = taken.await? {
            return Ok(Some(lease));
        }
        if Instant::now() >= give_up {
            return Ok(None);
        }
        tokio::time::sleep(ASK).await;
    }
}

/// Works, and keeps the lease for as long as it takes.
async fn keeping<T>(
    app: &App,
    (tenant, upload): (&TenantId, UploadId),
    lease: &UploadLease,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut work = std::pin::pin!(work);
    let mut kept = Instant::now();
    loop {
        // The lease first: a process that stood still must not write before it knows that it has it.
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(kept + KEEP) => {}
            done = &mut work => return done,
        }
        let until = app.clock.now() + LEASE;
        let extended = app.table.extend_upload_lease(tenant, upload, lease, until);
        match extended.await {
            Ok(true) => kept = Instant::now(),
            Ok(false) => return Err(unavailable("somebody else works on the upload")),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn work(
    app: &App,
    tenant: &TenantId,
    mut job: Job,
    lease: &UploadLease,
    stop: Instant,
) -> Result<Progress> {
    let files = app.files()?;
    let (upload, now) = (job.id, app.clock.now());
    let Some(size) = files.head(tenant, upload).await.map_err(failed)? else {
        return Ok(Progress::Done);
    };
    let plan = app.table.plan(tenant).await?;
    job.status = Status::Processing;
    job.started_at = job.started_at.or(Some(now));
    job.steps += 1;
    job.glimpse = None;
    let left = stop.saturating_duration_since(Instant::now());
    job.until = now + left + LATE + HELD_LONGER;
    let wrong = if size != job.size_bytes {
        Some(format!(
            "The file has {size} bytes, {} were announced",
            job.size_bytes
        ))
    } else if job.steps > MAX_STEPS {
        Some("The upload did not end; send the file in parts".to_owned())
    } else {
        None
    };
    if let Some(why) = wrong {
        return end(app, tenant, job, lease, why).await;
    }
    let source = files.source(tenant, upload, size).map_err(failed)?;
    let input = match Input::open(app, tenant, &mut job, source).await {
        Ok(input) => input,
        Err(error) => return refused(app, tenant, job, lease, error).await,
    };
    let mut run = Run {
        app,
        plan,
        until: job.until,
        errors: Errors::after(job.errors),
        job,
        input,
        staging: None,
        lease: Some(lease.clone()),
        stop: Some(stop),
        deadline: stop + LATE,
        settled: true,
    };
    match step(&mut run).await {
        Ok(()) if run.job.finished_at.is_some() => Ok(Progress::Done),
        Ok(()) => Ok(Progress::More),
        Err(error) => refused(app, tenant, run.job, lease, error).await,
    }
}

/// Goes on where the last settled part ended.
async fn step(run: &mut Run<'_>) -> Result<()> {
    let (app, tenant) = (run.app, run.input.target.tenant.clone());
    let checkpoint = run.job.checkpoint;
    let caps = app.summary(&tenant).await?.caps;
    let upload = run.job.writer(checkpoint.part, checkpoint.attempt);
    let held = caps.hold(upload).cloned();
    if checkpoint.begun {
        // Nobody writes under it any more: this process has the lease.
        if let Some(hold) = held {
            app.recount(&tenant, upload, &hold).await?;
        }
        let checkpoint = &mut run.job.checkpoint;
        checkpoint.attempt += 1;
        checkpoint.attempts = checkpoint.attempts.max(checkpoint.attempt);
        let part = checkpoint.part;
        let table = &app.table;
        table.forget_errors(&tenant, run.job.id, part).await?;
    } else if let Some(hold) = held {
        run.job.checkpoint.begun = true;
        run.save().await?;
        let reservation = run.begin_part(upload, &hold).await?;
        return run.parts(reservation).await;
    }
    run.save().await?;
    let look = run.look().await?;
    match run.reserve(look).await? {
        Room::Yes(reservation) => run.parts(*reservation).await,
        Room::NotNeeded => run.reject_all().await,
        // The next step asks again.
        Room::Later => Ok(()),
    }
}

/// What is wrong with the file, or what its plan has no room for, ends the upload; what is wrong with
/// us does not.
async fn refused(
    app: &App,
    tenant: &TenantId,
    job: Job,
    lease: &UploadLease,
    error: Error,
) -> Result<Progress> {
    let why = match &error {
        Error::Invalid(_, faults) => {
            let told = faults.iter().map(|fault| {
                let path = fault.path.iter().map(|step| match step {
                    PathStep::Name(name) => name.clone(),
                    PathStep::Index(index) => index.to_string(),
                });
                let path: Vec<String> = path.collect();
                format!("{}: {}", path.join("."), fault.message)
            });
            told.collect::<Vec<_>>().join("; ")
        }
        Error::PaymentRequired(why)
        | Error::UnsupportedMediaType(why)
        | Error::TooLarge(why)
        | Error::Conflict(why) => why.clone(),
        _ => return Err(error),
    };
    end(app, tenant, job, lease, why).await
}

async fn end(
    app: &App,
    tenant: &TenantId,
    mut job: Job,
    lease: &UploadLease,
    why: String,
) -> Result<Progress> {
    let now = app.clock.now();
    job.status = Status::Failed;
    job.detail = Some(why);
    job.finished_at = Some(now);
    let note = table::cap::Note {
        job: &job,
        lease: Some(lease),
    };
    if !app.table.note_upload(tenant, note, now).await? {
        return Err(unavailable("somebody else works on the upload"));
    }
    // What is not given back now goes after its time.
    if let Err(error) = give_back(app, tenant, &job).await {
        tracing::warn!(%tenant, upload = %job.id, cause = ?error, "a reservation was not given back");
    }
    Ok(Progress::Done)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Unavailable(Arc::new(error))
}
