//! Places on object stores: what an address leads to.
//!
//! An address is `file:///folder`, `s3://bucket/prefix` or, for a process alone, `memory:///`.

mod folder;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{Certificate, ClientOptions, ObjectStore, ObjectStoreExt};
use url::Url;

/// The region of a bucket where nothing says another, as the client has it.
const REGION: &str = "us-east-1";

/// A failure of a place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be used.
    #[error("'{url}' is no address of an object store: {reason}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store fails.
    #[error(transparent)]
    Failed(#[from] object_store::Error),
    /// A file or a folder of this machine fails.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A place on an object store. Paths are relative to it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Place {
    objects: Arc<dyn ObjectStore>,
    root: ObjectPath,
    folder: Option<PathBuf>,
    s3: Option<S3>,
}

/// A bucket, for whoever signs requests to it.
#[derive(Debug, Clone)]
pub struct S3 {
    /// The client, which knows the bucket's address and has the credentials.
    pub client: AmazonS3,
    /// The region.
    pub region: String,
}

/// An object.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its path.
    pub path: String,
    /// When it was written.
    pub written: DateTime<Utc>,
}

impl Place {
    /// The place at an address. What S3 needs beyond that comes from the environment, `AWS_REGION`
    /// and `AWS_ENDPOINT_URL_S3` among it; it is trusted by `roots`, certificates in PEM, or else
    /// by the machine's.
    pub fn open(address: &str, roots: Option<&[u8]>) -> Result<Self, Error> {
        let wrong = |reason: &dyn ToString| Error::Address {
            url: address.to_owned(),
            reason: reason.to_string(),
        };
        let url = Url::parse(address).map_err(|error| wrong(&error))?;
        match url.scheme() {
            "file" => {
                let folder = url
                    .to_file_path()
                    .map_err(|()| wrong(&"a file's address is like file:///folder"))?;
                std::fs::create_dir_all(&folder).map_err(|error| wrong(&error))?;
                let folder = folder.canonicalize().map_err(|error| wrong(&error))?;
                let objects = LocalFileSystem::new_with_prefix(&folder)?;
                Ok(Self {
                    folder: Some(folder),
                    ..Self::over(Arc::new(objects))
                })
            }
            "s3" => {
                let builder = s3(address, roots)?;
                let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
                let client = builder.build().map_err(|error| wrong(&error))?;
                let root = ObjectPath::from_url_path(url.path()).map_err(|error| wrong(&error))?;
                Ok(Self {
                    root,
                    s3: Some(S3 {
                        client: client.clone(),
                        region: region.unwrap_or_else(|| REGION.to_owned()),
                    }),
                    ..Self::over(Arc::new(client))
                })
            }
            "memory" => Ok(Self::over(Arc::new(InMemory::new()))),
            scheme => Err(wrong(&format!("'{scheme}' is none of file, s3 and memory"))),
        }
    }

    /// All of an object store that is reached by a network, or plays one.
    #[must_use]
    pub fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Self {
            objects,
            root: ObjectPath::default(),
            folder: None,
            s3: None,
        }
    }

    /// The store.
    #[must_use]
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// The folder that the place is, if it is on this machine.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The bucket that the place is in, if it is S3's.
    #[must_use]
    pub fn s3(&self) -> Option<&S3> {
        self.s3.as_ref()
    }

    /// The store's name of what has a path here.
    #[must_use]
    pub fn key(&self, path: &str) -> ObjectPath {
        let path = ObjectPath::from(path);
        self.root.parts().chain(path.parts()).collect()
    }

    /// The path here of what the store names so; `None` if it is elsewhere.
    #[must_use]
    pub fn path_of(&self, key: &ObjectPath) -> Option<String> {
        let parts: ObjectPath = key.prefix_match(&self.root)?.collect();
        Some(parts.into())
    }

    /// Every object under a prefix. A writer that was killed may have left drafts in a folder:
    /// they are among them.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        if let Some(folder) = &self.folder {
            return folder::list(folder.clone(), folder.join(prefix)).await;
        }
        let objects = self.objects.list(Some(&self.key(prefix)));
        let listed = objects.map_ok(|object| Listed {
            path: self.path_of(&object.location).unwrap_or_default(),
            written: object.last_modified,
        });
        Ok(listed.try_collect().await?)
    }

    /// Deletes an object; one that is not there is no failure.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        if let Some(folder) = &self.folder {
            // Drafts have names that the object store does not take for names.
            return match std::fs::remove_file(folder.join(path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        }
        match self.objects.delete(&self.key(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The address of a place that is a folder; `None` if its path is not absolute.
#[must_use]
pub fn address_of(folder: &Path) -> Option<String> {
    Some(Url::from_file_path(folder).ok()?.into())
}

/// How a bucket is reached.
fn s3(address: &str, roots: Option<&[u8]>) -> Result<AmazonS3Builder, object_store::Error> {
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
    Ok(builder)
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
