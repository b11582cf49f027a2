//! What became of an upload, as its own call is answered.

use axum::Json;
use axum::http::StatusCode;
use ingestion::Outcome;
use model::id::UploadId;
use model::upload::{RowError, Status, Summary};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    upload_id: UploadId,
    status: Status,
    summary: Summary,
    errors: Vec<RowError>,
    metadata: Metadata,
}

#[derive(Debug, Serialize)]
struct Metadata {
    processing_time_ms: f64,
    file_hash: Option<String>,
    /// Whether every row is accounted for and the counters were written with the rows.
    reconciliation_passed: bool,
    /// Whether the database asked to slow down.
    pipeline_backpressure: bool,
    encoding: Option<String>,
    /// Null where the format has none.
    delimiter: Option<char>,
}

/// The answer to a call that brought its file.
pub(crate) type Answered = (StatusCode, Json<Answer>);

impl Answer {
    pub(crate) fn of(outcome: Outcome, took: std::time::Duration) -> Self {
        let job = outcome.job;
        Self {
            upload_id: job.id,
            status: job.status,
            summary: job.summary,
            errors: outcome.errors,
            metadata: Metadata {
                processing_time_ms: api::millis(took),
                file_hash: job.file_hash,
                reconciliation_passed: outcome.settled && job.summary.adds_up(),
                pipeline_backpressure: job.slowed,
                encoding: job.encoding,
                delimiter: job.delimiter,
            },
        }
    }
}
