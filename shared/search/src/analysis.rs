//! What of a record is searched, and in which form.
//!
//! Text is compared without case and accents, whichever way the accents were composed. Each
//! string of `collection_data` at any depth is searched as text; each value is also kept under
//! its path for filters and sorting, strings apart from numbers, so that the type of a field
//! never depends on which record came first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::record::Record;
use serde_json::Value;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, OwnedValue, Schema,
    TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RawTokenizer, RemoveLongFilter, SimpleTokenizer,
    Stemmer, StopWordFilter, TextAnalyzer, TokenStream,
};
use tantivy::{Index, TantivyDocument};
use unicode_normalization::UnicodeNormalization;

/// The analyser of running text.
const ENGLISH: &str = "en";
/// Values that are compared whole.
const RAW: &str = "raw";

/// The longest identifier, in bytes of its bare form.
const MAX_IDENTIFIER: usize = 64;

/// Strings are compared and sorted whole up to so many characters; a longer one by as many and a
/// hash of all of it.
const MAX_VALUE: usize = 128;

/// How many paths of one collection can be filtered and sorted by. Each is a column.
pub(crate) const MAX_PATHS: usize = 10_000;

/// How many paths that look the same from outside are told apart in a filter.
const MAX_NAMESAKES: usize = 8;

/// Stands between the steps of a path.
const STEP: char = '\u{241f}';

/// The fields of the index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// The id, as a term: what a change replaces.
    pub id: Field,
    /// The id in two halves, for ties.
    pub id_high: Field,
    pub id_low: Field,
    /// The name as text.
    pub name: Field,
    /// The description and every string, as text.
    pub body: Field,
    /// Every value that may identify the record, bare.
    pub identifier: Field,
    /// Strings and booleans by path.
    pub strings: Field,
    /// Numbers by path.
    pub numbers: Field,
    /// The record type as it is, and folded.
    pub kind: Field,
    pub kind_folded: Field,
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
        id: builder.add_text_field("id", term.clone()),
        id_high: builder.add_u64_field(ID_HIGH, FAST),
        id_low: builder.add_u64_field(ID_LOW, FAST),
        name: builder.add_text_field("name", text.clone()),
        body: builder.add_text_field("body", text),
        identifier: builder.add_text_field("identifier", term.clone()),
        strings: builder.add_json_field(
            STRINGS,
            JsonObjectOptions::default()
                .set_indexing_options(whole())
                .set_fast(RAW),
        ),
        numbers: builder.add_json_field(NUMBERS, JsonObjectOptions::default().set_fast(RAW)),
        kind: builder.add_text_field("kind", term),
        kind_folded: builder.add_text_field(KIND_FOLDED, both),
        name_folded: builder.add_text_field(NAME_FOLDED, column),
        created: builder.add_i64_field(CREATED, FAST | INDEXED),
        updated: builder.add_i64_field(UPDATED, FAST | INDEXED),
    };
    (builder.build(), fields)
}

/// Registers the analysers; without them an index cannot be written or queried.
pub(crate) fn register(index: &Index) {
    index.tokenizers().register(ENGLISH, english());
}

fn english() -> TextAnalyzer {
    let stop_words = StopWordFilter::new(Language::English);
    let text = TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(60))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter);
    match stop_words {
        Some(stop_words) => text
            .filter(stop_words)
            .filter(Stemmer::new(Language::English))
            .build(),
        None => text.filter(Stemmer::new(Language::English)).build(),
    }
}

/// The stems of a query's words, without stop words and repetitions, in order.
pub(crate) fn stems(text: &str) -> Vec<String> {
    let mut analyzer = english();
    let text = without_accents(text);
    let mut stream = analyzer.token_stream(&text);
    let mut stems: Vec<String> = Vec::new();
    stream.process(&mut |token| {
        if !stems.contains(&token.text) {
            stems.push(token.text.clone());
        }
    });
    stems
}

/// Text without the accents that Unicode composes letters with. What is left is composed again,
/// because the letters of some scripts come apart too.
fn without_accents(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    text.nfd()
        .filter(|c| !('\u{300}'..='\u{36f}').contains(c))
        .nfc()
        .collect()
}

/// Text as values are compared: lower case, no accents, special letters spelled out.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut analyzer = TextAnalyzer::builder(RawTokenizer::default())
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build();
    let text = without_accents(text);
    let mut folded = String::with_capacity(text.len());
    analyzer
        .token_stream(&text)
        .process(&mut |token| folded.push_str(&token.text));
    folded
}

