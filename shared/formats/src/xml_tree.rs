//! From the tags and texts of an XML file to its rows.

use std::mem;

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::{Map, Value};

use crate::MAX_ROW;
use crate::bmecat;
use crate::draft::OWN;
use crate::xml_element::{Element, Wrong, add, attributes};
use crate::xml_rows::Wanted;

/// How deep elements may be nested.
const MAX_DEPTH: usize = 100;

/// The most objects of a record: four times what fit into the largest one. Each takes far more memory than
/// its text.
const MAX_OBJECTS: usize = 25_000;

/// A name of so many bytes is not listed.
const LONG_NAME: usize = 100;

/// What a tag or text brought.
#[derive(Debug)]
pub(crate) enum Step {
    More,
    /// A record ended, which took so many bytes; it is not there if nobody wanted it or if it was
    /// larger than a row may be, or had too many objects.
    Record(Option<Map<String, Value>>, usize),
    End,
}

/// Where in a document its reader is.
pub(crate) struct Tree {
    wanted: Wanted,
    /// How many elements are open.
    depth: usize,
    /// The root's name, once it was met.
    pub(crate) root: Option<String>,
    /// The names of elements below the root in front of the first record, the first of them.
    pub(crate) names: Vec<String>,
    most_names: usize,
    /// Whether this is a part of a `BMEcat` catalogue that has articles.
    in_catalogue: bool,
    record: Option<Record>,
    any_record: bool,
    /// The open elements of the record, the first `open` of these.
    elements: Vec<Element>,
    open: usize,
}

/// The record that is being read.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// How many elements are open within it, itself included.
    depth: usize,
    /// Its first byte.
    begin: u64,
    /// How many objects were made within it.
    objects: usize,
    /// Whether it is to be kept.
    is_kept: bool,
}

impl Tree {
    pub(crate) fn new(wanted: Wanted, most_names: usize) -> Self {
        Self {
            wanted,
            depth: 0,
            root: None,
            names: Vec::new(),
            most_names,
            in_catalogue: false,
            record: None,
            any_record: false,
            elements: Vec::new(),
            open: 0,
        }
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Takes what stands between two bytes. A record that begins here is kept if it `is_wanted`.
    pub(crate) fn take(
        &mut self,
        event: Event<'_>,
        before: u64,
        after: u64,
        is_wanted: bool,
    ) -> Result<Step, Wrong> {
        let step = match event {
            Event::Start(tag) => {
                self.start(&tag, before, is_wanted)?;
                Step::More
            }
            Event::Empty(tag) => {
                self.start(&tag, before, is_wanted)?;
                self.end(after)
            }
            Event::End(_) => self.end(after),
            Event::Text(text) => {
                self.text(&text.xml10_content())?;
                Step::More
            }
            Event::CData(text) => {
                if self.depth == 0 {
                    return Err(Wrong::Rule("text stands outside of the root"));
                }
                self.text(&text.xml10_content())?;
                Step::More
            }
            Event::GeneralRef(reference) => {
                self.reference(&reference)?;
                Step::More
            }
            Event::DocType(_) => return Err(Wrong::Doctype),
            Event::Eof if self.root.is_none() => return Err(Wrong::Rule("there is no root")),
            Event::Eof if self.depth > 0 => {
                return Err(Wrong::Rule("the file ends within an element"));
            }
            Event::Eof => Step::End,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => Step::More,
        };
        if let Some(record) = &mut self.record
            && record.is_kept
            && (size(record.begin, after) > MAX_ROW || record.objects > MAX_OBJECTS)
        {
            record.is_kept = false;
            self.elements.clear();
            self.open = 0;
        }
        Ok(step)
    }

    fn start(&mut self, tag: &BytesStart<'_>, before: u64, is_wanted: bool) -> Result<(), Wrong> {
        let name = tag.local_name().into_inner();
        if name.is_empty() {
            return Err(Wrong::Rule("a tag has no name"));
        }
        if self.depth == 0 {
            if self.root.is_some() {
                return Err(Wrong::Rule("there is more than one root"));
            }
            self.root = Some(name.to_owned());
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Wrong::Rule("elements are nested deeper than 100 levels"));
        }
        match &mut self.record {
            Some(record) => record.depth += 1,
            None => self.outside(name, before, is_wanted),
        }
        if self.record.is_none_or(|record| !record.is_kept) {
            return attributes(tag, |_, _| {});
        }
        if self.open == self.elements.len() {
            self.elements.push(Element::default());
        }
        let is_row = self.open == 0;
        let element = &mut self.elements[self.open];
        self.open += 1;
        element.name.push_str(name);
        attributes(tag, |name, text| element.attribute(name, text, is_row))
    }

