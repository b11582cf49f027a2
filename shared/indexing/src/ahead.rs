//! What an upload adds, taken in while it still writes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::id::{CollectionName, RecordId, TenantId};
use model::index::Pointer;
use model::record::Record;
use search::{Change, Store};
use table::marker::Generation;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::fold::{CALL_PACK, Writing};
use crate::{Error, Indexes, Result, prefix};

/// About how many bytes of records are taken in or wait for it: writing goes on while a pack is made, and
/// no further.
const WAITING: u32 = 5 << 20;

/// How long writing waits for that. A store that hangs must not hold up the rows.
const PATIENCE: Duration = Duration::from_secs(5);

/// The records that an upload has added so far, on their way into packs that nobody sees. Its fold
/// publishes them if the pointer is by then still the one that they began with; if it is not, or if
/// anything failed, they are read of the table and the packs deleted.
pub struct Ahead {
    lots: UnboundedSender<Lot>,
    room: Arc<Semaphore>,
    made: JoinHandle<Result<Made>>,
    given_up: AtomicBool,
}

/// Records, with the room that they take.
type Lot = (Vec<Record>, OwnedSemaphorePermit);

/// What was taken in.
pub(crate) struct Made {
    base: Pointer,
    ids: HashSet<RecordId>,
    writing: Option<Writing>,
    packs: Unpublished,
}

/// Packs that no pointer names. They are deleted when they are dropped; what cannot be deleted then
/// is left to the sweep.
struct Unpublished {
    store: Store,
    paths: Vec<String>,
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        let (store, paths) = (self.store.clone(), std::mem::take(&mut self.paths));
        if let Ok(runtime) = Handle::try_current()
            && !paths.is_empty()
        {
            runtime.spawn(async move {
                for path in paths {
                    if let Err(error) = store.delete(&path).await {
                        tracing::warn!(path, %error, "a pack of no use stays for the sweep");
                    }
                }
            });
        }
    }
}

impl Indexes {
    /// Begins to take in what an upload adds to a generation whose pointer is `base`.
    #[must_use]
    pub fn ahead(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        of: Generation,
        base: Pointer,
    ) -> Ahead {
        // As many as there is room for.
        let (send, receive) = mpsc::unbounded_channel();
        let make = make(self.clone(), prefix(tenant, name, of), base, receive);
        Ahead {
            lots: send,
            room: Arc::new(Semaphore::new(WAITING as usize)),
            made: tokio::spawn(make),
            given_up: AtomicBool::new(false),
        }
    }
}

async fn make(
    indexes: Indexes,
    prefix: String,
    base: Pointer,
    mut lots: UnboundedReceiver<Lot>,
) -> Result<Made> {
    let (mut ids, mut writing) = (HashSet::new(), None);
    let mut packs = Unpublished {
        store: indexes.0.store.clone(),
        paths: Vec::new(),
    };
    crate::readable(&base)?;
    while let Some((records, _room)) = lots.recv().await {
        let open = match writing {
            Some(writing) => writing,
            None => Writing::open(&indexes, &prefix, &base, CALL_PACK).await?,
        };
        ids.extend(records.iter().map(|record| record.id));
        let changes = records.into_iter().map(|record| Change {
            id: record.id,
            record: Some(record),
            is_new: true,
        });
        let written = open.write(changes.collect()).await?;
        packs.paths = written.packs_since(&base);
        writing = Some(written);
    }
    Ok(Made {
        base,
        ids,
        writing,
        packs,
    })
}

impl fmt::Debug for Ahead {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Ahead").finish_non_exhaustive()
    }
}

impl Ahead {
    /// Takes in records that were added just now. If that fails or takes too long, the fold does it.
    pub async fn take(&self, records: Vec<Record>) {
        if records.is_empty() || self.given_up.load(Ordering::Relaxed) {
            return;
        }
        let size: usize = records.iter().map(Record::size_in_memory).sum();
        // What is larger than all room takes all of it.
        let size = u32::try_from(size).map_or(WAITING, |size| size.min(WAITING));
        let room = Arc::clone(&self.room).acquire_many_owned(size);
        if let Ok(Ok(room)) = tokio::time::timeout(PATIENCE, room).await {
            // If they are not received, making failed, and says so at the end.
            let _ = self.lots.send((records, room));
        } else {
            tracing::warn!("what an upload adds is not indexed fast enough");
            self.given_up.store(true, Ordering::Relaxed);
        }
    }

    /// What was taken in, once all of it is.
    pub(crate) async fn made(self) -> Option<Made> {
        drop(self.lots);
        let made = self.made.await.map_err(Error::from).flatten();
        made.inspect_err(|error| {
            tracing::warn!(%error, "what an upload added is read again to be taken in");
        })
        .ok()
    }
}

impl Made {
    /// The packs so far, if they are good for a fold: it begins with the same pointer, and wants all
    /// that is in them. What nobody else names is then not wanted any more; a record that somebody
    /// changed meanwhile still is, and replaces its older form in them.
    pub(crate) fn adopt(
        mut self,
        pointer: &Pointer,
        wanted: &mut HashMap<RecordId, bool>,
    ) -> Option<Writing> {
        let is_good = self.base == *pointer && self.ids.iter().all(|id| wanted.contains_key(id));
        if !is_good {
            return None;
        }
        wanted.retain(|id, is_new| !(*is_new && self.ids.contains(id)));
        self.packs.paths.clear();
        self.writing
    }
}
