//! `GET /portal/account`: who the caller is.

use api::{App, Caller, Error, Result};
use axum::Json;
use axum::extract::State;

use crate::answer::Account;

pub(crate) async fn get_account(State(app): State<App>, caller: Caller) -> Result<Json<Account>> {
    let user = app.table.find_user(&caller.tenant, caller.user()?).await?;
    let user = user.ok_or(Error::NotFound("Account"))?;
    Ok(Json(Account::new(caller.tenant, user)))
}
