//! What becomes of an index when packs are lost, the store is down, a lease is taken over or a
//! record cannot be read: searches answer right, what is lost is built anew, and what is left over
//! is swept up.

#[expect(dead_code, reason = "nothing here is left to chance")]
#[path = "../common/mod.rs"]
mod common;
mod folds;
mod rebuilds;
mod sweeps;
mod tampering;
mod unreadable;
mod world;
