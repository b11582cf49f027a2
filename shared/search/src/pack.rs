//! A pack: one immutable object that holds the files of index segments.
//!
//! ```text
//! files | hot bytes | footer (JSON) | footer's length, CRC-32 (4 bytes each) | "QNXPACK1"
//! ```
//!
//! The hot bytes repeat what is read whenever the segments are opened: where fields, dictionaries
//! and columns begin. They lie with the footer at the end, the pack's tail, which is read and
//! checked in one request; the CRC-32 is over hot bytes and footer. A small pack is all tail:
//! its files are its hot bytes.

#![expect(
    clippy::cast_possible_truncation,
    reason = "usize has 64 bits wherever this runs, and a footer is far from 4 GB"
)]

pub(crate) mod directory;
pub(crate) mod hot;
mod written;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use model::index;
use serde::{Deserialize, Serialize};
use tantivy::HasLen;
use tantivy::directory::{FileHandle, OwnedBytes};
use tokio::runtime::Handle;

use crate::store::{Part, Piece, Store, StoreError};
pub(crate) use written::Written;

const MAGIC: &[u8; 8] = b"QNXPACK1";
/// Footer length, checksum and magic.
const TRAILER: usize = 16;

/// Packs up to so many bytes are read whole when they are opened.
const SMALL: usize = 1 << 20;

/// What is read by and by is read, and kept, in blocks of so many bytes.
const BLOCK: u64 = 64 << 10;

/// What is longer is read as it is asked for: columns and long postings always are in the same way.
const LONG: u64 = 128 << 10;

/// The most bytes of one request; more are asked for by several at once.
const REQUEST: u64 = 8 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Footer {
    /// Name, start and length of each file.
    files: Vec<(PathBuf, u64, u64)>,
    /// Start and length of each stretch that the hot bytes repeat, in their order.
    hot: Vec<(u64, u64)>,
}

/// The parts of a pack that is to be written, and what the pointer has to know of it.
pub(crate) struct Packed {
    pub(crate) parts: Vec<Part>,
    pub(crate) pack: index::Pack,
}

/// Packs files, each with the stretches of it that are hot.
pub(crate) fn pack(
    name: u128,
    files: Vec<(PathBuf, Written, Vec<Range<usize>>)>,
) -> io::Result<Packed> {
    let data: usize = files.iter().map(|(_, file, _)| file.len()).sum();
    let small = data <= SMALL;
    let mut footer = Footer {
        files: Vec::with_capacity(files.len()),
        hot: if small {
            vec![(0, data as u64)]
        } else {
            Vec::new()
        },
    };
    let mut parts = Vec::with_capacity(files.len() + 2);
    let mut hot: Vec<u8> = Vec::new();
    let mut checksum = crc32fast::Hasher::new();
    let mut start = 0;
    for (path, file, stretches) in files {
        let len = file.len() as u64;
        if small {
            checksum.update(&file.read_bytes(0..file.len())?);
        } else {
            for stretch in stretches {
                let at = start + stretch.start as u64;
                footer.hot.push((at, stretch.len() as u64));
                hot.extend_from_slice(&file.read_bytes(stretch)?);
            }
        }
        footer.files.push((path, start, len));
        start += len;
        parts.push(match file {
            Written::Memory(bytes) => Part::Bytes(Bytes::from_owner(bytes)),
            Written::Disk(file, _) => Part::File(file, len),
        });
    }
    let footer = serde_json::to_vec(&footer)?;
    checksum.update(&hot);
    checksum.update(&footer);
    let mut trailer = Vec::with_capacity(TRAILER);
    trailer.extend((footer.len() as u32).to_le_bytes());
    trailer.extend(checksum.finalize().to_le_bytes());
    trailer.extend(MAGIC);
    let tail = if small { data } else { hot.len() } + footer.len() + TRAILER;
    parts.extend([hot, footer, trailer].map(|bytes| Part::Bytes(bytes.into())));
    let len = parts.iter().map(Part::len).sum();
    Ok(Packed {
        parts,
        pack: index::Pack {
            name: format!("{name:032x}"),
            len,
            tail: tail as u64,
        },
    })
}

