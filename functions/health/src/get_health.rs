//! `GET /health`: that the process answers. It asks nothing of the table.

use axum::Json;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Health {
    status: &'static str,
}

pub(crate) async fn get_health() -> Json<Health> {
    Json(Health { status: "ok" })
}
