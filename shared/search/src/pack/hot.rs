//! Which bytes of new segments are read whenever they are opened: found by opening them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, WatchCallback, WatchHandle, WritePtr,
};
use tantivy::{HasLen, Index, SegmentReader};

use super::directory::PackDirectory;
use crate::analysis::Paths;

/// Stretches that lie closer together are one.
const GAP: usize = 512;

type Seen = Arc<Mutex<BTreeMap<PathBuf, Vec<Range<usize>>>>>;

/// A directory that notes what is read.
#[derive(Clone)]
struct Watched {
    directory: PackDirectory,
    seen: Seen,
}

impl fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.directory.fmt(formatter)
    }
}

struct WatchedFile {
    file: Arc<dyn FileHandle>,
    path: PathBuf,
    seen: Seen,
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "WatchedFile({})", self.path.display())
    }
}

impl HasLen for WatchedFile {
    fn len(&self) -> usize {
        self.file.len()
    }
}

#[async_trait::async_trait]
impl FileHandle for WatchedFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(self.path.clone())
            .or_default()
            .push(range.clone());
        self.file.read_bytes(range)
    }
}

impl Directory for Watched {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        Ok(Arc::new(WatchedFile {
            file: self.directory.get_file_handle(path)?,
            path: path.to_owned(),
            seen: Arc::clone(&self.seen),
        }))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.directory.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.directory.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.directory.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.directory.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.directory.atomic_write(path, bytes)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.directory.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.directory.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.directory.watch(callback)
    }
}

/// The hot stretches of each file of the new segments of an index.
pub(crate) fn stretches(
    directory: &PackDirectory,
    is_new: impl Fn(&str) -> bool,
) -> tantivy::Result<BTreeMap<PathBuf, Vec<Range<usize>>>> {
    let watched = Watched {
        directory: directory.clone(),
        seen: Seen::default(),
    };
    let seen = Arc::clone(&watched.seen);
    let index = Index::open(watched)?;
    for segment in index.searchable_segments()? {
        if is_new(&segment.id().uuid_string()) {
            touch(&SegmentReader::open(&segment)?)?;
        }
    }
    let mut seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    for stretches in seen.values_mut() {
        *stretches = merged(std::mem::take(stretches));
    }
    Ok(seen)
}

/// Reads what every search has to know before it knows where to look.
fn touch(segment: &SegmentReader) -> tantivy::Result<()> {
    for (field, entry) in segment.schema().fields() {
        if entry.is_indexed() {
            segment.inverted_index(field)?;
        }
    }
    Paths::default().note(segment)?;
    segment.get_store_reader(0)?;
    Ok(())
}

fn merged(mut stretches: Vec<Range<usize>>) -> Vec<Range<usize>> {
    stretches.sort_by_key(|stretch| stretch.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for stretch in stretches {
        match merged.last_mut() {
            Some(last) if stretch.start <= last.end + GAP => last.end = last.end.max(stretch.end),
            _ => merged.push(stretch),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    #[test]
    fn stretches_that_touch_are_one() {
        assert_eq!(
            super::merged(vec![9_000..9_010, 0..10, 5..20, 100..200]),
            [0..200, 9_000..9_010]
        );
    }
}
