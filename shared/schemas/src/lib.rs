//! JSON Schemas (2020-12) for the data of records: checked once, then asked of every row.
//!
//! Schema and data both come from outside, so both are bounded: nothing is ever fetched, patterns
//! are matched in linear time, and how much one row can cost is known before it is checked. `graph`
//! finds which subschema leads to which, `bound` what that comes to, `fault` says what is wrong.

mod bound;
mod fault;
mod graph;

use jsonschema::PatternOptions;
use model::json;
use model::{Fault, Faults};
use serde_json::{Map, Value};

use crate::bound::Bounds;
use crate::graph::{Graph, Places};

/// The largest schema, as JSON without spaces, in bytes.
pub const MAX_BYTES: usize = 100 * 1024;

/// How deep a schema may be nested.
const MAX_DEPTH: usize = 32;

/// The largest that one pattern may become when it is compiled, in bytes, and the memory that a
/// search with it may take.
const COMPILED_PATTERN: usize = 256 * 1024;

/// Says whether data is as a schema wants it. It is compiled once and shared by threads.
///
/// `format` is checked where it is a known one, such as `date-time`, `email` or `uri`.
#[derive(Debug)]
pub struct Validator {
    schema: jsonschema::Validator,
    bounds: Bounds,
}

impl Validator {
    /// Checks a schema and compiles it. It is an object of at most 100 KB that is nested at most
    /// 32 deep, valid under 2020-12, whose references stay inside it or lead to the metaschema.
    ///
    /// Compiling takes up to a second of a processor: call it where that may be.
    pub fn parse(schema: &Value) -> Result<Self, Faults> {
        if !schema.is_object() {
            return Err(vec![Fault::new(
                "model_attributes_type",
                "Input should be a valid object",
            )]);
        }
        if json::depth(schema) > MAX_DEPTH {
            return Err(vec![Fault::new(
                "too_deep",
                format!("A schema is nested at most {MAX_DEPTH} deep"),
            )]);
        }
        let size = schema.to_string().len();
        if size > MAX_BYTES {
            return Err(vec![Fault::new(
                "too_large",
                format!("A schema has at most {MAX_BYTES} bytes, this one has {size}"),
            )]);
        }
        let places = Places::of(schema)?;
        let metaschema = jsonschema::draft202012::meta::validator();
        let faults = fault::distinct(metaschema.iter_errors(schema), fault::of_schema);
        if !faults.is_empty() {
            return Err(faults);
        }
        let graph = Graph::of(schema, &places)?;
        let bounds = Bounds::of(&graph).map_err(|fault| vec![fault])?;
        let patterns = PatternOptions::regex()
            .size_limit(COMPILED_PATTERN)
            .dfa_size_limit(COMPILED_PATTERN);
        let schema = jsonschema::draft202012::options()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(patterns)
            .build(schema)
            .map_err(|error| vec![fault::of_schema(&error)])?;
        Ok(Self { schema, bounds })
    }

    /// The validator of a schema that was parsed before, from its JSON text.
    pub fn from_text(text: &str) -> Result<Self, Faults> {
        let schema: Value = serde_json::from_str(text)
            .map_err(|_| vec![Fault::new("json_invalid", "The schema is not JSON")])?;
        Self::parse(&schema)
    }

    /// What a record's data violates, at most 100 faults of the kind `schema_violation`. A fault's
    /// path is one step, the JSON pointer of the place in the data, and empty where that is all of it.
    ///
    /// The data is borrowed mutably only to be looked at as one value; it stays as it is.
    #[must_use]
    pub fn check(&self, data: &mut Map<String, Value>) -> Faults {
        let whole = Value::Object(std::mem::take(data));
        let faults = self.violations(&whole);
        if let Value::Object(whole) = whole {
            *data = whole;
        }
        faults
    }

    fn violations(&self, data: &Value) -> Faults {
        let Some(work) = self.bounds.work(data) else {
            return vec![fault::violation(
                "",
                "The data is nested too deep or has too many values to be checked against the schema",
            )];
        };
        if self.schema.is_valid(data) {
            return Vec::new();
        }
        if !bound::may_be_listed(work) {
            return vec![fault::violation(
                "",
                "The data does not match the schema, which has too many rules to tell which",
            )];
        }
        fault::distinct(self.schema.iter_errors(data), fault::of_data)
    }
}
