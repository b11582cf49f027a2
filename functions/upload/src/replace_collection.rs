//! `POST /portal/collections/{name}/replace`: fills another generation of a collection, which a swap
//! then serves in place of the present one.

use std::time::Instant;

use api::{App, Editor, Error, Params, Path, Result};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use model::upload::Status;
use table::replace::Begun;

use crate::answer::{Answer, Answered};
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
    let missing = || Error::NotFound("Collection");
    let collection = named(&name)?;
    let tenant = caller.tenant;
    // What cannot succeed is refused before the file is taken in.
    let view = app.view(&tenant, &collection).await?;
    if view.collection.ok_or_else(missing)?.staging().is_some() {
        return Err(busy());
    }
    let (plan, form) = read(&app, &tenant, params, request).await?;
    let now = app.clock.now();
    let upload = app.ids.upload(now);
    let begun = app.table.begin_replace(
        &tenant,
        &collection,
        upload,
        &record_type,
        now,
        search::FORMAT,
    );
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
        staging: Some(generation),
    };
    let outcome = incoming.run(&app, form).await;
    // A file that fills nothing leaves no replace behind that could be swapped in.
    let is_empty = |status: Status| status == Status::Failed;
    if outcome
        .as_ref()
        .map_or(true, |outcome| is_empty(outcome.job.status))
    {
        let cancelled =
            app.table
                .cancel_replace(&tenant, &collection, Some(upload), app.clock.now());
        if let Err(error) = cancelled.await {
            tracing::warn!(%tenant, %collection, %error, "a replace that failed is left to its owner");
        }
    }
    let answer = Answer::of(outcome?, started.elapsed());
    Ok((StatusCode::OK, Json(answer)))
}

fn busy() -> Error {
    Error::Conflict("A replace of the collection is under way; swap or cancel it first".to_owned())
}
