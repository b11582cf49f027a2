//! `POST /portal/collections/{name}/replace`: fills another generation of a collection, which a swap
//! then serves in place of the present one.

use std::time::Instant;

use api::{App, Editor, Error, Params, Path, Replayable, Result};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use ingestion::Outcome;
use model::Fault;
use model::id::{CollectionName, RecordType, TenantId, UploadId};
use model::plan::Plan;
use model::upload::{Status, Way};
use search::FORMAT;
use table::replace::Begun;
use tracing::Instrument;

use crate::answer::{Answer, Answered};
use crate::form::{Form, field_fault};
use crate::standing::named;
use crate::upload_file::{Incoming, read};

pub(crate) async fn replace_collection(
    State(app): State<App>,
    Editor(caller): Editor,
    Path(name): Path<String>,
    mut params: Params,
    request: Request,
) -> Result<Answered> {
    let started = Instant::now();
    let Some(record_type) = params.required("record_type", str::parse) else {
        return Err(params.faults());
    };
    let collection = named(&name)?;
    let tenant = caller.tenant;
    // What cannot succeed is refused before the file is taken in.
    let view = app.view(&tenant, &collection).await?;
    if view.collection.ok_or_else(missing)?.staging().is_some() {
        return Err(busy());
    }
    let (plan, form) = read(&app, &tenant, params, request).await?;
    let filling = Filling {
        plan,
        upload: app.ids.upload(app.clock.now()),
        tenant,
        collection,
        record_type,
    };
    // A task of its own: a client that hangs up leaves no replace behind that nobody ends.
    let fill = async move { filling.fill(&app, form).await };
    let outcome = tokio::spawn(fill.in_current_span()).await??;
    let answer = Answer::of(outcome, started.elapsed());
    Ok(Replayable::first((StatusCode::OK, Json(answer))))
}

/// A replace that is to begin.
struct Filling {
    tenant: TenantId,
    plan: Plan,
    upload: UploadId,
    collection: CollectionName,
    record_type: RecordType,
}

impl Filling {
    /// Begins the replace and fills it. A file that fills nothing leaves none that could be swapped in.
    async fn fill(self, app: &App, form: Form) -> Result<Outcome> {
        let Self {
            tenant,
            plan,
            upload,
            collection,
            record_type,
        } = self;
        let (table, now) = (&app.table, app.clock.now());
        let begun = table.begin_replace(&tenant, &collection, upload, &record_type, now, FORMAT);
        let generation = match begun.await? {
            Begun::Yes(_, generation) => generation,
            Begun::Busy => return Err(busy()),
            Begun::NotFound => return Err(missing()),
        };
        let incoming = Incoming {
            tenant: tenant.clone(),
            plan,
            upload,
            collection: collection.clone(),
            record_type,
            way: Way::Replace,
            staging: Some(generation),
        };
        let mut outcome = incoming.run(app, form).await;
        let no_rows = |outcome: &Outcome| outcome.job.summary.submitted == 0;
        if outcome.as_ref().is_ok_and(no_rows) {
            let fault = Fault::new("file_empty", "The file has no rows");
            outcome = Err(field_fault("file", fault));
        }
        let failed = |outcome: &Outcome| outcome.job.status == Status::Failed;
        if outcome.as_ref().map_or(true, failed) {
            let now = app.clock.now();
            let cancelled = table.cancel_replace(&tenant, &collection, Some(upload), now);
            if let Err(error) = cancelled.await {
                tracing::warn!(%tenant, %collection, %error, "a failed replace is left to its owner");
            }
        }
        outcome
    }
}

fn missing() -> Error {
    Error::NotFound("Collection")
}

fn busy() -> Error {
    Error::Conflict("A replace of the collection is under way; swap or cancel it first".to_owned())
}
