//! XML: an element a row.

use model::Fault;
use quick_xml::Reader;
use quick_xml::errors::SyntaxError;
use quick_xml::escape::EscapeError;
use quick_xml::events::Event;
use serde::{Deserialize, Serialize};

use crate::encoding::{Coding, Sample};
use crate::source::Source;
use crate::window::Window;
use crate::xml_element::Wrong;
use crate::xml_text::{MAX_EVENT, Text};
use crate::xml_tree::{Step, Tree};
use crate::{Error, MAX_ROW, Parsed, draft, invalid, too_large};

/// How many names of elements are listed for a client who named none.
const LISTED: usize = 20;

/// How many tags and texts of a file are looked at to list them.
const LOOKED_AT: usize = 5_000;

/// Which elements are rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    /// Those of a name, without a prefix.
    Tag(String),
    /// The articles of a `BMEcat` catalogue.
    Bmecat,
}

impl Wanted {
    /// Finds the rows from a file's beginning and the name that the client says they have.
    pub(crate) fn find(sample: &Sample, record_tag: Option<&str>) -> Result<Self, Error> {
        let mut reader = Reader::from_str(&sample.text);
        let mut tree = Tree::new(Self::Tag(String::new()), LISTED);
        let line = |position: u64| {
            let position = usize::try_from(position).unwrap_or(usize::MAX);
            let bytes = sample.text.as_bytes();
            let before = &bytes[..position.min(bytes.len())];
            format!("line {}", 1 + memchr::memchr_iter(b'\n', before).count())
        };
        let tag = record_tag.map(|tag| local(tag.trim()));
        let tag = tag.filter(|tag| !tag.is_empty());
        for _ in 0..LOOKED_AT {
            let before = reader.buffer_position();
            let step = match reader.read_event() {
                Ok(Event::Eof) if !sample.whole => break,
                Ok(event) => tree.take(event, before, reader.buffer_position(), false),
                // The sample ends within a tag.
                Err(_) if !sample.whole && tree.root.is_some() => break,
                Err(error) => Err(Wrong::Syntax(error)),
            };
            let step = step.map_err(|wrong| said(&wrong, &line(reader.buffer_position())))?;
            match (&tree.root, tag) {
                (Some(_), Some(tag)) => return Ok(Self::Tag(tag.to_owned())),
                (Some(root), _) if root == "BMECAT" => return Ok(Self::Bmecat),
                _ => {}
            }
            if matches!(step, Step::End) || tree.names.len() == LISTED {
                break;
            }
        }
        if let Some(tag) = tag {
            return Ok(Self::Tag(tag.to_owned()));
        }
        let message = format!(
            "The file is no BMEcat: say which elements are records{}",
            listed(&tree.names)
        );
        Err(Error::Invalid("record_tag", Fault::new("missing", message)))
    }
}

/// The names of elements, for people.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "; there are none below the root".to_owned();
    }
    format!("; below the root are {}", names.join(", "))
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

fn wrong(message: impl Into<String>) -> Error {
    invalid("xml_invalid", message)
}

/// What a NUL means.
pub(crate) fn nul() -> Error {
    wrong("The file is not valid XML: it has a NUL character")
}

/// What is wrong at a line.
fn said(error: &Wrong, line: &str) -> Error {
    match error {
        Wrong::Doctype | Wrong::Syntax(quick_xml::Error::Syntax(SyntaxError::UnclosedDoctype)) => {
            let message = format!("The file has a DOCTYPE at {line}, which is not taken");
            invalid("xml_doctype", message)
        }
        Wrong::Entity
        | Wrong::Syntax(quick_xml::Error::Escape(EscapeError::UnrecognizedEntity(..))) => {
            let message = format!(
                "The file has an entity at {line} that is none of &lt; &gt; &amp; &apos; &quot;"
            );
            invalid("xml_entity", message)
        }
        Wrong::Syntax(error) => {
            // It may quote names of any length.
            let text = error.to_string();
            let text = &text[..text.floor_char_boundary(300)];
            wrong(format!("The file is not valid XML at {line}: {text}"))
        }
        Wrong::Rule(rule) => wrong(format!("The file is not valid XML at {line}: {rule}")),
    }
}

/// The rows of an XML file. It is read from its start, whatever is wanted of it.
pub(crate) struct XmlRows {
    reader: Reader<Text>,
    event: Vec<u8>,
    tree: Tree,
    /// How many rows there were.
    row: u64,
    /// How many of them are not wanted.
    passed: u64,
    strict: bool,
}

impl XmlRows {
    pub(crate) fn open(
        source: &dyn Source,
        coding: Coding,
        wanted: &Wanted,
        passed: u64,
        strict: bool,
    ) -> Result<Self, Error> {
        let window = Window::open(source, coding, 0, strict)?;
        Ok(Self {
            reader: Reader::from_reader(Text::new(window)),
            event: Vec::new(),
            tree: Tree::new(wanted.clone(), LISTED),
            row: 0,
            passed,
            strict,
        })
    }

    pub(crate) fn window(&self) -> &Window {
        &self.reader.get_ref().window
    }

    pub(crate) fn next(&mut self) -> Result<Option<Parsed>, Error> {
        loop {
            match self.step()? {
                Step::More => {}
                Step::Record(row, bytes) => {
                    self.row += 1;
                    if self.row > self.passed {
                        return Ok(Some(match row {
                            Some(row) => draft::of_object(row, bytes),
                            None => Err(too_large()),
                        }));
                    }
                }
                Step::End if self.strict && self.row == 0 => return Err(self.no_rows()),
                Step::End => return Ok(None),
            }
        }
    }

    fn step(&mut self) -> Result<Step, Error> {
        self.event.clear();
        self.event.shrink_to(MAX_ROW);
        self.reader.get_mut().taken = 0;
        let before = self.reader.buffer_position();
        let step = match self.reader.read_event_into(&mut self.event) {
            Ok(event) => {
                let after = self.reader.buffer_position();
                if after - before > MAX_EVENT {
                    Err(Wrong::Rule("a tag or a text has more than 4 MB"))
                } else {
                    let is_wanted = self.row >= self.passed;
                    self.tree.take(event, before, after, is_wanted)
                }
            }
            Err(error) => Err(Wrong::Syntax(error)),
        };
        step.map_err(|error| self.failed(error))
    }

    fn failed(&mut self, error: Wrong) -> Error {
        let text = self.reader.get_mut();
        let line = text.window.line(0);
        match (text.failed.take(), error) {
            (Some(Error::Unsupported(_)), _) => nul(),
            (Some(failed), _) => failed,
            (None, Wrong::Syntax(quick_xml::Error::Io(_))) => {
                said(&Wrong::Rule("a tag or a text has more than 4 MB"), &line)
            }
            (None, error) => said(&error, &line),
        }
    }

    fn no_rows(&self) -> Error {
        let listed = listed(&self.tree.names);
        let message = match self.tree.wanted() {
            Wanted::Tag(tag) => format!("The file has no element '{tag}'{listed}"),
            Wanted::Bmecat => format!("The BMEcat file has no ARTICLE and no PRODUCT{listed}"),
        };
        Error::Invalid("record_tag", Fault::new("missing", message))
    }
}
