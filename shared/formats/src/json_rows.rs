//! JSON and NDJSON: a list of rows, one row, or a row a line.
//!
//! What makes the file no JSON makes it invalid as a whole, but a bad line of NDJSON and a value that
//! no record can hold reject their row alone.

use memchr::memchr;
use model::cell::is_too_small;
use model::record::Draft;
use model::{Fault, Faults, json};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::encoding::Coding;
use crate::json_cut::value;
use crate::json_shape::{Shape, broken, end_file, end_object, peek, plain, unexpected};
use crate::source::Source;
use crate::window::Window;
use crate::{Error, MAX_ROW, Parsed, draft, too_large};

/// A number that loses digits has at least so many of them.
const LONG: usize = 18;

/// The rows of a JSON file.
pub(crate) struct JsonRows {
    window: Window,
    shape: Shape,
    /// Whether an item stands in front.
    is_behind: bool,
}

impl JsonRows {
    pub(crate) fn open(
        source: &dyn Source,
        coding: Coding,
        shape: Shape,
        at: u64,
        strict: bool,
    ) -> Result<Self, Error> {
        let first = match shape {
            Shape::Lines => 0,
            Shape::Items { first, .. } | Shape::One { first } => first,
        };
        // To know the line of an error, what is in front of the first row is read too.
        let mut window = Window::open(source, coding, if at > first { at } else { 0 }, strict)?;
        window.pass(first)?;
        Ok(Self {
            window,
            shape,
            is_behind: at > first,
        })
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    pub(crate) fn next(&mut self) -> Result<Option<Parsed>, Error> {
        match self.shape {
            Shape::Lines => self.line(),
            Shape::Items { in_object, .. } => self.listed(in_object),
            Shape::One { .. } if self.is_behind => {
                end_file(&mut self.window)?;
                Ok(None)
            }
            Shape::One { .. } => self.item().map(Some),
        }
    }

    fn line(&mut self) -> Result<Option<Parsed>, Error> {
        loop {
            let rest = self.window.rest();
            let newline = memchr(b'\n', rest.as_bytes());
            let (line, consumed) = match newline {
                Some(end) => (&rest[..end], end + 1),
                None => (rest, rest.len()),
            };
            let text = line.trim_start();
            if text.is_empty() {
                self.window.consume(consumed);
                if newline.is_none() && !self.window.fill()? {
                    return Ok(None);
                }
            } else if text.len() > MAX_ROW {
                self.window.consume(consumed);
                if newline.is_none() {
                    self.pass_line()?;
                }
                return Ok(Some(Err(too_large())));
            } else if newline.is_some() || self.window.ended() {
                let parsed = row(text.trim_end());
                self.window.consume(consumed);
                return Ok(Some(parsed));
            } else {
                self.window.grow()?;
            }
        }
    }

    /// Passes over the rest of a line.
    fn pass_line(&mut self) -> Result<(), Error> {
        while self.window.fill()? {
            if let Some(end) = memchr(b'\n', self.window.rest().as_bytes()) {
                self.window.consume(end + 1);
                break;
            }
            self.window.consume_all();
        }
        Ok(())
    }

    fn listed(&mut self, in_object: bool) -> Result<Option<Parsed>, Error> {
        match peek(&mut self.window)? {
            Some(b']') => {
                self.window.consume(1);
                if in_object {
                    end_object(&mut self.window)?;
                } else {
                    end_file(&mut self.window)?;
                }
                return Ok(None);
            }
            Some(b',') if self.is_behind => {
                self.window.consume(1);
                peek(&mut self.window)?;
            }
            Some(_) if !self.is_behind => {}
            _ => return Err(unexpected(&self.window, "a comma or ']' is missing")),
        }
        self.item().map(Some)
    }

    /// The item that begins the window's rest. It has to be JSON, but need not be a row.
    fn item(&mut self) -> Result<Parsed, Error> {
        let Some(length) = value(&mut self.window)? else {
            self.is_behind = true;
            return Ok(Err(too_large()));
        };
        let text = &self.window.rest()[..length];
        if text.is_empty() {
            return Err(unexpected(&self.window, "a value is missing"));
        }
        let parsed = row(text);
        if is_no_json(&parsed)
            && let Err(error) = serde_json::from_str::<IgnoredAny>(text)
        {
            return Err(broken(&self.window, text, &error));
        }
        self.window.consume(length);
        self.is_behind = true;
        Ok(parsed)
    }
}

/// Whether the row was not parsed, for whatever reason.
fn is_no_json(parsed: &Parsed) -> bool {
    let is_unread = |fault: &Fault| matches!(fault.kind, "json_invalid" | "too_deep" | "too_large");
    parsed
        .as_ref()
        .is_err_and(|faults| faults.iter().any(is_unread))
}

/// The draft of a row's text.
fn row(text: &str) -> Parsed {
    let value = json::parse_record(text).map_err(|error| unread(&error))?;
    if may_lose_digits(text, &value) && json::loses_digits(text) {
        return Err(vec![json::too_many_digits()]);
    }
    match value {
        Value::Object(object) => draft::of_object(object, text.len()),
        value => Draft::parse(value),
    }
}

fn unread(error: &serde_json::Error) -> Faults {
    let plain = plain(error);
    if plain == json::TOO_MUCH {
        return too_large();
    }
    vec![if error.is_data() {
        Fault::new("json_invalid", "The row has a duplicate key")
    } else if plain == "recursion limit exceeded" {
        Fault::new("too_deep", "Data is nested deeper than 32 levels")
    } else {
        Fault::new(
            "json_invalid",
            format!("The row is not valid JSON: {plain}"),
        )
    }]
}

/// Whether it is worth looking at each number: one has many digits, or is very small.
fn may_lose_digits(text: &str, value: &Value) -> bool {
    has_long_number(text.as_bytes()) || has_tiny_number(value)
}

/// Whether somewhere [`LONG`] digits and points follow each other. Two of them are then among each
/// ninth byte of the text, so that the others need not be looked at.
fn has_long_number(text: &[u8]) -> bool {
    const STEP: usize = LONG / 2;
    let mut at = STEP - 1;
    while at + STEP < text.len() {
        // Without this byte, the next two of a number lie behind it.
        if !is_part(text[at + STEP]) {
            at += 2 * STEP;
            continue;
        }
        if is_part(text[at]) {
            let (before, behind) = text.split_at(at);
            let before = before.iter().rev().take_while(|byte| is_part(**byte));
            let behind = behind.iter().take_while(|byte| is_part(**byte));
            if before.count() + behind.count() >= LONG {
                return true;
            }
        }
        at += STEP;
    }
    false
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

/// Whether there is a double of next to no size, which may have had more digits.
fn has_tiny_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64() && number.as_f64().is_some_and(is_too_small),
        Value::Array(items) => items.iter().any(has_tiny_number),
        Value::Object(object) => object.values().any(has_tiny_number),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a row is without a shorter way.
    fn expected(text: &str) -> Parsed {
        let value = json::parse_record(text).map_err(|error| unread(&error))?;
        if json::loses_digits(text) {
            return Err(vec![json::too_many_digits()]);
        }
        Draft::parse(value)
    }

    #[test]
    fn a_number_that_would_lose_digits_is_found_wherever_it_stands() {
        for number in [
            "18446744073709551616",
            "1e-400",
            "1e-310",
            "-2.5e-320",
            "123456789.123456789123",
            "0.100000000000000005551115123",
            "100000000000000000.1",
        ] {
            for gap in 0..40 {
                let text = format!(r#"{{"name":"{}","n":[{number}]}}"#, "x".repeat(gap + 1));
                let fault = row(&text).unwrap_err().remove(0);
                assert_eq!(fault.kind, "number_precision", "{text}");
            }
        }
        assert!(row(r#"{"name": "x", "n": 0.0, "m": 1e300, "o": -0}"#).is_ok());
    }

    #[test]
    fn what_is_nested_too_deeply_is_no_data() {
        for levels in [33, 100, 127, 128, 10_000] {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            let text = format!(r#"{{"name": "x", "d": {open}{close}}}"#);
            assert_eq!(row(&text).unwrap_err()[0].kind, "too_deep", "{levels}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

        #[test]
        fn a_row_is_what_the_model_says(
            name in ".{0,12}",
            number in "-?[0-9]{1,22}(\\.[0-9]{1,22})?(e-?[0-9]{1,3})?",
            other in "[0-9. ]{0,40}",
        ) {
            let name = serde_json::to_string(&name).unwrap();
            let text = format!(r#"{{"name":{name},"n":{number},"o":["{other}",null,0.5]}}"#);
            prop_assert_eq!(row(&text), expected(&text));
        }
    }
}
