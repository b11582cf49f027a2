//! Folding changes into the index: new segments, merged where they have become many, in one new
//! pack and one new pointer.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::TimeDelta;
use model::index::{Pointer, Retired};
use model::time::Moment;
use tantivy::index::{SegmentComponent, SegmentMeta};
use tantivy::{HasLen, IndexWriter, SegmentReader};

use crate::analysis::Paths;
use crate::index::warm::warm_ids;
use crate::index::{Change, Error};
use crate::pack::{self, Pack, Written, hot};
use crate::segments::{Segments, described};
use crate::store::Store;
use crate::{FORMAT, merge};

/// What a fold may hold in memory before it makes a segment.
const WRITER_BYTES: usize = 15_000_000;

/// How long a pack may still be read after it went out of use: longer than any call takes.
pub const RETIRED_FOR: TimeDelta = TimeDelta::hours(1);

/// How many packs that are out of use a pointer names at most: it lies in an item that every search
/// reads.
const MAX_RETIRED: usize = 100;

/// How many new segments are merged at once. Each has some thousand documents.
const MAX_MERGED: usize = 32;

/// The merges of one fold.
const MAX_MERGES: usize = 4;

/// How much a fold may do beyond what it was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Somebody waits for it: merges of some 10,000 documents.
    Call,
    /// Nobody does, but an upload writes to the same index, which goes out from the pointer as it is: merges
    /// that are due several times over, and only of some 100,000 documents, which need less memory.
    Beside,
    /// Nobody does: every merge that is due.
    Background,
}

impl Effort {
    /// The most documents of one merge.
    pub(crate) fn most_merged(self) -> u32 {
        match self {
            Self::Call => 10_000,
            Self::Beside => 100_000,
            Self::Background => u32::MAX,
        }
    }

    /// How many times over a merge has to be due.
    pub(crate) fn crowds(self) -> usize {
        if self == Self::Beside { 4 } else { 1 }
    }
}

/// A fold under way. Nobody sees what it does until its pointer is published.
pub struct Fold {
    store: Store,
    prefix: String,
    pointer: Pointer,
    /// Whether the index is built anew.
    rebuilding: bool,
    packs: Vec<Arc<Pack>>,
    segments: Segments,
    writer: IndexWriter,
    paths: Paths,
}

/// What a fold came to.
#[derive(Debug, Clone)]
pub struct Folded {
    /// The next pointer.
    pub pointer: Pointer,
    /// The paths of packs that nobody reads any more once it is published.
    pub outdated: Vec<String>,
}

impl Fold {
    /// Begins a fold on top of a pointer's index.
    pub async fn open(store: &Store, prefix: &str, pointer: &Pointer) -> Result<Self, Error> {
        // What is merged is read once: searches need the memory for what they read again.
        let store = &store.aside();
        let packs = pack::open_all(store, prefix, pointer, &[]).await?;
        Self::begin(store, prefix, pointer.clone(), false, packs).await
    }

    /// Begins an index anew. `before` is the pointer that it will replace, `None` if there is none.
    pub async fn rebuild(
        store: &Store,
        prefix: &str,
        before: Option<&Pointer>,
        now: Moment,
    ) -> Result<Self, Error> {
        let build = before.map_or(0, |before| before.build) + 1;
        let mut pointer = Pointer::empty(FORMAT, build, 0);
        if let Some(before) = before {
            pointer.version = before.version;
            pointer.retired.clone_from(&before.retired);
            pointer
                .retired
                .extend(before.packs.iter().map(|pack| Retired {
                    build: before.build,
                    name: pack.name.clone(),
                    at: now,
                }));
        }
        Self::begin(store, prefix, pointer, true, Vec::new()).await
    }

    async fn begin(
        store: &Store,
        prefix: &str,
        pointer: Pointer,
        rebuilding: bool,
        packs: Vec<Arc<Pack>>,
    ) -> Result<Self, Error> {
        let (store, prefix) = (store.clone(), prefix.to_owned());
        let begin = move || {
            let segments = Segments::open(&pointer, &packs)?;
            let mut paths = Paths::default();
            for segment in segments.index.searchable_segments()? {
                paths.note(&SegmentReader::open(&segment)?)?;
            }
            Ok(Self {
                writer: segments.writer(WRITER_BYTES)?,
                store,
                prefix,
                pointer,
                rebuilding,
                packs,
                segments,
                paths,
            })
        };
        tokio::task::spawn_blocking(begin).await?
    }

    /// The pointer that the fold goes out from.
    #[must_use]
    pub fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// Takes changes in. It blocks.
    pub fn write(&mut self, changes: &[Change]) -> Result<(), Error> {
        self.segments.write(&self.writer, changes, &mut self.paths)
    }

    /// Fetches the columns in which records that are to be replaced are found.
    pub async fn warm(&self, changes: &[Change]) -> Result<(), Error> {
        if !self.store.is_remote() || changes.iter().all(|change| change.is_new) {
            return Ok(());
        }
        let segments = self.segments.index.searchable_segments()?;
        let segments: Vec<SegmentReader> = segments
            .iter()
            .map(SegmentReader::open)
            .collect::<Result<_, _>>()?;
        warm_ids(&segments).await
    }

