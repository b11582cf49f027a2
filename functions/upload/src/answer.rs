//! What became of an upload.

use model::Fault;
use model::fault::Step;
use model::id::UploadId;
use serde::Serialize;

/// How many row errors an answer lists.
const LISTED_ERRORS: usize = 100;

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) upload_id: UploadId,
    pub(crate) status: Status,
    pub(crate) summary: Summary,
    pub(crate) errors: Vec<RowError>,
    pub(crate) metadata: Metadata,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// The rows that could be written are.
    Complete,
    /// Every row was rejected.
    Failed,
}

/// What became of the rows: `submitted` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) submitted: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) dedup_skipped: u64,
}

impl Summary {
    pub(crate) fn status(&self) -> Status {
        if self.submitted > 0 && self.rejected == self.submitted {
            Status::Failed
        } else {
            Status::Complete
        }
    }

    pub(crate) fn adds_up(&self) -> bool {
        self.submitted == self.accepted + self.rejected + self.dedup_skipped
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RowError {
    /// The row, from 1, a header not counted.
    pub(crate) row: u64,
    /// The field, with dots between its steps; null where the row as a whole is wrong.
    pub(crate) field: Option<String>,
    pub(crate) error_type: &'static str,
    pub(crate) message: String,
}

impl RowError {
    pub(crate) fn new(row: u64, fault: Fault) -> Self {
        let steps: Vec<String> = fault
            .path
            .into_iter()
            .map(|step| match step {
                Step::Name(name) => name,
                Step::Index(index) => index.to_string(),
            })
            .collect();
        Self {
            row,
            field: (!steps.is_empty()).then(|| steps.join(".")),
            error_type: fault.kind,
            message: fault.message,
        }
    }
}

/// The errors that are listed; the rest are only counted, by row.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<RowError>);

impl Errors {
    pub(crate) fn add(&mut self, row: u64, faults: impl IntoIterator<Item = Fault>) {
        for fault in faults {
            if self.0.len() < LISTED_ERRORS {
                self.0.push(RowError::new(row, fault));
            }
        }
    }

    /// In the order of the rows.
    pub(crate) fn into_listed(mut self) -> Vec<RowError> {
        self.0.sort_by_key(|error| error.row);
        self.0
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Metadata {
    pub(crate) processing_time_ms: f64,
    pub(crate) file_hash: String,
    /// Whether every row is accounted for and the counters were written with the rows.
    pub(crate) reconciliation_passed: bool,
    /// Whether the database asked to slow down.
    pub(crate) pipeline_backpressure: bool,
    pub(crate) encoding: &'static str,
    /// Null where the format has none.
    pub(crate) delimiter: Option<char>,
}
