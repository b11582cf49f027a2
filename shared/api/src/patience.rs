//! Waiting for others that change the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, Result};

/// How long a call waits for others, in all.
const WAITING: Duration = Duration::from_secs(5);

/// How long it waits at first, and at most at once.
const FIRST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(200);

/// What is left of a call's patience. Copies of it, one for each of the call's records, give up at
/// the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    give_up: Instant,
    wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            give_up: Instant::now() + WAITING,
            wait: FIRST,
        }
    }
}

impl Patience {
    /// Waits a moment, each time a longer one; once it has waited long enough, the call fails
    /// with [`Error::Unavailable`].
    pub async fn pause(&mut self) -> Result<()> {
        if Instant::now() >= self.give_up {
            let why = "other calls of the tenant hold what this one needs";
            return Err(Error::Unavailable(Arc::new(std::io::Error::other(why))));
        }
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST);
        Ok(())
    }
}
