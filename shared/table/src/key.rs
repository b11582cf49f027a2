//! API keys and their lookup by hash.
//!
//! - `TENANT#<tenant>#KEYS` / `KEY#<id>`: the key, with the hash of its live secret
//! - `TENANT#<tenant>#KEYS` / `COUNT`: how many there are, for the cap
//! - `KEYHASH#<sha256>` / `KEYHASH`: whose secret this is and what it may do; one consistent read by
//!   every call that shows a secret
//!
//! A key and its hash item change in one transaction: no crash leaves a key without its hash, or
//! a dead secret alive.

use model::id::{KeyId, TenantId};
use model::idempotency::Attempt;
use model::key::{Key, KeyHash, KeyHolder, KeyPatch, MAX_KEYS, Scope, USE_STANDS};
use model::quickstart::Step;
use model::time::{Moment, stored};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::item::{self, Item, moment, moment_option};
use crate::retry::{ABSENT, Change, Outcome, PRESENT};
use crate::{Error, Result, Table};

/// What creating a key came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there.
    Yes,
    /// The tenant has as many as it may have.
    TooMany,
    /// An earlier call under the same `Idempotency-Key` made one.
    Before,
}

/// What rotating a key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The new secret works and the old one does not.
    Yes(Key),
    /// There is no such key.
    NotFound,
    /// The key has expired.
    Expired,
    /// Another rotation won.
    Lost,
    /// An earlier call under the same `Idempotency-Key` did it.
    Before,
}

#[derive(Serialize, Deserialize)]
struct Body {
    id: KeyId,
    name: String,
    scopes: Vec<Scope>,
    #[serde(with = "moment")]
    created_at: Moment,
    #[serde(with = "moment_option", default)]
    last_used_at: Option<Moment>,
    #[serde(with = "moment_option", default)]
    expires_at: Option<Moment>,
    hash: KeyHash,
}

/// What the lookup by hash finds.
#[derive(Serialize, Deserialize)]
struct HashBody {
    #[serde(deserialize_with = "read_tenant")]
    tenant: TenantId,
    key: KeyId,
    scopes: Vec<Scope>,
    #[serde(with = "moment_option", default)]
    expires_at: Option<Moment>,
}

fn read_tenant<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<TenantId, D::Error> {
    let text = String::deserialize(from)?;
    text.parse()
        .map_err(|_| D::Error::custom("not a tenant's name"))
}

impl From<HashBody> for KeyHolder {
    fn from(body: HashBody) -> Self {
        Self {
            tenant: body.tenant,
            key: body.key,
            scopes: body.scopes,
            expires_at: body.expires_at,
        }
    }
}

impl Body {
    fn of(key: &Key, hash: &KeyHash) -> Self {
        Self {
            id: key.id,
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            expires_at: key.expires_at,
            hash: hash.clone(),
        }
    }

    fn into_key(self) -> (Key, KeyHash) {
        let key = Key {
            id: self.id,
            name: self.name,
            scopes: self.scopes,
            created_at: self.created_at,
            last_used_at: self.last_used_at,
            expires_at: self.expires_at,
        };
        (key, self.hash)
    }
}

fn pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#KEYS")
}

fn key_of(tenant: &TenantId, id: KeyId) -> item::Key {
    item::Key::new(pk(tenant), format!("KEY#{id}"))
}

fn count_of(tenant: &TenantId) -> item::Key {
    item::Key::new(pk(tenant), "COUNT")
}

fn hash_key(hash: &KeyHash) -> item::Key {
    item::Key::new(format!("KEYHASH#{}", hash.as_str()), "KEYHASH")
}

fn hash_item(tenant: &TenantId, key: &Key, hash: &KeyHash) -> Result<Item> {
    let body = HashBody {
        tenant: tenant.clone(),
        key: key.id,
        scopes: key.scopes.clone(),
        expires_at: key.expires_at,
    };
    item::build(&hash_key(hash), &body)
}

/// The condition that a key exists and its live secret is still the one that was read.
fn unchanged(hash: &KeyHash) -> Change {
    guard(Change::default(), hash)
}

