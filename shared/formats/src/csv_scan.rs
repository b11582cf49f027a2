//! Where the fields of a CSV record lie.
//!
//! The rules are those of the crate `csv`: a quote that begins a field ends at the next one that is
//! not doubled, what follows it is taken as it stands, and so is a quote elsewhere; records end at CR,
//! LF or both. Here whole fields are found at once, which is several times as fast as a byte at a time.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

/// The most columns.
pub(crate) const MAX_COLUMNS: usize = 1_000;

/// A field of a record: where it lies, with its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) start: usize,
    pub(crate) end: usize,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it stands.
    Bare,
    /// All of it in quotes.
    Quoted,
    /// With doubled quotes, or text behind the quotes.
    Mixed,
    /// In a quote that does not end.
    Open,
}

/// What begins a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// A record of so many bytes, without its line's end.
    Record(usize),
    /// A record that goes on behind the text.
    More,
    /// A record of too many columns.
    Wide,
}

/// Finds the fields of the record that begins `text`, which is all that there is if it is the
/// `last`. A text without any bytes is a record of one empty field.
pub(crate) fn scan(text: &[u8], delimiter: u8, last: bool, fields: &mut Vec<Field>) -> Scan {
    fields.clear();
    let mut start = 0;
    loop {
        let field = field(text, start, delimiter);
        fields.push(field);
        if fields.len() > MAX_COLUMNS {
            return Scan::Wide;
        }
        match text.get(field.end) {
            Some(byte) if *byte == delimiter => start = field.end + 1,
            Some(_) => return Scan::Record(field.end),
            None if last => return Scan::Record(field.end),
            None => return Scan::More,
        }
    }
}

/// How many bytes of line ends begin a text: lines without anything are no records.
pub(crate) fn blank(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| matches!(byte, b'\n' | b'\r'))
        .count()
}

fn field(text: &[u8], start: usize, delimiter: u8) -> Field {
    if text.get(start) != Some(&b'"') {
        let end = bare_end(text, start, delimiter);
        return Field {
            start,
            end,
            form: Form::Bare,
        };
    }
    let mut form = Form::Quoted;
    let mut at = start + 1;
    loop {
        let Some(quote) = memchr(b'"', &text[at..]) else {
            return Field {
                start,
                end: text.len(),
                form: Form::Open,
            };
        };
        let behind = at + quote + 1;
        match text.get(behind) {
            Some(b'"') => {
                form = Form::Mixed;
                at = behind + 1;
            }
            Some(byte) if *byte != delimiter && !matches!(byte, b'\n' | b'\r') => {
                return Field {
                    start,
                    end: bare_end(text, behind, delimiter),
                    form: Form::Mixed,
                };
            }
            _ => {
                return Field {
                    start,
                    end: behind,
                    form,
                };
            }
        }
    }
}

fn bare_end(text: &[u8], start: usize, delimiter: u8) -> usize {
    memchr3(delimiter, b'\n', b'\r', &text[start..]).map_or(text.len(), |length| start + length)
}

impl Field {
    /// What the field says.
    pub(crate) fn text<'a>(&self, record: &'a str) -> Cow<'a, str> {
        let raw = &record[self.start..self.end];
        match self.form {
            Form::Bare => Cow::Borrowed(raw),
            Form::Quoted => Cow::Borrowed(&raw[1..raw.len() - 1]),
            Form::Mixed | Form::Open => Cow::Owned(unquote(&raw[1..])),
        }
    }

    /// Whether its quote never ends.
    pub(crate) fn is_open(&self) -> bool {
        self.form == Form::Open
    }

    /// How many bytes it has, with its quotes.
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// What stands behind an opening quote.
fn unquote(mut rest: &str) -> String {
    let mut text = String::with_capacity(rest.len());
    while let Some((quoted, behind)) = rest.split_once('"') {
        text.push_str(quoted);
        let Some(more) = behind.strip_prefix('"') else {
            rest = behind;
            break;
        };
        text.push('"');
        rest = more;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(text: &str, delimiter: u8) -> Vec<Vec<String>> {
        let mut fields = Vec::new();
        let mut records = Vec::new();
        let mut at = 0;
        loop {
            at += blank(&text.as_bytes()[at..]);
            let rest = &text[at..];
            if rest.is_empty() {
                return records;
            }
            let Scan::Record(length) = scan(rest.as_bytes(), delimiter, true, &mut fields) else {
                panic!("{rest}");
            };
            let cells = fields.iter().map(|field| field.text(rest).into_owned());
            records.push(cells.collect());
            at += length;
        }
    }

    fn expected(text: &str, delimiter: u8) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        reader
            .records()
            .map(|record| record.unwrap().iter().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn a_record_that_may_go_on_is_not_taken() {
        let mut fields = Vec::new();
        for text in ["a", "a,", "\"a", "\"a\"", "a,\"b\"\"", "\"a\"b"] {
            assert_eq!(
                scan(text.as_bytes(), b',', false, &mut fields),
                Scan::More,
                "{text}"
            );
            let scanned = scan(text.as_bytes(), b',', true, &mut fields);
            assert_eq!(scanned, Scan::Record(text.len()), "{text}");
        }
        assert_eq!(scan(b"a,b\r", b',', false, &mut fields), Scan::Record(3));
        let wide = [b','; 5_000];
        assert_eq!(scan(&wide, b',', false, &mut fields), Scan::Wide);
        assert_eq!(fields.len(), MAX_COLUMNS + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn records_are_those_of_the_csv_crate(text in "[a\"\"\",;\n\r \u{e9}]{0,40}") {
            for delimiter in [b',', b';'] {
                prop_assert_eq!(records(&text, delimiter), expected(&text, delimiter));
            }
        }
    }
}
