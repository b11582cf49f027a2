//! The path and the query string.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use model::fault::{Fault, Faults};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::{Error, Place, Result};

/// The variables of a path. One that cannot be decoded names nothing: 404.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        match axum::extract::Path::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(variables)) => Ok(Self(variables)),
            Err(_) => Err(Error::NotFound("Resource")),
        }
    }
}

/// The parameters of a query string. Readers return `None` for a faulty one; [`Params::faults`]
/// then has every fault. Unknown parameters are ignored.
pub struct Params {
    pairs: Vec<(String, String)>,
    faults: Faults,
}

impl FromRequestParts<App> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(pairs)) => Ok(Self {
                pairs,
                faults: Vec::new(),
            }),
            Err(_) => Err(Error::Invalid(
                Place::Query,
                vec![Fault::new("value_error", "The query string is malformed")],
            )),
        }
    }
}

impl Params {
    /// Reads a parameter that may be absent.
    pub fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> std::result::Result<T, Fault>,
    ) -> Option<Option<T>> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name);
        let parsed = match (values.next(), values.next()) {
            (None, _) => return Some(None),
            (Some((_, value)), None) => parse(value),
            _ => Err(Fault::new("value_error", "Parameter must not repeat")),
        };
        parsed
            .map_err(|fault| self.faults.push(fault.at(name)))
            .ok()
            .map(Some)
    }

    /// Reads a parameter that has to be there.
    pub fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> std::result::Result<T, Fault>,
    ) -> Option<T> {
        let read = self.optional(name, parse)?;
        if read.is_none() {
            self.faults.push(Fault::missing().at(name));
        }
        read
    }

    /// What was wrong.
    #[must_use]
    pub fn faults(self) -> Error {
        Error::Invalid(Place::Query, self.faults)
    }
}
