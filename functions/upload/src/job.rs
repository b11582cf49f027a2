//! An upload as it is listed and shown.

use api::App;
use model::id::{CollectionName, RecordType, UploadId};
use model::time::{Moment, shown, shown_option};
use model::upload::{Job, Status, Summary};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct ShownJob {
    upload_id: UploadId,
    status: Status,
    collection: CollectionName,
    record_type: RecordType,
    file_name: String,
    source_name: Option<String>,
    summary: Summary,
    progress: Progress,
    metadata: Metadata,
    /// Why it failed as a whole.
    detail: Option<String>,
    #[serde(serialize_with = "shown")]
    created_at: Moment,
    #[serde(serialize_with = "shown_option")]
    started_at: Option<Moment>,
    #[serde(serialize_with = "shown_option")]
    finished_at: Option<Moment>,
    /// Until when its file may be sent.
    #[serde(serialize_with = "shown_option")]
    expires_at: Option<Moment>,
}

/// How far its rows are, those of the part that is being written among them: its rows are counted in the
/// summary when it ends.
#[derive(Debug, Serialize)]
struct Progress {
    /// Rows that are done.
    rows: u64,
    /// Rows of the file, once it was looked through.
    total_rows: Option<u64>,
    accepted: u64,
    rejected: u64,
    /// Bytes of the file that are done, and all of them.
    bytes: u64,
    total_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Metadata {
    file_hash: Option<String>,
    format: Option<String>,
    encoding: Option<String>,
    delimiter: Option<char>,
    /// From the first row to the last.
    processing_time_ms: Option<i64>,
    /// How many row errors are kept.
    errors: u64,
}

impl ShownJob {
    /// The upload as it is now.
    pub(crate) fn of(job: Job, app: &App) -> Self {
        let job = job.seen(app.clock.now(), app.alone_since());
        let took = job.finished_at.zip(job.started_at);
        let glimpse = job.glimpse.unwrap_or_default();
        let mut done = job.summary;
        done.add(glimpse.summary);
        Self {
            upload_id: job.id,
            status: job.status,
            progress: Progress {
                rows: done.submitted,
                total_rows: job.rows,
                accepted: done.accepted,
                rejected: done.rejected,
                bytes: glimpse.bytes.max(job.bytes),
                total_bytes: job.size_bytes,
            },
            metadata: Metadata {
                file_hash: job.file_hash,
                format: job.format,
                encoding: job.encoding,
                delimiter: job.delimiter,
                processing_time_ms: took.map(|(end, start)| (end - start).num_milliseconds()),
                errors: job.errors,
            },
            expires_at: (job.status == Status::Pending).then_some(job.until),
            collection: job.collection,
            record_type: job.record_type,
            file_name: job.file_name,
            source_name: job.source_name,
            summary: job.summary,
            detail: job.detail,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}
