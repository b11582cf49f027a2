//! Where packs are kept: an object store, with what was read of it in memory and, for a store that
//! is far away, on the disk too.

mod disk;
mod memory;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
pub use objects::Listed;
use objects::Place;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use disk::Disk;
pub(crate) use memory::{Memory, Piece};

/// How many searches may block on threads of their own at once: fewer than the runtime has, so
/// that there is always one left for what they wait for.
const BLOCKING: usize = 64;

/// How many requests to a store on the network are under way at once.
const REQUESTS: usize = 64;

/// What is longer is written in parts, each of which may be tried again.
const IN_PARTS: u64 = 64 << 20;

/// An object that no collection has.
const NOTHING: &str = "nothing";

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(2);

/// The memory of who reads for itself, in bytes: where a read is a request, there is room for the ids
/// of a million records.
const ASIDE: u64 = 8 << 20;
const ASIDE_REMOTE: u64 = 64 << 20;

/// How a long object is written.
#[derive(Debug, Clone, Copy)]
struct Parting {
    /// The bytes of a part; the last one may have fewer.
    bytes: usize,
    /// How many parts are under way at once.
    at_once: usize,
}

/// By a network many at once are faster; S3 takes none that is smaller.
const TO_REMOTE: Parting = Parting {
    bytes: 5 << 20,
    at_once: 8,
};

/// A disk takes them one after the other: more would only be in memory meanwhile.
const TO_DISK: Parting = Parting {
    bytes: 1 << 20,
    at_once: 1,
};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address cannot be used.
    #[error("'{url}' is no address of a search store: {reason}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The object is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// The object is not what was written.
    #[error("{path} is corrupt: {reason}")]
    Corrupt {
        /// The object.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store fails.
    #[error(transparent)]
    Failed(object_store::Error),
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { path, .. } => Self::Missing(path),
            error => Self::Failed(error),
        }
    }
}

impl From<objects::Error> for StoreError {
    fn from(error: objects::Error) -> Self {
        match error {
            objects::Error::Address { url, reason } => Self::Address { url, reason },
            objects::Error::Failed(error) => error.into(),
            objects::Error::Io(error) => Self::Io(error),
        }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Missing(_) => io::ErrorKind::NotFound,
            StoreError::Corrupt { .. } => io::ErrorKind::InvalidData,
            StoreError::Io(error) => error.kind(),
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// How much of what was read is kept.
#[derive(Debug, Clone)]
pub struct Caches {
    /// Bytes in memory.
    pub memory: u64,
    /// A folder and how many bytes it may hold. Used for stores on the network.
    pub disk: Option<(PathBuf, u64)>,
}

impl Default for Caches {
    /// 128 MB in memory.
    fn default() -> Self {
        Self {
            memory: 128 << 20,
            disk: None,
        }
    }
}

/// What was read past the caches since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Requests.
    pub requests: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A part of an object that is to be written.
#[derive(Debug)]
pub(crate) enum Part {
    /// Bytes.
    Bytes(Bytes),
    /// A file of so many bytes.
    File(Arc<File>, u64),
}

impl Part {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, len) => *len,
        }
    }
}

/// Sends the parts of an object.
async fn send(
    write: &mut WriteMultipart,
    parting: Parting,
    parts: Vec<Part>,
) -> Result<(), StoreError> {
    for part in parts {
        match part {
            Part::Bytes(bytes) => {
                write.wait_for_capacity(parting.at_once).await?;
                write.put(bytes);
            }
            Part::File(file, len) => {
                for start in (0..len).step_by(parting.bytes) {
                    let (file, end) = (Arc::clone(&file), len.min(start + parting.bytes as u64));
                    write.wait_for_capacity(parting.at_once).await?;
                    let read = tokio::task::spawn_blocking(move || read_at(&file, start..end));
                    let bytes = read.await.map_err(io::Error::other)?;
                    write.put(bytes.map_err(io::Error::other)?);
                }
            }
        }
    }
    Ok(())
}

