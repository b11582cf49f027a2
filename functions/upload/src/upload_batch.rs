//! `POST /upload/{collection}/{record_type}/batch` and `POST /ingest/batch/{collection}/{record_type}`:
//! uploads records as JSON, a list of them or `{"records": [...]}`.
//!
//! A record is a row as a JSON file has it, so that either way makes the same of it.

use std::sync::Arc;
use std::time::Instant;

use api::{App, Body, Editor, Error, Idempotency, Path, Place, Result};
use axum::body::Bytes;
use axum::extract::{Request, State};
use model::Fault;
use model::upload::Way;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::answer::Answered;
use crate::form::{File, Form, field_fault};
use crate::upload_file::{Incoming, names};

/// The largest batch, in MB. No plan's largest upload is smaller.
const MAX_MB: usize = 10;

/// The most records of a batch.
const MAX_RECORDS: usize = 5_000;

/// What a batch is called among files.
const NAME: &str = "batch.json";

pub(crate) async fn upload_batch(
    State(app): State<App>,
    Editor(caller): Editor,
    Path((collection, record_type)): Path<(String, String)>,
    idempotency: Idempotency,
    request: Request,
) -> Result<Answered> {
    let started = Instant::now();
    let (collection, record_type) = names(&collection, &record_type)?;
    let body = Body::bytes(request, MAX_MB).await?;
    let rows = tokio::task::spawn_blocking(move || rows(&body)).await??;
    let incoming = Incoming {
        plan: app.table.plan(&caller.tenant).await?,
        tenant: caller.tenant,
        upload: app.ids.upload(app.clock.now()),
        collection,
        record_type,
        way: Way::Batch,
        staging: None,
    };
    incoming
        .answer(&app, form(rows), &idempotency, started)
        .await
}

fn form(rows: Bytes) -> Form {
    Form {
        file: File {
            name: NAME.to_owned(),
            content: Arc::new(rows),
        },
        name_column: None,
        record_tag: None,
        source_name: None,
    }
}

/// The list of rows in a body. What is wrong with a row of it rejects that row alone, later.
fn rows(body: &Bytes) -> Result<Bytes> {
    let malformed = |error: serde_json::Error| Body::malformed(&error);
    let whole = serde_json::from_slice::<&RawValue>(body).map_err(malformed)?;
    let list = match whole.get().as_bytes().first() {
        Some(b'[') => whole,
        Some(b'{') => named(whole)?,
        _ => return Err(Error::Invalid(Place::Body, vec![no_list()])),
    };
    // A list of nothing, so counting it takes no memory.
    let counted = serde_json::from_str::<Vec<IgnoredAny>>(list.get());
    if counted.map_err(malformed)?.len() > MAX_RECORDS {
        let why = format!("A batch has at most {MAX_RECORDS} records; send more as a file");
        return Err(Error::TooLarge(why));
    }
    Ok(body.slice_ref(list.get().as_bytes()))
}

/// The list that is the member `records` of an object, whatever else there is.
fn named(object: &RawValue) -> Result<&RawValue> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        records: Option<&'a RawValue>,
    }
    let found = serde_json::from_str::<Named<'_>>(object.get());
    let found = found.map_err(|error| Body::malformed(&error))?;
    let list = found
        .records
        .ok_or_else(|| field_fault("records", Fault::missing()))?;
    if list.get().starts_with('[') {
        Ok(list)
    } else {
        Err(field_fault("records", no_list()))
    }
}

fn no_list() -> Fault {
    Fault::new("list_type", "Input should be a valid list")
}
