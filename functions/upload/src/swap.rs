//! `POST /portal/collections/{name}/swap`: serves what a replace has filled, in place of what was
//! served before.

use api::{App, Editor, Error, Path, Result};
use axum::Json;
use axum::extract::State;
use indexing::{Effort, Own};
use model::id::CollectionName;
use serde::Serialize;
use table::replace::Swapped;

use crate::standing::{Stage, Standing, named};

/// How often a swap is tried whose collection changes meanwhile.
const ATTEMPTS: u32 = 3;

#[derive(Serialize)]
pub(crate) struct Answer {
    collection: CollectionName,
    status: &'static str,
    total_records: u64,
}

pub(crate) async fn swap(
    State(app): State<App>,
    Editor(caller): Editor,
    Path(name): Path<String>,
) -> Result<Json<Answer>> {
    let name = named(&name)?;
    let (tenant, indexes) = (&caller.tenant, app.indexes()?);
    for _ in 0..ATTEMPTS {
        let mut standing = Standing::read(&app, tenant, &name).await?;
        if let (Stage::Indexing, Some(staging)) = (standing.stage, standing.collection.staging()) {
            let fold = indexes.fold(tenant, &name, staging, Own::default(), Effort::Call);
            fold.await?;
            standing = Standing::read(&app, tenant, &name).await?;
        }
        let Standing {
            collection,
            stage,
            staged,
        } = standing;
        if let Some(why) = hindrance(stage) {
            return Err(Error::Conflict(why.to_owned()));
        }
        let swapped = app.table.swap(tenant, &collection, app.clock.now());
        if swapped.await? == Swapped::Yes {
            indexes.touched(tenant, &name);
            return Ok(Json(Answer {
                collection: name,
                status: "swapped",
                total_records: staged.total,
            }));
        }
    }
    let why = "The collection is being changed by others; try again";
    Err(Error::Conflict(why.to_owned()))
}

/// Why a replace cannot be swapped, if it cannot.
fn hindrance(stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::None => Some("No replace of the collection is under way"),
        Stage::Filling => Some(
            "The replace is still being filled; it can be swapped once every staged record is indexed",
        ),
        Stage::Indexing => {
            Some("The replace cannot be swapped until every staged record is indexed")
        }
        Stage::Failed => {
            Some("The upload of the replace failed; cancel the replace and begin another")
        }
        Stage::Ready => None,
    }
}