fn read_at(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

/// The store of packs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    parts: Arc<Parts>,
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Parts {
    place: Place,
    disk: Option<Disk>,
    blocking: Arc<Semaphore>,
    sending: Semaphore,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Store {
    /// The store at an address, as [`Place::open`] takes it.
    pub fn open(address: &str, caches: Caches, roots: Option<&[u8]>) -> Result<Self, StoreError> {
        Ok(Self::new(Place::open(address, roots)?, caches))
    }

    /// The address of a store in a folder; `None` if its path is not absolute.
    #[must_use]
    pub fn address_of(folder: &Path) -> Option<String> {
        objects::address_of(folder)
    }

    /// A store over any object store that is reached by a network, or plays one.
    #[must_use]
    pub fn over(objects: Arc<dyn ObjectStore>, caches: Caches) -> Self {
        Self::new(Place::over(objects), caches)
    }

    fn new(place: Place, caches: Caches) -> Self {
        let disk = caches.disk.filter(|_| place.folder().is_none());
        let memory = Arc::new(Memory::new(caches.memory));
        let parts = Arc::new(Parts {
            place,
            disk: disk.map(|(folder, bytes)| Disk::open(folder, bytes)),
            blocking: Arc::new(Semaphore::new(BLOCKING)),
            sending: Semaphore::new(REQUESTS),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        Self { parts, memory }
    }

    /// The same store, with a little memory of its own.
    pub(crate) fn aside(&self) -> Self {
        let memory = if self.is_remote() {
            ASIDE_REMOTE
        } else {
            ASIDE
        };
        Self {
            parts: Arc::clone(&self.parts),
            memory: Arc::new(Memory::new(memory)),
        }
    }

    /// Connects to a store on the network by asking for an object that is not there, whatever the
    /// answer: the first read then need not.
    pub async fn connect(&self) {
        if self.is_remote() {
            let nothing = self.parts.place.key(NOTHING);
            let _ = tokio::time::timeout(CONNECTING, self.objects().head(&nothing)).await;
        }
    }

    /// What was read past the caches.
    #[must_use]
    pub fn reads(&self) -> Reads {
        Reads {
            requests: self.parts.requests.load(Ordering::Relaxed),
            bytes: self.parts.bytes.load(Ordering::Relaxed),
        }
    }

    /// Every object under a prefix. A writer that was killed may have left drafts in a folder:
    /// they are among them.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        Ok(self.parts.place.list(prefix).await?)
    }

    /// Deletes an object; one that is not there is no failure.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        Ok(self.parts.place.delete(path).await?)
    }

    /// Writes an object. Its name is random, so nobody else writes it, and a call whose answer was
    /// lost may be repeated.
    pub(crate) async fn put(&self, path: &str, parts: Vec<Part>) -> Result<(), StoreError> {
        let path = self.parts.place.key(path);
        let len: u64 = parts.iter().map(Part::len).sum();
        let bytes = parts.iter().map(|part| match part {
            Part::Bytes(bytes) => Some(bytes.clone()),
            Part::File(..) => None,
        });
        if let Some(all) = bytes.collect::<Option<Vec<Bytes>>>()
            && !(self.is_remote() && len > IN_PARTS)
        {
            let payload = PutPayload::from_iter(all);
            self.objects().put(&path, payload).await?;
            return Ok(());
        }
        let upload = self.objects().put_multipart(&path).await?;
        let parting = if self.is_remote() { TO_REMOTE } else { TO_DISK };
        let mut write = WriteMultipart::new_with_chunk_size(upload, parting.bytes);
        if let Err(error) = send(&mut write, parting, parts).await {
            // Parts of what is not ended would stay on S3.
            let _ = write.abort().await;
            return Err(error);
        }
        write.finish().await?;
        Ok(())
    }

    /// Reads part of an object from where it is kept.
    pub(crate) async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.count(&range);
        let _sending = self
            .parts
            .sending
            .acquire()
            .await
            .map_err(io::Error::other)?;
        let object = self.parts.place.key(path);
        let got = self.objects().get_range(&object, range.clone()).await;
        let whole = |bytes: &Bytes| bytes.len() as u64 == range.end - range.start;
        match got {
            Ok(bytes) if whole(&bytes) => Ok(bytes),
            Err(error @ object_store::Error::NotFound { .. }) => Err(error.into()),
            // A range that is not there is answered in many ways.
            got => match self.objects().head(&object).await {
                Ok(meta) if meta.size < range.end => Err(StoreError::Corrupt {
                    path: path.to_owned(),
                    reason: "it is too short".to_owned(),
                }),
                _ => Ok(got?),
            },
        }
    }

    /// The file of an object, where the store is on this machine.
    pub(crate) fn file(&self, path: &str) -> Result<Option<File>, StoreError> {
        let Some(folder) = self.parts.place.folder() else {
            return Ok(None);
        };
        match File::open(folder.join(path)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Missing(path.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads part of a file.
    pub(crate) fn read_file(&self, file: &File, range: Range<u64>) -> io::Result<Bytes> {
        self.count(&range);
        read_at(file, range)
    }

    /// Whether reads cross a network, so that it pays to send many at once.
    pub(crate) fn is_remote(&self) -> bool {
        self.parts.place.folder().is_none()
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn disk(&self) -> Option<&Disk> {
        self.parts.disk.as_ref()
    }

    /// Waits for a place among the threads that may block. It goes into the thread: whoever waits
    /// for that may give up before it ends.
    pub(crate) async fn place(&self) -> io::Result<OwnedSemaphorePermit> {
        let blocking = Arc::clone(&self.parts.blocking);
        blocking.acquire_owned().await.map_err(io::Error::other)
    }

    fn count(&self, range: &Range<u64>) {
        self.parts.requests.fetch_add(1, Ordering::Relaxed);
        let bytes = range.end - range.start;
        self.parts.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn objects(&self) -> &Arc<dyn ObjectStore> {
        self.parts.place.objects()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> Part {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        Part::File(Arc::new(file), bytes.len() as u64)
    }

    #[tokio::test]
    async fn an_object_of_bytes_and_files_is_their_bytes_in_order_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let address = Store::address_of(folder.path()).unwrap();
        let long: Vec<u8> = (0..=250).cycle().take(TO_REMOTE.bytes * 2 + 1).collect();
        for address in [address.as_str(), "memory:///"] {
            let store = Store::open(address, Caches::default(), None).unwrap();
            let parts = vec![
                Part::Bytes("before".into()),
                file(&long),
                Part::Bytes("after".into()),
            ];

            store.put("a/b.pack", parts).await.unwrap();

            let expected = [b"before", long.as_slice(), b"after"].concat();
            let read = store
                .get("a/b.pack", 0..expected.len() as u64)
                .await
                .unwrap();
            assert!(read == expected, "{address}");
            assert_eq!(store.list("a").await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_to_its_end_leaves_no_object() {
        let folder = tempfile::tempdir().unwrap();
        let address = Store::address_of(folder.path()).unwrap();
        for address in [address.as_str(), "memory:///"] {
            let store = Store::open(address, Caches::default(), None).unwrap();
            let Part::File(short, len) = file(&vec![1; TO_REMOTE.bytes * 2]) else {
                unreachable!("a file")
            };

            let put = store
                .put("a/b.pack", vec![Part::File(short, len + 1)])
                .await;

            assert!(put.is_err(), "{address}");
            assert_eq!(store.list("a").await.unwrap().len(), 0, "{address}");
        }
    }
}
