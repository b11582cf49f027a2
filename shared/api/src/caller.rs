//! Who is calling, as an extractor: a handler without one is visibly public.

use std::sync::{Arc, Mutex, PoisonError};

use auth::Role;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use futures_util::FutureExt;
use model::id::{TenantId, UserId};

use crate::app::App;
use crate::error::{Error, Result};
use crate::limiter::{Admission, Kind, Limiter, admitted};

/// A verified caller, known to the table and counted by the limiter.
pub struct Caller {
    /// The tenant whose data the caller sees.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    role: Role,
    admission: Admission,
}

/// The caller of a search, which counts in a second, lower bucket.
pub struct Searcher(pub Caller);

/// A caller who may change things: no viewer, and not over the rate limit, whose decision is
/// waited for because a refused request changes nothing. All of it before the body is read.
pub struct Editor(pub Caller);

/// Who called and how the limiter decided, left for the edge to put on the answer.
#[derive(Clone, Default)]
pub(crate) struct Ticket(Arc<Mutex<Option<(TenantId, UserId, Admission)>>>);

impl Ticket {
    pub(crate) fn take(&self) -> Option<(TenantId, UserId, Admission)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, tenant: &TenantId, user: &UserId, admission: &Admission) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((tenant.clone(), user.clone(), admission.clone()));
    }
}

impl Caller {
    /// Waits for the limiter's decision. Every call ends with it; one that writes asks first.
    pub async fn admitted(&self) -> Result<()> {
        admitted(&self.admission).await
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
        if !caller.role.may_change() {
            return Err(Error::Forbidden("Insufficient permissions"));
        }
        caller.admitted().await?;
        Ok(Self(caller))
    }
}

async fn identify(parts: &mut Parts, app: &App, kind: Kind) -> Result<Caller> {
    let token = bearer(parts).ok_or(Error::Unauthorized)?;
    let caller = app.verifier.verify(token, app.clock.now())?;
    let admission = Limiter::admit(app, &caller.tenant, kind);
    if let Some(ticket) = parts.extensions.get::<Ticket>() {
        ticket.put(&caller.tenant, &caller.user, &admission);
    }
    // What memory refuses is refused before anything is read for it.
    if let Some(Some(reading)) = admission.clone().now_or_never()
        && let Some(seconds) = reading.retry_after
    {
        return Err(Error::RateLimited(seconds));
    }
    app.welcome(&caller, &admission).await?;
    Ok(Caller {
        tenant: caller.tenant,
        user: caller.user,
        role: caller.role,
        admission,
    })
}

/// The token of the one `Authorization: Bearer` header.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => auth::bearer(value.to_str().ok()?),
        _ => None,
    }
}
