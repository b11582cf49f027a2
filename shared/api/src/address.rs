//! Who calls without a credential, as an extractor: an address, under a rate limit of its own.
//!
//! As for tenants, a request is counted by one write that runs beside the handler, what was refused
//! is taken back by the next write, and what is over its limit is refused from memory until its time.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use futures_util::FutureExt;
use lambda_http::request::RequestContext;
use model::limit::{self, Reading};
use model::time::Moment;
use table::limit::{Entry, Pair, Window};
use tracing::Instrument;

use crate::app::App;
use crate::caller::Ticket;
use crate::error::{Error, Result};
use crate::limiter::{Admission, Kind, admitted, refusal};

/// How many searches an address may make in a minute.
const SEARCHES: u32 = 60;

/// How many other calls.
const OTHERS: u32 = 120;

/// How many addresses are remembered before idle ones are forgotten.
const MOST: usize = 10_000;

/// Somebody of whom nothing but the address is known, counted by the limiter.
pub struct Visitor {
    admission: Admission,
}

/// One who searches, which counts in a lower bucket.
pub struct OpenSearcher(pub Visitor);

impl Visitor {
    /// Waits for the limiter's decision. Every call ends with it; one that writes asks first.
    pub async fn admitted(&self) -> Result<()> {
        admitted(&self.admission).await
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        visit(parts, app, Kind::Request)
    }
}

impl FromRequestParts<App> for OpenSearcher {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        visit(parts, app, Kind::Search).map(Self)
    }
}

fn visit(parts: &Parts, app: &App, kind: Kind) -> Result<Visitor> {
    let admission = admit(app, source(parts), kind);
    if let Some(ticket) = parts.extensions.get::<Ticket>() {
        ticket.visit(&admission);
    }
    // What memory refuses is refused before anything is read for it.
    let reading = admission.clone().now_or_never().flatten();
    match reading.and_then(|reading| reading.retry_after) {
        Some(seconds) => Err(Error::RateLimited(seconds)),
        None => Ok(Visitor { admission }),
    }
}

/// The address that a request comes from: as the gateway saw it, or the one at the other end of the
/// connection. A header may say anything. All whose address is not known count as one.
fn source(parts: &Parts) -> IpAddr {
    let told = match parts.extensions.get::<RequestContext>() {
        Some(RequestContext::ApiGatewayV1(context)) => context.identity.source_ip.as_deref(),
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref(),
        _ => None,
    };
    let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    told.and_then(|address| address.parse().ok())
        .or(connected.map(|peer| peer.0.ip()))
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), whose)
}

/// What counts as one: an address, and over IPv6 the 64 bits that a customer is given.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

/// Starts to count a request.
fn admit(app: &App, address: IpAddr, kind: Kind) -> Admission {
    if !app.config.rate_limit {
        return futures_util::future::ready(None).boxed().shared();
    }
    let now = app.clock.now();
    let entry = match app.visitors.begin(address, kind, now) {
        Ok(entry) => entry,
        Err(refused) => return futures_util::future::ready(Some(refused)).boxed().shared(),
    };
    let app = app.clone();
    let counting = async move {
        match app.table.count_visit(address, &entry).await {
            Ok(window) => Some(app.visitors.judge(address, kind, &window, now)),
            Err(error) => {
                tracing::error!(%error, "the limiter cannot count, the request is served");
                app.visitors.undo(address, &entry, kind);
                None
            }
        }
    };
    tokio::spawn(counting.in_current_span())
        .map(std::result::Result::unwrap_or_default)
        .boxed()
        .shared()
}

/// What is remembered of addresses.
#[derive(Default)]
pub(crate) struct Visitors(Mutex<HashMap<IpAddr, State>>);

#[derive(Default)]
struct State {
    /// Until when searches, and other calls, are refused from memory.
    searches_until: Option<Moment>,
    others_until: Option<Moment>,
    /// What was refused and is still counted in the table, by minute.
    refused: BTreeMap<i64, Pair>,
    /// Minutes whose attributes can go.
    past: Vec<i64>,
}

impl State {
    fn until(&mut self, kind: Kind) -> &mut Option<Moment> {
        match kind {
            Kind::Search => &mut self.searches_until,
            Kind::Request => &mut self.others_until,
        }
    }

    fn is_idle(&self, now: Moment) -> bool {
        let over = |until: Option<Moment>| until.is_none_or(|until| until <= now);
        let minute = limit::minute(now);
        over(self.searches_until)
            && over(self.others_until)
            && self.refused.keys().all(|at| *at < minute - 1)
    }
}

