//! tantivy's view of an index: files that lie in packs, and new ones in memory.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, TerminatingWrite,
    WatchCallback, WatchHandle, WritePtr,
};

use super::Pack;

/// The directory. Nothing that is written to it leaves the process.
#[derive(Clone)]
pub(crate) struct PackDirectory {
    packed: Arc<HashMap<PathBuf, PackedFile>>,
    written: Arc<RwLock<HashMap<PathBuf, OwnedBytes>>>,
}

impl fmt::Debug for PackDirectory {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("PackDirectory")
            .field("packed", &self.packed.len())
            .field("written", &self.written().len())
            .finish()
    }
}

impl PackDirectory {
    /// The files of `packs`; where two have one of the same name, it is the same file.
    pub(crate) fn new(packs: &[Arc<Pack>]) -> Self {
        let files = packs.iter().flat_map(|pack| {
            let files = pack.files().iter();
            files.map(|(path, range)| {
                let file = PackedFile {
                    pack: Arc::clone(pack),
                    range: range.clone(),
                };
                (path.clone(), file)
            })
        });
        Self {
            packed: Arc::new(files.collect()),
            written: Arc::default(),
        }
    }

    /// The bytes of files that were written.
    pub(crate) fn written_bytes(&self) -> u64 {
        let written = self.written();
        written.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// The files that were written, in the order of their names.
    pub(crate) fn new_files(&self) -> Vec<(PathBuf, OwnedBytes)> {
        let written = self.written();
        let mut files: Vec<_> = written
            .iter()
            .map(|(path, bytes)| (path.clone(), bytes.clone()))
            .collect();
        files.sort_by(|(left, _), (right, _)| left.cmp(right));
        files
    }

    fn written(&self) -> RwLockReadGuard<'_, HashMap<PathBuf, OwnedBytes>> {
        self.written.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn written_mut(&self) -> RwLockWriteGuard<'_, HashMap<PathBuf, OwnedBytes>> {
        self.written.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file in a pack.
#[derive(Clone)]
struct PackedFile {
    pack: Arc<Pack>,
    range: Range<u64>,
}

impl fmt::Debug for PackedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "PackedFile({:?})", self.range)
    }
}

impl HasLen for PackedFile {
    fn len(&self) -> usize {
        usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX)
    }
}

impl PackedFile {
    fn inside(&self, range: &Range<usize>) -> Range<u64> {
        let start = self.range.start;
        start + range.start as u64..start + range.end as u64
    }
}

#[async_trait::async_trait]
impl FileHandle for PackedFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        self.pack.read(self.inside(&range))
    }

    async fn read_bytes_async(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        self.pack.read_async(self.inside(&range)).await
    }
}

/// A file that is being written.
struct Draft {
    directory: PackDirectory,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TerminatingWrite for Draft {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        let bytes = OwnedBytes::new(std::mem::take(&mut self.bytes));
        self.directory
            .written_mut()
            .insert(self.path.clone(), bytes);
        Ok(())
    }
}

impl Directory for PackDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        if let Some(bytes) = self.written().get(path) {
            return Ok(Arc::new(bytes.clone()));
        }
        match self.packed.get(path) {
            Some(file) => Ok(Arc::new(file.clone())),
            None => Err(OpenReadError::FileDoesNotExist(path.to_owned())),
        }
    }

    /// Packs never change; what was written goes.
    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.written_mut().remove(path);
        Ok(())
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.written().contains_key(path) || self.packed.contains_key(path))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        if self.packed.contains_key(path) || self.written().contains_key(path) {
            return Err(OpenWriteError::FileAlreadyExists(path.to_owned()));
        }
        Ok(BufWriter::new(Box::new(Draft {
            directory: self.clone(),
            path: path.to_owned(),
            bytes: Vec::new(),
        })))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        match self.written().get(path) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => Err(OpenReadError::FileDoesNotExist(path.to_owned())),
        }
    }

    fn atomic_write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let bytes = OwnedBytes::new(bytes.to_vec());
        self.written_mut().insert(path.to_owned(), bytes);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    /// Each writer has a directory of its own: there is nobody to lock out.
    fn acquire_lock(&self, _: &Lock) -> Result<DirectoryLock, LockError> {
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
