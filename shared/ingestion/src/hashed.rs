//! A file that is hashed while it is read.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use formats::Source;
use sha2::{Digest, Sha256};

/// How much is read at once where nobody wants the bytes.
const PIECE: usize = 64 * 1024;

/// What is hashed so far: so many bytes from the first on.
#[derive(Default)]
struct State {
    hash: Sha256,
    bytes: u64,
}

/// A source that hashes what is read of it, from whichever byte that was begun last.
pub(crate) struct Hashed {
    source: Arc<dyn Source>,
    state: Arc<Mutex<State>>,
}

struct HashedRead {
    source: Box<dyn Read + Send>,
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hashed {
    pub(crate) fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            state: Arc::default(),
        }
    }

    /// The hash of the whole file. What was not read of it yet is read now.
    pub(crate) fn finish(&self) -> io::Result<String> {
        let done = lock(&self.state).bytes;
        let rest = self.source.open(done)?;
        drain(HashedRead {
            source: rest,
            state: Arc::clone(&self.state),
        })?;
        let hash = lock(&self.state).hash.clone().finalize();
        Ok(format!("sha256:{}", hex::encode(hash)))
    }
}

fn drain(mut read: impl Read) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while read.read(&mut piece)? > 0 {}
    Ok(())
}

impl Source for Hashed {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        *lock(&self.state) = State::default();
        let hashed = |source| HashedRead {
            source,
            state: Arc::clone(&self.state),
        };
        // What is skipped, such as a byte order mark, belongs to the hash.
        if from > 0 {
            drain(hashed(Box::new(self.source.open(0)?.take(from))))?;
        }
        Ok(Box::new(hashed(self.source.open(from)?)))
    }
}

impl Read for HashedRead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        let mut state = lock(&self.state);
        state.hash.update(&into[..read]);
        state.bytes += read as u64;
        Ok(read)
    }
}
