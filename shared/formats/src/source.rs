//! Where the bytes of a file come from.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};

/// Where a file's bytes come from. It can be read more than once, from any byte on.
pub trait Source: Send + Sync {
    /// How many bytes the file has.
    fn len(&self) -> u64;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads it from a byte on.
    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>>;
}

/// A file in memory.
impl Source for Bytes {
    fn len(&self) -> u64 {
        Bytes::len(self) as u64
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let length = Bytes::len(self);
        let from = usize::try_from(from).unwrap_or(length).min(length);
        Ok(Box::new(self.slice(from..).reader()))
    }
}

/// A file on the disk.
#[derive(Debug, Clone)]
pub struct OnDisk {
    path: PathBuf,
    length: u64,
}

impl OnDisk {
    /// The file of a path.
    pub fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            length: std::fs::metadata(path)?.len(),
        })
    }
}

impl Source for OnDisk {
    fn len(&self) -> u64 {
        self.length
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }
}

/// An open file, which may have no name any more. Clones share it.
#[derive(Debug, Clone)]
pub struct OpenFile {
    file: Arc<File>,
    length: u64,
}

impl OpenFile {
    /// The file as it is now.
    pub fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let file = Arc::new(file);
        Ok(Self { file, length })
    }
}

impl Source for OpenFile {
    fn len(&self) -> u64 {
        self.length
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let file = Arc::clone(&self.file);
        Ok(Box::new(ReadAt { file, at: from }))
    }
}

/// A reader with a place of its own.
struct ReadAt {
    file: Arc<File>,
    at: u64,
}

impl Read for ReadAt {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(room, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Reads what there is, up to the size of `room`; 0 at the end.
pub(crate) fn read_some(reader: &mut dyn Read, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