fn guard(change: Change, hash: &KeyHash) -> Change {
    change
        .when("#hash = :hash")
        .name("#hash", "hash")
        .value(":hash", item::text(hash.as_str()))
}

/// How often a verb reads a key again that another call changed meanwhile. Each round that one
/// call loses, another has won.
const ROUNDS: u32 = 200;

impl Table {
    /// Creates a key: key, hash, count, the quickstart's stamp and the call, if it may be sent again, in
    /// one transaction.
    pub async fn create_key(
        &self,
        tenant: &TenantId,
        key: &Key,
        hash: &KeyHash,
        attempt: Option<&Attempt>,
    ) -> Result<Created> {
        let count = Change::update("ADD n :one")
            .when("attribute_not_exists(n) OR n < :most")
            .value(":one", item::number(1))
            .value(":most", item::number(MAX_KEYS));
        let absent = Change::condition(ABSENT);
        let body = item::build(&key_of(tenant, key.id), &Body::of(key, hash))?;
        let mut writes = vec![
            self.update_write(&count_of(tenant), &count)?,
            self.put_write(body, &absent)?,
            self.put_write(hash_item(tenant, key, hash)?, &absent)?,
        ];
        let checklist = self.checklist(tenant).await?;
        if checklist.completed_at(Step::CreateApiKey).is_none() {
            writes.push(self.stamp_write(tenant, Step::CreateApiKey, key.created_at)?);
        }
        // Behind all others.
        let call = writes.len();
        if let Some(attempt) = attempt {
            writes.push(self.call_write(tenant, attempt, &key.id, key.created_at)?);
        }
        match self.transact(writes).await? {
            Outcome::Done => Ok(Created::Yes),
            outcome if outcome.refused(call) => Ok(Created::Before),
            outcome if outcome.refused(0) => Ok(Created::TooMany),
            Outcome::Refused(_) => Err(Error::Corrupt {
                pk: pk(tenant),
                sk: key.id.to_string(),
                reason: "a new key's id or secret exists".to_owned(),
            }),
        }
    }

