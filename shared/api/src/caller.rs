//! Who is calling, as an extractor: a handler without one is visibly public.

use std::sync::{Arc, Mutex, PoisonError};

use auth::Role;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use futures_util::FutureExt;
use model::id::{KeyId, TenantId, UserId};
use model::key::{KeySecret, Scope};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::error::{Error, Result};
use crate::key::{ByKey, CountedSearch, note_use};
use crate::limiter::{Admission, Kind, Limiter, admitted};

const FORBIDDEN: Error = Error::Forbidden("Insufficient permissions");

/// A verified caller, counted by the limiter: the user of a token or, on a route of the main API,
/// the holder of a key. Which of the two a route wants is said where it is routed.
pub struct Caller {
    /// The tenant whose data the caller sees.
    pub tenant: TenantId,
    who: Who,
    admission: Admission,
}

/// What a tenant's caller is known by.
enum Who {
    /// A token of the portal.
    User(UserId, Role),
    /// An API key, which its scopes confine.
    Key(KeyId),
}

/// The caller of a search, which counts in a second, lower bucket.
pub struct Searcher(pub Caller);

/// A caller who may change things: no viewer, and not over the rate limit, whose decision is
/// waited for because a refused request changes nothing. All of it before the body is read.
pub struct Editor(pub Caller);

/// What a call leaves for the edge to do when it is answered.
#[derive(Default)]
pub(crate) struct Visit {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) user: Option<UserId>,
    pub(crate) key: Option<KeyId>,
    /// How the limiter decides, for the answer's headers.
    pub(crate) admission: Option<Admission>,
    /// What runs beside the handler and has to end before the answer: a Lambda freezes after it.
    pub(crate) beside: Option<JoinHandle<Option<CountedSearch>>>,
}

/// Where a [`Visit`] is left. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Ticket(Arc<Mutex<Visit>>);

impl Ticket {
    pub(crate) fn take(&self) -> Visit {
        self.change(std::mem::take)
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Visit) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves how the limiter decides on somebody who is not known.
    pub(crate) fn visit(&self, admission: &Admission) {
        self.change(|visit| visit.admission = Some(admission.clone()));
    }
}

impl Caller {
    /// The user of the portal. A route that is called with a key has none.
    pub fn user(&self) -> Result<&UserId> {
        match &self.who {
            Who::User(user, _) => Ok(user),
            Who::Key(_) => Err(Error::internal(std::io::Error::other(
                "a route that asks for a user is called with a key",
            ))),
        }
    }

    /// The key that the main API was called with.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        match self.who {
            Who::User(..) => None,
            Who::Key(key) => Some(key),
        }
    }

    /// Waits for the limiter's decision. Every call ends with it; one that writes asks first.
    pub async fn admitted(&self) -> Result<()> {
        admitted(&self.admission).await
    }

    /// A caller of this tenant, counted from now on, as the edge is told.
    fn counted(parts: &Parts, app: &App, kind: Kind, tenant: TenantId, who: Who) -> Self {
        let admission = Limiter::admit(app, &tenant, kind);
        if let Some(ticket) = parts.extensions.get::<Ticket>() {
            ticket.change(|visit| {
                visit.tenant = Some(tenant.clone());
                match &who {
                    Who::User(user, _) => visit.user = Some(user.clone()),
                    Who::Key(key) => visit.key = Some(*key),
                }
                visit.admission = Some(admission.clone());
            });
        }
        Self {
            tenant,
            who,
            admission,
        }
    }

    /// What memory refuses is refused before anything more is read for it.
    fn not_refused(&self) -> Result<()> {
        let reading = self.admission.clone().now_or_never().flatten();
        match reading.and_then(|reading| reading.retry_after) {
            Some(seconds) => Err(Error::RateLimited(seconds)),
            None => Ok(()),
        }
    }

    fn may_change(&self) -> bool {
        match self.who {
            Who::User(_, role) => role.may_change(),
            // Its scope, which has let it come here, says that.
            Who::Key(_) => true,
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        identify(parts, app, Kind::Request).await
    }
}

impl FromRequestParts<App> for Searcher {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        identify(parts, app, Kind::Search).await.map(Self)
    }
}

impl FromRequestParts<App> for Editor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let caller = identify(parts, app, Kind::Request).await?;
        if !caller.may_change() {
            return Err(FORBIDDEN);
        }
        caller.admitted().await?;
        Ok(Self(caller))
    }
}

async fn identify(parts: &Parts, app: &App, kind: Kind) -> Result<Caller> {
    match parts.extensions.get::<ByKey>() {
        None => by_token(parts, app, kind).await,
        Some(ByKey(scope)) => by_key(parts, app, kind, *scope).await,
    }
}

async fn by_token(parts: &Parts, app: &App, kind: Kind) -> Result<Caller> {
    let token = bearer(parts).ok_or(Error::Unauthorized)?;
    let known = app.verifier.verify(token, app.clock.now())?;
    let who = Who::User(known.user.clone(), known.role);
    let caller = Caller::counted(parts, app, kind, known.tenant.clone(), who);
    caller.not_refused()?;
    app.welcome(&known, &caller.admission).await?;
    Ok(caller)
}

/// The key's tenant is there: one of its users made the key. Nothing about a key is remembered, so a
/// revoked one is refused from the moment at which its revocation was answered.
async fn by_key(parts: &Parts, app: &App, kind: Kind, scope: Option<Scope>) -> Result<Caller> {
    let secret = bearer(parts).and_then(KeySecret::parse);
    let hash = secret.ok_or(Error::BadKey)?.hash();
    let holder = app.table.find_holder(&hash).await?;
    let holder = holder
        .filter(|holder| !holder.has_expired(app.clock.now()))
        .ok_or(Error::BadKey)?;
    let who = Who::Key(holder.key);
    let caller = Caller::counted(parts, app, kind, holder.tenant.clone(), who);
    caller.not_refused()?;
    if scope.is_some_and(|scope| !holder.allows(scope)) {
        return Err(FORBIDDEN);
    }
    let noting = note_use(app, &holder, kind, &caller.admission);
    if let Some(ticket) = parts.extensions.get::<Ticket>() {
        ticket.change(|visit| visit.beside = Some(noting));
    }
    Ok(caller)
}

/// The token or key of the one `Authorization: Bearer` header.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => auth::bearer(value.to_str().ok()?),
        _ => None,
    }
}
