//! `POST /portal/upload/{collection}/{record_type}/upload`: uploads a file; by key
//! `POST /upload/{collection}/{record_type}/upload`, the same with `/file` at its end, and
//! `POST /ingest/upload/{collection}/{record_type}`.

use std::time::Instant;

use api::{App, Editor, Error, Idempotency, Params, Path, Place, Replayable, Result};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use ingestion::{Outcome, Upload};
use model::id::{CollectionName, RecordType, TenantId, UploadId};
use model::idempotency::Attempt;
use model::plan::Plan;
use model::upload::{Job, Status, Way};
use tracing::Instrument;

use crate::answer::{Answer, Answered};
use crate::form::{Form, tag};
use crate::repeat;

pub(crate) async fn upload_file(
    State(app): State<App>,
    Editor(caller): Editor,
    Path((collection, record_type)): Path<(String, String)>,
    idempotency: Idempotency,
    params: Params,
    request: Request,
) -> Result<Answered> {
    let started = Instant::now();
    let (collection, record_type) = names(&collection, &record_type)?;
    let (plan, form) = read(&app, &caller.tenant, params, request).await?;
    let incoming = Incoming {
        tenant: caller.tenant,
        plan,
        upload: app.ids.upload(app.clock.now()),
        collection,
        record_type,
        way: Way::Request,
        staging: None,
    };
    incoming.answer(&app, form, &idempotency, started).await
}

/// The caller's plan, and the form that the request brings.
pub(crate) async fn read(
    app: &App,
    tenant: &TenantId,
    mut params: Params,
    request: Request,
) -> Result<(Plan, Form)> {
    let Some(record_tag) = params.optional("record_tag", tag) else {
        return Err(params.faults());
    };
    let plan = app.table.plan(tenant).await?;
    let mut form = Form::read(request, plan.limits().largest_upload).await?;
    form.record_tag = form.record_tag.or(record_tag);
    Ok((plan, form))
}

/// What came with a request, and where it goes.
pub(crate) struct Incoming {
    pub(crate) tenant: TenantId,
    pub(crate) plan: Plan,
    pub(crate) upload: UploadId,
    pub(crate) collection: CollectionName,
    pub(crate) record_type: RecordType,
    pub(crate) way: Way,
    /// The generation that it fills, if it replaces a collection.
    pub(crate) staging: Option<u32>,
}

impl Incoming {
    /// Writes the file, once if it may be sent again, and answers.
    pub(crate) async fn answer(
        self,
        app: &App,
        form: Form,
        idempotency: &Idempotency,
        started: Instant,
    ) -> Result<Answered> {
        let created = |answer| (StatusCode::CREATED, Json(answer));
        let (form, attempt) = attempted(form, idempotency).await?;
        let Some(attempt) = attempt else {
            let outcome = self.run(app, form).await?;
            let answer = Answer::of(outcome, started.elapsed());
            return Ok(Replayable::first(created(answer)));
        };
        // A task of its own: a client that hangs up and sends it again is told what became of it.
        let app = app.clone();
        let work = async move {
            let (tenant, upload) = (self.tenant.clone(), self.upload);
            if let Some(answer) = repeat::take_up(&app, &tenant, &attempt, upload).await? {
                return Ok(Replayable::again(created(answer)));
            }
            match self.run(&app, form).await {
                Ok(outcome) => {
                    let answer = Answer::of(outcome, started.elapsed());
                    repeat::note(&app, &tenant, &attempt, &answer).await;
                    Ok(Replayable::first(created(answer)))
                }
                Err(error) => {
                    repeat::give_up(&app, &tenant, &attempt, upload).await;
                    Err(error)
                }
            }
        };
        tokio::spawn(work.in_current_span()).await?
    }

    /// Writes the file.
    pub(crate) async fn run(self, app: &App, form: Form) -> Result<Outcome> {
        let now = app.clock.now();
        let source = form.file.content;
        let upload = Upload {
            job: Job {
                status: Status::Processing,
                file_name: form.file.name,
                size_bytes: source.len(),
                name_column: form.name_column,
                record_tag: form.record_tag,
                source_name: form.source_name,
                steps: 1,
                ..Job::new(
                    self.upload,
                    self.collection,
                    self.record_type,
                    self.way,
                    now,
                )
            },
            tenant: self.tenant,
            plan: self.plan,
            source,
            staging: self.staging,
        };
        // A task of its own: a client that hangs up does not stop it half way.
        let app = app.clone();
        tokio::spawn(async move { upload.run(&app).await }.in_current_span()).await?
    }
}

/// The call, if it was sent under a key. Only then is the file read for it.
async fn attempted(form: Form, idempotency: &Idempotency) -> Result<(Form, Option<Attempt>)> {
    if !idempotency.is_asked() {
        return Ok((form, None));
    }
    let hashing = tokio::task::spawn_blocking(|| (form.hash(), form));
    let (hash, form) = hashing.await?;
    let hash = hash.map_err(Error::internal)?;
    Ok((form, idempotency.attempt(|| hash)))
}

pub(crate) fn names(collection: &str, record_type: &str) -> Result<(CollectionName, RecordType)> {
    let mut faults = Vec::new();
    let collection = collection
        .parse()
        .map_err(|fault: model::Fault| faults.push(fault.at("collection")));
    let record_type = record_type
        .parse()
        .map_err(|fault: model::Fault| faults.push(fault.at("record_type")));
    match (collection, record_type) {
        (Ok(collection), Ok(record_type)) => Ok((collection, record_type)),
        _ => Err(Error::Invalid(Place::Path, faults)),
    }
}