    /// Ends the fold: writes the pack, whose name is `name`, and returns the next pointer; `None`
    /// if nothing is to change. Nothing is lost if it is never published but the pack.
    pub async fn finish(
        self,
        name: u128,
        effort: Effort,
        now: Moment,
    ) -> Result<Option<Folded>, Error> {
        let store = self.store.clone();
        let prefix = self.prefix.clone();
        let done = tokio::task::spawn_blocking(move || self.close(name, effort, now)).await??;
        let Some((folded, pack)) = done else {
            return Ok(None);
        };
        if let Some(pack) = pack {
            let path = pack::path(&prefix, folded.pointer.build, &pack.pack.name);
            store.put(&path, pack.parts).await?;
        }
        Ok(Some(folded))
    }

    fn close(
        mut self,
        name: u128,
        effort: Effort,
        now: Moment,
    ) -> Result<Option<(Folded, Option<pack::Packed>)>, Error> {
        let opstamp = self.writer.commit()?;
        self.merge(effort)?;
        self.writer.garbage_collect_files().wait()?;
        self.writer.wait_merging_threads()?;

        let metas = self.segments.index.searchable_segment_metas()?;
        let mut segments: Vec<_> = metas.iter().map(described).collect();
        // tantivy has no order among those of one size.
        segments.sort_by(|left, right| (right.docs, &left.id).cmp(&(left.docs, &right.id)));
        if segments == self.pointer.segments && !self.rebuilding {
            return Ok(None);
        }
        let live: HashSet<PathBuf> = metas.iter().flat_map(files).collect();
        let before = self.pointer.segments.iter();
        let known: HashSet<String> = before.map(|segment| segment.id.clone()).collect();
        let new: Vec<_> = self
            .segments
            .directory
            .new_files()
            .into_iter()
            .filter(|(path, _)| live.contains(path))
            .collect();

        let mut pointer = Pointer {
            version: self.pointer.version + 1,
            opstamp,
            segments,
            ..self.pointer.clone()
        };
        let mut outdated = Vec::new();
        let (kept, gone): (Vec<_>, Vec<_>) = self
            .packs
            .iter()
            .zip(self.pointer.packs)
            .partition(|(pack, _)| pack.files().iter().any(|(path, _)| live.contains(path)));
        pointer.packs = kept.into_iter().map(|(_, meta)| meta).collect();
        pointer
            .retired
            .extend(gone.into_iter().map(|(_, meta)| Retired {
                build: pointer.build,
                name: meta.name,
                at: now,
            }));
        pointer.retired.retain(|retired| {
            let in_use = retired.at > now - RETIRED_FOR;
            if !in_use {
                outdated.push(pack::path(&self.prefix, retired.build, &retired.name));
            }
            in_use
        });
        // The sweep finds those that are not named any more, when they are old enough.
        let too_many = pointer.retired.len().saturating_sub(MAX_RETIRED);
        pointer.retired.drain(..too_many);
        let packed = if new.is_empty() {
            None
        } else {
            let hot = hot::stretches(&self.segments.directory, |id| !known.contains(id))?;
            let packed = pack::pack(name, with_stretches(new, hot))?;
            pointer.packs.push(packed.pack.clone());
            Some(packed)
        };
        Ok(Some((Folded { pointer, outdated }, packed)))
    }

    /// Whether the index had a segment before.
    fn holds(&self, id: &str) -> bool {
        self.pointer.segments.iter().any(|segment| segment.id == id)
    }

    fn merge(&mut self, effort: Effort) -> Result<(), Error> {
        // What this fold made is one segment: it was cut for the writer's memory alone.
        let mut new = self.segments.index.searchable_segment_metas()?;
        new.retain(|meta| !self.holds(&meta.id().uuid_string()));
        if new.len() > 1 {
            let ids: Vec<_> = new.iter().map(SegmentMeta::id).collect();
            for ids in ids.chunks(MAX_MERGED) {
                self.writer.merge(ids).wait()?;
            }
        }
        let mut crowds = effort.crowds();
        for _ in 0..MAX_MERGES {
            let metas = self.segments.index.searchable_segment_metas()?;
            let segments: Vec<_> = metas.iter().map(described).collect();
            let Some(crowd) = merge::next(&segments, effort.most_merged(), crowds) else {
                break;
            };
            // Where it merges at all, it merges what is due.
            crowds = 1;
            let ids: Vec<_> = crowd.into_iter().map(|at| metas[at].id()).collect();
            self.writer.merge(&ids).wait()?;
        }
        Ok(())
    }
}

/// The files of a segment.
fn files(meta: &SegmentMeta) -> Vec<PathBuf> {
    let mut components = vec![
        SegmentComponent::Postings,
        SegmentComponent::Positions,
        SegmentComponent::Terms,
        SegmentComponent::Store,
        SegmentComponent::FastFields,
        SegmentComponent::FieldNorms,
    ];
    if meta.has_deletes() {
        components.push(SegmentComponent::Delete);
    }
    let paths = components.into_iter().map(|part| meta.relative_path(part));
    paths.collect()
}

/// Files with what is hot of each. What is deleted is read whole, with every segment.
fn with_stretches(
    files: Vec<(PathBuf, Written)>,
    mut hot: BTreeMap<PathBuf, Vec<std::ops::Range<usize>>>,
) -> Vec<(PathBuf, Written, Vec<std::ops::Range<usize>>)> {
    let files = files.into_iter().map(|(path, file)| {
        let stretches = if path.extension().is_some_and(|end| end == "del") {
            std::iter::once(0..file.len()).collect()
        } else {
            hot.remove(&path).unwrap_or_default()
        };
        (path, file, stretches)
    });
    files.collect()
}
