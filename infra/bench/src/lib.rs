//! Measures the search, uploads and the whole service, and PostgreSQL beside them; and the functions as
//! Lambda runs them.

pub mod catalogue;
pub mod classes;
pub mod engine;
pub mod guard;
pub mod http;
pub mod lambda;
pub mod parsing;
pub mod portal;
pub mod postgres;
mod products;
pub mod random;
mod records;
pub mod slow;
pub mod stats;
pub mod table;
pub mod upload;
pub mod vocabulary;
pub mod writes;
