//! `PATCH /portal/account`: changes the caller's own profile.

use api::{App, Body, Editor, Error, Result};
use axum::Json;
use axum::extract::State;
use model::account::ProfilePatch;

use crate::answer::Account;

pub(crate) async fn update_account(
    State(app): State<App>,
    Editor(caller): Editor,
    body: Body,
) -> Result<Json<Account>> {
    let patch = body.parse(ProfilePatch::parse)?;
    let user = app
        .table
        .update_user(&caller.tenant, caller.user()?, patch)
        .await?;
    let user = user.ok_or(Error::NotFound("Account"))?;
    Ok(Json(Account::new(caller.tenant, user)))
}
