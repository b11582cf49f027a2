//! What is folded into packs is found as what is in memory is: by another process, after merges and
//! rebuilds, with few requests, and with a clear error where it cannot be read.

mod articles;
#[path = "../common/mod.rs"]
mod common;
mod folders;
mod folds;
mod lost;
mod reads;
mod shelf;
mod stock;
mod watched;
