//! Who searches, as an extractor; and the search, whatever it is searched in.

use std::collections::BTreeSet;
use std::time::Instant;

use api::{App, Error, OpenSearcher, Result, Visitor};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use finding::{Answer, Ask, Course, Row};
use model::id::{CollectionName, TenantId};
use model::period::Day;
use search::Audience;

use crate::counting::{Counter, Counting};
use crate::{agent, public};

/// Somebody who searches.
pub(crate) struct Seeker {
    visitor: Visitor,
    agent: Option<String>,
    counting: Counting,
}

impl FromRequestParts<App> for Seeker {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let OpenSearcher(visitor) = OpenSearcher::from_request_parts(parts, app).await?;
        let counting = parts.extensions.get::<Counting>().cloned();
        Ok(Self {
            visitor,
            agent: agent::named(&parts.headers),
            counting: counting.unwrap_or_else(Counting::at_once),
        })
    }
}

impl Seeker {
    /// Searches the public records of the collections of a name, or of all, and counts that for those
    /// whose records are returned.
    pub(crate) async fn search(
        self,
        app: &App,
        name: Option<&CollectionName>,
        mut ask: Ask,
        started: Instant,
    ) -> Result<Response> {
        ask.request.audience = Audience::Everybody;
        let listed = public::listed(app, name).await?;
        self.visitor.admitted().await?;
        let found = public::find(app, listed, &ask.request).await?;
        let hydrating = Instant::now();
        let mut records = public::hydrate(app, &found).await?;
        let course = Course {
            started,
            warm: found.warm,
            hydrate_time: hydrating.elapsed(),
        };
        let (mut results, mut whose) = (Vec::new(), BTreeSet::new());
        for (hit, origin) in found.page.hits.iter().zip(&found.origins) {
            if let Some(record) = records.remove(&hit.id) {
                results.push(Row::new(record, hit.score));
                whose.insert((origin.tenant.clone(), origin.of.number));
            }
        }
        let answer = Answer::new(&ask.request, &found.page, results, course);
        let response = ask.format.respond(&answer)?;
        let day = Day::of(app.clock.now());
        let counters = self.counters(day, whose);
        self.counting.count(&app.table, counters).await;
        Ok(response)
    }

    fn counters(&self, day: Day, whose: BTreeSet<(TenantId, u32)>) -> Vec<Counter> {
        let tenants: BTreeSet<TenantId> = whose.iter().map(|(tenant, _)| tenant.clone()).collect();
        let agent = self.agent.as_ref();
        let agents = agent.into_iter().flat_map(|agent| {
            tenants.iter().map(move |tenant| Counter::Agent {
                tenant: tenant.clone(),
                day,
                agent: agent.clone(),
            })
        });
        let agents: Vec<Counter> = agents.collect();
        let collections = whose
            .into_iter()
            .map(|(tenant, number)| Counter::Collection {
                tenant,
                day,
                number,
            });
        collections.chain(agents).collect()
    }
}