/// A string as the index keeps it under its path.
pub(crate) fn value(text: &str) -> String {
    let folded = fold(text);
    match folded.char_indices().nth(MAX_VALUE) {
        None => folded,
        Some((end, _)) => {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            folded.hash(&mut hasher);
            format!("{}\u{1}{:016x}", &folded[..end], hasher.finish())
        }
    }
}

/// An identifier without case, accents and separators; `None` if it is none.
pub(crate) fn bare_identifier(text: &str) -> Option<String> {
    // Nothing so long becomes short enough.
    if text.len() > 4 * MAX_IDENTIFIER {
        return None;
    }
    let bare: String = fold(text).chars().filter(|c| c.is_alphanumeric()).collect();
    (!bare.is_empty() && bare.len() <= MAX_IDENTIFIER).then_some(bare)
}

/// The paths that records of a collection have, by what a client calls them: dots between steps.
/// A key that has a dot of its own looks the same from outside and is another path.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    known: HashMap<String, BTreeSet<String>>,
    count: usize,
}

impl Paths {
    /// The paths that a client's name for a field stands for.
    pub(crate) fn named(&self, field: &str) -> impl Iterator<Item = &str> {
        self.known
            .get(field)
            .into_iter()
            .flatten()
            .take(MAX_NAMESAKES)
            .map(String::as_str)
    }

    /// Whether any record has the field.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.known.contains_key(field)
    }

    /// Notes a path and says whether there is room for it.
    fn admit(&mut self, path: &Path) -> bool {
        let paths = self.known.entry(path.shown.clone()).or_default();
        if paths.contains(&path.encoded) {
            return true;
        }
        if self.count >= MAX_PATHS {
            if paths.is_empty() {
                self.known.remove(&path.shown);
            }
            return false;
        }
        self.count += 1;
        paths.insert(path.encoded.clone())
    }
}

#[derive(Debug, Clone, Default)]
struct Path {
    shown: String,
    encoded: String,
}

impl Path {
    fn step(&self, key: &str) -> Self {
        let mut next = self.clone();
        if !next.encoded.is_empty() {
            next.shown.push('.');
            next.encoded.push(STEP);
        }
        next.shown.push_str(key);
        if key.is_empty() {
            next.encoded.push('\u{2205}');
        }
        // Characters that mean something in the name of a column.
        next.encoded.extend(key.chars().map(|c| match c {
            '.' => '\u{2024}',
            '\\' => '\u{29f5}',
            c if c < ' ' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{2400}'),
            c => c,
        }));
        next
    }
}

/// What a record's data is made of, flattened.
#[derive(Default)]
struct Flat {
    texts: Vec<String>,
    strings: BTreeMap<String, Vec<OwnedValue>>,
    numbers: BTreeMap<String, Vec<OwnedValue>>,
    identifiers: BTreeSet<String>,
}

impl Flat {
    fn take(&mut self, path: &Path, value: &Value, paths: &mut Paths) {
        match value {
            Value::Null => {}
            Value::Object(object) => {
                for (key, value) in object {
                    self.take(&path.step(key), value, paths);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.take(path, item, paths);
                }
            }
            Value::String(text) => {
                self.texts.push(without_accents(text));
                self.identifiers.extend(bare_identifier(text));
                self.string(path, self::value(text), paths);
            }
            Value::Bool(value) => self.string(path, value.to_string(), paths),
            Value::Number(number) => {
                if number.is_i64() || number.is_u64() {
                    self.identifiers
                        .extend(bare_identifier(&number.to_string()));
                }
                if exact(number).is_none() {
                    self.string(path, number.to_string(), paths);
                }
                if let Some(double) = number.as_f64()
                    && paths.admit(path)
                {
                    let column = self.numbers.entry(path.encoded.clone()).or_default();
                    column.push(OwnedValue::F64(double + 0.0));
                }
            }
        }
    }

    fn string(&mut self, path: &Path, text: String, paths: &mut Paths) {
        if paths.admit(path) {
            let column = self.strings.entry(path.encoded.clone()).or_default();
            column.push(OwnedValue::Str(text));
        }
    }
}

