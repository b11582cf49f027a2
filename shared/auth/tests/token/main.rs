//! What the verifier lets pass and what it refuses, told by tokens that are mostly well signed.

mod callers;
mod claims;
mod common;
mod forms;
mod headers;
mod secrets;
