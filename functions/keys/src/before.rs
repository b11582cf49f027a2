//! Calls that were answered before with a secret, which no answer holds again.

use api::{App, Error, Result};
use model::id::TenantId;
use model::idempotency::Attempt;

/// That a call was not answered before; otherwise its conflict.
pub(crate) async fn not_before(
    app: &App,
    tenant: &TenantId,
    attempt: Option<&Attempt>,
) -> Result<()> {
    match app.earlier(tenant, attempt).await? {
        Some(earlier) => Err(conflict(&earlier.made)),
        None => Ok(()),
    }
}

fn conflict(key: &str) -> Error {
    Error::Conflict(format!(
        "The call was answered before, with a secret of the API key {key} that is shown once; rotate the \
         key for another"
    ))
}
