//! What is wrong with a value that came from outside, and where in it.

use serde_json::{Map, Value};

/// One fault of an input: the place in it, a machine-readable kind and a sentence for people.
///
/// Kinds are the ones that clients of FastAPI know, such as `missing` or `string_too_long`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The way from the input's root to the faulty value.
    pub path: Vec<Step>,
    /// The kind of fault.
    pub kind: &'static str,
    /// A sentence for people, without the offending value: it may be a secret.
    pub message: String,
}

/// Every fault of one input.
pub type Faults = Vec<Fault>;

/// One step on the way to a faulty value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of an object, a query parameter, a part of a form.
    Name(String),
    /// A position in a list, from 0.
    Index(usize),
}

impl Fault {
    /// A fault of the value itself; [`Fault::at`] says where it stands.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            kind,
            message: message.into(),
        }
    }

    /// The fault of a field that has to be there and is not.
    #[must_use]
    pub fn missing() -> Self {
        Self::new("missing", "Field required")
    }

    /// Puts a field's name in front of the path.
    #[must_use]
    pub fn at(mut self, name: &str) -> Self {
        self.path.insert(0, Step::Name(name.to_owned()));
        self
    }

    /// Puts a position in front of the path.
    #[must_use]
    pub fn at_index(mut self, index: usize) -> Self {
        self.path.insert(0, Step::Index(index));
        self
    }
}

/// Reads the fields of a JSON object and remembers what is wrong with them, so that one answer
/// can name every fault.
///
/// Readers return `Some` for a good field and `None` for a faulty one; an absent optional field
/// is `Some(None)`. Build the value from the `Some`s, else return [`Fields::into_faults`].
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    faults: Faults,
}

impl<'a> Fields<'a> {
    /// Starts reading `value`, which has to be an object.
    pub fn of(value: &'a Value) -> Result<Self, Faults> {
        match value {
            Value::Object(object) => Ok(Self {
                object,
                faults: Vec::new(),
            }),
            _ => Err(vec![Fault::new(
                "model_attributes_type",
                "Input should be a valid object",
            )]),
        }
    }

    /// Reads a field that has to be there.
    pub fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        match self.object.get(name) {
            Some(value) => self.keep(name, parse(value)),
            None => self.keep(name, Err(Fault::missing())),
        }
    }

    /// Reads a field that may be absent or null, which mean the same.
    pub fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        match self.object.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.keep(name, parse(value)).map(Some),
        }
    }

    /// Reads a field that may be absent; null reaches `parse` like any other value.
    pub fn present<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        match self.object.get(name) {
            None => Some(None),
            Some(value) => self.keep(name, parse(value)).map(Some),
        }
    }

    /// What was wrong.
    #[must_use]
    pub fn into_faults(self) -> Faults {
        self.faults
    }

    fn keep<T>(&mut self, name: &str, parsed: Result<T, Fault>) -> Option<T> {
        parsed
            .map_err(|fault| self.faults.push(fault.at(name)))
            .ok()
    }
}

/// Parses a string.
pub fn string(value: &Value) -> Result<&str, Fault> {
    value
        .as_str()
        .ok_or_else(|| Fault::new("string_type", "Input should be a valid string"))
}

/// Checks that `text` has at least `min` and at most `max` characters.
pub fn length(text: &str, min: usize, max: usize) -> Result<(), Fault> {
    let count = text.chars().count();
    let characters = |n: usize| if n == 1 { "character" } else { "characters" };
    if count < min {
        return Err(Fault::new(
            "string_too_short",
            format!("String should have at least {min} {}", characters(min)),
        ));
    }
    if count > max {
        return Err(Fault::new(
            "string_too_long",
            format!("String should have at most {max} {}", characters(max)),
        ));
    }
    Ok(())
}

/// Parses a whole number from `min` to `max`.
pub fn integer(value: &Value, min: u32, max: u32) -> Result<u32, Fault> {
    match value.as_i64() {
        Some(number) => within(number, min, max),
        None if value.is_number() => Err(Fault::new(
            "int_from_float",
            "Input should be a valid integer",
        )),
        None => Err(Fault::new("int_type", "Input should be a valid integer")),
    }
}

/// Parses the digits of a whole number from `min` to `max`, as a query parameter brings them.
pub fn integer_text(text: &str, min: u32, max: u32) -> Result<u32, Fault> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new(
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
        ));
    }
    // All digits, so only the size can be wrong: the sign says on which side.
    let saturated = if text.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    within(text.parse().unwrap_or(saturated), min, max)
}

fn within(number: i64, min: u32, max: u32) -> Result<u32, Fault> {
    if number < i64::from(min) {
        return Err(Fault::new(
            "greater_than_equal",
            format!("Input should be greater than or equal to {min}"),
        ));
    }
    match u32::try_from(number) {
        Ok(number) if number <= max => Ok(number),
        _ => Err(Fault::new(
            "less_than_equal",
            format!("Input should be less than or equal to {max}"),
        )),
    }
}

/// Parses one of a fixed set of words.
pub fn one_of<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, Fault> {
    let text = string(value)?;
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
            Fault::new("enum", format!("Input should be {}", words.join(" or ")))
        })
}
