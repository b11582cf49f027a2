//! The text of a file as an XML parser reads it.

use std::io::{self, BufRead, Read};

use crate::Error;
use crate::window::Window;

/// The largest tag, text or comment, in bytes.
pub(crate) const MAX_EVENT: u64 = 4 * 1024 * 1024;

/// A window that a parser reads from.
pub(crate) struct Text {
    pub(crate) window: Window,
    /// How many bytes the parser took since it began with what it is at.
    pub(crate) taken: u64,
    /// Why it got no more.
    pub(crate) failed: Option<Error>,
}

impl Text {
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            taken: 0,
            failed: None,
        }
    }
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // The parser keeps what it is at, all of it.
        if self.taken > MAX_EVENT {
            return Err(io::Error::other("too much at once"));
        }
        if self.window.rest().is_empty()
            && let Err(error) = self.window.fill()
        {
            self.failed = Some(error);
            return Err(io::Error::other("no more text"));
        }
        Ok(self.window.rest().as_bytes())
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount as u64;
        self.window.consume(amount);
    }
}

impl Read for Text {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let text = self.fill_buf()?;
        let length = text.len().min(room.len());
        room[..length].copy_from_slice(&text[..length]);
        self.consume(length);
        Ok(length)
    }
}
