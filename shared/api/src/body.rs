//! The JSON body of a request.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mime::Mime;
use model::fault::Fault;
use model::json;
use serde_json::Value;

use crate::app::App;
use crate::error::{Error, Place, Result};

/// The largest JSON body, in MB.
const MAX_MB: usize = 1;

/// A JSON body: there, not too large, of the right type, well-formed, without duplicate keys.
/// What the endpoint expects of it is the model's to say.
pub struct Body {
    value: Value,
    bytes: Bytes,
    /// That a number of it lost digits, where it was found.
    imprecise: Option<Fault>,
}

impl Body {
    /// Parses the body; its faults become a 422.
    pub fn parse<T>(
        &self,
        parse: impl FnOnce(&Value) -> std::result::Result<T, model::Faults>,
    ) -> Result<T> {
        parse(&self.value).map_err(|faults| Error::Invalid(Place::Body, faults))
    }

    /// Parses a body whose numbers are kept as they are: one that would lose digits is a fault.
    pub fn parse_exactly<T>(
        &self,
        parse: impl FnOnce(&Value) -> std::result::Result<T, model::Faults>,
    ) -> Result<T> {
        self.parse(|value| {
            let parsed = parse(value);
            let Some(imprecise) = self.imprecise.clone() else {
                return parsed;
            };
            let mut faults = parsed.err().unwrap_or_default();
            faults.push(imprecise);
            Err(faults)
        })
    }

    /// The body as it came.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.value
    }

    /// The bytes of a JSON body of at most so many MB, for who reads it in a way of its own: there,
    /// not too large, of the right type.
    pub async fn bytes(request: Request, megabytes: usize) -> Result<Bytes> {
        let (parts, body) = request.into_parts();
        let bytes = match Limited::new(body, megabytes << 20).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let why = format!("A JSON body has at most {megabytes} MB");
                return Err(Error::TooLarge(why));
            }
            Err(_) => {
                return Err(invalid(Fault::new(
                    "json_invalid",
                    "The body ended before it was complete",
                )));
            }
        };
        if bytes.is_empty() {
            return Err(invalid(Fault::missing()));
        }
        if !is_json(&parts.headers) {
            return Err(Error::UnsupportedMediaType(
                "The body has to be application/json in UTF-8".to_owned(),
            ));
        }
        Ok(bytes)
    }

    /// The answer to a body that is not well-formed.
    #[must_use]
    pub fn malformed(error: &serde_json::Error) -> Error {
        let place = format!("line {} column {}", error.line(), error.column());
        let message = if error.is_data() {
            format!("JSON has a duplicate key at {place}")
        } else {
            format!("JSON decode error at {place}")
        };
        invalid(Fault::new("json_invalid", message))
    }
}

impl FromRequest<App> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self> {
        let bytes = Self::bytes(request, MAX_MB).await?;
        let value = json::parse(&bytes).map_err(|error| Self::malformed(&error))?;
        // It is JSON, and so it is text.
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let imprecise = json::imprecise(text);
        Ok(Self {
            value,
            bytes,
            imprecise,
        })
    }
}

fn invalid(fault: Fault) -> Error {
    Error::Invalid(Place::Body, vec![fault])
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let Some(mime) = value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Mime>().ok())
    else {
        return false;
    };
    let charset = mime.get_param(mime::CHARSET);
    mime.essence_str() == mime::APPLICATION_JSON.essence_str()
        && charset.is_none_or(|charset| charset == mime::UTF_8)
}
