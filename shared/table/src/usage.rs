//! How often each API key was used in a month.
//!
//! `TENANT#<tenant>#USAGE` / `<period>#<key>`, with the attributes `requests` and `searches`
//!
//! - a call is one add, beside the handler; a search that was not answered is taken back by another
//! - a month of all keys is one query

use std::collections::BTreeMap;

use model::id::{KeyId, TenantId};
use model::period::Period;
use serde::Deserialize;

use crate::item::{self, Key};
use crate::retry::Change;
use crate::{Error, Result, Table};

/// What a key was used for in a month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct KeyCalls {
    /// All requests.
    pub requests: u64,
    /// The searches among them.
    pub searches: u64,
}

fn pk(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#USAGE")
}

impl Table {
    /// Adds a request with a key, and that it was a search.
    pub async fn count_key_call(
        &self,
        tenant: &TenantId,
        period: Period,
        key: KeyId,
        is_search: bool,
    ) -> Result<()> {
        let add = if is_search {
            "ADD #requests :one, #searches :one"
        } else {
            "ADD #requests :one"
        };
        let mut change = Change::update(add)
            .name("#requests", "requests")
            .value(":one", item::number(1));
        if is_search {
            change = change.name("#searches", "searches");
        }
        let key = Key::new(pk(tenant), format!("{period}#{key}"));
        self.update(&key, &change).await?;
        Ok(())
    }

    /// Takes back that a request with a key was a search.
    pub async fn take_back_key_search(
        &self,
        tenant: &TenantId,
        period: Period,
        key: KeyId,
    ) -> Result<()> {
        let change = Change::update("ADD #searches :less")
            .name("#searches", "searches")
            .value(":less", item::number(-1));
        let key = Key::new(pk(tenant), format!("{period}#{key}"));
        self.update(&key, &change).await?;
        Ok(())
    }

    /// What each key was used for in a month; one that was not used is not among them.
    pub async fn key_calls(
        &self,
        tenant: &TenantId,
        period: Period,
    ) -> Result<BTreeMap<KeyId, KeyCalls>> {
        let mut calls = BTreeMap::new();
        self.query(&pk(tenant), &format!("{period}#"), None, |item| {
            let Key { pk, sk } = Key::of(&item);
            let key = sk.split_once('#').and_then(|(_, key)| key.parse().ok());
            let key: KeyId = key.ok_or_else(|| Error::Corrupt {
                pk,
                sk,
                reason: "no API key in its key".to_owned(),
            })?;
            calls.insert(key, item::read(item)?);
            Ok(())
        })
        .await?;
        Ok(calls)
    }
}
