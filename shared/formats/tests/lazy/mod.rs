//! A file that is made while it is read.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use formats::Source;

/// How many bytes are made at once, about.
const BLOCK: usize = 64 * 1024;

/// A beginning, then the same over and over.
pub(crate) struct Lazy {
    head: Arc<[u8]>,
    block: Arc<[u8]>,
    length: u64,
    read: Arc<AtomicU64>,
}

struct Reader {
    head: Arc<[u8]>,
    block: Arc<[u8]>,
    left: u64,
    at: usize,
    read: Arc<AtomicU64>,
}

impl Lazy {
    pub(crate) fn new(head: &str, unit: &str, length: u64) -> Self {
        let block = unit.repeat(BLOCK.div_ceil(unit.len()));
        Self {
            head: head.as_bytes().into(),
            block: block.as_bytes().into(),
            length,
            read: Arc::default(),
        }
    }

    /// How many bytes of it were read, by all readers together.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Source for Lazy {
    fn len(&self) -> u64 {
        self.length
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Reader {
            head: Arc::clone(&self.head),
            block: Arc::clone(&self.block),
            left: self.length.saturating_sub(from),
            at: usize::try_from(from).expect("a place in the file"),
            read: Arc::clone(&self.read),
        }))
    }
}

impl Read for Reader {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let from = match self.head.get(self.at..) {
            Some(head) if !head.is_empty() => head,
            _ => &self.block[(self.at - self.head.len()) % self.block.len()..],
        };
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let count = room.len().min(from.len()).min(left);
        room[..count].copy_from_slice(&from[..count]);
        self.at += count;
        self.left -= count as u64;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
