//! Files of an index that this process has written: small ones in memory, large ones on the disk.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tantivy::HasLen;
use tantivy::directory::{FileHandle, OwnedBytes};
use tempfile::{SpooledData, SpooledTempFile};

/// A file is in memory up to so many bytes: what a call makes is, what is merged of much is not.
const IN_MEMORY: usize = 1 << 20;

/// A file that is complete. One on the disk has no name, so it goes with the process.
#[derive(Debug, Clone)]
pub(crate) enum Written {
    /// In memory.
    Memory(OwnedBytes),
    /// On the disk, with its length.
    Disk(Arc<File>, usize),
}

impl HasLen for Written {
    fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Disk(_, len) => *len,
        }
    }
}

#[async_trait::async_trait]
impl FileHandle for Written {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(range)),
            Self::Disk(file, _) => {
                let mut bytes = vec![0; range.len()];
                file.read_exact_at(&mut bytes, range.start as u64)
                    .map_err(ours)?;
                Ok(OwnedBytes::new(bytes))
            }
        }
    }

    async fn read_bytes_async(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        self.read_bytes(range)
    }
}

/// A failure of this machine's disk: no sign that the index is lost.
fn ours(error: io::Error) -> io::Error {
    io::Error::other(error)
}

/// A file that is being written.
pub(crate) struct Draft {
    spool: SpooledTempFile,
    len: usize,
}

impl Draft {
    pub(crate) fn new() -> Self {
        Self {
            spool: SpooledTempFile::new(IN_MEMORY),
            len: 0,
        }
    }

    /// Ends it.
    pub(crate) fn done(self) -> Written {
        match self.spool.into_inner() {
            SpooledData::InMemory(bytes) => Written::Memory(OwnedBytes::new(bytes.into_inner())),
            SpooledData::OnDisk(file) => Written::Disk(Arc::new(file), self.len),
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.spool.write(bytes).map_err(ours)?;
        self.len += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush().map_err(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_as_it_was_written_wherever_it_is() {
        for len in [0, 1, IN_MEMORY, IN_MEMORY + 1] {
            let text: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut draft = Draft::new();
            for part in text.chunks(100_000) {
                draft.write_all(part).unwrap();
            }
            let written = draft.done();
            assert_eq!(written.len(), len);
            assert_eq!(
                matches!(written, Written::Disk(..)),
                len > IN_MEMORY,
                "{len}"
            );
            let read = |range: Range<usize>| written.read_bytes(range).unwrap().to_vec();
            assert!(read(0..len) == text);
            assert_eq!(read(len / 2..len), text[len / 2..]);
        }
    }
}