/// A stretch that is in memory for as long as the pack is open.
#[derive(Debug)]
struct Hot {
    range: Range<u64>,
    bytes: OwnedBytes,
}

/// A pack that is open.
#[derive(Debug)]
pub(crate) struct Pack {
    id: u128,
    path: String,
    len: u64,
    store: Store,
    runtime: Handle,
    file: Option<File>,
    files: Vec<(PathBuf, Range<u64>)>,
    hot: Vec<Hot>,
    /// The bytes that are in memory.
    pub(crate) held: u64,
}

impl Pack {
    /// Opens the pack at `path`.
    pub(crate) async fn open(
        store: &Store,
        path: String,
        meta: &index::Pack,
    ) -> Result<Self, StoreError> {
        let corrupt = |reason: &str| StoreError::Corrupt {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let id = u128::from_str_radix(&meta.name, 16).map_err(|_| corrupt("not a pack's name"))?;
        let range = meta.len.saturating_sub(meta.tail)..meta.len;
        let file = store.file(&path)?;
        let tail = if let Some(file) = &file {
            let read = store.read_file(file, range);
            read.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => corrupt("it is too short"),
                _ => error.into(),
            })?
        } else {
            let piece = Piece {
                pack: id,
                start: range.start,
                end: range.end,
            };
            fetch(store, &path, &piece).await?
        };
        let tail = OwnedBytes::new(tail.to_vec());
        let (footer, hot) = read_tail(&tail).map_err(|reason| corrupt(&reason))?;
        let mut at = 0;
        let mut stretches = Vec::with_capacity(footer.hot.len());
        for (start, len) in footer.hot {
            let end = at + usize::try_from(len).map_err(|_| corrupt("a stretch is too long"))?;
            if end > hot.len() {
                return Err(corrupt("it has fewer hot bytes than it says"));
            }
            stretches.push(Hot {
                range: start..start + len,
                bytes: hot.slice(at..end),
            });
            at = end;
        }
        stretches.sort_by_key(|hot| hot.range.start);
        let files = footer.files.into_iter();
        Ok(Self {
            id,
            store: store.clone(),
            runtime: Handle::current(),
            file,
            files: files
                .map(|(name, start, len)| (name, start..start + len))
                .collect(),
            hot: stretches,
            held: meta.tail,
            len: meta.len,
            path,
        })
    }

    /// The files in it and where they are.
    pub(crate) fn files(&self) -> &[(PathBuf, Range<u64>)] {
        &self.files
    }

    /// Reads a stretch. It may block, on no thread of the runtime.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<OwnedBytes> {
        if let Some(bytes) = self.at_hand(&range) {
            return Ok(bytes);
        }
        let memory = self.store.memory();
        let pieces = pieces(self.id, self.len, &range).map(|piece| {
            let bytes = memory.get(&piece, || self.fetch(&piece))?;
            Ok((piece, bytes))
        });
        Ok(joined(&range, &pieces.collect::<io::Result<Vec<_>>>()?))
    }

    /// The same, waiting.
    pub(crate) async fn read_async(&self, range: Range<u64>) -> io::Result<OwnedBytes> {
        if let Some(bytes) = self.at_hand(&range) {
            return Ok(bytes);
        }
        let memory = self.store.memory();
        let pieces = pieces(self.id, self.len, &range).map(|piece| async move {
            let bytes = memory.get_async(&piece, self.fetch_async(&piece)).await?;
            Ok::<_, io::Error>((piece, bytes))
        });
        Ok(joined(&range, &try_join_all(pieces).await?))
    }

    fn at_hand(&self, range: &Range<u64>) -> Option<OwnedBytes> {
        if range.is_empty() {
            return Some(OwnedBytes::empty());
        }
        let after = self
            .hot
            .partition_point(|hot| hot.range.start <= range.start);
        let hot = &self.hot[after.checked_sub(1)?];
        let inside = |at: u64| usize::try_from(at - hot.range.start).ok();
        (range.end <= hot.range.end)
            .then(|| Some(hot.bytes.slice(inside(range.start)?..inside(range.end)?)))?
    }

    fn fetch(&self, piece: &Piece) -> io::Result<OwnedBytes> {
        match &self.file {
            Some(file) => {
                let bytes = self.store.read_file(file, piece.start..piece.end)?;
                Ok(OwnedBytes::new(bytes.to_vec()))
            }
            None => self.runtime.block_on(self.fetch_async(piece)),
        }
    }

    async fn fetch_async(&self, piece: &Piece) -> io::Result<OwnedBytes> {
        if self.file.is_some() {
            return self.fetch(piece);
        }
        let bytes = fetch(&self.store, &self.path, piece).await?;
        Ok(OwnedBytes::new(bytes.to_vec()))
    }
}

