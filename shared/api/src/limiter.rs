//! The rate limit: counted in the table, decided here.
//!
//! A request is counted by one write that runs beside the handler's first read. What was refused
//! does not count: the next write takes it back. A bucket that refused is refused from memory
//! until its time, so that a flood costs no writes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use model::id::TenantId;
use model::limit::{self, Reading};
use model::plan::Plan;
use model::time::Moment;
use table::limit::{Entry, Pair, Window};
use tracing::Instrument;

use crate::app::App;

/// How a request stands with the limiter; `None` if it was not counted.
pub(crate) type Admission = Shared<BoxFuture<'static, Option<Reading>>>;

/// Waits for the decision.
pub(crate) async fn admitted(admission: &Admission) -> crate::Result<()> {
    match admission
        .clone()
        .await
        .and_then(|reading| reading.retry_after)
    {
        Some(seconds) => Err(crate::Error::RateLimited(seconds)),
        None => Ok(()),
    }
}

/// How many tenants are remembered before idle ones are forgotten.
const MAX_TENANTS: usize = 10_000;

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Search,
}

impl Kind {
    fn pair(self) -> Pair {
        Pair {
            requests: 1,
            searches: i64::from(self == Self::Search),
        }
    }
}

#[derive(Default)]
pub(crate) struct Limiter {
    tenants: Mutex<HashMap<TenantId, State>>,
}

#[derive(Default)]
struct State {
    /// Until when requests, and searches, are refused from memory, with the limit that they met.
    requests_until: Option<(Moment, u32)>,
    searches_until: Option<(Moment, u32)>,
    /// What was refused and is still counted in the table, by minute.
    refused: BTreeMap<i64, Pair>,
    /// Minutes whose attributes can go.
    past: Vec<i64>,
    /// The plan, while the window has no copy of it.
    plan: Option<Plan>,
}

impl Limiter {
    /// Starts to count a request.
    pub(crate) fn admit(app: &App, tenant: &TenantId, kind: Kind) -> Admission {
        if !app.config.rate_limit {
            return futures_util::future::ready(None).boxed().shared();
        }
        let now = app.clock.now();
        let entry = match app.limiter.begin(tenant, kind, now) {
            Ok(entry) => entry,
            Err(refused) => return futures_util::future::ready(Some(refused)).boxed().shared(),
        };
        let (app, tenant) = (app.clone(), tenant.clone());
        let counting = async move {
            match count(&app, &tenant, &entry).await {
                Ok((window, plan)) => Some(app.limiter.judge(&tenant, kind, &window, plan, now)),
                Err(error) => {
                    tracing::error!(%tenant, %error, "the limiter cannot count, the request is served");
                    app.limiter.undo(&tenant, &entry, kind);
                    None
                }
            }
        };
        tokio::spawn(counting.in_current_span())
            .map(Result::unwrap_or_default)
            .boxed()
            .shared()
    }

    /// What to write for this request, or the refusal that memory holds.
    fn begin(&self, tenant: &TenantId, kind: Kind, now: Moment) -> Result<Entry, Reading> {
        let minute = limit::minute(now);
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= MAX_TENANTS && !tenants.contains_key(tenant) {
            tenants.retain(|_, state| {
                state.requests_until.is_some_and(|(until, _)| until > now)
                    || state.searches_until.is_some_and(|(until, _)| until > now)
                    || state.refused.keys().any(|at| *at >= minute - 1)
            });
        }
        let state = tenants.entry(tenant.clone()).or_default();
        for until in [
            state.requests_until,
            state.searches_until.filter(|_| kind == Kind::Search),
        ] {
            if let Some(refused) = until.and_then(|(until, limit)| refusal(until, limit, now)) {
                return Err(refused);
            }
        }
        let own = kind.pair();
        let back = state.refused.remove(&minute).unwrap_or_default();
        let before = state.refused.remove(&(minute - 1)).unwrap_or_default();
        state.refused.clear();
        Ok(Entry {
            minute,
            current: Pair {
                requests: own.requests - back.requests,
                searches: own.searches - back.searches,
            },
            previous: Pair {
                requests: -before.requests,
                searches: -before.searches,
            },
            past: std::mem::take(&mut state.past),
            plan: state.plan.take(),
        })
    }

    /// Decides by what was counted.
    fn judge(
        &self,
        tenant: &TenantId,
        kind: Kind,
        window: &Window,
        plan: Plan,
        now: Moment,
    ) -> Reading {
        let limits = plan.limits();
        let count = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        let requests = limit::read(
            limits.requests_per_minute,
            count(window.current.requests),
            count(window.previous.requests),
            now,
        );
        let searches = (kind == Kind::Search).then(|| {
            limit::read(
                limits.searches_per_minute,
                count(window.current.searches),
                count(window.previous.searches),
                now,
            )
        });

        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let state = tenants.entry(tenant.clone()).or_default();
        state.past.clone_from(&window.past);
        let until = |reading: &Reading| {
            let wait = chrono::TimeDelta::seconds(i64::from(reading.retry_after?));
            Some((now + wait, reading.limit))
        };
        state.requests_until = until(&requests).or(state.requests_until);
        state.searches_until = searches.as_ref().and_then(until).or(state.searches_until);
        state.plan = window.plan.is_none().then_some(plan);

        let reading = match searches {
            Some(searches) => nearer(requests, searches),
            None => requests,
        };
        if reading.retry_after.is_some() {
            let refused = state.refused.entry(limit::minute(now)).or_default();
            let own = kind.pair();
            refused.requests += own.requests;
            refused.searches += own.searches;
        }
        reading
    }

