//! What was read of a store on the network, on the disk: a second, slower and larger cache, of one
//! process at a time. A Lambda keeps it as long as its sandbox. It is only a cache: what fails here is read again from
//! the store.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use super::Piece;

/// What a file costs beside its bytes.
const OVERHEAD: u64 = 4_096;

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Piece, ()> for ByBytes {
    fn weight(&self, piece: &Piece, (): &()) -> u64 {
        piece.end - piece.start + OVERHEAD
    }
}

/// Deletes the file of a piece that has to make room.
#[derive(Debug, Clone)]
struct Unlink {
    folder: PathBuf,
}

impl Lifecycle<Piece, ()> for Unlink {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), piece: Piece, (): ()) {
        let _ = std::fs::remove_file(file(&self.folder, &piece));
    }
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    pieces: Cache<Piece, (), ByBytes, DefaultHashBuilder, Unlink>,
}

impl Disk {
    /// The cache in a folder, with what an earlier process of the sandbox left there.
    pub(crate) fn open(folder: PathBuf, bytes: u64) -> Self {
        if let Err(error) = std::fs::create_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "no cache on the disk");
        }
        let unlink = Unlink {
            folder: folder.clone(),
        };
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(4_096)
            .weight_capacity(bytes)
            .build();
        let hasher = DefaultHashBuilder::default();
        let pieces = match options {
            Ok(options) => Cache::with_options(options, ByBytes, hasher, unlink),
            Err(_) => Cache::with(4_096, bytes, ByBytes, hasher, unlink),
        };
        let disk = Self { folder, pieces };
        for entry in std::fs::read_dir(&disk.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            match piece(&entry.path()) {
                Some(piece) => disk.pieces.insert(piece, ()),
                None => drop(std::fs::remove_file(entry.path())),
            }
        }
        disk
    }

    /// Reads a piece, if it is there.
    pub(crate) fn get(&self, piece: &Piece) -> Option<Bytes> {
        self.pieces.get(piece)?;
        let bytes = std::fs::read(file(&self.folder, piece)).ok()?;
        (bytes.len() as u64 == piece.end - piece.start).then(|| bytes.into())
    }

    /// Keeps a piece.
    pub(crate) fn put(&self, piece: Piece, bytes: &[u8]) {
        // An entry that is overwritten is evicted, and its file with it.
        self.pieces.remove(&piece);
        match self.write(&piece, bytes) {
            Ok(()) => self.pieces.insert(piece, ()),
            Err(error) => tracing::debug!(%error, "a piece was not kept on the disk"),
        }
    }

    /// Whole or not at all, for whoever reads at the same time.
    fn write(&self, piece: &Piece, bytes: &[u8]) -> io::Result<()> {
        let path = file(&self.folder, piece);
        let draft = path.with_extension("draft");
        std::fs::write(&draft, bytes)?;
        std::fs::rename(&draft, path)
    }
}

fn file(folder: &Path, piece: &Piece) -> PathBuf {
    folder.join(format!("{:032x}-{}-{}", piece.pack, piece.start, piece.end))
}

fn piece(path: &Path) -> Option<Piece> {
    let mut parts = path.file_name()?.to_str()?.split('-');
    let piece = Piece {
        pack: u128::from_str_radix(parts.next()?, 16).ok()?,
        start: parts.next()?.parse().ok()?,
        end: parts.next()?.parse().ok()?,
    };
    (parts.next().is_none() && piece.start < piece.end).then_some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece_at(start: u64) -> Piece {
        Piece {
            pack: 7,
            start,
            end: start + 10_000,
        }
    }

    #[test]
    fn a_piece_is_kept_for_the_next_process_and_the_folder_stays_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Disk::open(folder.path().to_owned(), 100_000);
        let disk = open();
        disk.put(piece_at(0), &[1; 10_000]);
        assert_eq!(disk.get(&piece_at(0)).unwrap(), vec![1; 10_000]);
        assert_eq!(open().get(&piece_at(0)).unwrap(), vec![1; 10_000]);
        assert!(disk.get(&piece_at(1)).is_none());
        for start in 1..100 {
            disk.put(piece_at(start), &[2; 10_000]);
        }
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert!(files <= 10, "{files} files");
    }

    #[test]
    fn a_piece_that_is_put_twice_stays() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path().to_owned(), 100_000);
        for _ in 0..3 {
            disk.put(piece_at(0), &[1; 10_000]);
            assert_eq!(disk.get(&piece_at(0)).unwrap(), vec![1; 10_000]);
        }
    }

    #[test]
    fn a_piece_that_was_cut_short_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path().to_owned(), 100_000);
        disk.put(piece_at(0), &[1; 10_000]);
        std::fs::write(file(folder.path(), &piece_at(0)), [1; 10]).unwrap();
        assert!(disk.get(&piece_at(0)).is_none());
    }
}
