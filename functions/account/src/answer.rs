//! How an account looks in answers.

use model::account::User;
use model::id::{TenantId, UserId};
use model::time::{self, Moment};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Account {
    user_id: UserId,
    email: Option<String>,
    tenant_id: TenantId,
    display_name: Option<String>,
    company: Option<String>,
    #[serde(serialize_with = "time::shown")]
    created_at: Moment,
}

impl Account {
    pub(crate) fn new(tenant: TenantId, user: User) -> Self {
        Self {
            user_id: user.id,
            email: user.email,
            tenant_id: tenant,
            display_name: user.display_name,
            company: user.company,
            created_at: user.created_at,
        }
    }
}