    /// Remembers again what a failed write was to take back.
    fn undo(&self, tenant: &TenantId, entry: &Entry, kind: Kind) {
        let own = kind.pair();
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let state = tenants.entry(tenant.clone()).or_default();
        state.plan = state.plan.or(entry.plan);
        for (minute, requests, searches) in [
            (
                entry.minute,
                own.requests - entry.current.requests,
                own.searches - entry.current.searches,
            ),
            (
                entry.minute - 1,
                -entry.previous.requests,
                -entry.previous.searches,
            ),
        ] {
            if requests != 0 || searches != 0 {
                let pair = state.refused.entry(minute).or_default();
                pair.requests += requests;
                pair.searches += searches;
            }
        }
    }
}

/// The refusal of a bucket that opens again at `until`, if that is still to come.
pub(crate) fn refusal(until: Moment, limit: u32, now: Moment) -> Option<Reading> {
    let left = (until - now).num_milliseconds();
    let seconds = u32::try_from((left.max(0) + 999) / 1000).ok()?;
    (seconds > 0).then_some(Reading {
        limit,
        remaining: 0,
        reset: (until.timestamp_millis() + 999).div_euclid(1000),
        retry_after: Some(seconds),
    })
}

/// Of two buckets the one nearer to its end: the one to wait for longer, or with less left.
fn nearer(left: Reading, right: Reading) -> Reading {
    let key = |reading: &Reading| {
        (
            std::cmp::Reverse(reading.retry_after.unwrap_or(0)),
            reading.remaining,
        )
    };
    if key(&right) < key(&left) {
        right
    } else {
        left
    }
}

/// Counts, and finds the plan. It is on the window from a tenant's second request on: what the
/// first one reads, the next write copies.
async fn count(
    app: &App,
    tenant: &TenantId,
    entry: &Entry,
) -> Result<(Window, Plan), table::Error> {
    let window = app.table.count_request(tenant, entry).await?;
    let plan = match window.plan {
        Some(plan) => plan,
        None => match app.table.find_tenant(tenant).await? {
            Some(found) => found.plan,
            // The first call of all: the tenant is being created beside this.
            None => app.config.default_plan,
        },
    };
    Ok((window, plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from_timestamp(1_772_971_200 + seconds, 0).unwrap()
    }

    fn window(requests: i64, searches: i64) -> Window {
        Window {
            current: Pair { requests, searches },
            ..Window::default()
        }
    }

    #[test]
    fn what_was_refused_is_taken_back_by_the_next_write() {
        let limiter = Limiter::default();
        let tenant: TenantId = "t".parse().unwrap();
        let judge = |requests| {
            limiter.judge(
                &tenant,
                Kind::Request,
                &window(requests, 0),
                Plan::Free,
                at(0),
            )
        };
        assert_eq!(judge(60).retry_after, None);
        assert_eq!(judge(61).retry_after, Some(61));
        assert_eq!(judge(62).retry_after, Some(61));
        assert!(limiter.begin(&tenant, Kind::Request, at(60)).is_err());
        let entry = limiter.begin(&tenant, Kind::Request, at(61)).unwrap();
        assert_eq!(entry.current.requests, 1);
        assert_eq!(entry.previous.requests, -2);
        let entry = limiter.begin(&tenant, Kind::Request, at(62)).unwrap();
        assert_eq!(entry.previous.requests, 0);
    }

    #[test]
    fn a_full_search_bucket_leaves_other_requests_alone() {
        let limiter = Limiter::default();
        let tenant: TenantId = "t".parse().unwrap();
        let refused = limiter.judge(&tenant, Kind::Search, &window(21, 21), Plan::Free, at(0));
        assert_eq!(refused.limit, 20);
        assert!(limiter.begin(&tenant, Kind::Search, at(1)).is_err());
        let entry = limiter.begin(&tenant, Kind::Request, at(1)).unwrap();
        assert_eq!(
            entry.current,
            Pair {
                requests: 0,
                searches: -1
            }
        );
    }

    #[test]
    fn a_failed_write_forgets_nothing() {
        let limiter = Limiter::default();
        let tenant: TenantId = "t".parse().unwrap();
        limiter.judge(&tenant, Kind::Search, &window(21, 21), Plan::Free, at(0));
        let entry = limiter.begin(&tenant, Kind::Request, at(1)).unwrap();
        limiter.undo(&tenant, &entry, Kind::Request);
        assert_eq!(limiter.begin(&tenant, Kind::Request, at(1)).unwrap(), entry);
    }

    #[test]
    fn the_headers_tell_the_bucket_nearest_to_its_end() {
        let limiter = Limiter::default();
        let tenant: TenantId = "t".parse().unwrap();
        let reading = limiter.judge(&tenant, Kind::Search, &window(50, 5), Plan::Free, at(0));
        assert_eq!((reading.limit, reading.remaining), (60, 10));
        let reading = limiter.judge(&tenant, Kind::Search, &window(20, 15), Plan::Free, at(0));
        assert_eq!((reading.limit, reading.remaining), (20, 5));
    }
}
