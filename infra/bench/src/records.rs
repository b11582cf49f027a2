//! Records of a catalogue's products, as an upload would make them.

use anyhow::{Context, Result};
use model::id::{CollectionName, RecordId, RecordType, TenantId, UploadId};
use model::record::{Draft, Origin, Record, SourceType};
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
        let id = RecordId::derive(
            &self.tenant,
            &self.collection,
            1,
            &self.record_type,
            &draft.identity(),
        );
        Ok(draft.into_record(Origin {
            id,
            collection: self.collection.clone(),
            record_type: self.record_type.clone(),
            source_type: SourceType::FileUpload,
            source_name: None,
            upload: self.upload,
            row: number,
            at: self.now,
        }))
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