/// The double that is this very number. A longer whole number has none: it is compared by its
/// digits, and only ranges and orders take the double next to it.
pub(crate) fn exact(number: &serde_json::Number) -> Option<f64> {
    const INEXACT: u64 = 1 << 53;
    let fits = number.as_i64().map_or_else(
        || number.as_u64().is_none(),
        |integer| integer.unsigned_abs() < INEXACT,
    );
    number.as_f64().filter(|_| fits)
}

/// The document of a record. Paths that it is the first to have are noted in `paths`.
pub(crate) fn document(fields: &Fields, record: &Record, paths: &mut Paths) -> TantivyDocument {
    let mut flat = Flat::default();
    for (key, value) in &record.data {
        flat.take(&Path::default().step(key), value, paths);
    }
    flat.identifiers.extend(bare_identifier(&record.name));
    if let Some(source_id) = &record.source_id {
        flat.identifiers.extend(bare_identifier(source_id));
    }

    let mut document = TantivyDocument::new();
    let (high, low) = record.id.0.as_u64_pair();
    document.add_text(fields.id, record.id.to_string());
    document.add_u64(fields.id_high, high);
    document.add_u64(fields.id_low, low);
    document.add_text(fields.name, without_accents(&record.name));
    document.add_text(fields.name_folded, value(&record.name));
    if let Some(description) = &record.description {
        document.add_text(fields.body, without_accents(description));
    }
    for text in &flat.texts {
        document.add_text(fields.body, text);
    }
    for identifier in &flat.identifiers {
        document.add_text(fields.identifier, identifier);
    }
    document.add_object(fields.strings, columns(flat.strings));
    document.add_object(fields.numbers, columns(flat.numbers));
    document.add_text(fields.kind, record.record_type.as_str());
    document.add_text(fields.kind_folded, fold(record.record_type.as_str()));
    document.add_i64(fields.created, record.created_at.timestamp_micros());
    document.add_i64(fields.updated, record.updated_at.timestamp_micros());
    document
}

fn columns(values: BTreeMap<String, Vec<OwnedValue>>) -> BTreeMap<String, OwnedValue> {
    values
        .into_iter()
        .map(|(path, values)| (path, OwnedValue::Array(values)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_do_not_count_however_they_are_composed() {
        assert_eq!(fold("\u{c9}crou"), "ecrou");
        assert_eq!(fold("E\u{301}crou"), "ecrou");
        assert_eq!(fold("Stra\u{df}e \u{d8}RE"), "strasse ore");
        assert_eq!(stems("Pr\u{e4}zision"), stems("PRA\u{308}ZISION"));
        assert_eq!(fold("\u{d55c}\u{ad6d}"), "\u{d55c}\u{ad6d}");
    }

    #[test]
    fn words_are_stemmed_and_stop_words_left_out() {
        assert_eq!(
            stems("the linear bearings of the shaft"),
            ["linear", "bear", "shaft"]
        );
        assert!(stems("the of and").is_empty());
        assert!(stems("\" OR * \u{1f600} --").iter().all(|stem| stem != "*"));
    }

    #[test]
    fn an_identifier_has_no_separators() {
        for text in ["SS-M8-40-A2", "ss m8 40 a2", "SS_M8/40.A2", "ssm840a2"] {
            assert_eq!(bare_identifier(text).as_deref(), Some("ssm840a2"));
        }
        assert_eq!(bare_identifier("--"), None);
        assert_eq!(bare_identifier(&"x".repeat(65)), None);
    }

    #[test]
    fn long_values_differ_beyond_where_they_are_cut() {
        let long = "x".repeat(200);
        assert_ne!(value(&format!("{long}a")), value(&format!("{long}b")));
        assert_eq!(value(&format!("{long}A")), value(&format!("{long}a")));
    }

    #[test]
    fn paths_are_told_apart_and_bounded() {
        let mut paths = Paths::default();
        let nested = Path::default().step("a").step("b");
        let dotted = Path::default().step("a.b");
        assert!(paths.admit(&nested) && paths.admit(&dotted));
        assert_eq!(paths.named("a.b").count(), 2);
        for n in 0..2 * MAX_PATHS {
            paths.admit(&Path::default().step(&n.to_string()));
        }
        assert!(paths.has("0") && !paths.has(&(2 * MAX_PATHS - 1).to_string()));
        assert_eq!(paths.count, MAX_PATHS);
    }
}
