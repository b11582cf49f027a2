//! Row errors: the first are listed in an answer, all of them are kept.

use api::{App, Result};
use model::Fault;
use model::id::{TenantId, UploadId};
use model::upload::{LISTED_ERRORS, RowError};

/// How many errors one item keeps at most, and about how many bytes of them.
const ITEM_ERRORS: usize = 500;
const ITEM_BYTES: usize = 128 * 1024;

/// About what an error takes beside its texts, in bytes.
const FRAME: usize = 80;

/// The row errors of an upload, on their way into the table.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    /// The first ones, of those that are kept.
    listed: Vec<RowError>,
    /// How many there were.
    pub(crate) count: u64,
    waiting: Vec<RowError>,
    bytes: usize,
    /// The number of the part's next item.
    number: u32,
}

impl Errors {
    /// Of an upload of which so many are kept.
    pub(crate) fn after(count: u64) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }

    /// A part begins whose errors are counted from nothing.
    pub(crate) fn begin(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
        self.number = 0;
    }

    pub(crate) fn add(&mut self, row: u64, faults: impl IntoIterator<Item = Fault>) {
        for fault in faults {
            let error = RowError::new(row, fault);
            self.count += 1;
            let field = error.field.as_ref().map_or(0, String::len);
            self.bytes += FRAME + field + error.message.len();
            self.waiting.push(error);
        }
    }

    /// Writes down what waits if it is enough for an item, or at the end of a part whatever waits.
    pub(crate) async fn keep(
        &mut self,
        app: &App,
        (tenant, upload): (&TenantId, UploadId),
        part: u32,
        end: bool,
    ) -> Result<()> {
        let is_full = self.waiting.len() >= ITEM_ERRORS || self.bytes >= ITEM_BYTES;
        if self.waiting.is_empty() || !end && !is_full {
            return Ok(());
        }
        // What a slice could not write is found after what it could not read.
        self.waiting.sort_by_key(|error| error.row);
        let room = LISTED_ERRORS - self.listed.len();
        self.listed.extend(self.waiting.iter().take(room).cloned());
        for errors in pieces(&self.waiting) {
            let place = (part, self.number);
            app.table
                .keep_errors(tenant, upload, place, errors, app.clock.now())
                .await?;
            self.number += 1;
        }
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }

    /// The first errors in the order of the rows, as they are listed of those that are kept.
    pub(crate) fn into_listed(self) -> Vec<RowError> {
        self.listed
    }
}

/// The errors in pieces that an item holds.
fn pieces(errors: &[RowError]) -> Vec<&[RowError]> {
    let mut pieces = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, error) in errors.iter().enumerate() {
        let field = error.field.as_ref().map_or(0, String::len);
        bytes += FRAME + field + error.message.len();
        if index + 1 - start == ITEM_ERRORS || bytes >= ITEM_BYTES {
            pieces.push(&errors[start..=index]);
            (start, bytes) = (index + 1, 0);
        }
    }
    if start < errors.len() {
        pieces.push(&errors[start..]);
    }
    pieces
}
