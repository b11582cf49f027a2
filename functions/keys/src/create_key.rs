//! `POST /portal/keys`, `POST /auth/keys`: issues a key for the caller's tenant.

use api::{App, Body, Editor, Error, Result};
use axum::extract::State;
use axum::http::StatusCode;
use model::key::{Key, KeyDraft, MAX_KEYS};
use table::key::Created;

use crate::answer::IssuedKey;

pub(crate) async fn create_key(
    State(app): State<App>,
    Editor(caller): Editor,
    body: Body,
) -> Result<(StatusCode, IssuedKey)> {
    let now = app.clock.now();
    let draft = body.parse(|body| KeyDraft::parse(body, now))?;
    let key = Key::new(draft, app.ids.key(now), now);
    let secret = app.ids.secret();
    match app
        .table
        .create_key(&caller.tenant, &key, &secret.hash())
        .await?
    {
        Created::Yes => Ok((StatusCode::CREATED, IssuedKey { key, secret })),
        Created::TooMany => Err(Error::Conflict(format!(
            "A tenant has at most {MAX_KEYS} API keys; revoke one first"
        ))),
    }
}