    /// Begins an element that is not within a record, and may be one.
    fn outside(&mut self, name: &str, before: u64, is_wanted: bool) {
        if self.depth == 2 {
            self.in_catalogue = name.starts_with("T_");
        }
        let is_record = match &self.wanted {
            Wanted::Tag(tag) => tag == name,
            Wanted::Bmecat => {
                self.depth == 3 && self.in_catalogue && matches!(name, "ARTICLE" | "PRODUCT")
            }
        };
        if is_record {
            self.any_record = true;
            self.record = Some(Record {
                depth: 1,
                begin: before,
                objects: 0,
                is_kept: is_wanted,
            });
        } else if !self.any_record
            && self.depth > 1
            && self.names.len() < self.most_names
            && name.len() < LONG_NAME
            && !self.names.iter().any(|known| known == name)
        {
            self.names.push(name.to_owned());
        }
    }

    fn end(&mut self, after: u64) -> Step {
        self.depth = self.depth.saturating_sub(1);
        let Some(record) = &mut self.record else {
            return Step::More;
        };
        record.depth -= 1;
        let Record {
            depth,
            begin,
            is_kept,
            ..
        } = *record;
        if depth > 0 {
            if is_kept {
                self.close();
            }
            return Step::More;
        }
        self.record = None;
        let bytes = size(begin, after);
        if !is_kept || bytes > MAX_ROW {
            self.elements.clear();
            self.open = 0;
            return Step::Record(None, bytes);
        }
        self.open = 0;
        let mut row = self.elements[0].take_object(false);
        self.elements[0].name.clear();
        if self.wanted == Wanted::Bmecat {
            bmecat::flatten(&mut row);
        }
        Step::Record(Some(row), bytes)
    }

