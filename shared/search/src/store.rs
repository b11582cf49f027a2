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
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{
    Certificate, ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use disk::Disk;
pub(crate) use memory::{Memory, Piece};

/// How many searches may block on threads of their own at once: fewer than the runtime has, so
/// that there is always one left for what they wait for.
const BLOCKING: usize = 64;

/// How many requests to a store on the network are under way at once.
const REQUESTS: usize = 64;

/// What is longer is written in parts, each of which may be tried again.
const IN_PARTS: usize = 64 << 20;

/// An object that no collection has.
const NOTHING: &str = "nothing";

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(2);

/// How many parts are written at once.
const PARTS_AT_ONCE: usize = 8;

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

/// An object on the store.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its path.
    pub path: String,
    /// When it was written.
    pub written: DateTime<Utc>,
}

/// What was read past the caches since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Requests.
    pub requests: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The store of packs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    objects: Arc<dyn ObjectStore>,
    root: ObjectPath,
    /// The folder that `root` is, for a store on this machine.
    folder: Option<PathBuf>,
    memory: Memory,
    disk: Option<Disk>,
    blocking: Arc<Semaphore>,
    sending: Semaphore,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Store {
    /// The store at an address: `file:///folder`, `s3://bucket/prefix` or, for a process alone,
    /// `memory:///`. What S3 needs beyond that comes from the environment, `AWS_REGION` and
    /// `AWS_ENDPOINT_URL_S3` among it; it is trusted by `roots`, certificates in PEM, or else by
    /// the machine's.
    pub fn open(address: &str, caches: Caches, roots: Option<&[u8]>) -> Result<Self, StoreError> {
        let wrong = |reason: &dyn ToString| StoreError::Address {
            url: address.to_owned(),
            reason: reason.to_string(),
        };
        let url = Url::parse(address).map_err(|error| wrong(&error))?;
        let prefix = |url: &Url| ObjectPath::from_url_path(url.path()).map_err(|e| wrong(&e));
        match url.scheme() {
            "file" => {
                let folder = url
                    .to_file_path()
                    .map_err(|()| wrong(&"a file's address is like file:///folder"))?;
                std::fs::create_dir_all(&folder).map_err(|error| wrong(&error))?;
                let folder = folder.canonicalize().map_err(|error| wrong(&error))?;
                let objects = LocalFileSystem::new_with_prefix(&folder)?;
                Ok(Self::new(
                    Arc::new(objects),
                    ObjectPath::default(),
                    Some(folder),
                    caches,
                ))
            }
            "s3" => {
                let endpoint = endpoint();
                let mut builder = AmazonS3Builder::from_env().with_url(address);
                // Before what they would replace.
                if let Some(roots) = roots {
                    builder = builder.with_client_options(trusting(roots)?);
                }
                builder = builder.with_allow_http(endpoint.as_deref().is_some_and(is_plain));
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                let objects = builder.build().map_err(|error| wrong(&error))?;
                Ok(Self::new(Arc::new(objects), prefix(&url)?, None, caches))
            }
            "memory" => Ok(Self::over(Arc::new(InMemory::new()), caches)),
            scheme => Err(wrong(&format!("'{scheme}' is none of file, s3 and memory"))),
        }
    }

    /// The address of a store in a folder; `None` if its path is not absolute.
    #[must_use]
    pub fn address_of(folder: &Path) -> Option<String> {
        Some(Url::from_file_path(folder).ok()?.into())
    }

    /// A store over any object store that is reached by a network, or plays one.
    #[must_use]
    pub fn over(objects: Arc<dyn ObjectStore>, caches: Caches) -> Self {
        Self::new(objects, ObjectPath::default(), None, caches)
    }

    fn new(
        objects: Arc<dyn ObjectStore>,
        root: ObjectPath,
        folder: Option<PathBuf>,
        caches: Caches,
    ) -> Self {
        let disk = caches.disk.filter(|_| folder.is_none());
        Self(Arc::new(Parts {
            objects,
            root,
            folder,
            memory: Memory::new(caches.memory),
            disk: disk.map(|(folder, bytes)| Disk::open(folder, bytes)),
            blocking: Arc::new(Semaphore::new(BLOCKING)),
            sending: Semaphore::new(REQUESTS),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }))
    }

    /// Connects to a store on the network by asking for an object that is not there, whatever the
    /// answer: the first read then need not.
    pub async fn connect(&self) {
        if self.is_remote() {
            let nothing = self.path(NOTHING);
            let _ = tokio::time::timeout(CONNECTING, self.0.objects.head(&nothing)).await;
        }
    }

    /// What was read past the caches.
    #[must_use]
    pub fn reads(&self) -> Reads {
        Reads {
            requests: self.0.requests.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
        }
    }

    /// Every object under a prefix. A writer that was killed may have left drafts in a folder:
    /// they are among them.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        if let Some(folder) = self.0.folder.clone() {
            let start = folder.join(prefix);
            let listed = tokio::task::spawn_blocking(move || {
                let mut listed = Vec::new();
                walk(&folder, &start, &mut listed).map(|()| listed)
            });
            return Ok(listed.await.map_err(io::Error::other)??);
        }
        let objects = self.0.objects.list(Some(&self.path(prefix)));
        let root = self.0.root.as_ref();
        let listed = objects.map_ok(|object| {
            let path = object.location.as_ref();
            let path = path.strip_prefix(root).unwrap_or(path);
            Listed {
                path: path.trim_start_matches('/').to_owned(),
                written: object.last_modified,
            }
        });
        Ok(listed.try_collect().await?)
    }

    /// Deletes an object; one that is not there is no failure.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        if let Some(folder) = &self.0.folder {
            // Drafts have names that the object store does not take for names.
            return match std::fs::remove_file(folder.join(path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        }
        match self.0.objects.delete(&self.path(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object. Its name is random, so nobody else writes it, and a call whose answer was
    /// lost may be repeated.
    pub(crate) async fn put(&self, path: &str, parts: Vec<Bytes>) -> Result<(), StoreError> {
        let path = self.path(path);
        let len: usize = parts.iter().map(Bytes::len).sum();
        if self.is_remote() && len > IN_PARTS {
            let upload = self.0.objects.put_multipart(&path).await?;
            let mut write = WriteMultipart::new(upload);
            for part in parts {
                write.wait_for_capacity(PARTS_AT_ONCE).await?;
                write.put(part);
            }
            write.finish().await?;
        } else {
            self.0
                .objects
                .put(&path, PutPayload::from_iter(parts))
                .await?;
        }
        Ok(())
    }

    /// Reads part of an object from where it is kept.
    pub(crate) async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.count(&range);
        let _sending = self.0.sending.acquire().await.map_err(io::Error::other)?;
        let object = self.path(path);
        let got = self.0.objects.get_range(&object, range.clone()).await;
        let whole = |bytes: &Bytes| bytes.len() as u64 == range.end - range.start;
        match got {
            Ok(bytes) if whole(&bytes) => Ok(bytes),
            Err(error @ object_store::Error::NotFound { .. }) => Err(error.into()),
            // A range that is not there is answered in many ways.
            got => match self.0.objects.head(&object).await {
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
        let Some(folder) = &self.0.folder else {
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
        let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes.into())
    }

    /// Whether reads cross a network, so that it pays to send many at once.
    pub(crate) fn is_remote(&self) -> bool {
        self.0.folder.is_none()
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    pub(crate) fn disk(&self) -> Option<&Disk> {
        self.0.disk.as_ref()
    }

    /// Waits for a place among the threads that may block. It goes into the thread: whoever waits
    /// for that may give up before it ends.
    pub(crate) async fn place(&self) -> io::Result<OwnedSemaphorePermit> {
        let blocking = Arc::clone(&self.0.blocking);
        blocking.acquire_owned().await.map_err(io::Error::other)
    }

    fn count(&self, range: &Range<u64>) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        let bytes = range.end - range.start;
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn path(&self, path: &str) -> ObjectPath {
        let path = ObjectPath::from(path);
        self.0.root.parts().chain(path.parts()).collect()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an address of S3 comes from the environment like its credentials"
)]
fn endpoint() -> Option<String> {
    std::env::var("AWS_ENDPOINT_URL_S3").ok()
}

/// A client that trusts these roots and no others.
fn trusting(roots: &[u8]) -> Result<ClientOptions, object_store::Error> {
    let roots = Certificate::from_pem_bundle(roots)?;
    let alone = ClientOptions::new().with_no_system_certificates(true);
    Ok(roots
        .into_iter()
        .fold(alone, ClientOptions::with_root_certificate))
}

/// Whether an address is without TLS, as a server on this machine has it.
fn is_plain(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

fn walk(root: &Path, folder: &Path, listed: &mut Vec<Listed>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(root, &path, listed)?;
        } else if let (Ok(name), Ok(meta)) = (path.strip_prefix(root), entry.metadata()) {
            listed.push(Listed {
                path: name.to_string_lossy().into_owned(),
                written: meta.modified()?.into(),
            });
        }
    }
    Ok(())
}
