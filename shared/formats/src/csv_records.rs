//! The records of a CSV file, as they come.

use crate::csv_scan::{Field, MAX_COLUMNS, Scan, blank, scan};
use crate::window::Window;
use crate::{Error, MAX_ROW, invalid};

/// The largest field, in bytes.
const MAX_FIELD: usize = 1024 * 1024;

/// What comes next.
pub(crate) enum Next {
    /// A record of so many bytes, without its line's end.
    Record(usize),
    /// A record that is longer than a row may be, and goes on behind the window.
    Large,
    End,
}

/// Finds the fields of the next record, which begins the window's rest.
pub(crate) fn next(
    window: &mut Window,
    delimiter: u8,
    fields: &mut Vec<Field>,
) -> Result<Next, Error> {
    loop {
        let blank = blank(window.rest().as_bytes());
        if blank > 0 {
            window.consume(blank);
        }
        let text = window.rest().as_bytes();
        if text.is_empty() {
            if window.fill()? {
                continue;
            }
            return Ok(Next::End);
        }
        match scan(text, delimiter, window.ended(), fields) {
            Scan::Record(length) => {
                if length > MAX_FIELD
                    && let Some(field) = fields.iter().find(|field| field.len() > MAX_FIELD)
                {
                    return Err(too_long(&window.line(field.start)));
                }
                return Ok(Next::Record(length));
            }
            Scan::Wide => return Err(too_wide(&window.line(0))),
            Scan::More if text.len() > MAX_ROW => return Ok(Next::Large),
            Scan::More => {
                window.grow()?;
            }
        }
    }
}

fn too_wide(line: &str) -> Error {
    invalid(
        "too_many_columns",
        format!("The record at {line} has more than the {MAX_COLUMNS} columns that are taken"),
    )
}

fn too_long(line: &str) -> Error {
    invalid(
        "field_too_large",
        format!("The field that begins at {line} has more than 1 MB"),
    )
}

fn unclosed(line: &str) -> Error {
    invalid(
        "quote_unclosed",
        format!("The quote that opens at {line} is never closed"),
    )
}

/// A quote that is never closed swallows the rest of the file.
pub(crate) fn check_quotes(window: &Window, fields: &[Field]) -> Result<(), Error> {
    match fields.last() {
        Some(field) if field.is_open() => Err(unclosed(&window.line(field.start))),
        _ => Ok(()),
    }
}

/// Passes over the record that begins the window's rest, without keeping it.
pub(crate) fn pass(window: &mut Window, delimiter: u8, strict: bool) -> Result<(), Error> {
    let mut passing = Passing::new(window.line_number(0));
    loop {
        for (index, byte) in window.rest().bytes().enumerate() {
            if passing.step(byte, delimiter)? {
                window.consume(index);
                return Ok(());
            }
        }
        window.consume_all();
        if !window.fill()? {
            return match passing.place {
                At::Quoted if strict => Err(unclosed(&said(passing.begin))),
                _ => Ok(()),
            };
        }
    }
}

/// Where in a record that is passed over a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Bare,
    Quoted,
    /// Behind a quote that ends the field, unless it is doubled.
    Quote,
}

/// A record that is passed over, a byte at a time.
struct Passing {
    place: At,
    columns: usize,
    /// How long the field is, with its quotes.
    length: usize,
    /// The line, and the one at which the field begins, if they are counted.
    line: Option<u64>,
    begin: Option<u64>,
    /// Whether the last byte was a carriage return, to which a feed may belong.
    returned: bool,
}

impl Passing {
    fn new(line: Option<u64>) -> Self {
        Self {
            place: At::Start,
            columns: 1,
            length: 0,
            line,
            begin: line,
            returned: false,
        }
    }

    /// Takes the next byte; `true` if it ends the record.
    fn step(&mut self, byte: u8, delimiter: u8) -> Result<bool, Error> {
        self.length += 1;
        self.place = match (self.place, byte) {
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) | (At::Start | At::Quote, b'"') => At::Quoted,
            (_, b'\n' | b'\r') => return Ok(true),
            (_, byte) if byte == delimiter => {
                self.columns += 1;
                self.length = 0;
                self.begin = self.line;
                At::Start
            }
            _ => At::Bare,
        };
        if byte == b'\r' || byte == b'\n' && !self.returned {
            self.line = self.line.map(|line| line + 1);
        }
        self.returned = byte == b'\r';
        if self.columns > MAX_COLUMNS {
            return Err(too_wide(&said(self.line)));
        }
        if self.length > MAX_FIELD {
            return Err(too_long(&said(self.begin)));
        }
        Ok(false)
    }
}

fn said(line: Option<u64>) -> String {
    line.map_or_else(
        || "a line that is not counted".to_owned(),
        |line| format!("line {line}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_passed_over_ends_where_another_would() {
        for (text, end) in [
            ("a,b\nc", Some(3)),
            ("\"a\n\"\"\n\",b\rc", Some(9)),
            ("a\"b\nc", Some(3)),
            ("\"a\"b\"\n", Some(5)),
            ("\"a\nb", None),
        ] {
            let mut passing = Passing::new(Some(1));
            let found = text
                .bytes()
                .position(|byte| passing.step(byte, b',').unwrap());
            assert_eq!(found, end, "{text:?}");
        }
    }

    #[test]
    fn the_line_of_a_field_is_known_whatever_ends_the_lines_in_front_of_it() {
        for text in ["\"a\nb\n\",\"c", "\"a\rb\r\",\"c", "\"a\r\nb\r\n\",\"c"] {
            let mut passing = Passing::new(Some(1));
            assert!(text.bytes().all(|byte| !passing.step(byte, b',').unwrap()));
            assert_eq!(passing.begin, Some(3), "{text:?}");
        }
    }
}
