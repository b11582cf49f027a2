//! What became of an upload, as its own call is answered.

use api::Replayable;
use axum::Json;
use axum::http::StatusCode;
use ingestion::Outcome;
use model::id::UploadId;
use model::upload::{Job, RowError, Status, Summary};
use serde::Serialize;
use table::idempotency::Told;

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
pub(crate) type Answered = Replayable<(StatusCode, Json<Answer>)>;

impl Answer {
    pub(crate) fn of(outcome: Outcome, took: std::time::Duration) -> Self {
        let told = Told {
            processing_time_ms: api::millis(took),
            reconciled: outcome.settled && outcome.job.summary.adds_up(),
        };
        Self::new(outcome.job, outcome.errors, told)
    }

    pub(crate) fn new(job: Job, errors: Vec<RowError>, told: Told) -> Self {
        Self {
            upload_id: job.id,
            status: job.status,
            summary: job.summary,
            errors,
            metadata: Metadata {
                processing_time_ms: told.processing_time_ms,
                file_hash: job.file_hash,
                reconciliation_passed: told.reconciled,
                pipeline_backpressure: job.slowed,
                encoding: job.encoding,
                delimiter: job.delimiter,
            },
        }
    }

    pub(crate) fn upload_id(&self) -> UploadId {
        self.upload_id
    }

    /// What is told nowhere else.
    pub(crate) fn told(&self) -> Told {
        Told {
            processing_time_ms: self.metadata.processing_time_ms,
            reconciled: self.metadata.reconciliation_passed,
        }
    }
}
