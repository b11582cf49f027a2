//! A stretch of a file's text: as much of it as a row needs.

use std::io::{Cursor, Read};

use encoding_rs::UTF_8;
use memchr::{memchr, memchr_iter, memchr2_iter, memrchr2};

use crate::Error;
use crate::encoding::{Coding, Decoder, no_text, undecodable};
use crate::source::{Source, read_some};

/// How many bytes of the file are taken in at once.
const PIECE: usize = 64 * 1024;

/// The text of a file from some byte on.
pub(crate) struct Window {
    reader: Box<dyn Read + Send>,
    coding: Coding,
    decoder: Decoder,
    piece: Vec<u8>,
    /// What was taken in and is not consumed begins at `start`.
    text: String,
    start: usize,
    /// Where that is in the whole text.
    at: u64,
    /// How many bytes of the file were taken in.
    taken: u64,
    ended: bool,
    /// Whether a byte was met that is not of the encoding.
    broken: bool,
    /// Where in lines `text` begins. Lines are counted when consumed text goes, and when somebody asks:
    /// not with each of many small steps.
    lines: Option<Lines>,
}

/// Where in lines some text ends. A line ends with a feed, a carriage return, or both.
#[derive(Clone, Copy)]
struct Lines {
    /// From 1.
    number: u64,
    /// Where the line begins in the whole text.
    begin: u64,
    /// Whether the last byte was a carriage return, to which a feed may belong.
    returned: bool,
}

impl Lines {
    /// Behind some more text, which begins at `at`.
    fn after(self, text: &[u8], at: u64) -> Self {
        let Some(last) = memrchr2(b'\n', b'\r', text) else {
            let returned = self.returned && text.is_empty();
            return Self { returned, ..self };
        };
        let ends = memchr2_iter(b'\n', b'\r', text).count();
        let pairs = memchr_iter(b'\n', text)
            .filter(|at| match at.checked_sub(1) {
                Some(before) => text[before] == b'\r',
                None => self.returned,
            })
            .count();
        Self {
            number: self.number + (ends - pairs) as u64,
            begin: at + last as u64 + 1,
            returned: text.last() == Some(&b'\r'),
        }
    }
}

impl Window {
    /// The text of a file from byte `at` of the text on. Lines can be counted from the start only.
    pub(crate) fn open(
        source: &dyn Source,
        coding: Coding,
        at: u64,
        counts_lines: bool,
    ) -> Result<Self, Error> {
        // Where a byte of the text stands in the file is known if the two are the same.
        let begin = if coding.encoding == UTF_8 { at } else { 0 };
        let reader = source.open(coding.mark.saturating_add(begin))?;
        let mut window = Self::new(reader, coding, begin, counts_lines && begin == 0);
        window.pass(at)?;
        Ok(window)
    }

    /// A text that is there already.
    pub(crate) fn over(text: String) -> Self {
        let coding = Coding {
            encoding: UTF_8,
            mark: 0,
            sure: true,
        };
        Self::new(Box::new(Cursor::new(text)), coding, 0, true)
    }

    fn new(reader: Box<dyn Read + Send>, coding: Coding, at: u64, counts_lines: bool) -> Self {
        Self {
            reader,
            coding,
            decoder: Decoder::new(coding.encoding),
            piece: vec![0; PIECE],
            text: String::new(),
            start: 0,
            at,
            taken: at,
            ended: false,
            broken: false,
            lines: counts_lines.then_some(Lines {
                number: 1,
                begin: 0,
                returned: false,
            }),
        }
    }

    /// What was taken in and is not consumed.
    pub(crate) fn rest(&self) -> &str {
        &self.text[self.start..]
    }

    /// Where the rest begins in the whole text, in bytes.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Whether nothing comes behind the rest.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// How many bytes of the file are consumed; about, where text and bytes differ.
    pub(crate) fn bytes(&self) -> u64 {
        let consumed = if self.coding.encoding == UTF_8 {
            self.at
        } else {
            self.taken
        };
        self.coding.mark.saturating_add(consumed)
    }

    /// Takes in some more text; `false` at the end of the file.
    pub(crate) fn fill(&mut self) -> Result<bool, Error> {
        if self.broken {
            return Err(self.malformed());
        }
        self.drop_consumed();
        let before = self.text.len();
        while self.text.len() == before && !self.ended {
            let count = read_some(&mut *self.reader, &mut self.piece)?;
            self.taken += count as u64;
            self.ended = count == 0;
            let fed = self
                .decoder
                .feed(&self.piece[..count], self.ended, &mut self.text);
            if fed.is_err() {
                // What stands in front of it is read first.
                self.broken = true;
                self.ended = false;
                if self.text.len() == before {
                    return Err(self.malformed());
                }
            }
        }
        if memchr(0, &self.text.as_bytes()[before..]).is_some() {
            return Err(no_text());
        }
        Ok(self.text.len() > before)
    }

