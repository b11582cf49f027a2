//! The JSON body of a request.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mime::Mime;
use model::fault::Fault;
use model::json;
use serde_json::Value;

use crate::app::App;
use crate::error::{Error, Place, Result};

/// The largest JSON body, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// A JSON body: there, not too large, of the right type, well-formed, without duplicate keys.
/// What the endpoint expects of it is the model's to say.
pub struct Body(pub Value);

impl Body {
    /// Parses the body; its faults become a 422.
    pub fn parse<T>(
        &self,
        parse: impl FnOnce(&Value) -> std::result::Result<T, model::Faults>,
    ) -> Result<T> {
        parse(&self.0).map_err(|faults| Error::Invalid(Place::Body, faults))
    }
}

impl FromRequest<App> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let bytes = match Limited::new(body, MAX_BYTES).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Error::TooLarge("A JSON body has at most 1 MB".to_owned()));
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
        json::parse(&bytes).map(Self).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            let message = if error.is_data() {
                format!("JSON has a duplicate key at {place}")
            } else {
                format!("JSON decode error at {place}")
            };
            invalid(Fault::new("json_invalid", message))
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
