//! `GET /portal/uploads/{id}/errors`: every row error of an upload, in the order of the rows.

use std::fmt;
use std::str::FromStr;

use api::{App, Caller, Cursor, Params, Path, Result};
use axum::Json;
use axum::extract::State;
use model::fault::integer_text;
use model::id::TenantId;
use model::upload::RowError;
use search::{DEFAULT_LIMIT, MAX_LIMIT};
use serde::Serialize;
use table::upload::ErrorPlace;

use crate::get_upload::find;

#[derive(Serialize)]
pub(crate) struct Answer {
    errors: Vec<RowError>,
    /// Where the next page begins, if there is one.
    cursor: Option<String>,
    has_more: bool,
}

/// A place in the list, as a cursor holds it.
struct Place(ErrorPlace);

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let ErrorPlace { item, skip } = &self.0;
        write!(formatter, "{}.{}.{skip}", item.0, item.1)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let mut parts = text.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(part)), Some(Ok(number)), Some(Ok(skip)), None) => Ok(Self(ErrorPlace {
                item: (part, number),
                skip: skip as usize,
            })),
            _ => Err(()),
        }
    }
}

pub(crate) async fn list_errors(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Answer>> {
    let limits = (DEFAULT_LIMIT, MAX_LIMIT);
    let (errors, cursor) = page(&app, &caller.tenant, &id, params, limits).await?;
    Ok(Json(Answer {
        errors,
        has_more: cursor.is_some(),
        cursor,
    }))
}

/// The page of an upload's row errors that the parameters ask for, and the cursor of the next one, if
/// there is one. It has `usual` errors unless they say how many, and never more than `most`.
pub(crate) async fn page(
    app: &App,
    tenant: &TenantId,
    id: &str,
    mut params: Params,
    (usual, most): (u32, u32),
) -> Result<(Vec<RowError>, Option<String>)> {
    let place = Cursor::new(tenant, &format!("uploads/{id}/errors"));
    let limit = params.optional("limit", |text| integer_text(text, 1, most));
    let from = params.optional("cursor", |text| place.read::<Place>(text));
    let (Some(limit), Some(from)) = (limit, from) else {
        return Err(params.faults());
    };
    let job = find(app, tenant, id).await?;
    let from = from.map(|place| place.0).unwrap_or_default();
    let limit = limit.unwrap_or(usual) as usize;
    let listed = app.table.list_errors(tenant, job.id, &from, limit);
    let (errors, next) = listed.await?;
    Ok((errors, next.map(|next| place.write(&Place(next)))))
}
