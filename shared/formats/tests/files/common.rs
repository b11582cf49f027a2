//! What the tests share.

use std::io::{self, Read};

use bytes::Bytes;
use formats::{Cursor, Error, Hints, Layout, Row, Source};
use model::record::Draft;
use model::{Fault, Faults};
use serde_json::{Map, Value};

/// Hints of a name and a tag.
pub(crate) fn hints(name: &str) -> Hints {
    Hints {
        file_name: name.to_owned(),
        name_column: None,
        record_tag: (name.rsplit('.').next() == Some("xml")).then(|| "part".to_owned()),
    }
}

pub(crate) fn bytes(content: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(content.as_ref())
}

/// Reads all of a file, as an upload does first.
pub(crate) fn read(source: &dyn Source, hints: &Hints) -> Result<(Layout, Vec<Row>), Error> {
    let layout = Layout::detect(source, hints)?;
    let rows = layout.read(source, Cursor::default(), true)?;
    match rows.collect::<Result<Vec<Row>, Error>>() {
        Ok(rows) => Ok((layout, rows)),
        Err(Error::NotUtf8) => {
            let layout = Layout::detect_whole(source, hints)?;
            let rows = layout.read(source, Cursor::default(), true)?;
            Ok((layout, rows.collect::<Result<Vec<Row>, Error>>()?))
        }
        Err(error) => Err(error),
    }
}

/// The rows of a file of a name.
pub(crate) fn rows(name: &str, content: impl AsRef<[u8]>) -> Vec<Row> {
    read(&bytes(content), &hints(name)).expect("a file").1
}

/// The drafts of a file without bad rows.
pub(crate) fn drafts(name: &str, content: impl AsRef<[u8]>) -> Vec<Draft> {
    let rows = rows(name, content).into_iter();
    rows.map(|row| row.draft.expect("a draft")).collect()
}

/// The data of a file's only row.
pub(crate) fn data(name: &str, content: impl AsRef<[u8]>) -> Value {
    let mut drafts = drafts(name, content);
    assert_eq!(drafts.len(), 1);
    Value::Object(drafts.remove(0).data)
}

/// What is wrong with each row.
pub(crate) fn kinds(rows: &[Row]) -> Vec<Option<&'static str>> {
    let first = |faults: &Faults| faults[0].kind;
    rows.iter()
        .map(|row| row.draft.as_ref().err().map(first))
        .collect()
}

/// What is wrong with a file as a whole.
pub(crate) fn fault_of(source: &dyn Source, hints: &Hints) -> (&'static str, Fault) {
    match read(source, hints) {
        Err(Error::Invalid(part, fault)) => (part, fault),
        Err(error) => panic!("{}: {error}", hints.file_name),
        Ok((layout, rows)) => panic!("{}: {layout:?} {rows:?}", hints.file_name),
    }
}

/// The part of the form and the kind of fault.
pub(crate) fn fault(name: &str, content: impl AsRef<[u8]>) -> (&'static str, &'static str) {
    let (part, fault) = fault_of(&bytes(content), &hints(name));
    assert!(!fault.message.is_empty());
    (part, fault.kind)
}

/// What the fault of a file says.
pub(crate) fn message(name: &str, content: impl AsRef<[u8]>) -> String {
    fault_of(&bytes(content), &hints(name)).1.message
}

/// A file that comes in pieces of these sizes, over and over.
pub(crate) struct Pieces {
    pub(crate) content: Bytes,
    pub(crate) sizes: Vec<usize>,
}

struct InPieces {
    rest: Bytes,
    sizes: Vec<usize>,
    next: usize,
}

impl Source for Pieces {
    fn len(&self) -> u64 {
        self.content.len() as u64
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let from = usize::try_from(from).expect("a place in the file");
        Ok(Box::new(InPieces {
            rest: self.content.slice(from..),
            sizes: self.sizes.clone(),
            next: 0,
        }))
    }
}

impl Read for InPieces {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.next % self.sizes.len()];
        self.next += 1;
        let piece = self
            .rest
            .split_to(size.min(self.rest.len()).min(room.len()));
        room[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

/// Objects as a CSV file; what a row lacks is an empty cell.
pub(crate) fn as_csv(objects: &[Map<String, Value>], columns: &[&str], delimiter: u8) -> String {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    writer.write_record(columns).expect("a header");
    for object in objects {
        let cells = columns.iter().map(|column| match object.get(*column) {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        });
        writer.write_record(cells).expect("a row");
    }
    String::from_utf8(writer.into_inner().expect("all of it")).expect("text")
}

/// Objects as an XML file of `part`s.
pub(crate) fn as_xml(objects: &[Map<String, Value>]) -> String {
    let escaped = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('>', "&gt;").replace('\r', "&#13;")
    };
    let mut xml = "<?xml version=\"1.0\"?>\n<parts>\n".to_owned();
    for object in objects {
        xml.push_str(" <part>\n");
        for (name, value) in object {
            let text = match value {
                Value::String(text) => escaped(text),
                value => value.to_string(),
            };
            xml.push_str(&format!("  <{name}>{text}</{name}>\n"));
        }
        xml.push_str(" </part>\n");
    }
    xml + "</parts>\n"
}

/// Objects as an object a line.
pub(crate) fn as_lines(objects: &[Map<String, Value>]) -> String {
    let objects = objects.iter().cloned().map(Value::Object);
    let lines: Vec<String> = objects.map(|object| format!("{object}\n")).collect();
    lines.concat()
}
