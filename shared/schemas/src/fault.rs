//! What is wrong with a schema or with data, told without the value itself: it may be long, or a
//! secret.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use model::fault::Step;
use model::{Fault, Faults};

/// How many faults are told of one schema or of one row.
pub(crate) const MAX_FAULTS: usize = 100;

/// The longest message, in characters.
const MAX_MESSAGE: usize = 300;

/// How many alternatives a message tells one by one.
const MAX_ALTERNATIVES: usize = 4;

/// Each fault once: many rules may ask the same of one place.
pub(crate) fn distinct<'a>(
    errors: impl Iterator<Item = ValidationError<'a>>,
    fault: impl Fn(&ValidationError<'_>) -> Fault,
) -> Faults {
    let mut faults = Faults::new();
    for error in errors {
        let fault = fault(&error);
        if !faults.contains(&fault) {
            faults.push(fault);
        }
        if faults.len() == MAX_FAULTS {
            break;
        }
    }
    faults
}

/// A fault of a schema, at its place in it.
pub(crate) fn of_schema(error: &ValidationError<'_>) -> Fault {
    let (kind, message) = match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            ("schema_pattern", PATTERN.to_owned())
        }
        ValidationErrorKind::Referencing(_) => ("schema_ref", message(error)),
        _ => ("schema_invalid", message(error)),
    };
    Fault {
        path: steps(error.instance_path()),
        kind,
        message,
    }
}

const PATTERN: &str = "The pattern is no regular expression that can be matched in linear time: \
    look-around, back-references and very large repetitions cannot";

/// A fault of data.
pub(crate) fn of_data(error: &ValidationError<'_>) -> Fault {
    violation(error.instance_path().as_str(), message(error))
}

/// The same by the JSON pointer of its place, which is empty for all of the data.
pub(crate) fn violation(pointer: &str, message: impl Into<String>) -> Fault {
    let fault = Fault::new("schema_violation", message);
    if pointer.is_empty() {
        fault
    } else {
        fault.at(pointer)
    }
}

fn steps(location: &Location) -> Vec<Step> {
    let step = |segment| match segment {
        LocationSegment::Property(name) => Step::Name(name.into_owned()),
        LocationSegment::Index(index) => Step::Index(index),
    };
    location.segments().map(step).collect()
}

fn message(error: &ValidationError<'_>) -> String {
    let alternatives = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            alternatives(error, context)
        }
        _ => None,
    };
    cut(alternatives.unwrap_or_else(|| masked(error)))
}

fn masked(error: &ValidationError<'_>) -> String {
    error.masked_with("Value").to_string()
}

/// What keeps each of a few alternatives from matching, if it is the value itself.
fn alternatives(
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
) -> Option<String> {
    if context.is_empty() || context.len() > MAX_ALTERNATIVES {
        return None;
    }
    let reasons = context.iter().map(|branch| {
        let first = branch.first()?;
        (first.instance_path() == error.instance_path()).then(|| masked(first))
    });
    Some(reasons.collect::<Option<Vec<_>>>()?.join("; or "))
}

/// The text, or its beginning if it is long.
pub(crate) fn cut(text: String) -> String {
    if text.chars().nth(MAX_MESSAGE).is_none() {
        return text;
    }
    let kept = text.chars().take(MAX_MESSAGE - 1);
    kept.chain(['\u{2026}']).collect()
}
