//! What the index keeps of a record: its fields, how text becomes words and values, and how
//! `collection_data` is laid flat.

mod document;
mod paths;
mod schema;
mod text;

pub(crate) use document::{document, exact};
pub(crate) use paths::Paths;
pub(crate) use schema::{
    CREATED, EVERYBODY, Fields, ID_HIGH, ID_LOW, KIND_FOLDED, NAME_FOLDED, NUMBERS, STRINGS,
    UPDATED, register, schema,
};
pub(crate) use text::{bare_identifier, fold, stems, value};