fn limit_of(kind: Kind) -> u32 {
    match kind {
        Kind::Search => SEARCHES,
        Kind::Request => OTHERS,
    }
}

/// What a request counts: a search is none of the other calls.
fn pair(kind: Kind) -> Pair {
    Pair {
        requests: i64::from(kind == Kind::Request),
        searches: i64::from(kind == Kind::Search),
    }
}

impl Visitors {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to write for this request, or the refusal that memory holds.
    fn begin(
        &self,
        address: IpAddr,
        kind: Kind,
        now: Moment,
    ) -> std::result::Result<Entry, Reading> {
        let minute = limit::minute(now);
        let mut states = self.lock();
        if states.len() >= MOST && !states.contains_key(&address) {
            states.retain(|_, state| !state.is_idle(now));
        }
        let state = states.entry(address).or_default();
        let until = *state.until(kind);
        if let Some(refused) = until.and_then(|until| refusal(until, limit_of(kind), now)) {
            return Err(refused);
        }
        let own = pair(kind);
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
            plan: None,
        })
    }

    /// Decides by what was counted.
    fn judge(&self, address: IpAddr, kind: Kind, window: &Window, now: Moment) -> Reading {
        let of = |pair: &Pair| {
            let counted = match kind {
                Kind::Search => pair.searches,
                Kind::Request => pair.requests,
            };
            u32::try_from(counted.max(0)).unwrap_or(u32::MAX)
        };
        let (current, previous) = (of(&window.current), of(&window.previous));
        let reading = limit::read(limit_of(kind), current, previous, now);

        let mut states = self.lock();
        let state = states.entry(address).or_default();
        state.past.clone_from(&window.past);
        if let Some(seconds) = reading.retry_after {
            let wait = chrono::TimeDelta::seconds(i64::from(seconds));
            *state.until(kind) = Some(now + wait);
            let own = pair(kind);
            let refused = state.refused.entry(limit::minute(now)).or_default();
            refused.requests += own.requests;
            refused.searches += own.searches;
        }
        reading
    }

    /// Remembers again what a failed write was to take back.
    fn undo(&self, address: IpAddr, entry: &Entry, kind: Kind) {
        let own = pair(kind);
        let mut states = self.lock();
        let state = states.entry(address).or_default();
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
                let refused = state.refused.entry(minute).or_default();
                refused.requests += requests;
                refused.searches += searches;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

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
    fn searches_and_other_calls_are_counted_apart() {
        let visitors = Visitors::default();
        let judge = |kind| visitors.judge(HOME, kind, &window(120, 60), at(0));
        assert_eq!(judge(Kind::Search).retry_after, None);
        assert_eq!(judge(Kind::Request).retry_after, None);
        let refused = visitors.judge(HOME, Kind::Search, &window(0, 61), at(0));
        assert_eq!((refused.limit, refused.retry_after), (60, Some(61)));
        assert!(visitors.begin(HOME, Kind::Search, at(60)).is_err());
        assert!(visitors.begin(HOME, Kind::Request, at(60)).is_ok());
    }

    #[test]
    fn what_was_refused_is_taken_back_by_the_next_write() {
        let visitors = Visitors::default();
        for requests in [121, 122] {
            let refused = visitors.judge(HOME, Kind::Request, &window(requests, 0), at(0));
            assert!(refused.retry_after.is_some());
        }
        let entry = visitors.begin(HOME, Kind::Search, at(1)).unwrap();
        let expected = Pair {
            requests: -2,
            searches: 1,
        };
        assert_eq!(entry.current, expected);
        visitors.undo(HOME, &entry, Kind::Search);
        assert_eq!(visitors.begin(HOME, Kind::Search, at(1)).unwrap(), entry);
    }

    #[test]
    fn a_customer_counts_as_one_whatever_addresses_it_has() {
        let read = |text: &str| whose(text.parse().unwrap()).to_string();
        assert_eq!(read("203.0.113.7"), "203.0.113.7");
        assert_eq!(read("::ffff:203.0.113.7"), "203.0.113.7");
        assert_eq!(read("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn idle_addresses_are_forgotten() {
        let visitors = Visitors::default();
        for number in 0..=u32::try_from(MOST).unwrap() {
            let address = IpAddr::V4(Ipv4Addr::from_bits(number));
            visitors.begin(address, Kind::Search, at(0)).unwrap();
        }
        assert_eq!(visitors.lock().len(), 1);
    }
}
