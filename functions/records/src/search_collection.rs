//! `POST /portal/search/{collection}`: searches a collection.

use std::time::Instant;

use api::{App, Body, Caller, Error, Path, Place, Result, Searcher};
use axum::extract::State;
use axum::response::Response;
use model::collection::Collection;
use model::fault::{Fields, one_of};
use model::id::CollectionName;
use model::period::Period;
use model::plan::SearchTerms;
use model::quickstart::Step;
use search::Request;
use serde_json::Value;
use table::search::Counted;
use table::summary::View;

use crate::format::{Answer, FORMATS, Format, Metadata, Pagination, Row, Timings, millis};

pub(crate) async fn search_collection(
    State(app): State<App>,
    Searcher(caller): Searcher,
    Path(collection): Path<String>,
    body: Body,
) -> Result<Response> {
    let started = Instant::now();
    let name: CollectionName = collection
        .parse()
        .map_err(|fault| Error::invalid(Place::Path, "collection", fault))?;
    let (request, format) = body.parse(parse)?;
    let mut view = app.view(&caller.tenant, &name).await?;
    let collection = view
        .collection
        .take()
        .ok_or(Error::NotFound("Collection"))?;
    caller.admitted().await?;

    // Counted first and given back on failure: whatever happens in between, no search is free.
    let counted = count(&app, &caller, &view).await?;
    let answered = async {
        let answer = answer(&app, &caller, &collection, request, started).await?;
        if view.checklist.completed_at(Step::FirstSearch).is_none() {
            let now = app.clock.now();
            app.table
                .stamp(&caller.tenant, Step::FirstSearch, now)
                .await?;
        }
        format.respond(&answer)
    };
    let answered = answered.await;
    if answered.is_err()
        && let Err(error) = app.table.uncount_search(&caller.tenant, counted).await
    {
        tracing::error!(tenant = %caller.tenant, %error, "a failed search stays counted");
    }
    answered
}

fn parse(body: &Value) -> std::result::Result<(Request, Format), model::Faults> {
    let mut fields = Fields::of(body)?;
    let request = Request::read(&mut fields);
    let format = fields.optional("format", |value| one_of(value, &FORMATS));
    match (request, format) {
        (Some(request), Some(format)) => Ok((request, format.unwrap_or_default())),
        _ => Err(fields.into_faults()),
    }
}

async fn count(app: &App, caller: &Caller, view: &View) -> Result<Counted> {
    let plan = view.plan(&caller.tenant)?;
    let period = Period::of(app.clock.now());
    let SearchTerms::Capped(cap) = plan.limits().searches else {
        return Ok(app.table.count_search(&caller.tenant, period).await?);
    };
    let counted = app
        .table
        .count_capped_search(&caller.tenant, period, cap)
        .await?;
    counted.ok_or_else(|| {
        Error::PaymentRequired(format!(
            "The {plan} plan includes {cap} searches a month, and they are used up"
        ))
    })
}

async fn answer(
    app: &App,
    caller: &Caller,
    collection: &Collection,
    request: Request,
    started: Instant,
) -> Result<Answer> {
    let (limit, offset) = (request.limit, request.offset);
    let (page, warm) = app.search(&caller.tenant, collection, request).await?;

    let hydrating = Instant::now();
    let ids: Vec<_> = page.hits.iter().map(|hit| hit.id).collect();
    let place = table::record::Place::new(&caller.tenant, collection.number, collection.generation);
    let mut records = app.table.records(&place, &collection.name, &ids).await?;
    let results = page
        .hits
        .iter()
        .filter_map(|hit| Some(Row::new(records.remove(&hit.id)?, hit.score)))
        .collect();
    let timings = Timings {
        classify_ms: millis(page.classify_time),
        search_ms: millis(page.search_time),
        hydrate_ms: millis(hydrating.elapsed()),
    };
    Ok(Answer {
        results,
        pagination: Pagination {
            offset,
            limit,
            has_more: offset as usize + page.hits.len() < page.total && !page.hits.is_empty(),
        },
        metadata: Metadata {
            search_mode: page.mode,
            query_type: page.class,
            processing_time_ms: millis(started.elapsed()),
            total_estimate: page.total,
            zero_result_fallback_used: page.fell_back,
            cache_hit: warm,
            timings,
        },
    })
}
