//! What searches find while calls, uploads, folds, merges and crashes cross each other: the same as
//! in a plain map that had the same changes one after the other, whichever process is asked.
//!
//! Each step draws from its seed and its number alone. `INTERLEAVINGS_STEPS` says how many steps
//! there are and `INTERLEAVINGS_SEED` repeats a run that failed, which said its seed:
//!
//! ```text
//! INTERLEAVINGS_STEPS=10000 cargo test -p indexing --test interleavings
//! ```

mod cases;
mod changes;
mod checks;
#[path = "../common/mod.rs"]
mod common;
mod flights;
mod jobs;
mod queries;
mod runs;
mod sides;
mod world;
