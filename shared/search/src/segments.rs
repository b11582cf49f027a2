//! A tantivy index over the packs of a pointer, and the writer of changes to it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use model::id::RecordId;
use model::index::{Pointer, Segment};
use serde_json::json;
use tantivy::index::{IndexSettings, SegmentId, SegmentMeta};
use tantivy::indexer::NoMergePolicy;
use tantivy::{Directory, Index, IndexWriter};

use crate::analysis::{self, Fields, Paths};
use crate::index::{Change, Error};
use crate::pack::Pack;
use crate::pack::directory::PackDirectory;
use crate::replaced::Replaced;
use crate::store::StoreError;

/// The segments of a pointer, and those that this process adds.
#[derive(Debug, Clone)]
pub(crate) struct Segments {
    pub(crate) index: Index,
    pub(crate) directory: PackDirectory,
    pub(crate) fields: Fields,
}

impl Segments {
    /// Opens the index that a pointer describes, in packs that are open.
    pub(crate) fn open(pointer: &Pointer, packs: &[Arc<Pack>]) -> Result<Self, Error> {
        let directory = PackDirectory::new(packs);
        let (schema, fields) = analysis::schema();
        let settings = IndexSettings {
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let segments: Vec<_> = pointer
            .segments
            .iter()
            .map(|segment| {
                let deletes = (segment.deleted > 0).then(
                    || json!({"num_deleted_docs": segment.deleted, "opstamp": segment.deleted_by}),
                );
                let id = segment_id(segment)?;
                Ok(json!({"segment_id": id, "max_doc": segment.docs, "deletes": deletes}))
            })
            .collect::<Result<_, StoreError>>()?;
        let meta = json!({
            "index_settings": settings,
            "segments": segments,
            "schema": schema,
            "opstamp": pointer.opstamp,
        });
        let path = Path::new("meta.json");
        directory
            .atomic_write(path, meta.to_string().as_bytes())
            .map_err(StoreError::from)?;
        let mut index = Index::open(directory.clone())?;
        *index.settings_mut() = settings;
        analysis::register(&index);
        Ok(Self {
            index,
            directory,
            fields,
        })
    }

    /// A writer with so many bytes for what is not in a segment yet. It merges nothing by itself.
    pub(crate) fn writer(&self, bytes: usize) -> Result<IndexWriter, Error> {
        let writer = self.index.writer_with_num_threads(1, bytes)?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        Ok(writer)
    }

    /// Takes changes in, of each record the last; a commit makes them part of the index.
    pub(crate) fn write(
        &self,
        writer: &IndexWriter,
        changes: &[Change],
        paths: &mut Paths,
    ) -> Result<(), Error> {
        let last: HashMap<RecordId, usize> = changes
            .iter()
            .enumerate()
            .map(|(at, change)| (change.id, at))
            .collect();
        let old = changes.iter().filter(|change| !change.is_new);
        let replaced: Replaced = old.map(|change| change.id).collect();
        if !replaced.is_empty() {
            writer.delete_query(Box::new(replaced))?;
        }
        for (at, change) in changes.iter().enumerate() {
            if let Some(record) = &change.record
                && last[&change.id] == at
            {
                writer.add_document(analysis::document(&self.fields, record, paths))?;
            }
        }
        Ok(())
    }
}

fn segment_id(segment: &Segment) -> Result<SegmentId, StoreError> {
    SegmentId::from_uuid_string(&segment.id).map_err(|_| StoreError::Corrupt {
        path: segment.id.clone(),
        reason: "not a segment's id".to_owned(),
    })
}

/// What the pointer keeps of a segment.
pub(crate) fn described(meta: &SegmentMeta) -> Segment {
    Segment {
        id: meta.id().uuid_string(),
        docs: meta.max_doc(),
        deleted: meta.num_deleted_docs(),
        deleted_by: meta.delete_opstamp().unwrap_or_default(),
    }
}
