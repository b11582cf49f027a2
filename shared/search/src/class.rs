//! What kind of query a text is.

use serde::Serialize;

/// The class of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The whole query looks like a part number, SKU, EAN, CAS number or a standard.
    Identifier,
    /// One to three words.
    Keyword,
    /// Four words and more.
    NaturalLanguage,
    /// No text at all: everything, or what the filters leave.
    Filter,
}

/// Bodies whose standards are cited by a number.
const STANDARDS: [&str; 28] = [
    "ansi", "api", "asme", "astm", "bs", "csa", "din", "en", "etsi", "fips", "gb", "gost", "iec",
    "ieee", "iso", "iso/iec", "itu", "jis", "mil", "nema", "nf", "nfpa", "rfc", "sae", "ul", "uni",
    "vda", "vde",
];

/// Units that a number may stand before: `16mm` is a size, not a part number.
const UNITS: [&str; 40] = [
    "a", "ah", "bar", "cm", "db", "ft", "g", "gb", "ghz", "h", "hz", "in", "inch", "kg", "khz",
    "km", "kv", "kw", "kwh", "l", "lb", "m", "ma", "mah", "mb", "mhz", "min", "ml", "mm", "ms",
    "mv", "mw", "nm", "oz", "pa", "psi", "rpm", "s", "v", "w",
];

/// Classifies a query by its look alone.
pub(crate) fn classify(query: &str) -> Class {
    let words: Vec<&str> = query.split_whitespace().collect();
    if words.is_empty() {
        return Class::Filter;
    }
    if is_standard(&words) || is_code(&words) {
        return Class::Identifier;
    }
    if words.len() <= 3 {
        Class::Keyword
    } else {
        Class::NaturalLanguage
    }
}

fn has_digit(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

fn has_letter(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn digits(word: &str) -> usize {
    word.bytes().filter(u8::is_ascii_digit).count()
}

/// Letters, digits and the separators of part numbers.
fn is_plain(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_./:+#".contains(&byte))
        && word.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// `ISO 4017`, `DIN EN ISO 4017:2014`, `MIL-STD-810`: names of bodies, then numbers.
fn is_standard(words: &[&str]) -> bool {
    let named = words
        .iter()
        .take_while(|word| STANDARDS.contains(&word.to_ascii_lowercase().as_str()))
        .count();
    let rest = &words[named..];
    (1..=3).contains(&named)
        && (1..=2).contains(&rest.len())
        && rest.iter().all(|word| is_plain(word))
        && rest[0].starts_with(|c: char| c.is_ascii_digit())
}

/// A part number, in one word or with spaces for separators.
fn is_code(words: &[&str]) -> bool {
    if words.len() > 6 || !words.iter().all(|word| is_plain(word)) {
        return false;
    }
    if let [word] = words {
        return has_digit(word) && is_one_word_code(word);
    }
    // `4 006381 333931`: an EAN as it is printed.
    if words
        .iter()
        .all(|word| !has_letter(word) && !word.contains('.'))
    {
        return words.iter().map(|word| digits(word)).sum::<usize>() >= 8;
    }
    // `SS M8 40 A2`: short words, most of them with digits, or all in capitals.
    let with_digits = words.iter().filter(|word| has_digit(word)).count();
    let letters: Vec<&&str> = words.iter().filter(|word| !has_digit(word)).collect();
    let short = letters.iter().all(|word| word.len() <= 3);
    let capitals = letters
        .iter()
        .all(|word| !word.bytes().any(|byte| byte.is_ascii_lowercase()));
    let sizes = words
        .windows(2)
        .any(|pair| is_unit(pair[1]) && !has_letter(pair[0]));
    let mixed = words
        .iter()
        .any(|word| has_digit(word) && has_letter(word) && !is_size(word));
    with_digits >= 1
        && short
        && !sizes
        && ((mixed && with_digits > letters.len()) || (capitals && !letters.is_empty()))
}

fn is_one_word_code(word: &str) -> bool {
    if has_letter(word) {
        return !is_size(word);
    }
    // EAN and other numbers; CAS numbers and the like have dashes between digits.
    digits(word) >= 5 && !word.contains('.')
        || word.contains('-') && digits(word) >= 4 && !word.starts_with('-')
}

fn is_unit(word: &str) -> bool {
    UNITS.contains(&word.to_ascii_lowercase().as_str())
}

/// A number and its unit in one word.
fn is_size(word: &str) -> bool {
    let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    number.len() < word.len()
        && number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && is_unit(&word[number.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_numbers_standards_and_codes_are_identifiers() {
        for query in [
            "LM16UU",
            "lm-16-uu",
            "LM 16 UU",
            "ssm840a2",
            "SS M8 40 A2",
            "ss m8 40 a2",
            "SS-M8-40-A2",
            "SS_M8/40.A2",
            "ISO 4017",
            "iso 4017",
            "iso4017",
            "DIN EN ISO 4017:2014",
            "DIN 125",
            "MIL-STD-810",
            "4006381333931",
            "96385074",
            "7732-18-5",
            "64-17-5",
            "4 006381 333931",
            "6204-2RS",
            "  LM16UU  ",
            "BRG-6204",
            "10455",
        ] {
            assert_eq!(classify(query), Class::Identifier, "{query}");
        }
    }

    #[test]
    fn words_and_sizes_are_not() {
        for query in [
            "bearing",
            "linear bearing",
            "m8 bolt",
            "16mm shaft",
            "16mm",
            "2.5 kg",
            "bolts 2026",
            "stainless steel bolt",
            "top 10",
            "2026",
            "12.50",
            "\u{1f600}",
            "---",
            "caf\u{e9}",
            "5 bar",
        ] {
            assert_eq!(classify(query), Class::Keyword, "{query}");
        }
    }

    #[test]
    fn four_words_are_natural_language() {
        assert_eq!(classify("bolt for wet rooms"), Class::NaturalLanguage);
        assert_eq!(
            classify("which bearing fits 16 mm shafts"),
            Class::NaturalLanguage
        );
    }

    #[test]
    fn no_text_is_a_filter() {
        assert_eq!(classify(""), Class::Filter);
        assert_eq!(classify(" \t\n"), Class::Filter);
    }
}
