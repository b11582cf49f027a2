//! Uploads: what one is, and what became of its rows.

use std::borrow::Cow;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::fault::{Fault, Step};
use crate::id::{CollectionName, RecordType, UploadId};
use crate::record::SourceType;
use crate::time::{self, Moment};

/// How many row errors an answer lists.
pub const LISTED_ERRORS: usize = 100;

/// How much longer than its address is good for a file may take to arrive.
const ARRIVAL: TimeDelta = TimeDelta::hours(1);

/// The longest name of a field in a row error, and the longest message, in characters.
const MAX_FIELD: usize = 300;
const MAX_MESSAGE: usize = 1_000;

/// How long an upload whose file lies on the store may be silent before it is taken for dead: as
/// long as Lambda tries an event again.
const SILENCE: TimeDelta = TimeDelta::hours(6);

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its file has not arrived.
    Pending,
    /// Its rows are being written.
    Processing,
    /// The rows that could be written are.
    Complete,
    /// Every row was rejected, or the file as a whole.
    Failed,
}

/// What became of the rows: `submitted` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Rows that were looked at.
    pub submitted: u64,
    /// Rows that made or changed a record.
    pub accepted: u64,
    /// Rows that could not be taken.
    pub rejected: u64,
    /// Rows that changed nothing, because the record is what they say.
    pub dedup_skipped: u64,
}

impl Summary {
    /// How an upload ended that came to this.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.submitted > 0 && self.rejected == self.submitted {
            Status::Failed
        } else {
            Status::Complete
        }
    }

    /// Whether every row is accounted for.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.submitted == self.accepted + self.rejected + self.dedup_skipped
    }

    /// Adds what became of further rows.
    pub fn add(&mut self, other: Self) {
        self.submitted += other.submitted;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.dedup_skipped += other.dedup_skipped;
    }
}

/// Why a row was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowError {
    /// The row, from 1, a header not counted.
    pub row: u64,
    /// The field, with dots between its steps; null where the row as a whole is wrong.
    pub field: Option<String>,
    /// The kind of fault.
    pub error_type: Cow<'static, str>,
    /// A sentence for people.
    pub message: String,
}

impl RowError {
    /// The error that a fault of a row is.
    #[must_use]
    pub fn new(row: u64, fault: Fault) -> Self {
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
            field: (!steps.is_empty()).then(|| cut(steps.join("."), MAX_FIELD)),
            error_type: Cow::Borrowed(fault.kind),
            message: cut(fault.message, MAX_MESSAGE),
        }
    }
}

/// The text, or its beginning if it is longer than so many characters.
fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('\u{2026}');
    }
    text
}

/// How the file of an upload comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// With the request.
    Request,
    /// With the request, to replace a collection.
    Replace,
    /// By an address of its own, to be processed in the background.
    File,
    /// None does: the request is a list of records.
    Batch,
}

impl Way {
    /// How the records of such an upload come in.
    #[must_use]
    pub fn source_type(self) -> SourceType {
        match self {
            Self::Request | Self::Replace | Self::File => SourceType::FileUpload,
            Self::Batch => SourceType::Api,
        }
    }
}

/// How far the part is that is being written: it is not counted before its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glimpse {
    /// What became of its rows so far.
    pub summary: Summary,
    /// How many bytes of the file are done.
    pub bytes: u64,
}

/// Where an upload goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The byte of the decoded text.
    pub at: u64,
    /// How many rows were read before it.
    pub row: u64,
    /// Which part of the upload begins there.
    pub part: u32,
    /// How often writing it was begun before.
    pub attempt: u32,
    /// Whether something may have been written under that attempt.
    pub begun: bool,
    /// The number of the collection that it has reserved room in: one of the same name that is made
    /// anew has another.
    pub number: Option<u32>,
    /// The generation of the collection that the parts before it went to.
    pub generation: Option<u32>,
    /// The most attempts that there were at a part.
    #[serde(default)]
    pub attempts: u32,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The id.
    pub id: UploadId,
    /// The collection that it goes to.
    pub collection: CollectionName,
    /// The record type that its rows are.
    pub record_type: RecordType,
    /// How its file comes.
    pub way: Way,
    /// How far it is.
    pub status: Status,
    /// What its client calls the file.
    pub file_name: String,
    /// The bytes of the file.
    pub size_bytes: u64,
    /// The CSV column that holds the name.
    pub name_column: Option<String>,
    /// The XML element that is a record.
    pub record_tag: Option<String>,
    /// What its client calls the source.
    pub source_name: Option<String>,
    /// `sha256:` and the file's hash, once it is known.
    pub file_hash: Option<String>,
    /// The format of the file, once it is known.
    pub format: Option<String>,
    /// Its encoding, once it is known.
    pub encoding: Option<String>,
    /// Its delimiter, where the format has one.
    pub delimiter: Option<char>,
    /// Whether the encoding can only be told from the whole file.
    #[serde(default)]
    pub whole: bool,
    /// The version of the schema that its rows are checked against, 0 for none, once that is decided.
    pub schema: Option<u64>,
    /// When it was announced or began.
    #[serde(serialize_with = "time::in_table")]
    pub created_at: Moment,
    /// When its rows began to be read.
    #[serde(serialize_with = "time::in_table_option")]
    pub started_at: Option<Moment>,
    /// When it ended.
    #[serde(serialize_with = "time::in_table_option")]
    pub finished_at: Option<Moment>,
    /// Until when its file may arrive or, once that is there, until when its call writes.
    #[serde(serialize_with = "time::in_table")]
    pub until: Moment,
    /// What became of the rows so far.
    pub summary: Summary,
    /// How many row errors are kept.
    pub errors: u64,
    /// How many rows the file has, once it was looked through.
    pub rows: Option<u64>,
    /// How many bytes of the file are done.
    pub bytes: u64,
    /// How far it is beyond that, while it is at it.
    pub glimpse: Option<Glimpse>,
    /// Whether the database asked to slow down.
    #[serde(default)]
    pub slowed: bool,
    /// Why it failed as a whole.
    pub detail: Option<String>,
    /// Where it goes on.
    #[serde(default)]
    pub checkpoint: Checkpoint,
    /// In how many steps it was processed so far.
    #[serde(default)]
    pub steps: u32,
}

