//! `POST /records`: makes a record, and its collection if there is none.

use api::{App, Body, Editor, Error, Patience, Result};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::index::IndexingStatus;
use model::record::NewRecord;
use table::record::{Creation, Making};

use crate::record::Shown;

pub(crate) async fn create_record(
    State(app): State<App>,
    Editor(caller): Editor,
    body: Body,
) -> Result<(StatusCode, Json<Shown>)> {
    let new = body.parse_exactly(NewRecord::parse)?;
    let (tenant, call) = (&caller.tenant, app.ids.upload(app.clock.now()));
    let mut patience = Patience::default();
    loop {
        let summary = app.summary(tenant).await?;
        let plan = summary.plan(tenant)?;
        let making = Making {
            new: &new,
            call,
            at: app.clock.now(),
            format: search::FORMAT,
        };
        let made = app
            .table
            .make_record(tenant, &summary, plan.limits(), &making)
            .await?;
        match made {
            Creation::Yes { record, generation } => {
                app.indexes()?.touched(tenant, &record.collection);
                let shown = Shown::new(*record, generation, IndexingStatus::Pending);
                return Ok((StatusCode::CREATED, Json(shown)));
            }
            Creation::Exists => return Err(exists()),
            Creation::RecordCap => return Err(Error::over_records("record", plan)),
            Creation::CollectionCap => return Err(Error::over_collections("record", plan)),
            Creation::Again => patience.pause().await?,
        }
    }
}

fn exists() -> Error {
    let message = "The collection has a record of this type with this source_id already";
    Error::Conflict(message.to_owned())
}
