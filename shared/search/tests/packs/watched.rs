//! An object store that is watched.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use search::{Caches, Store};

/// A stretch that was read: its start and its end.
type Stretch = (u64, u64);

/// An object store that notes what is read of it, and fails when it is told to.
#[derive(Debug)]
pub(crate) struct Watched {
    objects: InMemory,
    read: Mutex<Vec<Stretch>>,
    broken: AtomicBool,
}

impl Watched {
    pub(crate) fn over(objects: InMemory) -> Arc<Self> {
        Arc::new(Self {
            objects,
            read: Mutex::default(),
            broken: AtomicBool::new(false),
        })
    }

    /// A store over it, of a process of its own.
    pub(crate) fn store(self: &Arc<Self>, caches: Caches) -> Store {
        Store::over(self.clone(), caches)
    }

    /// What was read since it was last asked.
    pub(crate) fn taken(&self) -> Vec<Stretch> {
        std::mem::take(&mut *self.read.lock().expect("a log"))
    }

    pub(crate) fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    fn check(&self) -> object_store::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(object_store::Error::Generic {
                store: "Watched",
                source: "no network".into(),
            });
        }
        Ok(())
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Watched")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Watched {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.check()?;
        self.objects.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.check()?;
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &ObjectPath,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        if let Some(GetRange::Bounded(range)) = &options.range {
            let stretch = (range.start, range.end);
            self.read.lock().expect("a log").push(stretch);
        }
        // An answer takes its time: others ask meanwhile.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.check()?;
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<ObjectPath>>,
    ) -> BoxStream<'static, object_store::Result<ObjectPath>> {
        self.objects.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> object_store::Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

pub(crate) fn bytes(stretches: &[Stretch]) -> u64 {
    stretches.iter().map(|(start, end)| end - start).sum()
}
