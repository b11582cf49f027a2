//! `POST /portal/keys/{key_id}/rotate`, `POST /auth/keys/{key_id}/rotate`: a new secret under the same
//! id, name, scopes and expiry; the old one is dead when this answers.

use api::{App, Editor, Error, Idempotency, Result};
use axum::extract::State;
use model::idempotency::Sha256Hex;
use table::key::Rotated;

use crate::answer::{IssuedKey, KeyPath, not_found};
use crate::before::not_before;

pub(crate) async fn rotate_key(
    State(app): State<App>,
    Editor(caller): Editor,
    KeyPath(id): KeyPath,
    idempotency: Idempotency,
) -> Result<IssuedKey> {
    // There is no body.
    let attempt = idempotency.attempt(|| Sha256Hex::of(b""));
    let attempt = attempt.as_ref();
    not_before(&app, &caller.tenant, attempt).await?;
    let secret = app.ids.secret();
    let now = app.clock.now();
    let rotated = app
        .table
        .rotate_key(&caller.tenant, id, &secret.hash(), now, attempt)
        .await?;
    let refusal = match rotated {
        Rotated::Yes(key) => return Ok(IssuedKey { key, secret }),
        Rotated::Before => Error::AtWork,
        Rotated::NotFound => not_found(),
        Rotated::Expired => Error::Conflict("The API key has expired".to_owned()),
        Rotated::Lost => Error::Conflict("The API key was rotated by another request".to_owned()),
    };
    // The same call may have gone ahead of this meanwhile, and be what it was refused for.
    not_before(&app, &caller.tenant, attempt).await?;
    Err(refusal)
}
