//! Taking in a file, as a server on this machine does: whole or not at all, and once.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use model::id::{TenantId, UploadId};
use object_store::{ObjectStore, PutMode, PutPayload};
use tokio::sync::mpsc::{self, Receiver};

use crate::{Error, Files};

/// How the name of a draft ends.
pub(crate) const DRAFT: &str = ".draft";

/// How many pieces of a body wait to be written.
const WAITING: usize = 16;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is on the store.
    Stored,
    /// There was one already, which stays as it is.
    Exists,
    /// It had another size, or did not come to its end. Nothing is left of it.
    Cut,
}

impl Files {
    /// Takes in a file of so many bytes. Whoever stops waiting for that leaves nothing behind, or
    /// the whole file.
    pub async fn receive<E>(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        size: u64,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Received, Error> {
        let (send, pieces) = mpsc::channel(WAITING);
        let feed = async move {
            // A body that fails ends too early, and whoever keeps it counts.
            while let Some(Ok(piece)) = body.next().await {
                if send.send(piece).await.is_err() {
                    break;
                }
            }
        };
        let ((), received) = tokio::join!(feed, self.keep(tenant, upload, size, pieces));
        received
    }

    async fn keep(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        size: u64,
        mut pieces: Receiver<Bytes>,
    ) -> Result<Received, Error> {
        if let Some(file) = self.on_disk(tenant, upload) {
            let number = self.0.drafts.fetch_add(1, Ordering::Relaxed);
            let draft = file.with_added_extension(format!("{number}{DRAFT}"));
            let kept = tokio::task::spawn_blocking(move || on_disk(&file, &draft, size, pieces));
            return Ok(kept.await.map_err(io::Error::other)??);
        }
        let (mut whole, mut count) = (Vec::new(), 0);
        while let Some(piece) = pieces.recv().await {
            count += piece.len() as u64;
            if count > size {
                break;
            }
            whole.push(piece);
        }
        if count != size {
            return Ok(Received::Cut);
        }
        let payload = PutPayload::from_iter(whole);
        let key = self.key(tenant, upload);
        let put = self.0.place.objects();
        match put.put_opts(&key, payload, PutMode::Create.into()).await {
            Ok(_) => Ok(Received::Stored),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Received::Exists),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes a draft, and gives it the file's name once it is whole.
fn on_disk(file: &Path, draft: &Path, size: u64, pieces: Receiver<Bytes>) -> io::Result<Received> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let received = match write(draft, size, pieces) {
        Ok(true) => name(draft, file),
        Ok(false) => Ok(Received::Cut),
        Err(error) => Err(error),
    };
    // Also where that failed: nobody looks at a draft again.
    let _ = std::fs::remove_file(draft);
    received
}

/// Whether as many bytes came as there should be.
fn write(draft: &Path, size: u64, mut pieces: Receiver<Bytes>) -> io::Result<bool> {
    let mut draft = File::create(draft)?;
    let mut count = 0;
    while let Some(piece) = pieces.blocking_recv() {
        count += piece.len() as u64;
        if count > size {
            return Ok(false);
        }
        draft.write_all(&piece)?;
    }
    Ok(count == size)
}

/// Gives a draft a name that nobody has.
fn name(draft: &Path, file: &Path) -> io::Result<Received> {
    match std::fs::hard_link(draft, file) {
        Ok(()) => Ok(Received::Stored),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Received::Exists),
        Err(error) => Err(error),
    }
}
