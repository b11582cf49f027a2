//! Where a JSON value ends, without looking at what is in it.

use memchr::memchr2;

use crate::window::Window;
use crate::{Error, MAX_ROW, invalid};

/// Finds the end of a value in text that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// How many lists and objects are open.
    depth: u64,
    in_string: bool,
    /// Whether the next byte of the string stands behind a backslash.
    escaped: bool,
    /// Whether this is a number or a word, which ends where something else begins.
    bare: bool,
}

impl Cutter {
    /// Goes on with more of the text: how many of these bytes belong to the value, if it ends here.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_string {
                at = self.string(bytes, at)?;
                if !self.in_string && self.depth == 0 {
                    return Some(at);
                }
                continue;
            }
            match bytes[at] {
                b'"' | b'{' | b'[' if self.bare => return Some(at),
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => {
                    return Some(at);
                }
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => self.bare = self.depth == 0,
            }
            at += 1;
        }
        None
    }

    /// Goes on in a string: the byte behind the next quote or backslash.
    fn string(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        if self.escaped {
            self.escaped = false;
            return Some(at + 1);
        }
        let found = at + memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[found] == b'"' {
            self.in_string = false;
        } else {
            self.escaped = true;
        }
        Some(found + 1)
    }
}

/// Finds the value that begins the window's rest: how many bytes it has. One that is larger than a row
/// may be is passed over, and is `None`. One that the file's end cuts off is as much as there is.
pub(crate) fn value(window: &mut Window) -> Result<Option<usize>, Error> {
    let mut cutter = Cutter::default();
    let mut seen = 0;
    while seen <= MAX_ROW {
        if let Some(length) = cutter.feed(&window.rest().as_bytes()[seen..]) {
            let length = seen + length;
            if length <= MAX_ROW {
                return Ok(Some(length));
            }
            window.consume(length);
            return Ok(None);
        }
        seen = window.rest().len();
        if seen <= MAX_ROW && !window.fill()? {
            return Ok(Some(seen));
        }
    }
    loop {
        window.consume_all();
        if !window.fill()? {
            return Err(cut_off(window));
        }
        if let Some(length) = cutter.feed(window.rest().as_bytes()) {
            window.consume(length);
            return Ok(None);
        }
    }
}

fn cut_off(window: &Window) -> Error {
    let place = window.place(0);
    invalid(
        "json_invalid",
        format!("The file is not valid JSON: a value is not complete at the file's end, {place}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_at_its_last_byte_however_it_comes() {
        for (text, end) in [
            (r#"{"a": "}\"]", "b": [1, {}]} , 2"#, Some(27)),
            ("[[[]],[]] ]", Some(9)),
            (r#""a\\" , "b""#, Some(5)),
            ("12,3", Some(2)),
            ("true]", Some(4)),
            ("1{}", Some(1)),
            ("]", Some(0)),
            (",", Some(0)),
            ("12", None),
            (r#"{"a\""#, None),
            ("[[]", None),
        ] {
            assert_eq!(Cutter::default().feed(text.as_bytes()), end, "{text}");
            let mut cutter = Cutter::default();
            let mut pieces = text.as_bytes().chunks(1).enumerate();
            let found = pieces.find_map(|(at, piece)| cutter.feed(piece).map(|length| at + length));
            assert_eq!(found, end, "{text} in pieces");
        }
    }
}
