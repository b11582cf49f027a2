//! A stretch of rows, each record once.

use std::collections::HashMap;

use formats::{Cursor, Row};
use model::id::RecordId;
use model::record::Draft;

use crate::input::{Input, Reading, Target};

/// How many rows are taken together: within so many, the last of two rows with one `source_id`
/// wins; beyond, they apply one after the other.
pub(crate) const WINDOW: u64 = 100_000;

/// How many rows, and about how many bytes of a file, are read and written together.
pub(crate) const SLICE: usize = 500;
const SLICE_BYTES: u64 = 96 * 1024;

/// About how many bytes they take in memory at most: for what is parsed that may be a hundred times its text.
const SLICE_MEMORY: usize = 2 << 20;

/// After so many faults a slice ends: a row may have very many.
const SLICE_FAULTS: usize = 1_250;

/// A row that is to become a record.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) row: u64,
    pub(crate) id: RecordId,
    pub(crate) draft: Draft,
}

/// Which row of a stretch each record is to come from. It knows numbers only: the rows themselves
/// are read again, some at a time, so that a file does not have to fit into memory parsed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    chosen: HashMap<RecordId, u64>,
    /// Where it begins.
    pub(crate) start: Cursor,
    /// How many rows lie before its end.
    pub(crate) end: u64,
}

/// Some rows of a window, sorted into candidates, rejected ones and repetitions.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) rejected: Vec<(u64, model::Faults)>,
    pub(crate) submitted: u64,
    pub(crate) repeated: u64,
    /// Where the next slice begins.
    pub(crate) end: Cursor,
    /// How many bytes of the file lie before it.
    pub(crate) bytes: u64,
}

impl Window {
    pub(crate) fn at(start: Cursor) -> Self {
        Self {
            chosen: HashMap::new(),
            start,
            end: start.row,
        }
    }

    /// Looks through the window that begins at `start`.
    pub(crate) fn survey(
        input: &Input,
        start: Cursor,
        number: u32,
    ) -> Result<Self, formats::Error> {
        let mut window = Self::at(start);
        for row in input.read(&*input.source, start, false)? {
            window.take(&input.target, number, &row?);
            if window.is_full() {
                break;
            }
        }
        Ok(window)
    }

    /// Takes the next row in. Under one id of its source the last row wins; the same content is
    /// the same record, so the first one does.
    pub(crate) fn take(&mut self, target: &Target, number: u32, row: &Row) {
        self.end = row.number;
        let Ok(draft) = &row.draft else { return };
        let place = self
            .chosen
            .entry(target.id(number, draft))
            .or_insert(row.number);
        if draft.source_id.is_some() {
            *place = row.number;
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.end >= self.start.row + WINDOW
    }

    /// Reads the next rows of the window; `None` at its end.
    pub(crate) fn slice(
        &self,
        reading: &mut Reading,
        target: &Target,
        number: u32,
    ) -> Result<Option<Slice>, formats::Error> {
        let begin = reading.bytes();
        let mut slice = Slice {
            end: reading.cursor(),
            ..Slice::default()
        };
        let (mut faulty, mut memory) = (0, 0);
        while slice.end.row < self.end
            && slice.submitted < SLICE as u64
            && reading.bytes().saturating_sub(begin) < SLICE_BYTES
            && faulty < SLICE_FAULTS
            && memory < SLICE_MEMORY
        {
            let Some(row) = reading.next().transpose()? else {
                break;
            };
            slice.end = reading.cursor();
            slice.submitted += 1;
            match row.draft {
                Err(faults) => {
                    faulty += faults.len();
                    slice.rejected.push((row.number, faults));
                }
                Ok(draft) => {
                    let id = target.id(number, &draft);
                    if self.chosen.get(&id) == Some(&row.number) {
                        memory += draft.size_in_memory();
                        slice.candidates.push(Candidate {
                            row: row.number,
                            id,
                            draft,
                        });
                    } else {
                        slice.repeated += 1;
                    }
                }
            }
        }
        slice.bytes = reading.bytes();
        Ok((slice.submitted > 0).then_some(slice))
    }
}

impl Slice {
    /// How many records it may add where so many are left to be added.
    pub(crate) fn may_add(&self, left: u64) -> u64 {
        left.min(self.candidates.len() as u64)
    }
}
