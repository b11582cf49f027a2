//! The search index: what is searched, what a query means, what comes back and in which order.
//!
//! It knows records and nothing of HTTP or of the table. As data flows: a record is analysed
//! (`analysis`) into an [`Index`]; a [`Request`] is classified (`class`), becomes a query with
//! its filters (`filter`), and its hits are ranked (`rank`) into a [`Page`] of ids.

mod analysis;
mod class;
mod filter;
mod index;
mod query;
mod rank;
mod request;

pub use class::Class;
pub use index::{Error, Hit, Index, Mode, Page};
pub use request::{DEFAULT_LIMIT, Direction, MAX_LIMIT, MAX_OFFSET, Request, Sort};
