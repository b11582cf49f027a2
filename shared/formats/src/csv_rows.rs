//! CSV: a record a row.

use model::Fault;
use model::record::Draft;
use serde_json::{Map, Value};

use crate::csv_layout::{CsvLayout, Plan};
use crate::csv_records::{Next, check_quotes, next, pass};
use crate::csv_scan::Field;
use crate::draft::{self, OWN, SHORT_NAME, SHORT_SOURCE_ID, SMALL};
use crate::encoding::Coding;
use crate::source::Source;
use crate::window::Window;
use crate::{Error, MAX_ROW, Parsed, too_large};

/// The rows of a CSV file.
pub(crate) struct CsvRows {
    window: Window,
    delimiter: u8,
    plan: Plan,
    fields: Vec<Field>,
    strict: bool,
}

impl CsvRows {
    pub(crate) fn open(
        source: &dyn Source,
        coding: Coding,
        layout: &CsvLayout,
        at: u64,
        strict: bool,
    ) -> Result<Self, Error> {
        let mut window = Window::open(source, coding, 0, true)?;
        let plan = layout.plan(&mut window)?;
        if at > window.at() {
            window = Window::open(source, coding, at, true)?;
        }
        Ok(Self {
            window,
            delimiter: layout.delimiter,
            plan,
            fields: Vec::new(),
            strict,
        })
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    pub(crate) fn next(&mut self) -> Result<Option<Parsed>, Error> {
        match next(&mut self.window, self.delimiter, &mut self.fields)? {
            Next::End => Ok(None),
            Next::Large => {
                pass(&mut self.window, self.delimiter, self.strict)?;
                Ok(Some(Err(too_large())))
            }
            Next::Record(length) => {
                if self.strict {
                    check_quotes(&self.window, &self.fields)?;
                }
                let record = &self.window.rest()[..length];
                let draft = if length > MAX_ROW {
                    Err(too_large())
                } else {
                    self.draft(record)
                };
                self.window.consume(length);
                Ok(Some(draft))
            }
        }
    }

    fn draft(&self, record: &str) -> Parsed {
        let (columns, found) = (self.plan.columns, self.fields.len());
        if found != columns {
            let message = format!("The row has {found} columns, the header has {columns}");
            return Err(vec![Fault::new("column_count", message)]);
        }
        match self.plain(record) {
            Some(draft) => Ok(draft),
            None => self.parsed(record),
        }
    }

    /// The draft of a record in which nothing is unusual.
    fn plain(&self, record: &str) -> Option<Draft> {
        let cell = |column: usize| self.fields[column].text(record);
        let own = |at: usize| {
            let text = self.plan.own[at].map(cell);
            text.filter(|text| !text.is_empty())
        };
        if record.len() + self.plan.names > SMALL {
            return None;
        }
        let name = own(0)?;
        let name = name.trim();
        if !(1..=SHORT_NAME).contains(&name.len()) {
            return None;
        }
        let source_id = own(2);
        if source_id
            .as_ref()
            .is_some_and(|id| id.len() > SHORT_SOURCE_ID)
        {
            return None;
        }
        let visibility = match own(3) {
            Some(word) => Some(draft::visibility(&word)?),
            None => None,
        };
        let data = self.plan.data.iter().filter_map(|(name, column)| {
            draft::infer(&cell(*column)).map(|value| (name.clone(), value))
        });
        Some(Draft {
            name: name.to_owned(),
            description: own(1).map(Into::into),
            source_id: source_id.map(Into::into),
            visibility,
            data: data.collect(),
        })
    }

    /// The draft, or what is wrong with the record.
    fn parsed(&self, record: &str) -> Parsed {
        let cell = |column: usize| self.fields[column].text(record);
        let mut row = Map::new();
        for (name, column) in OWN.iter().zip(self.plan.own) {
            if let Some(text) = column.map(cell).filter(|text| !text.is_empty()) {
                row.insert((*name).to_owned(), Value::from(text));
            }
        }
        let mut data = Map::new();
        for (name, column) in &self.plan.data {
            if let Some(value) = draft::infer(&cell(*column)) {
                data.insert(name.clone(), value);
            }
        }
        row.insert("collection_data".to_owned(), Value::Object(data));
        Draft::parse(Value::Object(row))
    }
}
