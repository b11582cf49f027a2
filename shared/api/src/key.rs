//! The main API: which routes want an API key, and what its use leaves behind.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::Extension;
use axum::routing::MethodRouter;
use model::id::{KeyId, TenantId};
use model::key::{KeyHolder, Scope, USE_STANDS};
use model::period::Period;
use model::time::Moment;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::app::App;
use crate::limiter::{Admission, Kind, admitted};

/// The mark of a route of the main API: the scope that it asks for, if any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByKey(pub(crate) Option<Scope>);

/// Methods of a path of the main API: they are called with an API key that has this scope, and not
/// with a token.
pub fn by_key(scope: Scope, methods: MethodRouter<App>) -> MethodRouter<App> {
    methods.route_layer(Extension(ByKey(Some(scope))))
}

/// The same for a key of whatever scope.
pub fn by_any_key(methods: MethodRouter<App>) -> MethodRouter<App> {
    methods.route_layer(Extension(ByKey(None)))
}

/// How many keys are remembered before all are forgotten.
const MOST: usize = 10_000;

/// When this process last noted that a key was used, so that most calls need not ask the table to.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<HashMap<KeyId, Moment>>);

impl Uses {
    /// Whether a use is to be noted now, which is then taken for done.
    fn is_due(&self, key: KeyId, now: Moment) -> bool {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.get(&key).is_some_and(|last| now - *last < USE_STANDS) {
            return false;
        }
        if uses.len() >= MOST {
            uses.clear();
        }
        uses.insert(key, now);
        true
    }
}

/// That a search was counted by its key, before it is known whether it is answered.
pub(crate) struct CountedSearch {
    tenant: TenantId,
    period: Period,
    key: KeyId,
}

impl CountedSearch {
    /// Takes it back, as one that was not answered is none. A failure is logged.
    pub(crate) async fn take_back(self, app: &App) {
        let Self {
            tenant,
            period,
            key,
        } = self;
        let taken = app.table.take_back_key_search(&tenant, period, key).await;
        if let Err(error) = taken {
            tracing::error!(%tenant, %key, %error, "a search that failed stays counted by its key");
        }
    }
}

/// Counts a call by its key and notes when that was used, beside the handler. A call that the limiter
/// refuses is none. What fails is logged and fails no call.
pub(crate) fn note_use(
    app: &App,
    holder: &KeyHolder,
    kind: Kind,
    admission: &Admission,
) -> JoinHandle<Option<CountedSearch>> {
    let (app, admission) = (app.clone(), admission.clone());
    let (tenant, key) = (holder.tenant.clone(), holder.key);
    let noting = async move {
        if admitted(&admission).await.is_err() {
            return None;
        }
        let (table, now) = (&app.table, app.clock.now());
        let (period, is_search) = (Period::of(now), kind == Kind::Search);
        let counting = table.count_key_call(&tenant, period, key, is_search);
        let touching = async {
            if app.uses.is_due(key, now) {
                table.touch_key(&tenant, key, now).await?;
            }
            Ok::<(), table::Error>(())
        };
        let (counted, touched) = tokio::join!(counting, touching);
        let is_counted = is_search && counted.is_ok();
        for error in [counted.err(), touched.err()].into_iter().flatten() {
            tracing::error!(%tenant, %key, %error, "the use of a key cannot be noted, the call is served");
        }
        is_counted.then_some(CountedSearch {
            tenant,
            period,
            key,
        })
    };
    tokio::spawn(noting.in_current_span())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_use_is_due_once_a_minute_a_key() {
        let uses = Uses::default();
        let at = |seconds: i64| Moment::from_timestamp(1_772_971_200 + seconds, 0).unwrap();
        let (one, other) = (KeyId(Uuid::from_u128(1)), KeyId(Uuid::from_u128(2)));
        let due: Vec<bool> = [0, 1, 59, 60, 61, 120]
            .map(|seconds| uses.is_due(one, at(seconds)))
            .to_vec();
        assert_eq!(due, [true, false, false, true, false, true]);
        assert!(uses.is_due(other, at(120)));
    }
}