    /// The keys of a tenant, newest first.
    pub async fn list_keys(&self, tenant: &TenantId) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        self.query(&pk(tenant), "KEY#", None, |item| {
            keys.push(item::read::<Body>(item)?.into_key().0);
            Ok(())
        })
        .await?;
        keys.sort_unstable_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
        Ok(keys)
    }

    async fn find_key(&self, tenant: &TenantId, id: KeyId) -> Result<Option<(Key, KeyHash)>> {
        let item = self.get(&key_of(tenant, id)).await?;
        Ok(item
            .map(item::read::<Body>)
            .transpose()?
            .map(Body::into_key))
    }

    /// Whose secret has this hash: one read by key, so that it finds what was true when it was asked.
    pub async fn find_holder(&self, hash: &KeyHash) -> Result<Option<KeyHolder>> {
        let item = self.get(&hash_key(hash)).await?;
        let body = item.map(item::read::<HashBody>).transpose()?;
        Ok(body.map(KeyHolder::from))
    }

    /// Notes that a key was used, unless that was noted within the last minute or the key is gone, and
    /// says whether it did. One write of the key's item.
    pub async fn touch_key(&self, tenant: &TenantId, id: KeyId, now: Moment) -> Result<bool> {
        let used = Change::update("SET last_used_at = :now")
            .when(format!(
                "{PRESENT} AND (attribute_not_exists(last_used_at) OR last_used_at <= :before)"
            ))
            .value(":now", item::text(stored(now)))
            .value(":before", item::text(stored(now - USE_STANDS)));
        Ok(self.update(&key_of(tenant, id), &used).await?.is_some())
    }

    /// Revokes a key and says whether there was one. Of a rotation at the same time, the key that
    /// it leaves is revoked.
    pub async fn revoke_key(&self, tenant: &TenantId, id: KeyId) -> Result<bool> {
        for _ in 0..ROUNDS {
            let Some((_, hash)) = self.find_key(tenant, id).await? else {
                return Ok(false);
            };
            let fewer = Change::update("ADD n :less").value(":less", item::number(-1));
            let writes = vec![
                self.delete_write(&key_of(tenant, id), &unchanged(&hash))?,
                self.delete_write(&hash_key(&hash), &Change::default())?,
                self.update_write(&count_of(tenant), &fewer)?,
            ];
            if self.transact(writes).await? == Outcome::Done {
                return Ok(true);
            }
        }
        Err(restless())
    }

    /// Replaces a key's secret. Of many at once, each that is answered [`Rotated::Yes`] replaced
    /// the secret of the one before; the others lost.
    pub async fn rotate_key(
        &self,
        tenant: &TenantId,
        id: KeyId,
        new: &KeyHash,
        now: Moment,
        attempt: Option<&Attempt>,
    ) -> Result<Rotated> {
        let mut seen: Option<KeyHash> = None;
        for _ in 0..ROUNDS {
            let Some((key, old)) = self.find_key(tenant, id).await? else {
                return Ok(Rotated::NotFound);
            };
            if key.has_expired(now) {
                return Ok(Rotated::Expired);
            }
            if seen.as_ref().is_some_and(|seen| *seen != old) {
                return Ok(Rotated::Lost);
            }
            // The new hash item gets the scopes that were read, so they must not have changed.
            let replace = Change::update("SET #hash = :new")
                .when("#hash = :hash AND scopes = :scopes")
                .name("#hash", "hash")
                .value(":hash", item::text(old.as_str()))
                .value(":new", item::text(new.as_str()))
                .value(":scopes", item::value(&key.scopes)?);
            let mut writes = vec![
                self.update_write(&key_of(tenant, id), &replace)?,
                self.delete_write(&hash_key(&old), &Change::default())?,
                self.put_write(hash_item(tenant, &key, new)?, &Change::condition(ABSENT))?,
            ];
            let call = writes.len();
            if let Some(attempt) = attempt {
                writes.push(self.call_write(tenant, attempt, &id, now)?);
            }
            match self.transact(writes).await? {
                Outcome::Done => return Ok(Rotated::Yes(key)),
                outcome if outcome.refused(call) => return Ok(Rotated::Before),
                Outcome::Refused(_) => {}
            }
            seen = Some(old);
        }
        Err(restless())
    }

    /// Changes a key's name and scopes, the scopes of its hash item with them; `None` if there is
    /// no such key. What is not named stays as it is, whoever changes it meanwhile.
    pub async fn update_key(
        &self,
        tenant: &TenantId,
        id: KeyId,
        patch: &KeyPatch,
    ) -> Result<Option<Key>> {
        for _ in 0..ROUNDS {
            let Some((mut key, hash)) = self.find_key(tenant, id).await? else {
                return Ok(None);
            };
            let mut set = Vec::new();
            let mut change = Change::default();
            if let Some(name) = &patch.name {
                key.name.clone_from(name);
                set.push("#name = :name");
                change = change
                    .name("#name", "name")
                    .value(":name", item::text(name));
            }
            let mut writes = Vec::new();
            if let Some(scopes) = &patch.scopes {
                key.scopes.clone_from(scopes);
                let value = item::value(scopes)?;
                set.push("scopes = :scopes");
                change = change.value(":scopes", value.clone());
                let found = Change::update("SET scopes = :scopes")
                    .when(PRESENT)
                    .value(":scopes", value);
                writes.push(self.update_write(&hash_key(&hash), &found)?);
            }
            if set.is_empty() {
                return Ok(Some(key));
            }
            let change = guard(change.set(format!("SET {}", set.join(", "))), &hash);
            writes.push(self.update_write(&key_of(tenant, id), &change)?);
            if self.transact(writes).await? == Outcome::Done {
                return Ok(Some(key));
            }
        }
        Err(restless())
    }
}

fn restless() -> Error {
    Error::Unavailable("a key that others change all the time".to_owned())
}
