//! Deleted collections: gone at once with what was reserved in them, and erased without a trace.

mod deleting;
mod erasing;
mod schemas;
mod world;
