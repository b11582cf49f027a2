//! `GET /open/v1/collections/{collection}/schema`: the fields of a collection's public records, as the
//! newest of them have them.

use std::collections::BTreeSet;

use api::{App, Error, Path, Result, Visitor};
use axum::Json;
use axum::extract::State;
use model::id::{CollectionName, RecordType};
use search::{Audience, MAX_LIMIT, Request};
use serde::Serialize;

use crate::fields::{Field, Fields};
use crate::public;
use crate::search_collection::named;

#[derive(Serialize)]
pub(crate) struct Answer {
    collection: CollectionName,
    record_types: BTreeSet<RecordType>,
    record_count: usize,
    fields: Vec<Field>,
}

pub(crate) async fn get_schema(
    State(app): State<App>,
    visitor: Visitor,
    Path(collection): Path<String>,
) -> Result<Json<Answer>> {
    let collection = named(&collection)?;
    let mut newest = Request::list(None, MAX_LIMIT, 0);
    newest.audience = Audience::Everybody;
    newest.kinds = true;
    let listed = public::listed(&app, Some(&collection)).await?;
    visitor.admitted().await?;
    let found = public::find(&app, listed, &newest).await?;
    let mut records = public::hydrate(&app, &found).await?;

    let mut fields = Fields::default();
    let mut is_any = false;
    for hit in &found.page.hits {
        if let Some(record) = records.remove(&hit.id) {
            fields.take(&record.data);
            is_any = true;
        }
    }
    if !is_any {
        return Err(Error::NotFound("Collection"));
    }
    Ok(Json(Answer {
        collection,
        record_types: found.page.kinds,
        record_count: found.page.total,
        fields: fields.into_list(),
    }))
}
