//! `POST /portal/keys`, `POST /auth/keys`: issues a key for the caller's tenant.

use api::{App, Body, Editor, Error, Idempotency, Result};
use axum::extract::State;
use axum::http::StatusCode;
use model::idempotency::Sha256Hex;
use model::key::{Key, KeyDraft, MAX_KEYS};
use table::key::Created;

use crate::answer::IssuedKey;
use crate::before::not_before;

pub(crate) async fn create_key(
    State(app): State<App>,
    Editor(caller): Editor,
    idempotency: Idempotency,
    body: Body,
) -> Result<(StatusCode, IssuedKey)> {
    let attempt = idempotency.attempt(|| Sha256Hex::of(body.as_bytes()));
    let attempt = attempt.as_ref();
    // First of all: what was good then need not be any more, as a moment of expiry.
    not_before(&app, &caller.tenant, attempt).await?;
    let now = app.clock.now();
    let draft = body.parse(|body| KeyDraft::parse(body, now))?;
    let key = Key::new(draft, app.ids.key(now), now);
    let secret = app.ids.secret();
    match app
        .table
        .create_key(&caller.tenant, &key, &secret.hash(), attempt)
        .await?
    {
        Created::Yes => Ok((StatusCode::CREATED, IssuedKey { key, secret })),
        Created::Before => {
            not_before(&app, &caller.tenant, attempt).await?;
            Err(Error::AtWork)
        }
        Created::TooMany => Err(Error::Conflict(format!(
            "A tenant has at most {MAX_KEYS} API keys; revoke one first"
        ))),
    }
}
