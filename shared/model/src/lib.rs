//! The domain of the portal: types, identifiers, plans and rules.
//!
//! Nothing here waits, talks to AWS or knows HTTP. Input becomes a type through one parser that
//! returns every [`Fault`] it finds; from there on a value of the type is right by construction.

pub mod account;
pub mod cell;
pub mod collection;
pub mod fault;
pub mod id;
pub mod idempotency;
pub mod index;
pub mod json;
pub mod key;
pub mod limit;
pub mod period;
pub mod plan;
pub mod quickstart;
pub mod record;
pub mod time;
pub mod upload;
pub mod usage;

pub use fault::{Fault, Faults};
