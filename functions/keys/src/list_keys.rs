//! `GET /portal/keys`, `GET /auth/keys`: the tenant's keys, newest first.

use api::{App, Caller, Result};
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::answer::ListedKey;

#[derive(Serialize)]
pub(crate) struct Keys {
    keys: Vec<ListedKey>,
}

pub(crate) async fn list_keys(State(app): State<App>, caller: Caller) -> Result<Json<Keys>> {
    let keys = app.table.list_keys(&caller.tenant).await?;
    Ok(Json(Keys {
        keys: keys.into_iter().map(ListedKey::from).collect(),
    }))
}
