//! Rows, written as a file of each format.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use testkit::{Answer, Client, Form};

use crate::common::PATH;

/// A row: its fields by their names.
pub(crate) type Object = Map<String, Value>;

/// Uploads a file, in which an XML element `part` is a row.
pub(crate) async fn send(client: &Client<'_>, name: &str, content: impl AsRef<[u8]>) -> Answer {
    let form = Form::new().file(name, content);
    client.upload(PATH, form.text("record_tag", "part")).await
}

/// The same rows as a file of each format, with its name.
pub(crate) fn files(objects: &[Object]) -> [(&'static str, String); 4] {
    let list = Value::from(objects.to_vec());
    [
        ("a.csv", as_csv(objects, b',')),
        ("a.json", list.to_string()),
        ("a.ndjson", as_lines(objects)),
        ("a.xml", as_xml(objects)),
    ]
}

/// Rows as CSV, its columns in order of their names; what a row lacks is an empty cell.
pub(crate) fn as_csv(objects: &[Object], delimiter: u8) -> String {
    let columns: BTreeSet<&String> = objects.iter().flat_map(Map::keys).collect();
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    writer.write_record(&columns).expect("a header");
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

fn as_lines(objects: &[Object]) -> String {
    let objects = objects.iter().cloned().map(Value::Object);
    let lines: Vec<String> = objects.map(|object| format!("{object}\n")).collect();
    lines.concat()
}

fn as_xml(objects: &[Object]) -> String {
    let mut xml = "<?xml version=\"1.0\"?>\n<parts>\n".to_owned();
    for object in objects {
        xml.push_str(" <part>\n");
        for (name, value) in object {
            let text = match value {
                Value::String(text) => text.replace('&', "&amp;").replace('<', "&lt;"),
                value => value.to_string(),
            };
            xml.push_str(&format!("  <{name}>{text}</{name}>\n"));
        }
        xml.push_str(" </part>\n");
    }
    xml + "</parts>\n"
}
