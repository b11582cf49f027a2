//! Records of a catalogue's products, as an upload would make them.

use anyhow::{Context, Result};
use model::id::{CollectionName, RecordId, RecordType, TenantId, UploadId};
use model::record::{Draft, Record, SourceType};
use model::time::Moment;
use search::Change;
use serde_json::Value;
use uuid::Uuid;

/// Makes the records of one collection.
pub(crate) struct Maker {
    pub(crate) tenant: TenantId,
    pub(crate) collection: CollectionName,
    pub(crate) record_type: RecordType,
    pub(crate) upload: UploadId,
    pub(crate) now: Moment,
}

impl Maker {
    pub(crate) fn new(now: Moment) -> Result<Self> {
        Ok(Self {
            tenant: "bench".parse().ok().context("a tenant")?,
            collection: "things".parse().ok().context("a collection")?,
            record_type: "product".parse().ok().context("a record type")?,
            upload: UploadId(Uuid::from_u128(1)),
            now,
        })
    }

    /// The record of a row.
    pub(crate) fn record(&self, row: Value, number: u64) -> Result<Record> {
        let draft = Draft::parse(row).ok().context("a bad row")?;
        let identity = draft.identity();
        Ok(Record {
            id: RecordId::derive(
                &self.tenant,
                &self.collection,
                1,
                &self.record_type,
                &identity,
            ),
            collection: self.collection.clone(),
            record_type: self.record_type.clone(),
            name: draft.name,
            description: draft.description,
            data: draft.data,
            visibility: draft.visibility.unwrap_or_default(),
            source_type: SourceType::FileUpload,
            source_name: None,
            source_id: draft.source_id,
            created_at: self.now,
            updated_at: self.now,
            version: 1,
            upload: self.upload,
            row: number,
        })
    }

    /// What an index takes in of it.
    pub(crate) fn change(&self, row: Value, is_new: bool) -> Result<Change> {
        let record = self.record(row, 1)?;
        Ok(Change {
            id: record.id,
            record: Some(record),
            is_new,
        })
    }
}