    /// Takes in half as much again, so that a row which comes in many pieces is not looked through
    /// from its start with each of them; `false` at the end of the file.
    pub(crate) fn grow(&mut self) -> Result<bool, Error> {
        let goal = self.rest().len() + self.rest().len() / 2;
        let mut grown = self.fill()?;
        let more = grown;
        while grown && !self.broken && self.rest().len() < goal {
            grown = self.fill()?;
        }
        Ok(more)
    }

    fn drop_consumed(&mut self) {
        self.lines = self.lines_before(0);
        self.text.drain(..self.start);
        self.start = 0;
    }

    /// Consumes so many bytes of the rest.
    pub(crate) fn consume(&mut self, length: usize) {
        self.start += length;
        self.at += length as u64;
    }

    /// Consumes all of the rest.
    pub(crate) fn consume_all(&mut self) {
        self.consume(self.text.len() - self.start);
    }

    /// Consumes what is in front of byte `at` of the text.
    pub(crate) fn pass(&mut self, at: u64) -> Result<(), Error> {
        while self.at < at {
            if self.rest().is_empty() && !self.fill()? {
                break;
            }
            let left = usize::try_from(at - self.at).unwrap_or(usize::MAX);
            let length = self.rest().floor_char_boundary(left);
            if length == 0 {
                break;
            }
            self.consume(length);
        }
        Ok(())
    }

    fn malformed(&self) -> Error {
        if self.coding.encoding == UTF_8 && !self.coding.sure {
            Error::NotUtf8
        } else {
            undecodable(self.coding.encoding)
        }
    }

    /// The number of the line that a byte of the rest is in, if lines are counted.
    pub(crate) fn line_number(&self, offset: usize) -> Option<u64> {
        self.lines_before(offset).map(|lines| lines.number)
    }

    /// The line that a byte of the rest is in, for people.
    pub(crate) fn line(&self, offset: usize) -> String {
        match self.line_number(offset) {
            Some(line) => format!("line {line}"),
            None => self.byte(offset),
        }
    }

    /// Where a byte of the rest stands, for people.
    pub(crate) fn place(&self, offset: usize) -> String {
        let Some(Lines { number, begin, .. }) = self.lines_before(offset) else {
            return self.byte(offset);
        };
        let column = self.begin() + self.before(offset).len() as u64 - begin + 1;
        format!("line {number} column {column}")
    }

    /// Where in lines a byte of the rest is.
    fn lines_before(&self, offset: usize) -> Option<Lines> {
        let lines = self.lines.as_ref()?;
        Some(lines.after(self.before(offset), self.begin()))
    }

    /// Where `text` begins in the whole text.
    fn begin(&self) -> u64 {
        self.at - self.start as u64
    }

    fn byte(&self, offset: usize) -> String {
        format!("byte {}", self.at + offset as u64 + 1)
    }

    /// What `text` has in front of a byte of the rest.
    fn before(&self, offset: usize) -> &[u8] {
        let text = self.text.as_bytes();
        &text[..(self.start + offset).min(text.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("a{end}bc{end}{end}d");
            let mut window = Window::over(text.clone());
            assert!(window.fill().unwrap());
            let last = text.len() - 1;
            assert_eq!(window.place(last), "line 4 column 1", "{end:?}");
            assert_eq!(window.place(last - end.len()), "line 3 column 1", "{end:?}");
            for _ in 0..last {
                window.consume(1);
            }
            assert_eq!(window.place(0), "line 4 column 1", "{end:?}");
            assert_eq!(window.line(0), "line 4", "{end:?}");
        }
    }

    #[test]
    fn a_line_that_ends_where_a_piece_does_is_counted_once() {
        for (end, column) in [("\r\n", 1), ("\r", 2), ("\n", 2)] {
            let text = format!("{}{end}bc", "a".repeat(PIECE - 1));
            let mut window = Window::over(text);
            assert!(window.fill().unwrap());
            window.consume_all();
            assert_eq!(window.line(0), "line 2", "{end:?}");
            assert!(window.fill().unwrap());
            window.consume(1);
            assert_eq!(
                window.place(0),
                format!("line 2 column {column}"),
                "{end:?}"
            );
        }
    }
}
