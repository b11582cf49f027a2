//! The main API and the open one as programs use them: the calls of the product's public Python SDK
//! against the built `portal-local`, keys that end while they are used, and what everybody may see.

#[expect(dead_code, reason = "each test takes what it needs of it")]
#[path = "../common/mod.rs"]
mod common;

mod calls;
mod client;
mod crowd;
mod ending;
mod private;
