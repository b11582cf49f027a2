//! From an XML element to a JSON value.
//!
//! Attributes and elements within a row are its fields, by their names without prefixes. An element
//! with elements or attributes is an object, one that is repeated is a list, and an empty one is not
//! there. Text is under `#text` where there is something beside it, and an attribute under `@` and its
//! name where an element has that name.

use std::mem;

use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use serde_json::map::Entry;
use serde_json::{Map, Value};

use crate::draft::{OWN, infer};

/// The most attributes of an element.
const MAX_ATTRIBUTES: usize = 1_000;

/// Room for text that is kept from row to row, in bytes.
const KEPT: usize = 16 * 1024;

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) enum Wrong {
    Syntax(quick_xml::Error),
    Doctype,
    /// An entity that XML itself does not have.
    Entity,
    Rule(&'static str),
}

impl From<quick_xml::Error> for Wrong {
    fn from(error: quick_xml::Error) -> Self {
        Self::Syntax(error)
    }
}

/// An element that is being read.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, Value)>,
    pub(crate) fields: Map<String, Value>,
    pub(crate) text: String,
}

impl Element {
    /// Adds an attribute, of the element that is the row or of one in it.
    pub(crate) fn attribute(&mut self, name: &str, text: &str, is_row: bool) {
        let text = text.trim();
        let value = if is_row && OWN.contains(&name) && !text.is_empty() {
            Some(Value::from(text))
        } else {
            infer(text)
        };
        if let Some(value) = value {
            self.attributes.push((name.to_owned(), value));
        }
    }

    /// Ends the element: its value. What a record calls its own is text if there are no elements in
    /// it, whatever its attributes say.
    pub(crate) fn take_value(&mut self, is_own: bool, is_text: bool) -> Option<Value> {
        if self.fields.is_empty() && (is_own || self.attributes.is_empty()) {
            self.attributes.clear();
            return self.take_text(is_text);
        }
        let object = self.take_object(is_text);
        (!object.is_empty()).then_some(Value::Object(object))
    }

    pub(crate) fn take_object(&mut self, is_text: bool) -> Map<String, Value> {
        let mut object = mem::take(&mut self.fields);
        for (name, value) in self.attributes.drain(..) {
            let name = if object.contains_key(&name) {
                format!("@{name}")
            } else {
                name
            };
            add(&mut object, name, value);
        }
        if let Some(text) = self.take_text(is_text) {
            add(&mut object, "#text".to_owned(), text);
        }
        object
    }

    fn take_text(&mut self, is_text: bool) -> Option<Value> {
        let text = self.text.trim();
        let value = if is_text && !text.is_empty() {
            Some(Value::from(text))
        } else {
            infer(text)
        };
        self.text.clear();
        self.text.shrink_to(KEPT);
        value
    }
}

/// Adds a field; a second one of its name makes a list of both.
pub(crate) fn add(fields: &mut Map<String, Value>, name: String, value: Value) {
    match fields.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) => match entry.get_mut() {
            Value::Array(values) => values.push(value),
            first => *first = Value::Array(vec![first.take(), value]),
        },
    }
}

/// Reads the attributes of a tag but for those that bind prefixes.
pub(crate) fn attributes(
    tag: &BytesStart<'_>,
    mut each: impl FnMut(&str, &str),
) -> Result<(), Wrong> {
    if tag.attributes_raw().is_empty() {
        return Ok(());
    }
    for (count, attribute) in tag.attributes().enumerate() {
        if count == MAX_ATTRIBUTES {
            return Err(Wrong::Rule("a tag has more than 1,000 attributes"));
        }
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        let text = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        if attribute.key.as_namespace_binding().is_none() {
            each(attribute.key.local_name().into_inner(), &text);
        }
    }
    Ok(())
}
