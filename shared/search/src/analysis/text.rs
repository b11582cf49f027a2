//! From text to words, and to values that are compared whole.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RawTokenizer, RemoveLongFilter, SimpleTokenizer,
    Stemmer, StopWordFilter, TextAnalyzer, TokenStream,
};
use unicode_normalization::UnicodeNormalization;

/// The analyser of running text.
pub(super) const ENGLISH: &str = "en";

/// The longest identifier, in bytes of its bare form.
const MAX_IDENTIFIER: usize = 64;

/// Strings are compared and sorted whole up to so many characters; a longer one by as many and a
/// hash of all of it.
const MAX_VALUE: usize = 128;

/// The analyser, made once: its stop words and its stemmer are shared by its clones.
pub(super) fn english() -> TextAnalyzer {
    static ANALYSER: LazyLock<TextAnalyzer> = LazyLock::new(make_english);
    ANALYSER.clone()
}

fn make_english() -> TextAnalyzer {
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
pub(super) fn without_accents(text: &str) -> String {
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
            // It is kept in packs, so it is a hash that never changes.
            let hash = Sha256::digest(folded.as_bytes());
            format!("{}\u{1}{}", &folded[..end], hex::encode(&hash[..8]))
        }
    }
}

/// An identifier without case, accents and separators; `None` if it is none. No query without a
/// digit, or of up to three digits alone, is taken for an identifier: no such value need be one.
pub(crate) fn bare_identifier(text: &str) -> Option<String> {
    // Nothing so long becomes short enough.
    if text.len() > 4 * MAX_IDENTIFIER {
        return None;
    }
    let bare: String = fold(text).chars().filter(|c| c.is_alphanumeric()).collect();
    let digits = bare.bytes().filter(u8::is_ascii_digit).count();
    let named = digits > 3 || digits > 0 && digits < bare.len();
    (named && bare.len() <= MAX_IDENTIFIER).then_some(bare)
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
        for text in ["bolt", "123", ""] {
            assert_eq!(bare_identifier(text), None, "{text:?}");
        }
        for text in ["1234", "m8", "2a"] {
            assert_eq!(bare_identifier(text).as_deref(), Some(text));
        }
        assert_eq!(bare_identifier(&"x".repeat(65)), None);
    }

    #[test]
    fn long_values_differ_beyond_where_they_are_cut() {
        let long = "x".repeat(200);
        assert_ne!(value(&format!("{long}a")), value(&format!("{long}b")));
        assert_eq!(value(&format!("{long}A")), value(&format!("{long}a")));
    }
}
