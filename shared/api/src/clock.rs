//! The one source of time.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use model::time::Moment;

/// A clock: the machine's, or one that stands still until it is moved.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// Stopped, for tests. Clones share the hands.
    Stopped(Arc<Mutex<Moment>>),
}

impl Clock {
    /// A clock that stands at `moment`.
    #[must_use]
    pub fn stopped_at(moment: Moment) -> Self {
        Self::Stopped(Arc::new(Mutex::new(moment)))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Moment {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the clock")]
            Self::System => chrono::Utc::now(),
            Self::Stopped(moment) => *moment.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a stopped clock; the machine's cannot be moved.
    pub fn advance(&self, by: TimeDelta) {
        if let Self::Stopped(moment) = self {
            *moment.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }
}
