//! `POST /portal/upload/{collection}/{record_type}/upload`: uploads a file.

use std::sync::Arc;
use std::time::Instant;

use api::{App, Editor, Error, Path, Place, Result};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use model::id::{CollectionName, RecordType};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use crate::answer::{Answer, Metadata};
use crate::form::Form;
use crate::ingest::Ingest;
use crate::rows::Rows;
use crate::text::decode;
use crate::window::Target;

pub(crate) async fn upload_file(
    State(app): State<App>,
    Editor(caller): Editor,
    Path((collection, record_type)): Path<(String, String)>,
    request: Request,
) -> Result<(StatusCode, Json<Answer>)> {
    let started = Instant::now();
    let (collection, record_type) = names(&collection, &record_type)?;
    let plan = app.table.plan(&caller.tenant).await?;
    let form = Form::read(request, plan.limits().largest_upload).await?;

    let Form {
        file,
        name_column,
        source_name,
    } = form;
    // Hashing, decoding and looking through a file of 50 MB is no work for a runtime thread.
    let prepared = tokio::task::spawn_blocking(move || {
        let file_hash = format!("sha256:{}", hex::encode(Sha256::digest(&file.bytes)));
        let text = decode(file.bytes)?;
        let rows = Rows::find(text.text, &file.name, name_column.as_deref())?;
        Ok::<_, Error>((file_hash, text.encoding, rows))
    });
    let (file_hash, encoding, rows) = prepared.await??;
    let delimiter = rows.delimiter();
    let upload_id = app.ids.upload(app.clock.now());
    let ingest = Ingest {
        target: Target {
            tenant: caller.tenant,
            collection,
            record_type,
        },
        upload: upload_id,
        source_name,
        rows: Arc::new(rows),
        plan,
    };
    // A task of its own: a client that hangs up does not stop it half way.
    let outcome = tokio::spawn(async move { ingest.run(&app).await }.in_current_span()).await??;
    Ok((
        StatusCode::CREATED,
        Json(Answer {
            upload_id,
            status: outcome.summary.status(),
            summary: outcome.summary,
            errors: outcome.errors.into_listed(),
            metadata: Metadata {
                processing_time_ms: api::millis(started.elapsed()),
                file_hash,
                reconciliation_passed: outcome.settled && outcome.summary.adds_up(),
                pipeline_backpressure: outcome.slowed,
                encoding,
                delimiter,
            },
        }),
    ))
}

fn names(collection: &str, record_type: &str) -> Result<(CollectionName, RecordType)> {
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
