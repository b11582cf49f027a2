//! tantivy's view of an index: files that lie in packs, and new ones that are in none yet.

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
use super::written::{Draft, Written};

/// How much is written to a file at once.
const BUFFER: usize = 64 << 10;

/// The directory. Nothing that is written to it leaves the process.
#[derive(Clone)]
pub(crate) struct PackDirectory {
    packed: Arc<HashMap<PathBuf, PackedFile>>,
    written: Arc<RwLock<HashMap<PathBuf, Written>>>,
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

    /// The bytes of files that were written and are in memory.
    pub(crate) fn written_bytes(&self) -> u64 {
        let written = self.written();
        let in_memory = written.values().map(|file| match file {
            Written::Memory(bytes) => bytes.len() as u64,
            Written::Disk(..) => 0,
        });
        in_memory.sum()
    }

    /// The files that were written, in the order of their names.
    pub(crate) fn new_files(&self) -> Vec<(PathBuf, Written)> {
        let written = self.written();
        let mut files: Vec<_> = written
            .iter()
            .map(|(path, file)| (path.clone(), file.clone()))
            .collect();
        files.sort_by(|(left, _), (right, _)| left.cmp(right));
        files
    }

    fn written(&self) -> RwLockReadGuard<'_, HashMap<PathBuf, Written>> {
        self.written.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn written_mut(&self) -> RwLockWriteGuard<'_, HashMap<PathBuf, Written>> {
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

/// A file that is being written, and becomes part of its directory when it is complete.
struct Entry {
    directory: PackDirectory,
    path: PathBuf,
    draft: Draft,
}

impl Write for Entry {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.draft.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

impl TerminatingWrite for Entry {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        let written = std::mem::replace(&mut self.draft, Draft::new()).done();
        self.directory
            .written_mut()
            .insert(self.path.clone(), written);
        Ok(())
    }
}

impl Directory for PackDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        if let Some(file) = self.written().get(path) {
            return Ok(Arc::new(file.clone()));
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
        let entry = Entry {
            directory: self.clone(),
            path: path.to_owned(),
            draft: Draft::new(),
        };
        Ok(BufWriter::with_capacity(BUFFER, Box::new(entry)))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        match self.written().get(path) {
            Some(file) => match file.read_bytes(0..file.len()) {
                Ok(bytes) => Ok(bytes.to_vec()),
                Err(error) => Err(OpenReadError::wrap_io_error(error, path.to_owned())),
            },
            None => Err(OpenReadError::FileDoesNotExist(path.to_owned())),
        }
    }

    fn atomic_write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let bytes = OwnedBytes::new(bytes.to_vec());
        let written = Written::Memory(bytes);
        self.written_mut().insert(path.to_owned(), written);
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
