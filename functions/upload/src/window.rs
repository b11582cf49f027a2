//! A stretch of rows, each record once.

use std::collections::HashMap;

use model::id::{CollectionName, RecordId, RecordType, TenantId};
use model::record::Draft;

use crate::answer::{Errors, Summary};
use crate::rows::{Cursor, Rows};

/// How many rows are taken together: within so many, the last of two rows with one `source_id`
/// wins; beyond, they apply one after the other.
const WINDOW: u64 = 100_000;

/// How many rows are read, and written, at once.
pub(crate) const SLICE: usize = 5_000;

/// Where the rows go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) tenant: TenantId,
    pub(crate) collection: CollectionName,
    pub(crate) record_type: RecordType,
}

impl Target {
    /// The id of the record that a row becomes, in a collection of that number.
    pub(crate) fn id(&self, number: u32, draft: &Draft) -> RecordId {
        RecordId::derive(
            &self.tenant,
            &self.collection,
            number,
            &self.record_type,
            &draft.identity(),
        )
    }
}

/// A row that is to become a record.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) row: u64,
    pub(crate) id: RecordId,
    pub(crate) draft: Draft,
}

/// Which row of a stretch each record is to come from. It knows numbers only: the rows themselves
/// are read again, some at a time, so that a file does not have to fit into memory parsed.
#[derive(Debug, Default)]
pub(crate) struct Window {
    chosen: HashMap<RecordId, u64>,
    /// Where the next window begins.
    pub(crate) end: Cursor,
}

impl Window {
    /// Looks through the window that begins at `start`. Under one id of its source the last row
    /// wins; the same content is the same record, so the first one does.
    pub(crate) fn survey(rows: &Rows, start: Cursor, target: &Target, number: u32) -> Self {
        let mut window = Self {
            chosen: HashMap::new(),
            end: start,
        };
        let last = start.row + WINDOW;
        loop {
            let most = left(window.end, last);
            let read = rows.read(&mut window.end, most);
            if read.is_empty() {
                return window;
            }
            for (row, draft) in read {
                let Ok(draft) = draft else { continue };
                let place = window
                    .chosen
                    .entry(target.id(number, &draft))
                    .or_insert(row);
                if draft.source_id.is_some() {
                    *place = row;
                }
            }
        }
    }

    /// Reads the next rows of the window and sorts them into candidates, rejected ones and
    /// repetitions. `None` at its end.
    pub(crate) fn read(
        &self,
        rows: &Rows,
        cursor: &mut Cursor,
        target: &Target,
        number: u32,
        (summary, errors): (&mut Summary, &mut Errors),
    ) -> Option<Vec<Candidate>> {
        let most = left(*cursor, self.end.row);
        let read = rows.read(cursor, most);
        if read.is_empty() {
            return None;
        }
        let mut candidates = Vec::with_capacity(read.len());
        for (row, parsed) in read {
            summary.submitted += 1;
            let draft = match parsed {
                Ok(draft) => draft,
                Err(faults) => {
                    summary.rejected += 1;
                    errors.add(row, faults);
                    continue;
                }
            };
            let id = target.id(number, &draft);
            if self.chosen.get(&id) == Some(&row) {
                candidates.push(Candidate { row, id, draft });
            } else {
                summary.dedup_skipped += 1;
            }
        }
        Some(candidates)
    }
}

/// How many rows to read next on the way to row `last`.
fn left(at: Cursor, last: u64) -> usize {
    usize::try_from(last - at.row).unwrap_or(SLICE).min(SLICE)
}
