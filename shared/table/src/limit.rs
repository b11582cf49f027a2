//! The limiter's window: one item a tenant, one unconditional write a request.
//!
//! `TENANT#<tenant>#LIMIT` / `WINDOW`, with an attribute for each bucket and minute (`r29549520`
//! for requests, `s29549520` for searches) and a copy of the tenant's plan, so that one write
//! answers all that the limiter asks. Attributes of past minutes are removed by a later write.
//!
//! `OPEN#LIMIT#<address>` / `WINDOW`: the same for who calls without a credential, but that requests are
//! those that are no searches, and that there is no plan

use std::net::IpAddr;

use model::id::TenantId;
use model::plan::Plan;

use crate::item::{self, Key};
use crate::retry::Change;
use crate::{Result, Table};

/// How long an idle tenant's window is kept, in seconds.
const KEPT: i64 = 24 * 60 * 60;

pub(crate) fn key(tenant: &TenantId) -> Key {
    Key::new(format!("TENANT#{tenant}#LIMIT"), "WINDOW")
}

fn visitor_key(address: IpAddr) -> Key {
    Key::new(format!("OPEN#LIMIT#{address}"), "WINDOW")
}

/// Requests and searches of one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair {
    /// All requests.
    pub requests: i64,
    /// The searches among them.
    pub searches: i64,
}

/// What a request adds to the window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The minute, counted from 1970.
    pub minute: i64,
    /// Added to this minute; less than the request itself where refused ones are taken back.
    pub current: Pair,
    /// Added to the last minute: zero, or less.
    pub previous: Pair,
    /// Past minutes whose attributes are to go.
    pub past: Vec<i64>,
    /// The plan, to be copied to a window that has none.
    pub plan: Option<Plan>,
}

/// The window after a request was added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// This minute.
    pub current: Pair,
    /// The last one.
    pub previous: Pair,
    /// The tenant's plan; `None` until a request brought a copy.
    pub plan: Option<Plan>,
    /// Minutes that are of no use any more and still there.
    pub past: Vec<i64>,
}

impl Table {
    /// Adds a request and returns the window as it is then.
    pub async fn count_request(&self, tenant: &TenantId, entry: &Entry) -> Result<Window> {
        self.count_in(&key(tenant), entry).await
    }

    /// The same for an address.
    pub async fn count_visit(&self, address: IpAddr, entry: &Entry) -> Result<Window> {
        self.count_in(&visitor_key(address), entry).await
    }

    async fn count_in(&self, key: &Key, entry: &Entry) -> Result<Window> {
        let mut add = Vec::new();
        let mut change_values = Vec::new();
        let mut names = Vec::new();
        for (minute, pair) in [
            (entry.minute, entry.current),
            (entry.minute - 1, entry.previous),
        ] {
            for (bucket, amount) in [("r", pair.requests), ("s", pair.searches)] {
                if amount != 0 {
                    let place = format!("{bucket}{minute}");
                    add.push(format!("#{place} :{place}"));
                    names.push((format!("#{place}"), place.clone()));
                    change_values.push((format!(":{place}"), item::number(amount)));
                }
            }
        }
        let mut remove = Vec::new();
        for minute in &entry.past {
            for bucket in ["r", "s"] {
                let place = format!("{bucket}{minute}");
                remove.push(format!("#{place}"));
                names.push((format!("#{place}"), place));
            }
        }
        let mut expression = "SET #ttl = :ttl".to_owned();
        if let Some(plan) = entry.plan {
            expression += ", #plan = if_not_exists(#plan, :plan)";
            names.push(("#plan".to_owned(), "plan".to_owned()));
            change_values.push((":plan".to_owned(), item::text(plan.to_string())));
        }
        if !add.is_empty() {
            expression += &format!(" ADD {}", add.join(", "));
        }
        if !remove.is_empty() {
            expression += &format!(" REMOVE {}", remove.join(", "));
        }
        let mut change = Change::update(expression)
            .name("#ttl", "ttl")
            .value(":ttl", item::number(entry.minute * 60 + KEPT));
        for (place, name) in names {
            change = change.name(place, name);
        }
        for (place, value) in change_values {
            change = change.value(place, value);
        }
        let item = self.update(key, &change).await?.unwrap_or_default();
        read(&item, entry.minute)
    }
}

fn read(item: &item::Item, minute: i64) -> Result<Window> {
    let mut window = Window::default();
    for (name, value) in item {
        if name == "plan" {
            let plan = value.as_s().map(|text| text.parse());
            let Ok(Ok(plan)) = plan else {
                let key = Key::of(item);
                return Err(crate::Error::Corrupt {
                    pk: key.pk,
                    sk: key.sk,
                    reason: "unknown plan".to_owned(),
                });
            };
            window.plan = Some(plan);
            continue;
        }
        let Some((bucket @ ("r" | "s"), at)) = name.split_at_checked(1) else {
            continue;
        };
        let Ok(at) = at.parse::<i64>() else { continue };
        let count = value.as_n().ok().and_then(|n| n.parse().ok()).unwrap_or(0);
        let pair = if at == minute {
            &mut window.current
        } else if at == minute - 1 {
            &mut window.previous
        } else {
            if at < minute && !window.past.contains(&at) {
                window.past.push(at);
            }
            continue;
        };
        if bucket == "r" {
            pair.requests = count;
        } else {
            pair.searches = count;
        }
    }
    Ok(window)
}