/// Fetches a piece from the disk or else the store.
async fn fetch(store: &Store, path: &str, piece: &Piece) -> Result<Bytes, StoreError> {
    if let Some(bytes) = store.disk().and_then(|disk| disk.get(piece)) {
        return Ok(bytes);
    }
    let starts = (piece.start..piece.end).step_by(REQUEST as usize);
    let parts = starts.map(|start| store.get(path, start..piece.end.min(start + REQUEST)));
    let parts = try_join_all(parts).await?;
    let bytes = match <[Bytes; 1]>::try_from(parts) {
        Ok([bytes]) => bytes,
        Err(parts) => parts.concat().into(),
    };
    if let Some(disk) = store.disk() {
        disk.put(*piece, &bytes);
    }
    Ok(bytes)
}

/// The pieces that a stretch lies in.
fn pieces(pack: u128, len: u64, range: &Range<u64>) -> impl Iterator<Item = Piece> + use<> {
    let long = range.end - range.start > LONG;
    let (start, end, step) = if long {
        (range.start, range.end, range.end - range.start)
    } else {
        (range.start - range.start % BLOCK, range.end, BLOCK)
    };
    (start..end).step_by(step as usize).map(move |start| Piece {
        pack,
        start,
        // The last block ends where the pack does.
        end: len.min(start + step),
    })
}

/// The stretch out of the pieces that it lies in.
fn joined(range: &Range<u64>, pieces: &[(Piece, OwnedBytes)]) -> OwnedBytes {
    let inside = |piece: &Piece, bytes: &OwnedBytes| {
        let start = range.start.max(piece.start) - piece.start;
        let end = range.end.min(piece.end) - piece.start;
        bytes.slice(start as usize..end as usize)
    };
    match pieces {
        [(piece, bytes)] => inside(piece, bytes),
        pieces => {
            let mut all = Vec::new();
            for (piece, bytes) in pieces {
                all.extend_from_slice(&inside(piece, bytes));
            }
            OwnedBytes::new(all)
        }
    }
}

/// The footer and the hot bytes of a tail.
fn read_tail(tail: &OwnedBytes) -> Result<(Footer, OwnedBytes), String> {
    let body = tail.len().checked_sub(TRAILER).ok_or("it is too short")?;
    let word = |at: usize| -> Option<u32> {
        let bytes = tail.get(body + at..body + at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    if &tail[body + 8..] != MAGIC {
        return Err("it is no pack".to_owned());
    }
    if word(4) != Some(crc32fast::hash(&tail[..body])) {
        return Err("its checksum is wrong".to_owned());
    }
    let footer_len = word(0).unwrap_or_default() as usize;
    let footer_at = body
        .checked_sub(footer_len)
        .ok_or("its footer is too long")?;
    let footer: Footer =
        serde_json::from_slice(&tail[footer_at..body]).map_err(|error| error.to_string())?;
    Ok((footer, tail.slice(0..footer_at)))
}

/// The packs of a pointer, opened at once; those of `known` are open already.
pub(crate) async fn open_all(
    store: &Store,
    prefix: &str,
    pointer: &index::Pointer,
    known: &[Arc<Pack>],
) -> Result<Vec<Arc<Pack>>, StoreError> {
    try_join_all(pointer.packs.iter().map(|meta| async {
        let path = path(prefix, pointer.build, &meta.name);
        match known.iter().find(|pack| pack.path == path) {
            Some(pack) => Ok(Arc::clone(pack)),
            None => Ok(Arc::new(Pack::open(store, path, meta).await?)),
        }
    }))
    .await
}

/// Where a pack is.
#[must_use]
pub fn path(prefix: &str, build: u32, name: &str) -> String {
    format!("{prefix}/{build}/{name}.pack")
}
