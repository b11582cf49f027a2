//! Chance, time, and work that is cut short.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use indexing::Now;
use model::id::UploadId;
use model::time::Moment;
use testkit::NOW;
use uuid::Uuid;

/// Work that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a request is given to be carried out whose answer nobody waits for any more. Tests that drop
/// work have one thread for it and for the engine: what was sent is carried out before what is sent after.
const LANDING: Duration = Duration::from_millis(25);

/// A whole number of the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "how long and from which seed tests run is said where they are started"
)]
pub(crate) fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a whole number"))
}

/// Numbers that look random and follow from a seed: splitmix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Random {
    /// The numbers of one step, whatever the steps before it have drawn.
    pub(crate) fn of(seed: u64, step: u64) -> Self {
        Self(mix(seed) ^ mix(step.wrapping_add(STRIDE)))
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STRIDE);
        mix(self.0)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// A place among so many.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("a place")
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.index(all.len())]
    }

    /// Yes, in so many per cent of all cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// From so many seconds to so many.
    pub(crate) fn seconds(&mut self, from: u64, to: u64) -> TimeDelta {
        let seconds = from + self.below(to - from + 1);
        TimeDelta::seconds(seconds.cast_signed())
    }

    /// The id of a new upload, or of another call that makes records.
    pub(crate) fn upload(&mut self) -> UploadId {
        UploadId(Uuid::from_u64_pair(self.draw(), self.draw()))
    }

    /// A crash in so many per cent of all cases, after fewer than so many polls.
    pub(crate) fn fate(&mut self, percent: u64, polls: u64) -> Fate {
        let crash = self.chance(percent);
        let (polls, linger) = (self.below(polls), self.below(4));
        if crash {
            let linger = Duration::from_millis(linger);
            Fate::Cut { polls, linger }
        } else {
            Fate::Whole
        }
    }
}

/// How work ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// As it should.
    Whole,
    /// After so many polls its process dies, a moment after it asked for something.
    Cut { polls: u64, linger: Duration },
}

/// Polls work once and so many times more. What it came to, if it came to its end.
pub(crate) async fn advance<T>(work: &mut BoxFuture<'_, T>, mut polls: u64) -> Option<T> {
    let polled = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if polls == 0 => Poll::Ready(None),
        Poll::Pending => {
            polls -= 1;
            Poll::Pending
        }
    });
    let polled = tokio::time::timeout(PATIENCE, polled).await;
    polled.expect("work that goes on")
}

/// Does work to its end.
pub(crate) async fn whole<T>(work: BoxFuture<'_, T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.expect("work that ends")
}

/// Drops work where it is.
pub(crate) async fn abandon<T>(work: BoxFuture<'_, T>) {
    drop(work);
    tokio::time::sleep(LANDING).await;
}

/// Does work until its fate; `None` if it was cut short.
pub(crate) async fn run<T>(mut work: BoxFuture<'_, T>, fate: Fate) -> Option<T> {
    let Fate::Cut { polls, linger } = fate else {
        return Some(whole(work).await);
    };
    let done = advance(&mut work, polls).await;
    if done.is_none() {
        tokio::time::sleep(linger).await;
        abandon(work).await;
    }
    done
}

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn now(&self) -> Moment {
        let start: Moment = NOW.parse().expect("a moment");
        start + TimeDelta::milliseconds(self.0.load(Ordering::SeqCst))
    }

    /// Moves it.
    pub(crate) fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// What an index asks.
    pub(crate) fn teller(&self) -> Now {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}
