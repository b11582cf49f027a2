//! Where a collection's search index is: the pointer to its packs, kept in the collection's item.
//!
//! A pack is an immutable object on the object store that holds the files of one or more index
//! segments. The pointer says which packs and segments are the index. It is all that ever changes,
//! by one conditional write.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::RecordId;
use crate::time::Moment;

/// The state of one generation's index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The format of the packs. Another one than the code's cannot be read: the index is rebuilt.
    pub format: u32,
    /// The number of times that the index was built anew from the table; part of its packs' names.
    pub build: u32,
    /// One more with each change of the pointer, rebuilds included.
    pub version: u64,
    /// The number of the last operation that the segments hold.
    pub opstamp: u64,
    /// The packs in use, oldest first.
    pub packs: Vec<Pack>,
    /// The segments, which lie in the packs.
    pub segments: Vec<Segment>,
    /// Packs that are not in use any more, and may still be read by whoever has an older pointer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Retired>,
    /// Records that could not be indexed, because the table's item cannot be read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub failed: BTreeSet<RecordId>,
}

/// A pack: an object on the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Its name: 32 hex digits.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
    /// How many bytes at its end are read when it is opened.
    pub tail: u64,
}

/// A segment of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its id: a UUID without hyphens.
    pub id: String,
    /// The documents that it was made with.
    pub docs: u32,
    /// Those of them that are deleted.
    #[serde(default)]
    pub deleted: u32,
    /// The operation that deleted last, which names the file of deletions; 0 if nothing is deleted.
    #[serde(default)]
    pub deleted_by: u64,
}

/// A pack that is not in use any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// The build that it belongs to.
    pub build: u32,
    /// Its name.
    pub name: String,
    /// When it went out of use.
    pub at: Moment,
}

impl Pointer {
    /// An index that holds nothing.
    #[must_use]
    pub fn empty(format: u32, build: u32, version: u64) -> Self {
        Self {
            format,
            build,
            version,
            opstamp: 0,
            packs: Vec::new(),
            segments: Vec::new(),
            retired: Vec::new(),
            failed: BTreeSet::new(),
        }
    }
}

/// Where a record stands on its way into the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexingStatus {
    /// The index holds it.
    Indexed,
    /// Written and found by search, not yet folded into the index.
    Pending,
    /// Being folded.
    Processing,
    /// It could not be indexed.
    Failed,
}
