//! What a client asks for.

use model::fault::{self, Fault, Fields};
use model::id::{RecordId, RecordType};
use model::time::Moment;
use serde_json::Value;

use crate::filter::{self, Filter};

/// The longest query, in characters.
const MAX_QUERY: usize = 500;

/// The longest field name to sort by, in characters.
const MAX_FIELD: usize = 500;

/// The most results on a page.
pub const MAX_LIMIT: u32 = 100;
/// Results on a page if nothing is said.
pub const DEFAULT_LIMIT: u32 = 20;
/// How far into the results a page may start.
pub const MAX_OFFSET: u32 = 100_000;

/// Whose records are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Audience {
    /// All of them, for the tenant that has them.
    #[default]
    Owner,
    /// Public ones alone, for everybody.
    Everybody,
}

/// A search, or a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The text; empty for none.
    pub query: String,
    /// The most results.
    pub limit: u32,
    /// How many results to skip.
    pub offset: u32,
    /// The order, if not the one that follows from the query.
    pub sort: Option<Sort>,
    /// Who asks.
    pub audience: Audience,
    /// Whether the page is to tell the record types of all that the audience may find.
    pub kinds: bool,
    pub(crate) filters: Vec<Filter>,
    /// Only this record type, in its very spelling.
    pub(crate) record_type: Option<RecordType>,
    /// Only what comes after a record made then, in an order by `created_at`.
    pub(crate) after: Option<(Moment, RecordId)>,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// `name`, `created_at`, `updated_at`, `record_type` or a field of `collection_data`.
    pub field: String,
    /// Which end comes first.
    pub direction: Direction,
}

/// Which end of an order comes first. What has no value comes last both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The least.
    Ascending,
    /// The greatest.
    Descending,
}

impl Request {
    /// A list: newest `created_at` first, of one record type or of all.
    #[must_use]
    pub fn list(record_type: Option<RecordType>, limit: u32, offset: u32) -> Self {
        Self {
            query: String::new(),
            limit,
            offset,
            sort: Some(Sort {
                field: "created_at".to_owned(),
                direction: Direction::Descending,
            }),
            audience: Audience::Owner,
            kinds: false,
            filters: Vec::new(),
            record_type,
            after: None,
        }
    }

    /// The list from after a record on, by when that was made and its id: whatever was made or deleted
    /// since, what comes after it neither repeats nor is left out.
    #[must_use]
    pub fn after(mut self, after: Option<(Moment, RecordId)>) -> Self {
        self.after = after;
        self
    }

    /// A search by a text alone, as [`query_text`] reads it.
    #[must_use]
    pub fn short(query: String, limit: u32, offset: u32) -> Self {
        Self {
            query,
            limit,
            offset,
            sort: None,
            audience: Audience::Owner,
            kinds: false,
            filters: Vec::new(),
            record_type: None,
            after: None,
        }
    }

    /// Reads the search fields of a body; `None` if one of them is faulty.
    #[must_use]
    pub fn read(fields: &mut Fields) -> Option<Self> {
        let query = fields.optional("query", query);
        let limit = fields.optional("limit", |value| fault::integer(value, 1, MAX_LIMIT));
        let offset = fields.optional("offset", |value| fault::integer(value, 0, MAX_OFFSET));
        let sort = fields.optional("sort", sort);
        let filters = fields.optional("filters", filter::parse);
        Some(Self {
            query: query?.unwrap_or_default(),
            limit: limit?.unwrap_or(DEFAULT_LIMIT),
            offset: offset?.unwrap_or(0),
            sort: sort?,
            audience: Audience::Owner,
            kinds: false,
            filters: filters?.unwrap_or_default(),
            record_type: None,
            after: None,
        })
    }
}

fn query(value: &Value) -> Result<String, Fault> {
    query_text(fault::string(value)?)
}

/// Reads the text of a query.
pub fn query_text(text: &str) -> Result<String, Fault> {
    fault::length(text, 0, MAX_QUERY)?;
    Ok(text.trim().to_owned())
}

fn sort(value: &Value) -> Result<Sort, Fault> {
    let text = fault::string(value)?;
    fault::length(text, 1, MAX_FIELD)?;
    let (field, direction) = match text.strip_prefix('-') {
        Some(field) => (field, Direction::Descending),
        None => (text, Direction::Ascending),
    };
    fault::length(field, 1, MAX_FIELD)?;
    Ok(Sort {
        field: field.to_owned(),
        direction,
    })
}
