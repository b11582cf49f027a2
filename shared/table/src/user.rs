//! Users and their profiles.
//!
//! `TENANT#<tenant>#USERS` / `USER#<user>`
//!
//! - read by user; with the tenant's, whether they exist ([`Table::known`])
//! - created by the first call of a new user, by conditional write

use model::account::{Profile, ProfilePatch, User};
use model::id::{TenantId, UserId};
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
    /// Whether a tenant and a user of it exist, by one read.
    pub async fn known(&self, tenant: &TenantId, user: &UserId) -> Result<(bool, bool)> {
        let keys = [tenant::key(tenant), key(tenant, user)];
        let found = self.batch_get(&keys, Some("pk, sk")).await?;
        let found: Vec<Key> = found.iter().map(Key::of).collect();
        Ok((found.contains(&keys[0]), found.contains(&keys[1])))
    }

    /// Creates a user, and says whether it did: it does nothing to one that exists, so of many
    /// first calls at once one creates it.
    pub async fn create_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        profile: &Profile,
        now: Moment,
    ) -> Result<bool> {
        let new = User::first_seen(user.clone(), profile, now);
        let body = Body {
            email: new.email,
            display_name: new.display_name,
            company: new.company,
            created_at: new.created_at,
        };
        self.create_item(item::build(&key(tenant, user), &body)?)
            .await
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
