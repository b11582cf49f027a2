//! The rows of a file, checked against the schema of their type.

use std::sync::Arc;

use api::{Error, Place};
use formats::{Cursor, Layout, Row, Rows, Source};
use model::id::{CollectionName, RecordId, RecordType, TenantId};
use model::record::Draft;
use schemas::Validator;

/// Where the rows go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) tenant: TenantId,
    pub(crate) collection: CollectionName,
    pub(crate) record_type: RecordType,
}

impl Target {
    /// The id of the record that a row becomes, in a collection of that number.
    pub(crate) fn id(&self, number: u32, draft: &Draft) -> RecordId {
        RecordId::derive(
            &self.tenant,
            &self.collection,
            number,
            &self.record_type,
            &draft.identity(),
        )
    }
}

/// A file and how it is read.
#[derive(Clone)]
pub(crate) struct Input {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) layout: Layout,
    pub(crate) schema: Option<Arc<Validator>>,
    pub(crate) target: Target,
}

/// Its rows from a place on.
pub(crate) struct Reading {
    rows: Rows,
    schema: Option<Arc<Validator>>,
}

impl Input {
    /// Reads from a place on; `strict` also finds what is wrong with the file as a whole.
    pub(crate) fn read(
        &self,
        source: &dyn Source,
        from: Cursor,
        strict: bool,
    ) -> Result<Reading, formats::Error> {
        Ok(Reading {
            rows: self.layout.read(source, from, strict)?,
            schema: self.schema.clone(),
        })
    }
}

impl Reading {
    pub(crate) fn cursor(&self) -> Cursor {
        self.rows.cursor()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.rows.bytes()
    }
}

impl Iterator for Reading {
    type Item = Result<Row, formats::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut row = match self.rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        if let (Some(schema), Ok(draft)) = (&self.schema, &mut row.draft) {
            let faults = schema.check(&mut draft.data);
            if !faults.is_empty() {
                row.draft = Err(faults);
            }
        }
        Some(Ok(row))
    }
}

/// What a file that cannot be read as a whole is answered.
#[must_use]
pub fn failure(error: formats::Error) -> Error {
    match error {
        formats::Error::Invalid(part, fault) => Error::invalid(Place::Body, part, fault),
        formats::Error::Unsupported(why) => Error::UnsupportedMediaType(why),
        formats::Error::Io(error) => Error::Unavailable(Arc::new(error)),
        error @ formats::Error::NotUtf8 => Error::internal(error),
    }
}
