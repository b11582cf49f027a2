//! A record as the main API shows it, and the portal where it shows one alone.

use std::collections::HashMap;
use std::io;

use api::{App, Error, Result};
use model::id::{CollectionName, RecordId, RecordType, TenantId};
use model::index::IndexingStatus;
use model::record::{Record, SourceType, Visibility};
use model::time::{self, Moment};
use serde::Serialize;
use serde_json::{Map, Value};
use table::record::Located;

/// How much of an answer its records take at most, in bytes as they leave a Lambda.
pub(crate) const MOST_BYTES: usize = 5 * 1024 * 1024;

/// What a record takes at most without its texts and its content, in such bytes.
const BARE_BYTES: usize = 512;

#[derive(Serialize)]
pub(crate) struct Shown {
    id: RecordId,
    /// `None` where an answer has not even room for them.
    #[serde(flatten)]
    texts: Option<Texts>,
    collection: CollectionName,
    record_type: RecordType,
    indexing_status: IndexingStatus,
    visibility: Visibility,
    generation: u32,
    source_type: SourceType,
    #[serde(serialize_with = "time::shown")]
    created_at: Moment,
    #[serde(serialize_with = "time::shown")]
    updated_at: Moment,
    /// `None` where there is no room for it in an answer.
    #[serde(flatten)]
    content: Option<Content>,
}

/// What of a record may be long.
#[derive(Serialize)]
struct Texts {
    name: String,
    source_name: Option<String>,
    source_id: Option<String>,
}

/// What of a record may be large.
#[derive(Serialize)]
struct Content {
    description: Option<String>,
    collection_data: Map<String, Value>,
    /// The same under the name by which clients in programs know it.
    data: Map<String, Value>,
}

impl Shown {
    /// A record in a generation of its collection.
    pub(crate) fn new(
        mut record: Record,
        generation: u32,
        indexing_status: IndexingStatus,
    ) -> Self {
        let data = std::mem::take(&mut record.data);
        let content = Content {
            description: record.description.take(),
            collection_data: data.clone(),
            data,
        };
        Self {
            content: Some(content),
            ..Self::without_content(record, generation, indexing_status)
        }
    }

    /// The same where there is no room for its description and its data.
    pub(crate) fn without_content(
        record: Record,
        generation: u32,
        indexing_status: IndexingStatus,
    ) -> Self {
        Self {
            id: record.id,
            texts: Some(Texts {
                name: record.name,
                source_name: record.source_name,
                source_id: record.source_id,
            }),
            collection: record.collection,
            record_type: record.record_type,
            indexing_status,
            visibility: record.visibility,
            generation,
            source_type: record.source_type,
            created_at: record.created_at,
            updated_at: record.updated_at,
            content: None,
        }
    }

    /// The bytes that it takes in an answer.
    pub(crate) fn size(&self) -> usize {
        size(self)
    }
}

/// The bytes of a part of an answer as it leaves a Lambda: there the answer is a string within JSON,
/// in which each quote and each backslash takes one byte more. What cannot be written has no room.
fn size(part: &impl Serialize) -> usize {
    let mut bytes = Bytes(0);
    serde_json::to_writer(&mut bytes, part).map_or(MOST_BYTES, |()| bytes.0)
}

/// Counts what is written.
struct Bytes(usize);

impl io::Write for Bytes {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let is_escaped = |byte: &&u8| matches!(byte, b'"' | b'\\');
        self.0 += written.len() + written.iter().filter(is_escaped).count();
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The room for records in an answer that would be too large: the last ones are shown without their
/// descriptions and their data, and where even that is too much, without their texts.
#[derive(Default)]
pub(crate) struct Room {
    /// The bytes that are taken.
    taken: usize,
    /// What is kept for each record that is to come: what it takes without its content.
    frames: HashMap<RecordId, usize>,
    /// All of that.
    to_come: usize,
    /// Whether there was a record whose content found no room.
    is_full: bool,
}

impl Room {
    /// Keeps room for a record that is to come, as it is without its content.
    pub(crate) fn keep_for(&mut self, frame: &Shown) {
        let bytes = frame.size().max(BARE_BYTES);
        self.to_come += bytes;
        self.frames.insert(frame.id, bytes);
    }

    /// Makes the next record fit.
    pub(crate) fn fit(&mut self, shown: &mut Shown) {
        self.to_come -= self.frames.remove(&shown.id).unwrap_or_default();
        if self.is_full {
            shown.content = None;
        }
        let mut bytes = shown.size();
        if self.taken + bytes + self.to_come > MOST_BYTES {
            self.is_full = true;
            shown.content = None;
            bytes = shown.size();
        }
        if self.taken + bytes + BARE_BYTES * self.frames.len() > MOST_BYTES {
            shown.texts = None;
            bytes = shown.size();
        }
        self.taken += bytes;
    }
}

/// The id in a path: one that is none names nothing.
pub(crate) fn id(text: &str) -> Result<RecordId> {
    text.parse().map_err(|()| missing())
}

pub(crate) fn missing() -> Error {
    Error::NotFound("Record")
}

/// Finds a record, and where it is.
pub(crate) async fn find(app: &App, tenant: &TenantId, id: RecordId) -> Result<(Located, Record)> {
    let mut found = app.table.find_records(tenant, &[id]).await?;
    let mut located = found.pop().ok_or_else(missing)?;
    let record = located.records.remove(&id).ok_or_else(missing)?;
    Ok((located, record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_part_has_the_size_of_a_string_within_json() {
        for part in [
            json!({}),
            json!({"a": "b", "c": [1, null]}),
            json!("\" \\ \n \u{1} \u{e4} \u{1f600}"),
        ] {
            let leaving = serde_json::to_string(&part.to_string()).expect("JSON");
            assert_eq!(size(&part), leaving.len() - 2, "{part}");
        }
    }
}
