//! `POST /portal/search/{collection}`, `POST|GET /search/{collection}`: searches a collection.

use std::time::Instant;

use api::{App, Body, Caller, Error, Params, Path, Result, Searcher};
use axum::extract::State;
use axum::response::Response;
use finding::{Answer, Ask, Course, Row};
use indexing::Found;
use model::collection::Collection;
use model::id::{CollectionName, TenantId};
use model::period::Day;
use model::plan::SearchTerms;
use model::quickstart::Step;
use table::record::Place;
use table::search::Counted;
use table::summary::View;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::collection::{named, not_found};

pub(crate) async fn search_collection(
    State(app): State<App>,
    Searcher(caller): Searcher,
    Path(collection): Path<String>,
    body: Body,
) -> Result<Response> {
    let started = Instant::now();
    let name = named("collection", &collection)?;
    let ask = body.parse(Ask::from_body)?;
    search(app, caller, name, ask, started).await
}

/// The short form: `GET /search/{collection}?q=`.
pub(crate) async fn search_shortly(
    State(app): State<App>,
    Searcher(caller): Searcher,
    Path(collection): Path<String>,
    params: Params,
) -> Result<Response> {
    let started = Instant::now();
    let name = named("collection", &collection)?;
    let ask = Ask::from_params(params)?;
    search(app, caller, name, ask, started).await
}

async fn search(
    app: App,
    caller: Caller,
    name: CollectionName,
    ask: Ask,
    started: Instant,
) -> Result<Response> {
    let mut view = app.search_view(&caller.tenant, &name).await?;
    let collection = view.collection.take().ok_or_else(not_found)?;
    caller.admitted().await?;

    // A task of its own, which sees it if the client has hung up and there is nobody to answer.
    let search = Search {
        app,
        tenant: caller.tenant,
        view,
        collection,
        ask,
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
    ask: Ask,
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
        let day = Day::of(self.app.clock.now());
        let table = &self.app.table;
        let SearchTerms::Capped(cap) = plan.limits().searches else {
            return Ok(table.count_search(&self.tenant, day).await?);
        };
        let counted = match self.view.uncapped {
            Some((of, uncapped)) if of == day.period() => {
                let left = cap.saturating_sub(uncapped);
                table.count_search_below(&self.tenant, day, left).await?
            }
            _ => table.count_capped_search(&self.tenant, day, cap).await?,
        };
        counted.ok_or_else(|| {
            Error::PaymentRequired(format!(
                "The {plan} plan includes {cap} searches a month, and they are used up"
            ))
        })
    }

    async fn respond(&self) -> Result<Response> {
        let answer = self.answer().await?;
        let response = self.ask.format.respond(&answer)?;
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
        let request = &self.ask.request;
        let indexes = app.indexes()?;
        let markers = &self.view.markers;
        let found = indexes.search(tenant, collection, markers, request);
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
        let course = Course {
            started: self.started,
            warm,
            hydrate_time: hydrating.elapsed(),
        };
        Ok(Answer::new(request, &page, results, course))
    }
}
