//! `POST /portal/search/{collection}`: searches a collection.

use std::time::Instant;

use api::{App, Body, Error, Path, Result, Searcher, millis};
use axum::extract::State;
use axum::response::Response;
use indexing::Found;
use model::collection::Collection;
use model::fault::{Fields, one_of};
use model::id::{CollectionName, TenantId};
use model::period::Period;
use model::plan::SearchTerms;
use model::quickstart::Step;
use search::Request;
use serde_json::Value;
use table::record::Place;
use table::search::Counted;
use table::summary::View;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::format::{Answer, FORMATS, Format, Metadata, Pagination, Row, Timings};

pub(crate) async fn search_collection(
    State(app): State<App>,
    Searcher(caller): Searcher,
    Path(collection): Path<String>,
    body: Body,
) -> Result<Response> {
    let started = Instant::now();
    let name: CollectionName = collection
        .parse()
        .map_err(|fault| Error::invalid(api::Place::Path, "collection", fault))?;
    let (request, format) = body.parse(parse)?;
    let mut view = app.search_view(&caller.tenant, &name).await?;
    let collection = view
        .collection
        .take()
        .ok_or(Error::NotFound("Collection"))?;
    caller.admitted().await?;

    // A task of its own, which sees it if the client has hung up and there is nobody to answer.
    let search = Search {
        app,
        tenant: caller.tenant,
        view,
        collection,
        request,
        format,
        started,
    };
    let (answer, answered) = oneshot::channel();
    tokio::spawn(search.run(answer).in_current_span());
    answered.await.map_err(Error::internal)?
}

struct Search {
    app: App,
    tenant: TenantId,
    view: View,
    collection: Collection,
    request: Request,
    format: Format,
    started: Instant,
}

impl Search {
    /// Counts the search before it is answered, and gives it back if it failed or nobody waits for
    /// it any more: whatever happens in between, no search is free. Where the plan caps searches,
    /// one beyond the cap is not even run.
    async fn run(self, answer: oneshot::Sender<Result<Response>>) {
        let (counted, response) = if self.is_capped() {
            match self.count().await {
                Ok(counted) => (Ok(counted), self.respond().await),
                Err(error) => {
                    // Nothing is counted, so it does not matter whether anybody waits.
                    let _ = answer.send(Err(error));
                    return;
                }
            }
        } else {
            tokio::join!(self.count(), self.respond())
        };
        let counted = match counted {
            Ok(counted) => counted,
            Err(error) => {
                let _ = answer.send(Err(error));
                return;
            }
        };
        if response.is_err() {
            self.give_back(counted).await;
            let _ = answer.send(response);
        } else if answer.send(response).is_err() {
            self.give_back(counted).await;
        }
    }

    fn is_capped(&self) -> bool {
        let plan = self.view.plan(&self.tenant);
        plan.is_ok_and(|plan| matches!(plan.limits().searches, SearchTerms::Capped(_)))
    }

    async fn give_back(&self, counted: Counted) {
        let given_back = self.app.table.uncount_search(&self.tenant, counted).await;
        if let Err(error) = given_back {
            tracing::error!(tenant = %self.tenant, %error, "a failed search stays counted");
        }
    }

    async fn count(&self) -> Result<Counted> {
        let plan = self.view.plan(&self.tenant)?;
        let period = Period::of(self.app.clock.now());
        let table = &self.app.table;
        let SearchTerms::Capped(cap) = plan.limits().searches else {
            return Ok(table.count_search(&self.tenant, period).await?);
        };
        let counted = match self.view.uncapped {
            Some((of, uncapped)) if of == period => {
                let left = cap.saturating_sub(uncapped);
                table.count_search_below(&self.tenant, period, left).await?
            }
            _ => table.count_capped_search(&self.tenant, period, cap).await?,
        };
        counted.ok_or_else(|| {
            Error::PaymentRequired(format!(
                "The {plan} plan includes {cap} searches a month, and they are used up"
            ))
        })
    }

    async fn respond(&self) -> Result<Response> {
        let answer = self.answer().await?;
        let response = self.format.respond(&answer)?;
        if self
            .view
            .checklist
            .completed_at(Step::FirstSearch)
            .is_none()
        {
            let now = self.app.clock.now();
            self.app
                .table
                .stamp(&self.tenant, Step::FirstSearch, now)
                .await?;
        }
        Ok(response)
    }

    async fn answer(&self) -> Result<Answer> {
        let (app, tenant, collection) = (&self.app, &self.tenant, &self.collection);
        let (limit, offset) = (self.request.limit, self.request.offset);
        let indexes = app.indexes()?;
        let markers = &self.view.markers;
        let found = indexes.search(tenant, collection, markers, &self.request);
        let Found { page, of, warm, .. } = found.await?;

        let hydrating = Instant::now();
        let ids: Vec<_> = page.hits.iter().map(|hit| hit.id).collect();
        let place = Place::new(tenant, of.number, of.generation);
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
                has_more: !page.hits.is_empty() && offset as usize + page.hits.len() < page.total,
            },
            metadata: Metadata {
                search_mode: page.mode,
                query_type: page.class,
                processing_time_ms: millis(self.started.elapsed()),
                total_estimate: page.total,
                zero_result_fallback_used: page.fell_back,
                cache_hit: warm,
                timings,
            },
        })
    }
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
