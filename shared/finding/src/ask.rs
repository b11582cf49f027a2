//! What a search asks for, as a body or, in the short form, as parameters say it.

use api::{Params, Result};
use model::Faults;
use model::fault::{Fields, integer_text, one_of};
use search::{DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET, Request, query_text};
use serde_json::Value;

use crate::format::{FORMATS, Format};

/// A search.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What is to be found.
    pub request: Request,
    /// How it is to be told.
    pub format: Format,
}

impl Ask {
    /// Reads a body.
    pub fn from_body(body: &Value) -> std::result::Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        let request = Request::read(&mut fields);
        let format = fields.optional("format", |value| one_of(value, &FORMATS));
        match (request, format) {
            (Some(request), Some(format)) => Ok(Self {
                request,
                format: format.unwrap_or_default(),
            }),
            _ => Err(fields.into_faults()),
        }
    }

    /// Reads the short form: `?q=&limit=&offset=`.
    pub fn from_params(mut params: Params) -> Result<Self> {
        let query = params.optional("q", query_text);
        let limit = params.optional("limit", |text| integer_text(text, 1, MAX_LIMIT));
        let offset = params.optional("offset", |text| integer_text(text, 0, MAX_OFFSET));
        match (query, limit, offset) {
            (Some(query), Some(limit), Some(offset)) => {
                let limit = limit.unwrap_or(DEFAULT_LIMIT);
                let offset = offset.unwrap_or(0);
                Ok(Self {
                    request: Request::short(query.unwrap_or_default(), limit, offset),
                    format: Format::default(),
                })
            }
            _ => Err(params.faults()),
        }
    }
}
