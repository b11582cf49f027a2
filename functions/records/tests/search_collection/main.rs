//! `POST /portal/search/{collection}`: searches a collection.

mod access;
mod answers;
mod common;
mod counts;
mod faults;
mod formats;
