//! An object store in memory that a test can look at and put out of order.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use search::{Caches, Store};
use tokio::sync::{Notify, OwnedRwLockWriteGuard, RwLock, RwLockReadGuard};

/// Work that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Objects in memory, whose store may be down for writes or let them wait. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    memory: Arc<InMemory>,
    /// Whether writes fail.
    down: Arc<AtomicBool>,
    /// Whoever holds it lets writes wait.
    gate: Arc<RwLock<()>>,
    waiting: Arc<Notify>,
    /// What was done to them.
    done: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Objects {
    /// A search store over them, of a process of its own.
    #[must_use]
    pub fn store(&self) -> Store {
        Store::over(Arc::new(self.clone()), Caches::default())
    }

    /// The same objects, where what is done to them is noted apart.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            done: Arc::default(),
            ..self.clone()
        }
    }

    /// Whether writes fail from now on.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Lets writes wait until what it returns is dropped.
    pub async fn close(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.gate).write_owned().await
    }

    /// Waits until a write stands before the gate.
    pub async fn stopped(&self) {
        let waiting = tokio::time::timeout(PATIENCE, self.waiting.notified()).await;
        waiting.expect("a write that waits");
    }

    /// What stores did to them since the last time of asking, by the names of S3's actions.
    #[must_use]
    pub fn done(&self) -> BTreeSet<&'static str> {
        std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Loses all of them.
    pub async fn lose(&self) {
        let objects = self.memory.list(None).map_ok(|object| object.location);
        let lost = self.memory.delete_stream(objects.boxed());
        let lost: Vec<_> = lost.try_collect().await.expect("no object left");
        assert!(!lost.is_empty(), "there was none");
    }

    fn note(&self, action: &'static str) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.insert(action);
    }

    /// The bytes of an object.
    pub async fn read(&self, path: &str) -> Vec<u8> {
        let object = self.memory.get(&ObjectPath::from(path)).await;
        let bytes = object.expect("an object").bytes().await;
        bytes.expect("its bytes").to_vec()
    }

    /// Puts an object there, whatever was.
    pub async fn write(&self, path: &str, bytes: Vec<u8>) {
        let path = ObjectPath::from(path);
        let written = self.memory.put(&path, PutPayload::from(bytes)).await;
        written.expect("an object");
    }
}

impl Objects {
    /// Lets a put begin, once the gate is open.
    async fn begin_put(&self) -> object_store::Result<RwLockReadGuard<'_, ()>> {
        self.note("s3:PutObject");
        if self.down.load(Ordering::SeqCst) {
            return Err(object_store::Error::Generic {
                store: "Objects",
                source: "it is down".into(),
            });
        }
        if let Ok(open) = self.gate.try_read() {
            return Ok(open);
        }
        self.waiting.notify_one();
        Ok(self.gate.read().await)
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Objects")
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put_opts(
        &self,
        path: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let _open = self.begin_put().await?;
        self.memory.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &ObjectPath,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let _open = self.begin_put().await?;
        self.memory.put_multipart_opts(path, options).await
    }

    async fn get_opts(
        &self,
        path: &ObjectPath,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.note("s3:GetObject");
        self.memory.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<ObjectPath>>,
    ) -> BoxStream<'static, object_store::Result<ObjectPath>> {
        self.note("s3:DeleteObject");
        self.memory.delete_stream(paths)
    }

    fn list(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.note("s3:ListBucket");
        self.memory.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> object_store::Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.memory.copy_opts(from, to, options).await
    }
}
