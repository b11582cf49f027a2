//! Files as they were uploaded, until their rows are records.
//!
//! They lie on an object store, each under its tenant and its upload:
//!
//! ```text
//! <tenant>/<upload>
//! ```
//!
//! A client puts one there by an address that is signed for that file alone ([`Files::presign`]):
//! of S3, or of a server on this machine that stands in for it ([`Door`], [`Files::receive`]).

mod door;
mod presign;
mod receive;
mod source;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use formats::{OnDisk, Source};
use model::id::{TenantId, UploadId};
use model::time::Moment;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use objects::Place;

pub use door::{Door, Grant, Refused};
pub use presign::Presigned;
pub use receive::Received;

use receive::DRAFT;
use source::Remote;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be used.
    #[error("'{url}' is no address of a store of files: {reason}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is not there.
    #[error("the file is not there")]
    Missing,
    /// The store fails.
    #[error(transparent)]
    Failed(object_store::Error),
    /// A file of this machine cannot be read or written.
    #[error(transparent)]
    Io(io::Error),
    /// The store is on this machine, and no server takes files for it.
    #[error("nobody takes files for the store: it is not S3, and UPLOAD_DOOR_URL is not set")]
    Closed,
    /// No address can be signed.
    #[error("no address can be signed")]
    Signing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            error => Self::Failed(error),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Io(error),
        }
    }
}

impl From<objects::Error> for Error {
    fn from(error: objects::Error) -> Self {
        match error {
            objects::Error::Address { url, reason } => Self::Address { url, reason },
            objects::Error::Failed(error) => error.into(),
            objects::Error::Io(error) => error.into(),
        }
    }
}

/// The store of files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Files(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    place: Place,
    door: Option<Door>,
    /// How many drafts this process began.
    drafts: AtomicU64,
}

impl Files {
    /// The store at an address, as [`Place::open`] takes it. One that is not S3's takes files by
    /// `door` alone.
    pub fn open(address: &str, roots: Option<&[u8]>, door: Option<Door>) -> Result<Self, Error> {
        Ok(Self::new(Place::open(address, roots)?, door))
    }

    /// A store over any object store that is reached by a network, or plays one.
    #[must_use]
    pub fn over(objects: Arc<dyn ObjectStore>, door: Option<Door>) -> Self {
        Self::new(Place::over(objects), door)
    }

    fn new(place: Place, door: Option<Door>) -> Self {
        Self(Arc::new(Parts {
            place,
            door,
            drafts: AtomicU64::new(0),
        }))
    }

    /// The upload whose file has a key, as an event of S3 names it: with its special characters
    /// encoded as in an address.
    #[must_use]
    pub fn parse(&self, key: &str) -> Option<(TenantId, UploadId)> {
        let key = ObjectPath::from_url_path(key).ok()?;
        parse(&self.0.place.path_of(&key)?)
    }

    /// How many bytes a file has, if it is there.
    pub async fn head(&self, tenant: &TenantId, upload: UploadId) -> Result<Option<u64>, Error> {
        let size = if let Some(file) = self.on_disk(tenant, upload) {
            let meta = std::fs::metadata(file);
            meta.map(|meta| meta.len()).map_err(Error::from)
        } else {
            let key = self.key(tenant, upload);
            let head = self.0.place.objects().head(&key).await;
            head.map(|meta| meta.size).map_err(Error::from)
        };
        match size {
            Err(Error::Missing) => Ok(None),
            size => size.map(Some),
        }
    }

    /// A file of so many bytes. From a store on a network it is fetched by the runtime that this is
    /// called on, so whoever reads it has to do that on another thread.
    pub fn source(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        size: u64,
    ) -> Result<Arc<dyn Source>, Error> {
        if let Some(file) = self.on_disk(tenant, upload) {
            return Ok(Arc::new(OnDisk::new(&file)?));
        }
        let objects = Arc::clone(self.0.place.objects());
        Ok(Arc::new(Remote::new(
            objects,
            self.key(tenant, upload),
            size,
        )))
    }

    /// Deletes a file; one that is not there is no failure.
    pub async fn delete(&self, tenant: &TenantId, upload: UploadId) -> Result<(), Error> {
        Ok(self.0.place.delete(&path(tenant, upload)).await?)
    }

    /// Every upload whose file is there.
    pub async fn arrived(&self) -> Result<Vec<(TenantId, UploadId)>, Error> {
        let listed = self.0.place.list("").await?;
        let uploads = listed.iter().filter_map(|object| parse(&object.path));
        Ok(uploads.collect())
    }

    /// Deletes the files that came before a moment, and the drafts that were begun before another.
    /// Returns how many. A bucket does that by its lifecycle.
    pub async fn sweep(&self, files: Moment, drafts: Moment) -> Result<u64, Error> {
        let mut swept = 0;
        for object in self.0.place.list("").await? {
            let is_draft = object.path.ends_with(DRAFT);
            let before = if is_draft { drafts } else { files };
            if object.written < before {
                self.0.place.delete(&object.path).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn key(&self, tenant: &TenantId, upload: UploadId) -> ObjectPath {
        self.0.place.key(&path(tenant, upload))
    }

    /// The file, where the store is a folder.
    fn on_disk(&self, tenant: &TenantId, upload: UploadId) -> Option<PathBuf> {
        let folder = self.0.place.folder()?;
        Some(folder.join(path(tenant, upload)))
    }
}

fn path(tenant: &TenantId, upload: UploadId) -> String {
    format!("{tenant}/{upload}")
}

fn parse(path: &str) -> Option<(TenantId, UploadId)> {
    let (tenant, upload) = path.split_once('/')?;
    Some((tenant.parse().ok()?, upload.parse().ok()?))
}
