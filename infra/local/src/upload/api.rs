//! The API as its client calls it: with a token, and patient with a service that is busy.

use std::time::Duration;

use ::api::{Clock, Config};
use anyhow::{Context, Error, Result, bail};
use auth::{Grant, Role};
use chrono::TimeDelta;
use indicatif::ProgressBar;
use model::id::{TenantId, UserId};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::multipart::Form;
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::Upload;
use crate::data::{Folder, settings};
use crate::token::sign;

/// How often a service that is busy is asked before it is given up.
const TRIES: usize = 10;

/// How long to wait where a busy service does not say it.
const PAUSE: Duration = Duration::from_secs(2);

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// How much is shown of an answer that is not the API's.
const SHOWN: usize = 200;

/// The API and who calls it.
pub(super) struct Api {
    http: Client,
    base: String,
    credential: Credential,
}

enum Credential {
    Given(SecretString),
    /// Signed anew for each call, so that none expires.
    Signed {
        config: Box<Config>,
        tenant: TenantId,
        user: UserId,
    },
}

/// What the service refused, in its words.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    detail: String,
}

impl Api {
    pub(super) fn new(args: &Upload) -> Result<Self> {
        let mut http = Client::builder().connect_timeout(CONNECTING);
        // A machine without certificates still reaches itself.
        if args.url.starts_with("http:") {
            http = http.tls_certs_only([]);
        }
        Ok(Self {
            http: http.build().context("cannot make a client")?,
            base: format!("{}/api/v1", args.url),
            credential: Credential::of(args)?,
        })
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        bar: &ProgressBar,
        path: &str,
    ) -> Result<T> {
        let make = async || self.request(Method::GET, path);
        answer(self.send(bar, make).await?).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        bar: &ProgressBar,
        path: &str,
        body: &Value,
    ) -> Result<T> {
        let make = async || anyhow::Ok(self.request(Method::POST, path)?.json(body));
        answer(self.send(bar, make).await?).await
    }

    /// Posts a form, which is made anew for each try.
    pub(super) async fn post_form<T: DeserializeOwned>(
        &self,
        bar: &ProgressBar,
        path: &str,
        form: impl AsyncFn() -> Result<Form>,
    ) -> Result<T> {
        let make = async || anyhow::Ok(self.request(Method::POST, path)?.multipart(form().await?));
        answer(self.send(bar, make).await?).await
    }

    /// Puts a body, which is made anew for each try, to an address that says itself who may do so.
    /// The address may be relative to the API's.
    pub(super) async fn put(
        &self,
        bar: &ProgressBar,
        address: &str,
        headers: &HeaderMap,
        body: impl AsyncFn() -> Result<Body>,
    ) -> Result<()> {
        let base = Url::parse(&self.base).context("not an address")?;
        let address = base.join(address);
        let address = address.context("the service gave no address for the file")?;
        let make = async || {
            let request = self.http.put(address.clone()).headers(headers.clone());
            anyhow::Ok(request.body(body().await?))
        };
        self.send(bar, make).await?;
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let request = self.http.request(method, format!("{}{path}", self.base));
        Ok(request.bearer_auth(self.credential.token()?))
    }

    /// Sends a request until the service has time for it.
    async fn send(
        &self,
        bar: &ProgressBar,
        make: impl AsyncFn() -> Result<RequestBuilder>,
    ) -> Result<Response> {
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = make().await?.send().await;
            // An address with a signature is not for the terminal.
            let response = sent
                .map_err(|error| Error::new(error.without_url()))
                .with_context(|| format!("no answer from {}", self.base))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if is_busy(status) && tries < TRIES {
                let pause = pause(&response);
                bar.set_message(format!("waiting {} s", pause.as_secs()));
                tokio::time::sleep(pause).await;
                continue;
            }
            let text = response.text().await.unwrap_or_default();
            let detail = detail(status, &text);
            let error = Error::new(Refusal { status, detail });
            return Err(match &self.credential {
                Credential::Signed { .. } if status == StatusCode::UNAUTHORIZED => error.context(
                    "the token is signed with another secret than the server's: give the server's \
                     --data-dir, or a --token",
                ),
                _ => error,
            });
        }
    }
}

impl Credential {
    fn of(args: &Upload) -> Result<Self> {
        if let Some(token) = &args.token
            && !token.expose_secret().is_empty()
        {
            return Ok(Self::Given(token.clone()));
        }
        let path = &args.data.path;
        if !path.is_dir() {
            bail!(
                "there is no data folder {} whose secret could sign a token: give a --data-dir, \
                 or a --token",
                path.display()
            );
        }
        let config = settings(Some(&Folder::open(path)?))?.config;
        Ok(Self::Signed {
            config: Box::new(config),
            tenant: args.tenant.clone(),
            user: args.user.clone(),
        })
    }

    fn token(&self) -> Result<String> {
        let (config, tenant, user) = match self {
            Self::Given(token) => return Ok(token.expose_secret().to_owned()),
            Self::Signed {
                config,
                tenant,
                user,
            } => (config, tenant, user),
        };
        let now = Clock::System.now();
        let grant = Grant {
            tenant,
            user,
            role: Role::Member,
            email: None,
            name: None,
            issued_at: now,
            expires_at: now + TimeDelta::hours(1),
        };
        sign(config, &grant)
    }
}

async fn answer<T: DeserializeOwned>(response: Response) -> Result<T> {
    let answer = response.json().await;
    answer.context("the answer is not one of the Portal API")
}

fn is_busy(status: StatusCode) -> bool {
    [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ]
    .contains(&status)
}

/// When a busy service asks to come back.
fn pause(response: &Response) -> Duration {
    let header = response.headers().get(RETRY_AFTER);
    let text = header.and_then(|value| value.to_str().ok());
    let seconds = text.and_then(|text| text.trim().parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs)
}

/// What a refusal says.
fn detail(status: StatusCode, body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    match &json["detail"] {
        Value::String(text) => text.clone(),
        Value::Array(faults) => {
            let faults: Vec<String> = faults.iter().map(fault).collect();
            faults.join("; ")
        }
        _ => {
            let shown: String = body.trim().chars().take(SHOWN).collect();
            format!("{status} {shown}").trim_end().to_owned()
        }
    }
}

/// A fault as `field: message`; the first step says only where in the request the field is.
fn fault(fault: &Value) -> String {
    let message = fault["msg"].as_str().unwrap_or_default();
    let steps = fault["loc"].as_array().map(Vec::as_slice);
    let steps = steps.unwrap_or_default().iter().skip(1);
    let steps: Vec<String> = steps
        .map(|step| {
            step.as_str()
                .map_or_else(|| step.to_string(), str::to_owned)
        })
        .collect();
    if steps.is_empty() {
        message.to_owned()
    } else {
        format!("{}: {message}", steps.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_services_words() {
        let told = |body: &str| detail(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(told(r#"{"detail": "No more"}"#), "No more");
        let faults = r#"{"detail": [
            {"loc": ["body", "name_column"], "msg": "There is no such column", "type": "missing"},
            {"loc": ["body"], "msg": "Field required", "type": "missing"},
            {"loc": ["body", "filters", 3, "x"], "msg": "Bad", "type": "value_error"}]}"#;
        assert_eq!(
            told(faults),
            "name_column: There is no such column; Field required; filters.3.x: Bad"
        );
        assert_eq!(told("<Error/>\n"), "422 Unprocessable Entity <Error/>");
        assert_eq!(told(""), "422 Unprocessable Entity");
        assert_eq!(told("[1]"), "422 Unprocessable Entity [1]");
    }
}
