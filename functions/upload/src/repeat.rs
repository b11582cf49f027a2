//! Uploads that may be sent again: under one `Idempotency-Key` a file is taken once, and whoever sends it
//! again is told what became of it.

use api::{App, Error, Result, same};
use chrono::TimeDelta;
use model::id::{TenantId, UploadId};
use model::idempotency::Attempt;
use model::upload::{Job, LISTED_ERRORS, Status};
use table::idempotency::{Claimed, Earlier, Told};
use table::upload::ErrorPlace;

use crate::answer::Answer;

/// How much longer than it may write a call is at a file at most: it opens it before, and counts and
/// tells what it wrote after.
const LONGER: TimeDelta = TimeDelta::minutes(2);

/// How much longer than its upload may write and fold a call takes to be answered at most. Where it takes
/// longer all the same, or its answer is not noted, a repetition is told another time, and that what adds
/// up was counted.
const ANSWERING: TimeDelta = TimeDelta::seconds(5);

/// How far an earlier call came.
enum Standing {
    Answered(Answer),
    AtWork,
    /// Nobody works on it any more, and it was not answered.
    CutShort,
}

/// Takes a call up, unless an earlier one did: then what that was answered. One that was cut short is
/// taken up again, as an upload of its own.
pub(crate) async fn take_up(
    app: &App,
    tenant: &TenantId,
    attempt: &Attempt,
    upload: UploadId,
) -> Result<Option<Answer>> {
    let now = app.clock.now();
    let times = (now, now + app.config.upload_time + LONGER);
    let mut instead = None;
    loop {
        let claim = app
            .table
            .claim_call(tenant, attempt, &upload, times, instead.as_ref());
        let earlier = match claim.await {
            Ok(Claimed::Yes) => return Ok(None),
            Ok(Claimed::Earlier(earlier)) => same(attempt, earlier)?,
            Err(error) => {
                // It may be claimed although its answer was lost, and nobody would be at it.
                give_up(app, tenant, attempt, upload).await;
                return Err(error.into());
            }
        };
        match standing(app, tenant, &earlier).await? {
            Standing::Answered(answer) => return Ok(Some(answer)),
            Standing::AtWork => return Err(Error::AtWork),
            Standing::CutShort => instead = Some(earlier),
        }
    }
}

async fn standing(app: &App, tenant: &TenantId, earlier: &Earlier) -> Result<Standing> {
    let (now, alone_since) = (app.clock.now(), app.alone_since());
    let is_gone = alone_since.is_some_and(|since| earlier.began_at < since);
    let is_at_work = !is_gone && earlier.busy_until.is_some_and(|until| now < until);
    let job = match earlier.made.parse::<UploadId>() {
        Ok(id) => app.table.find_upload(tenant, id).await?,
        Err(()) => None,
    };
    // What is written down as failed as a whole was given up, as its call is by whoever still can.
    if job.as_ref().is_some_and(has_failed) {
        return Ok(Standing::CutShort);
    }
    Ok(match job.map(|job| job.seen(now, alone_since)) {
        Some(job) if is_answered(&job) && (!is_at_work || may_be_told(app, &job, earlier)) => {
            Standing::Answered(again(app, tenant, job, earlier.told).await?)
        }
        Some(job) if matches!(job.status, Status::Pending | Status::Processing) => Standing::AtWork,
        _ if is_at_work => Standing::AtWork,
        _ => Standing::CutShort,
    })
}

/// Whether an upload failed as a whole, which was answered by an error.
fn has_failed(job: &Job) -> bool {
    job.status == Status::Failed && job.detail.is_some()
}

/// Whether an upload came to an end that is told by an answer.
fn is_answered(job: &Job) -> bool {
    matches!(job.status, Status::Complete | Status::Failed) && !has_failed(job)
}

/// Whether it is known what a call was answered whose upload is over, or will not be known any more: what
/// was written is folded after its end, and its collection may turn out to be gone then.
fn may_be_told(app: &App, job: &Job, earlier: &Earlier) -> bool {
    let is_late = |began| began + app.config.upload_time + ANSWERING <= app.clock.now();
    earlier.told.is_some() || job.started_at.is_some_and(is_late)
}

/// The answer to an upload from what is kept of it.
async fn again(app: &App, tenant: &TenantId, job: Job, told: Option<Told>) -> Result<Answer> {
    let first = ErrorPlace::default();
    let listed = app
        .table
        .list_errors(tenant, job.id, &first, LISTED_ERRORS)
        .await?;
    let told = told.unwrap_or_else(|| {
        let took = job.finished_at.map(|end| end - job.created_at);
        let took = took.and_then(|took| took.to_std().ok());
        Told {
            processing_time_ms: api::millis(took.unwrap_or_default()),
            reconciled: job.summary.adds_up(),
        }
    });
    Ok(Answer::new(job, listed.0, told))
}

/// Notes what an upload was answered. Where that fails, it is told again without what only that told.
pub(crate) async fn note(app: &App, tenant: &TenantId, attempt: &Attempt, answer: &Answer) {
    let (upload, told) = (answer.upload_id(), answer.told());
    let noted = app.table.note_told(tenant, attempt, &upload, told);
    if let Err(error) = noted.await {
        tracing::warn!(%tenant, %error, "what an upload was answered is not noted");
    }
}

/// Gives up a call that was answered by an error: it may be sent again. Where that fails, it may be after
/// its time.
pub(crate) async fn give_up(app: &App, tenant: &TenantId, attempt: &Attempt, upload: UploadId) {
    if let Err(error) = app.table.give_up_call(tenant, attempt, &upload).await {
        tracing::warn!(%tenant, %upload, %error, "a call that failed is not given up");
    }
}
