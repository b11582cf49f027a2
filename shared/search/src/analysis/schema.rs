//! The fields of the index.

use tantivy::Index;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, JsonObjectOptions, Schema, TextFieldIndexing, TextOptions,
};

use super::text::{ENGLISH, english};

/// Values that are compared whole.
const RAW: &str = "raw";

/// The fields of the index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// The id in two halves: what a hit is, what ties are broken by, and what a change replaces.
    /// Columns rather than a stored document: a page of hits that lie far apart would cost as many
    /// requests as it has.
    pub id_high: Field,
    pub id_low: Field,
    /// The name as text.
    pub name: Field,
    /// The description and every string, as text.
    pub body: Field,
    /// Every value that may identify the record, bare.
    pub identifier: Field,
    /// What its source calls it, bare: that is nobody's business but its owner's.
    pub source: Field,
    /// Strings and booleans by path.
    pub strings: Field,
    /// Numbers by path.
    pub numbers: Field,
    /// The record type as it is, and folded.
    pub kind: Field,
    pub kind_folded: Field,
    /// [`EVERYBODY`] in those that everybody may find.
    pub audience: Field,
    /// The name, folded, for sorting.
    pub name_folded: Field,
    /// Microseconds since 1970.
    pub created: Field,
    pub updated: Field,
}

/// The names of the columns that are sorted by.
pub(crate) const ID_HIGH: &str = "id_high";
pub(crate) const ID_LOW: &str = "id_low";
pub(crate) const NAME_FOLDED: &str = "name_folded";
pub(crate) const KIND_FOLDED: &str = "kind_folded";
pub(crate) const CREATED: &str = "created";
pub(crate) const UPDATED: &str = "updated";
pub(crate) const STRINGS: &str = "s";
pub(crate) const NUMBERS: &str = "n";

/// The term of public records.
pub(crate) const EVERYBODY: &str = "everybody";

/// The schema. It is part of the format of packs: who changes it changes
/// [`FORMAT`](crate::FORMAT).
pub(crate) fn schema() -> (Schema, Fields) {
    let whole = || {
        TextFieldIndexing::default()
            .set_tokenizer(RAW)
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false)
    };
    let text = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer(ENGLISH)
            .set_index_option(IndexRecordOption::WithFreqs),
    );
    let term = TextOptions::default().set_indexing_options(whole());
    let column = TextOptions::default().set_fast(RAW);
    let both = term.clone().set_fast(RAW);
    let mut builder = Schema::builder();
    let fields = Fields {
        id_high: builder.add_u64_field(ID_HIGH, FAST),
        id_low: builder.add_u64_field(ID_LOW, FAST),
        name: builder.add_text_field("name", text.clone()),
        body: builder.add_text_field("body", text),
        identifier: builder.add_text_field("identifier", term.clone()),
        source: builder.add_text_field("source", term.clone()),
        strings: builder.add_json_field(
            STRINGS,
            JsonObjectOptions::default()
                .set_indexing_options(whole())
                .set_fast(RAW),
        ),
        numbers: builder.add_json_field(NUMBERS, JsonObjectOptions::default().set_fast(RAW)),
        kind: builder.add_text_field("kind", term.clone()),
        kind_folded: builder.add_text_field(KIND_FOLDED, both),
        audience: builder.add_text_field("audience", term),
        name_folded: builder.add_text_field(NAME_FOLDED, column),
        created: builder.add_i64_field(CREATED, FAST),
        updated: builder.add_i64_field(UPDATED, FAST),
    };
    (builder.build(), fields)
}

/// Registers the analysers; without them an index cannot be written or queried.
pub(crate) fn register(index: &Index) {
    index.tokenizers().register(ENGLISH, english());
}