impl Job {
    /// An upload of which nothing is known yet but where it goes.
    #[must_use]
    pub fn new(
        id: UploadId,
        collection: CollectionName,
        record_type: RecordType,
        way: Way,
        created_at: Moment,
    ) -> Self {
        Self {
            id,
            collection,
            record_type,
            way,
            status: Status::Pending,
            file_name: String::new(),
            size_bytes: 0,
            name_column: None,
            record_tag: None,
            source_name: None,
            file_hash: None,
            format: None,
            encoding: None,
            delimiter: None,
            whole: false,
            schema: None,
            created_at,
            started_at: None,
            finished_at: None,
            until: created_at,
            summary: Summary::default(),
            errors: 0,
            rows: None,
            bytes: 0,
            glimpse: None,
            slowed: false,
            detail: None,
            checkpoint: Checkpoint::default(),
            steps: 0,
        }
    }

    /// The id under which a part of the upload is written in one attempt. The first attempt at the
    /// first part has the upload's own.
    #[must_use]
    pub fn writer(&self, part: u32, attempt: u32) -> UploadId {
        if (part, attempt) == (0, 0) {
            return self.id;
        }
        let mut hash = Sha256::new();
        hash.update(b"part of an upload");
        hash.update(self.id.0.as_bytes());
        hash.update(part.to_be_bytes());
        hash.update(attempt.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        UploadId(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The upload as it is `now`: one whose file did not arrive in time, or that was cut short, has
    /// failed, though nobody was left to write it down. What began before `alone_since` and comes
    /// with a request is over, too.
    #[must_use]
    pub fn seen(mut self, now: Moment, alone_since: Option<Moment>) -> Self {
        let is_over = self.until <= now;
        let before = alone_since.is_some_and(|since| self.created_at < since);
        let detail = match (self.status, self.way) {
            (Status::Pending, _) if self.until + ARRIVAL <= now => {
                "The file did not arrive in time"
            }
            (Status::Processing, Way::Request | Way::Replace | Way::Batch) if is_over || before => {
                "The upload was cut short; send the file again to complete it"
            }
            (Status::Processing, Way::File) if self.until + SILENCE <= now => {
                "The upload could not be ended; send the file again to complete it"
            }
            _ => return self,
        };
        self.status = Status::Failed;
        self.detail = Some(detail.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: Status, way: Way) -> Job {
        let at: Moment = "2026-03-08T12:00:00Z".parse().unwrap();
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let (collection, record_type) = ("parts".parse().unwrap(), "product".parse().unwrap());
        Job {
            status,
            until: at + TimeDelta::minutes(15),
            ..Job::new(id, collection, record_type, way, at)
        }
    }

    #[test]
    fn every_attempt_at_every_part_writes_under_an_id_of_its_own() {
        let job = job(Status::Processing, Way::File);
        assert_eq!(job.writer(0, 0), job.id);
        let ids = [(0, 0), (0, 1), (1, 0), (1, 1), (256, 0)].map(|(p, a)| job.writer(p, a));
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id));
        }
        assert_eq!(job.writer(1, 0), job.writer(1, 0));
    }

    #[test]
    fn what_was_cut_short_has_failed_after_its_time() {
        for (status, way, minutes, alone, expected) in [
            (Status::Pending, Way::File, 74, false, Status::Pending),
            (Status::Pending, Way::File, 75, false, Status::Failed),
            (
                Status::Processing,
                Way::Request,
                14,
                false,
                Status::Processing,
            ),
            (Status::Processing, Way::Request, 15, false, Status::Failed),
            (Status::Processing, Way::Replace, 1, true, Status::Failed),
            (
                Status::Processing,
                Way::Batch,
                14,
                false,
                Status::Processing,
            ),
            (Status::Processing, Way::Batch, 15, false, Status::Failed),
            (Status::Processing, Way::File, 1, true, Status::Processing),
            (Status::Processing, Way::File, 60, false, Status::Processing),
            (Status::Processing, Way::File, 375, false, Status::Failed),
            (Status::Complete, Way::File, 10_000, true, Status::Complete),
        ] {
            let job = job(status, way);
            let now = job.created_at + TimeDelta::minutes(minutes);
            let alone = alone.then(|| job.created_at + TimeDelta::seconds(1));
            let seen = job.seen(now, alone);
            assert_eq!(seen.status, expected, "{status:?} {way:?} {minutes}");
            assert_eq!(seen.detail.is_some(), status != expected);
        }
    }
}
