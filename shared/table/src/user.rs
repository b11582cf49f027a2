//! Users and their profiles.
//!
//! `TENANT#<tenant>#USERS` / `USER#<user>`
//!
//! - read by user, with the tenant on the first call of either ([`Table::welcome`])
//! - created by the first call of a new user, by conditional write

use model::account::{Profile, ProfilePatch, User};
use model::id::{TenantId, UserId};
use model::plan::Plan;
use model::time::Moment;
use serde::{Deserialize, Serialize};

use crate::item::{self, Item, Key, moment};
use crate::retry::{Change, PRESENT};
use crate::{Result, Table, tenant};

#[derive(Serialize, Deserialize)]
struct Body {
    email: Option<String>,
    display_name: Option<String>,
    company: Option<String>,
    #[serde(with = "moment")]
    created_at: Moment,
}

fn key(tenant: &TenantId, user: &UserId) -> Key {
    Key::new(format!("TENANT#{tenant}#USERS"), format!("USER#{user}"))
}

fn read(user: &UserId, item: Item) -> Result<User> {
    let body: Body = item::read(item)?;
    Ok(User {
        id: user.clone(),
        email: body.email,
        display_name: body.display_name,
        company: body.company,
        created_at: body.created_at,
    })
}

impl Table {
    /// Makes sure that a caller's tenant and user exist: one read, and on the first call of either
    /// a conditional write, so that of many first calls at once one creates it.
    pub async fn welcome(
        &self,
        tenant: &TenantId,
        user: &UserId,
        profile: &Profile,
        default_plan: Plan,
        now: Moment,
    ) -> Result<()> {
        let tenant_key = tenant::key(tenant);
        let user_key = key(tenant, user);
        let known: Vec<Key> = self
            .batch_get(&[tenant_key.clone(), user_key.clone()], Some("pk, sk"))
            .await?
            .iter()
            .map(Key::of)
            .collect();
        if !known.contains(&tenant_key) {
            self.create_tenant(tenant, default_plan, now).await?;
        }
        if !known.contains(&user_key) {
            let user = User::first_seen(user.clone(), profile, now);
            let body = Body {
                email: user.email,
                display_name: user.display_name,
                company: user.company,
                created_at: user.created_at,
            };
            self.create_item(item::build(&user_key, &body)?).await?;
        }
        Ok(())
    }

    /// The user, or `None` before the first call.
    pub async fn find_user(&self, tenant: &TenantId, user: &UserId) -> Result<Option<User>> {
        let item = self.get(&key(tenant, user)).await?;
        item.map(|item| read(user, item)).transpose()
    }

    /// Changes a profile and returns it as it is then; `None` if there is no such user.
    pub async fn update_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        patch: ProfilePatch,
    ) -> Result<Option<User>> {
        let mut set = Vec::new();
        let mut remove = Vec::new();
        let mut values = Vec::new();
        for (name, change) in [
            ("display_name", patch.display_name),
            ("company", patch.company),
        ] {
            match change {
                None => {}
                Some(None) => remove.push(name),
                Some(Some(text)) => {
                    set.push(format!("{name} = :{name}"));
                    values.push((format!(":{name}"), item::text(text)));
                }
            }
        }
        let mut expression = String::new();
        if !set.is_empty() {
            expression += &format!("SET {} ", set.join(", "));
        }
        if !remove.is_empty() {
            expression += &format!("REMOVE {}", remove.join(", "));
        }
        if expression.is_empty() {
            return self.find_user(tenant, user).await;
        }
        let change = values.into_iter().fold(
            Change::update(expression.trim_end()).when(PRESENT),
            |change, (place, value)| change.value(place, value),
        );
        let item = self.update(&key(tenant, user), &change).await?;
        item.map(|item| read(user, item)).transpose()
    }
}
