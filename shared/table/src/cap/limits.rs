//! What a plan's caps have room for, by what is counted and by what is reserved.

use std::collections::BTreeSet;

use model::id::CollectionName;
use model::plan::Limits;

use super::{Request, Reserved};
use crate::marker::Generation;
use crate::summary::Summary;

/// Why a plan's caps do not let `request` be reserved now, if they do not.
pub(crate) fn refusal(
    summary: &Summary,
    limits: &Limits,
    request: &Request<'_>,
    staging: Option<u32>,
) -> Option<Reserved> {
    if let Some(most) = limits.records.filter(|_| request.rows > 0) {
        let (counted, reserved) = claims(summary, request, staging);
        if counted > most {
            return Some(Reserved::RecordCap);
        }
        if reserved > most {
            return Some(Reserved::Again);
        }
    }
    match room(summary, limits, request.collection) {
        Room::Yes => None,
        Room::Full => Some(Reserved::CollectionCap),
        Room::Held => Some(Reserved::Again),
    }
}

/// Whether a plan has room for a collection that may not be live yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It has.
    Yes,
    /// Others have taken it.
    Full,
    /// Uploads in flight hold it.
    Held,
}

pub(crate) fn room(summary: &Summary, limits: &Limits, name: &CollectionName) -> Room {
    let Some(most) = limits.collections else {
        return Room::Yes;
    };
    let live = summary.collections.iter();
    let mut names: BTreeSet<_> = live.map(|(collection, _)| &collection.name).collect();
    let is_full = |names: &BTreeSet<_>| !names.contains(name) && names.len() >= most as usize;
    if is_full(&names) {
        return Room::Full;
    }
    names.extend(summary.caps.held.values().map(|hold| &hold.collection));
    if is_full(&names) {
        Room::Held
    } else {
        Room::Yes
    }
}

/// The most records that there may be with what `request` adds: by what is counted alone, and by
/// what is reserved too. A collection that is being replaced has room for the larger of its two
/// generations: after the swap, or after its cancellation, only one is left.
fn claims(summary: &Summary, request: &Request<'_>, staging: Option<u32>) -> (u64, u64) {
    let held = || summary.caps.held.values();
    let mut claimed = (0, 0);
    let mut known: BTreeSet<Generation> = BTreeSet::new();
    for (collection, counts) in &summary.collections {
        let served = Generation::served(collection);
        let replacing = Generation::staging(collection);
        let staged = summary.staged(&collection.name).unwrap_or(0);
        let mut largest = (0, 0);
        let is_asked = collection.name == *request.collection;
        for (of, count) in [(Some(served), counts.total), (replacing, staged)] {
            let Some(of) = of else { continue };
            known.insert(of);
            // What a replace is to replace needs no room beside it.
            if is_asked && staging.is_some_and(|staging| staging != of.generation) {
                continue;
            }
            let asked = is_asked && of.generation == staging.unwrap_or(collection.generation);
            let counted = count + if asked { request.rows } else { 0 };
            let mine = held().filter(|hold| hold.of() == of);
            let reserved = counted + mine.map(|hold| hold.rows).sum::<u64>();
            largest = (counted.max(largest.0), reserved.max(largest.1));
        }
        claimed = (claimed.0 + largest.0, claimed.1 + largest.1);
    }
    let live = |name: &CollectionName| summary.collections.iter().any(|(it, _)| it.name == *name);
    if !live(request.collection) {
        claimed = (claimed.0 + request.rows, claimed.1 + request.rows);
    }
    let others = held().filter(|hold| !known.contains(&hold.of()));
    (
        claimed.0,
        claimed.1 + others.map(|hold| hold.rows).sum::<u64>(),
    )
}