    /// Ends an element within a record: it becomes a field of the one around it.
    fn close(&mut self) {
        self.open -= 1;
        let (around, element) = self.elements.split_at_mut(self.open);
        let (Some(around), Some(element)) = (around.last_mut(), element.first_mut()) else {
            return;
        };
        let name = element.name.as_str();
        let is_own = self.open == 1 && OWN.contains(&name);
        let is_text = is_own || (self.wanted == Wanted::Bmecat && bmecat::TEXTS.contains(&name));
        if let Some(value) = element.take_value(is_own, is_text) {
            if let Some(record) = &mut self.record
                && value.is_object()
            {
                record.objects += 1;
            }
            add(&mut around.fields, mem::take(&mut element.name), value);
        } else {
            element.name.clear();
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Wrong> {
        if self.depth == 0 && !text.trim().is_empty() {
            return Err(Wrong::Rule("text stands outside of the root"));
        }
        self.push(text);
        Ok(())
    }

    /// A character by its number or by one of the names that XML itself has.
    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Wrong> {
        if self.depth == 0 {
            return Err(Wrong::Rule("text stands outside of the root"));
        }
        match reference.resolve_char_ref()? {
            Some(character) => self.push(character.encode_utf8(&mut [0; 4])),
            None => self.push(resolve_xml_entity(reference).ok_or(Wrong::Entity)?),
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        if let Some(last) = self.open.checked_sub(1)
            && let Some(element) = self.elements.get_mut(last)
        {
            element.text.push_str(text);
        }
    }
}

fn size(begin: u64, end: u64) -> usize {
    usize::try_from(end - begin).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quick_xml::Reader;
    use serde_json::json;

    /// The records of a document.
    fn rows(wanted: Wanted, document: &str) -> Result<Vec<Value>, Wrong> {
        let mut reader = Reader::from_str(document);
        let mut tree = Tree::new(wanted, 20);
        let mut rows = Vec::new();
        loop {
            let before = reader.buffer_position();
            let event = reader.read_event()?;
            match tree.take(event, before, reader.buffer_position(), true)? {
                Step::More => {}
                Step::Record(row, _) => rows.push(row.map_or(Value::Null, Value::Object)),
                Step::End => return Ok(rows),
            }
        }
    }

    fn parts(document: &str) -> Result<Vec<Value>, Wrong> {
        rows(Wanted::Tag("part".to_owned()), document)
    }

    #[test]
    fn elements_and_attributes_are_fields() {
        let document = r#"<?xml version="1.0"?><!-- parts --><c:parts xmlns:c="urn:c"><list>
            <c:part id="007" size="4" name="no">
              <name lang="en"> 4711 </name> <price>12.50</price><price cur="EUR">11</price>
              <tag>a</tag><tag/><tag>b</tag><empty><x/></empty><note><![CDATA[<1> & ]]>2&lt;&#x41;</note>
              <size>5</size><maker><name>7</name><part>x</part></maker><mixed>a<b>1</b> c </mixed>
            </c:part><part visibility="public" name="true"/></list></c:parts>"#;
        let first = json!({
            "id": "007", "size": 5, "@size": 4, "name": "4711", "@name": "no",
            "price": [12.5, {"cur": "EUR", "#text": 11}], "tag": ["a", "b"],
            "note": "<1> & 2<A", "maker": {"name": 7, "part": "x"}, "mixed": {"b": 1, "#text": "a c"},
        });
        let second = json!({"visibility": "public", "name": "true"});
        assert_eq!(parts(document).unwrap(), [first, second]);
    }

    #[test]
    fn articles_are_taken_where_bmecat_has_them() {
        let document = r#"<BMECAT version="1.2"><HEADER><ARTICLE>no</ARTICLE></HEADER><T_NEW_CATALOG>
            <ARTICLE mode="new"><SUPPLIER_AID>B-1</SUPPLIER_AID><ARTICLE_DETAILS>
            <DESCRIPTION_SHORT>1984</DESCRIPTION_SHORT></ARTICLE_DETAILS></ARTICLE>
            <PRODUCT><SUPPLIER_PID>7</SUPPLIER_PID></PRODUCT></T_NEW_CATALOG></BMECAT>"#;
        let expected = [
            json!({"mode": "new", "part_number": "B-1", "name": "1984"}),
            json!({"part_number": 7}),
        ];
        assert_eq!(rows(Wanted::Bmecat, document).unwrap(), expected);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for (document, what) in [
            ("<a><b></a></b>", "Syntax"),
            ("<a><b>", "Rule"),
            ("<a", "Syntax"),
            ("<a/><b/>", "Rule"),
            ("<a/>x", "Rule"),
            ("x<a/>", "Rule"),
            ("<a/><![CDATA[ ]]>", "Rule"),
            ("<!-- -->", "Rule"),
            ("<></>", "Rule"),
            ("</a>", "Syntax"),
            ("<a x='1' x='2'/>", "Syntax"),
            ("<a x=1/>", "Syntax"),
            ("<a x='&no;'/>", "Syntax"),
            ("<a>&no;</a>", "Entity"),
            ("<a>&#0;</a>", "Syntax"),
            ("<a>AT&T</a>", "Syntax"),
            ("<!DOCTYPE a><a/>", "Doctype"),
            ("<!doctype a [<!ENTITY x 'y'>]><a/>", "Doctype"),
        ] {
            let found = format!("{:?}", parts(document).unwrap_err());
            assert!(found.starts_with(what), "{document}: {found}");
        }
        let deep = "<a>".repeat(101);
        assert!(matches!(parts(&deep), Err(Wrong::Rule(_))));
        let wide: Vec<String> = (0..1_001).map(|n| format!("a{n}='1'")).collect();
        let wide = format!("<a {}/>", wide.join(" "));
        assert!(matches!(parts(&wide), Err(Wrong::Rule(_))));
    }

    #[test]
    fn a_record_that_is_too_large_is_not_kept() {
        let large = "x".repeat(MAX_ROW / 2);
        let document = format!(
            "<parts><part><a>{large}</a><b><c>{large}</c><d>1</d></b></part><part><e>1</e></part></parts>"
        );
        assert_eq!(parts(&document).unwrap(), [Value::Null, json!({"e": 1})]);

        let objects = |count| r#"<a b="1"/>"#.repeat(count);
        let (many, too_many) = (objects(10_000), objects(30_000));
        let document = format!("<parts><part>{too_many}</part><part>{many}</part></parts>");
        let list = vec![json!({"b": 1}); 10_000];
        assert_eq!(parts(&document).unwrap(), [Value::Null, json!({"a": list})]);
    }
}
