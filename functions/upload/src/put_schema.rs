//! `PUT /portal/schemas/{collection}/{record_type}`: the JSON Schema that the rows of later uploads
//! are checked against. The same schema again keeps its version.

use std::sync::Arc;
use std::time::Duration;

use api::{App, Body, Editor, Error, Path, Result};
use axum::Json;
use axum::extract::State;
use model::plan::Plan;
use schemas::Validator;
use table::schema::{NewSchema, Put};
use tokio::time::Instant;

use crate::get_schema::Answer;
use crate::upload_file::names;

/// How long a call waits for others that change the same, or on which it depends whether the
/// collection fits the plan.
const WAITING: Duration = Duration::from_secs(5);

pub(crate) async fn put_schema(
    State(app): State<App>,
    Editor(caller): Editor,
    Path((collection, record_type)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Answer>> {
    let (collection, record_type) = names(&collection, &record_type)?;
    // Compiling is no work for a runtime thread.
    let compiled = tokio::task::spawn_blocking(move || {
        let compiled = body.parse(Validator::parse);
        compiled.map(|_| body.0)
    });
    let schema = compiled.await??;

    let tenant = &caller.tenant;
    let give_up = Instant::now() + WAITING;
    let mut wait = Duration::from_millis(5);
    loop {
        let summary = app.summary(tenant).await?;
        let plan = summary.plan(tenant)?;
        let new = NewSchema {
            collection: &collection,
            record_type: &record_type,
            schema: &schema,
            at: app.clock.now(),
            format: search::FORMAT,
        };
        let put = app
            .table
            .put_schema(tenant, &summary, plan.limits(), &new)
            .await?;
        match put {
            Put::Yes(schema) => return Ok(Json(schema.try_into()?)),
            Put::CollectionCap => return Err(over_collections(plan)),
            Put::Again if Instant::now() < give_up => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_millis(200));
            }
            Put::Again => {
                return Err(Error::Unavailable(Arc::new(std::io::Error::other(
                    "other calls of the tenant hold what this one needs",
                ))));
            }
        }
    }
}

fn over_collections(plan: Plan) -> Error {
    let limit = plan.limits().collections.unwrap_or_default();
    let noun = if limit == 1 {
        "collection"
    } else {
        "collections"
    };
    Error::PaymentRequired(format!(
        "The schema would pass the {limit} {noun} of the {plan} plan"
    ))
}
