//! An object store as far away as S3: in memory, behind the latency and the bandwidth that
//! requests to S3 from a Lambda were taken to have.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::time::Instant;

/// Until the first byte of an answer.
const GET: Duration = Duration::from_millis(25);

/// Until a write is answered.
const PUT: Duration = Duration::from_millis(40);

/// Bytes a second, of all requests together.
const BANDWIDTH: f64 = 90e6;

/// The store.
#[derive(Debug, Clone)]
pub struct Slow {
    objects: Arc<InMemory>,
    /// When the line is free again.
    free: Arc<Mutex<Instant>>,
}

impl Slow {
    /// A store over objects that are at hand.
    #[must_use]
    pub fn over(objects: Arc<InMemory>) -> Self {
        Self {
            objects,
            free: Arc::new(Mutex::new(Instant::now())),
        }
    }

    async fn wait(&self, latency: Duration, bytes: u64) {
        let ready = Instant::now() + latency;
        #[expect(clippy::cast_precision_loss, reason = "a number of bytes")]
        let time = Duration::from_secs_f64(bytes as f64 / BANDWIDTH);
        let done = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            *free = ready.max(*free) + time;
            *free
        };
        tokio::time::sleep_until(done).await;
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Slow")
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

#[async_trait]
impl ObjectStore for Slow {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.wait(PUT, payload.content_length() as u64).await;
        self.objects.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let result = self.objects.get_opts(path, options).await?;
        self.wait(GET, length(&result.range)).await;
        Ok(result)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
