//! A stretch of rows, each record once.

use std::collections::HashMap;

use model::id::{CollectionName, RecordId, RecordType, TenantId};
use model::record::Draft;

use crate::answer::{Errors, Summary};
use crate::rows::Row;

/// How many rows are taken together: within so many, the last of two rows with one `source_id`
/// wins; beyond, they apply one after the other.
pub(crate) const WINDOW: usize = 100_000;

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

/// Sorts the rows of a window into candidates, rejected ones and repetitions.
pub(crate) fn candidates(
    rows: Vec<Row>,
    target: &Target,
    number: u32,
    summary: &mut Summary,
    errors: &mut Errors,
) -> Vec<Candidate> {
    let mut places: HashMap<RecordId, usize> = HashMap::with_capacity(rows.len());
    let mut candidates: Vec<Candidate> = Vec::with_capacity(rows.len());
    for (row, parsed) in rows {
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
        let candidate = Candidate { row, id, draft };
        if let Some(place) = places.get(&id) {
            summary.dedup_skipped += 1;
            // The same content is the same record; under one id of its source the last wins.
            if candidate.draft.source_id.is_some() {
                candidates[*place] = candidate;
            }
        } else {
            places.insert(id, candidates.len());
            candidates.push(candidate);
        }
    }
    candidates
}
