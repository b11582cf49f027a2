//! The search index: what is searched, what a query means, what comes back and in which order; and
//! how the index is kept.
//!
//! It knows records and nothing of HTTP or of the table. As data flows:
//!
//! - **in**: a record is analysed (`analysis`) into a document; a [`Fold`] takes documents into
//!   segments, merges segments that have become many, and writes what is new as one `pack` to the
//!   [`Store`]. What it comes to is a [`Pointer`](model::index::Pointer), which the caller keeps.
//! - **out**: an [`Index`] opens the packs of a pointer, takes in what has changed since, and
//!   answers a [`Request`]: it is classified (`class`), becomes a query with its filters
//!   (`query`, `filter`), and its hits are ranked (`rank`) into a [`Page`] of ids. The pages of
//!   several indexes come [`Together`] into one.

mod analysis;
mod class;
mod filter;
mod fold;
mod index;
mod merge;
mod pack;
mod page;
mod query;
mod rank;
mod replaced;
mod request;
mod segments;
mod store;
mod together;

pub use class::Class;
pub use fold::{Effort, Fold, Folded, RETIRED_FOR};
pub use index::{Change, Error, Fit, Hit, Index, Mode, Page};
pub use merge::is_due as merge_is_due;
pub use pack::path as pack_path;
pub use rank::Rank;
pub use request::{
    Audience, DEFAULT_LIMIT, Direction, MAX_LIMIT, MAX_OFFSET, Request, Sort, query_text,
};
pub use store::{Caches, Listed, Reads, Store, StoreError};
pub use together::Together;

/// The format of the packs: the schema, the analysis and tantivy's own. A pointer that says another
/// one is of an older or newer code; its index has to be rebuilt.
pub const FORMAT: u32 = 2;
