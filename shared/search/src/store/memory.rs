//! What was read lately, in memory.

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use tantivy::directory::OwnedBytes;

/// What an entry costs beside its bytes.
const OVERHEAD: u64 = 128;

/// The parts that the cache is divided into; none holds more than its share.
const SHARDS: usize = 4;

/// A stretch of a pack. Packs never change, so neither does what is at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Piece {
    pub(crate) pack: u128,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Piece, OwnedBytes> for ByBytes {
    fn weight(&self, _: &Piece, bytes: &OwnedBytes) -> u64 {
        bytes.len() as u64 + OVERHEAD
    }
}

type Pieces =
    Cache<Piece, OwnedBytes, ByBytes, DefaultHashBuilder, DefaultLifecycle<Piece, OwnedBytes>>;

/// The cache. Whoever asks for a piece that somebody else is reading waits for that.
#[derive(Debug)]
pub(crate) struct Memory(Pieces);

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(4_096)
            .weight_capacity(bytes)
            .build();
        let (weighter, hasher) = (ByBytes, DefaultHashBuilder::default());
        Self(match options {
            Ok(options) => {
                Cache::with_options(options, weighter, hasher, DefaultLifecycle::default())
            }
            // Only for options that are missing.
            Err(_) => Cache::with(4_096, bytes, weighter, hasher, DefaultLifecycle::default()),
        })
    }

    /// The piece, read by `read` where it is not there.
    pub(crate) fn get<E>(
        &self,
        piece: &Piece,
        read: impl FnOnce() -> Result<OwnedBytes, E>,
    ) -> Result<OwnedBytes, E> {
        self.0.get_or_insert_with(piece, read)
    }

    /// The same, waiting.
    pub(crate) async fn get_async<E>(
        &self,
        piece: &Piece,
        read: impl Future<Output = Result<OwnedBytes, E>>,
    ) -> Result<OwnedBytes, E> {
        self.0.get_or_insert_async(piece, read).await
    }
}
