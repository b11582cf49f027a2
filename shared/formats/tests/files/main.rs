//! Files as people have them, and as nobody should.

mod common;
mod corpus;
mod csv_files;
mod encodings;
mod hostile;
mod json_files;
#[path = "../lazy/mod.rs"]
mod lazy;
mod pieces;
mod tables;
mod xml_files;
