//! How the rows lie in a JSON file.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::encoding::Sample;
use crate::json_cut::value;
use crate::window::Window;
use crate::{Error, invalid};

/// Where the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shape {
    /// A row a line.
    Lines,
    /// The items of a list, whose bracket is in front of byte `first` of the text. It may be a member
    /// of an object.
    Items { first: u64, in_object: bool },
    /// One row, which begins at byte `first`.
    One { first: u64 },
}

impl Shape {
    /// Finds the shape from a file's beginning and the ending of its name.
    pub(crate) fn find(sample: &Sample, ending: &str) -> Result<Self, Error> {
        if matches!(ending, "ndjson" | "jsonl") {
            return Ok(Self::Lines);
        }
        let text = sample.text.trim_start();
        let begin = sample.text.len() - text.len();
        let first = begin as u64;
        if text.starts_with('[') {
            return Ok(Self::Items {
                first: first + 1,
                in_object: false,
            });
        }
        if !text.starts_with('{') {
            return Err(no_rows(sample));
        }
        if is_lines(text) {
            return Ok(Self::Lines);
        }
        let mut window = Window::over(sample.text.clone());
        window.pass(first + 1)?;
        match find_list(&mut window) {
            Ok(Some(first)) => Ok(Self::Items {
                first,
                in_object: true,
            }),
            Ok(None) => Ok(Self::One { first }),
            // The sample ends within the object, or its reader says what is wrong with it.
            Err(Error::Invalid(_, fault)) if fault.kind == "json_invalid" && !sample.whole => {
                Ok(Self::One { first })
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether the first line is an object, and another one follows.
fn is_lines(text: &str) -> bool {
    text.split_once('\n').is_some_and(|(line, rest)| {
        rest.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_ok()
    })
}

/// Finds where the list `records` of an object begins, behind whose brace the window is.
fn find_list(window: &mut Window) -> Result<Option<u64>, Error> {
    if peek(window)? == Some(b'}') {
        return Ok(None);
    }
    loop {
        if key(window)? == "records" {
            match peek(window)? {
                Some(b'[') => return Ok(Some(window.at() + 1)),
                Some(b'n') => {}
                _ => return Err(shape()),
            }
        }
        pass_value(window)?;
        match peek(window)? {
            Some(b',') => window.consume(1),
            Some(b'}') => return Ok(None),
            _ => return Err(unexpected(window, "a comma or '}' is missing")),
        }
    }
}

/// The rest of an object, behind the list `records`, and of the file.
pub(crate) fn end_object(window: &mut Window) -> Result<(), Error> {
    loop {
        match peek(window)? {
            Some(b',') => window.consume(1),
            Some(b'}') => {
                window.consume(1);
                return end_file(window);
            }
            _ => return Err(unexpected(window, "a comma or '}' is missing")),
        }
        if key(window)? == "records" {
            return Err(unexpected(window, "'records' stands twice"));
        }
        pass_value(window)?;
    }
}

/// The rest of a file, in which nothing may stand.
pub(crate) fn end_file(window: &mut Window) -> Result<(), Error> {
    match peek(window)? {
        None => Ok(()),
        Some(_) => Err(unexpected(window, "something stands behind its end")),
    }
}

/// The next byte that is no blank; the window is in front of it.
pub(crate) fn peek(window: &mut Window) -> Result<Option<u8>, Error> {
    loop {
        let rest = window.rest();
        let text = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let (blank, byte) = (rest.len() - text.len(), text.bytes().next());
        window.consume(blank);
        if byte.is_some() || !window.fill()? {
            return Ok(byte);
        }
    }
}

/// A key and its colon.
fn key(window: &mut Window) -> Result<String, Error> {
    if peek(window)? != Some(b'"') {
        return Err(unexpected(window, "a key is missing"));
    }
    let key = match value(window)? {
        Some(length) => {
            let text = &window.rest()[..length];
            let key = serde_json::from_str::<String>(text)
                .map_err(|error| broken(window, text, &error))?;
            window.consume(length);
            key
        }
        None => String::new(),
    };
    if peek(window)? != Some(b':') {
        return Err(unexpected(window, "a colon is missing"));
    }
    window.consume(1);
    peek(window)?;
    Ok(key)
}

/// Passes over the value of a key.
fn pass_value(window: &mut Window) -> Result<(), Error> {
    if let Some(length) = value(window)? {
        let text = &window.rest()[..length];
        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            return Err(broken(window, text, &error));
        }
        window.consume(length);
    }
    Ok(())
}

/// What is wrong with the text that begins the window's rest.
pub(crate) fn broken(window: &Window, text: &str, error: &serde_json::Error) -> Error {
    let lines = text.split_inclusive('\n').map(str::len);
    let begin: usize = lines.take(error.line().saturating_sub(1)).sum();
    let place = window.place(begin + error.column().saturating_sub(1));
    invalid(
        "json_invalid",
        format!("The file is not valid JSON: {} at {place}", plain(error)),
    )
}

/// What is wrong where the window's rest begins.
pub(crate) fn unexpected(window: &Window, what: &str) -> Error {
    let place = window.place(0);
    invalid(
        "json_invalid",
        format!("The file is not valid JSON: {what} at {place}"),
    )
}

/// The error without its position, which counts from the value's start.
pub(crate) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// What is wrong with a file that holds neither a list nor an object.
fn no_rows(sample: &Sample) -> Error {
    match serde_json::from_str::<IgnoredAny>(sample.text.trim()) {
        Ok(_) => shape(),
        Err(error) if error.is_eof() && !sample.whole => shape(),
        Err(error) => invalid(
            "json_invalid",
            format!("The file is not valid JSON: {error}"),
        ),
    }
}

fn shape() -> Error {
    invalid(
        "json_shape",
        "The file has to hold an array of objects or {\"records\": [...]}",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn found(text: &str) -> Result<Shape, &'static str> {
        let sample = Sample::take(&Bytes::copy_from_slice(text.as_bytes()), false).unwrap();
        Shape::find(&sample, "json").map_err(|error| match error {
            Error::Invalid("file", fault) => fault.kind,
            error => panic!("{error}"),
        })
    }

    #[test]
    fn the_shape_is_told_from_the_beginning() {
        let items = |first, in_object| Ok(Shape::Items { first, in_object });
        let one = |first| Ok(Shape::One { first });
        assert_eq!(found("\n [{}]"), items(3, false));
        assert_eq!(found("{\"records\": [{}]}"), items(13, true));
        assert_eq!(
            found("{\"a\": {\"records\": 1}, \"rec\\u006frds\" :\n[]}"),
            items(40, true)
        );
        assert_eq!(found(" {}"), one(1));
        assert_eq!(found("{\"a\": [], \"records\": null}"), one(0));
        assert_eq!(found("{\n\"name\": \"a\"\n}\n"), one(0));
        assert_eq!(found("{\"a\": 1}\n\n{"), Ok(Shape::Lines));
        assert_eq!(found("{\"records\": [1]}\n{\"a\": 1}"), Ok(Shape::Lines));
        for text in [
            "7",
            "\"text\"",
            "null",
            "{\"records\": {}}",
            "{\"records\": 7}",
        ] {
            assert_eq!(found(text), Err("json_shape"), "{text}");
        }
        for text in [
            "name,price\n",
            "{\"a\": }",
            "{\"a\" 1}",
            "{a: 1}",
            "{\"a\": 1,}",
            "{\"a\": 1",
            "{\"a\": 01}",
        ] {
            assert_eq!(found(text), Err("json_invalid"), "{text}");
        }
    }
}
