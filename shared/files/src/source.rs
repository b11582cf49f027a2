//! A file on a store that is far away, read from a byte on.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use formats::Source;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::AbortHandle;

/// How many bytes are asked for at once.
const PIECE: u64 = 8 << 20;

/// A file on an object store.
pub(crate) struct Remote {
    objects: Arc<dyn ObjectStore>,
    key: ObjectPath,
    len: u64,
    runtime: Handle,
}

impl Remote {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, key: ObjectPath, len: u64) -> Self {
        Self {
            objects,
            key,
            len,
            runtime: Handle::current(),
        }
    }
}

impl Source for Remote {
    fn len(&self) -> u64 {
        self.len
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let (send, pieces) = mpsc::channel(1);
        let range = from..self.len;
        let fetching = fetch(Arc::clone(&self.objects), self.key.clone(), range, send);
        Ok(Box::new(Reader {
            pieces,
            piece: Bytes::new(),
            left: self.len.saturating_sub(from),
            fetching: self.runtime.spawn(fetching).abort_handle(),
        }))
    }
}

/// Fetches a file piece by piece, one ahead of the reader.
async fn fetch(
    objects: Arc<dyn ObjectStore>,
    key: ObjectPath,
    range: Range<u64>,
    pieces: Sender<io::Result<Bytes>>,
) {
    let mut at = range.start;
    while at < range.end {
        // Before it is asked for: beside what is being read, one piece is in memory and no more.
        let Ok(place) = pieces.reserve().await else {
            return;
        };
        let end = range.end.min(at + PIECE);
        let piece = get(&objects, &key, at..end).await;
        let is_last = piece.is_err();
        place.send(piece);
        if is_last {
            return;
        }
        at = end;
    }
}

/// A piece. What fails on the way, or half way, the client tries again by itself, for up to three
/// minutes.
async fn get(
    objects: &Arc<dyn ObjectStore>,
    key: &ObjectPath,
    range: Range<u64>,
) -> io::Result<Bytes> {
    let len = range.end - range.start;
    match objects.get_range(key, range).await {
        Ok(bytes) if bytes.len() as u64 == len => Ok(bytes),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file is shorter than it was",
        )),
        Err(error @ object_store::Error::NotFound { .. }) => {
            Err(io::Error::new(io::ErrorKind::NotFound, error))
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

struct Reader {
    pieces: Receiver<io::Result<Bytes>>,
    piece: Bytes,
    /// How many bytes of the file are still to come, those of the piece among them.
    left: u64,
    fetching: AbortHandle,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.left > 0 {
            let ended = || io::Error::other("the process ends");
            self.piece = self.pieces.blocking_recv().ok_or_else(ended)??;
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece[..count]);
        self.piece.advance(count);
        self.left -= count as u64;
        Ok(count)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.fetching.abort();
    }
}
