//! Keeps each collection's search index true to the table.
//!
//! A change leaves a marker in the table, in the transaction that makes it visible. Whoever searches
//! reads the markers first and the index's pointer second, and takes in what is marked before it
//! searches (`slot`, `find`; several collections together: `across`): so a change is found, or gone,
//! the moment its call has returned, whichever process asks. A fold (`fold`), one at a time under a
//! lease, turns markers into a pack, publishes the pointer and removes the markers. What is lost is
//! built anew from the table (`rebuild`); what is left over on the store is swept up (`sweep`);
//! generations that a replace left behind are deleted (`retire`), and deleted collections erased
//! (`erase`).

mod across;
mod ahead;
mod erase;
mod find;
mod fold;
mod progress;
mod rebuild;
mod retire;
mod slot;
mod sweep;
mod worker;

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use model::id::{CollectionName, TenantId};
use model::index::Pointer;
use model::time::Moment;
use search::Store;
use table::Table;
use table::marker::Generation;
use tokio::sync::mpsc::UnboundedSender;

pub use across::{Across, Origin};
pub use ahead::Ahead;
pub use find::Found;
pub use fold::{Folded, Own};
pub use progress::Progress;
pub use retire::RETIRED_FOR;
pub use search::Effort;

use slot::Slots;

/// Tells the time.
pub type Now = Arc<dyn Fn() -> Moment + Send + Sync>;

/// A failure of an index.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table fails.
    #[error(transparent)]
    Table(#[from] table::Error),
    /// The index fails.
    #[error(transparent)]
    Search(#[from] search::Error),
    /// A thread ended early.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
    /// There is no such collection any more.
    #[error("the collection is gone")]
    Gone,
    /// There is no index, or one of an older code.
    #[error("the index is not built")]
    NotBuilt,
    /// The index is of a newer code, which is about to take over.
    #[error("the index is of a newer format")]
    Newer,
    /// What was read of the table is outdated: it is to be read again.
    #[error("the index moved on")]
    Outdated,
    /// Somebody else is building the index, and it takes long.
    #[error("the index is being built")]
    Building,
    /// Somebody else has taken the lease.
    #[error("the lease is lost")]
    LeaseLost,
}

impl From<search::StoreError> for Error {
    fn from(error: search::StoreError) -> Self {
        Self::Search(error.into())
    }
}

impl Error {
    /// Whether a rebuild helps, if another look at the table does not.
    fn is_lost(&self) -> bool {
        match self {
            Self::NotBuilt => true,
            Self::Search(error) => error.is_lost(),
            _ => false,
        }
    }
}

/// What every verb returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The indexes of all collections. Cheap to clone.
#[derive(Clone)]
pub struct Indexes(Arc<Parts>);

struct Parts {
    table: Table,
    store: Store,
    now: Now,
    alone_since: Option<Moment>,
    slots: Slots,
    wanted: OnceLock<UnboundedSender<(TenantId, CollectionName)>>,
}

impl Indexes {
    /// The indexes of `table`'s collections, whose packs are on `store`. `alone_since` is set where
    /// no other process can still be at what it began before then.
    #[must_use]
    pub fn new(table: Table, store: Store, now: Now, alone_since: Option<Moment>) -> Self {
        Self(Arc::new(Parts {
            table,
            store,
            now,
            alone_since,
            slots: Slots::default(),
            wanted: OnceLock::new(),
        }))
    }

    fn now(&self) -> Moment {
        (self.0.now)()
    }

    /// Tells the worker of this process, if there is one, that a collection may need a fold.
    pub fn touched(&self, tenant: &TenantId, name: &CollectionName) {
        if let Some(wanted) = self.0.wanted.get() {
            // A worker that has ended folds no more, and the next process does.
            let _ = wanted.send((tenant.clone(), name.clone()));
        }
    }
}

/// Whether this code can read the packs of a pointer.
fn readable(pointer: &Pointer) -> Result<()> {
    match pointer.format.cmp(&search::FORMAT) {
        Ordering::Less => Err(Error::NotBuilt),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(Error::Newer),
    }
}

/// Where the packs of an index are.
fn prefix(tenant: &TenantId, name: &CollectionName, of: Generation) -> String {
    format!("{tenant}/{name}/{}/{}", of.number, of.generation)
}
