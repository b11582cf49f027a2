//! The record types of what may be found.

use std::collections::BTreeSet;

use model::id::RecordType;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, Searcher, SegmentReader, TERMINATED, Term};

use crate::analysis::{EVERYBODY, Fields};
use crate::request::Audience;

/// The types of the records that the audience may find, in one pass over the postings of each type.
pub(super) fn of(
    searcher: &Searcher,
    fields: &Fields,
    audience: Audience,
) -> tantivy::Result<BTreeSet<RecordType>> {
    let mut kinds = BTreeSet::new();
    for segment in searcher.segment_readers() {
        let findable = findable(segment, fields, audience)?;
        let index = segment.inverted_index(fields.kind)?;
        let mut terms = index.terms().stream()?;
        while let Some((term, info)) = terms.next() {
            let Some(kind) = std::str::from_utf8(term)
                .ok()
                .and_then(|it| it.parse().ok())
            else {
                continue;
            };
            if kinds.contains(&kind) {
                continue;
            }
            let mut docs = index.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
            while docs.doc() != TERMINATED {
                if findable[docs.doc() as usize] {
                    kinds.insert(kind);
                    break;
                }
                docs.advance();
            }
        }
    }
    Ok(kinds)
}

/// Which documents of a segment the audience may find.
fn findable(
    segment: &SegmentReader,
    fields: &Fields,
    audience: Audience,
) -> tantivy::Result<Vec<bool>> {
    let mut findable = vec![false; segment.max_doc() as usize];
    let mut found = |doc: DocId| findable[doc as usize] = !segment.is_deleted(doc);
    match audience {
        Audience::Owner => (0..segment.max_doc()).for_each(found),
        Audience::Everybody => {
            let public = Term::from_field_text(fields.audience, EVERYBODY);
            let index = segment.inverted_index(fields.audience)?;
            if let Some(mut docs) = index.read_postings(&public, IndexRecordOption::Basic)? {
                while docs.doc() != TERMINATED {
                    found(docs.doc());
                    docs.advance();
                }
            }
        }
    }
    Ok(findable)
}
