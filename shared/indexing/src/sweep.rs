//! Sweeping up what is left over on the store: packs that a fold wrote and never published, packs
//! that went out of use long ago, and what is left of collections that are gone. Retired generations
//! of the collections that it meets go with it, and deleted collections where no worker erases them.

use std::collections::{BTreeMap, HashSet};

use chrono::TimeDelta;
use model::collection::Collection;
use model::id::{CollectionName, TenantId};
use model::time::Moment;
use table::marker::Generation;

use crate::{Indexes, Result, prefix};

/// How old a pack on a shared store is that no fold can still be about to publish.
const OLD: TimeDelta = TimeDelta::days(1);

impl Indexes {
    /// Deletes packs that no pointer names, and drafts of packs. Returns how many there were.
    ///
    /// Where this process alone writes to the store, all of them go at once. On a store that
    /// others share, those go that are older, by the store's clock, than any fold takes, and only
    /// of collections that the table knows: of others it cannot tell whose they are.
    pub async fn sweep(&self, alone: bool, now: Moment) -> Result<usize> {
        // Who is alone lives on, and erases them as it works. What cannot be erased is no reason to leave
        // the rest as it is.
        if !alone && let Err(error) = self.erase_all().await {
            tracing::error!(%error, "not all deleted collections are erased");
        }
        let mut collections: BTreeMap<(TenantId, CollectionName), Vec<String>> = BTreeMap::new();
        let mut swept = 0;
        for object in self.0.store.list("").await? {
            if let Some(collection) = collection_of(&object.path) {
                let paths = collections.entry(collection).or_default();
                if alone || object.written <= now - OLD {
                    paths.push(object.path);
                }
            }
        }
        for ((tenant, name), paths) in collections {
            let view = self.0.table.index_view(&tenant, &name).await?;
            if view.is_none() && !alone {
                continue;
            }
            let retired = view
                .as_ref()
                .is_some_and(|view| !view.collection.retired.is_empty());
            let named =
                view.map_or_else(HashSet::new, |view| named(&tenant, &view.collection, now));
            for path in paths {
                if !named.contains(&path) {
                    self.0.store.delete(&path).await?;
                    swept += 1;
                }
            }
            if retired {
                self.retire(&tenant, &name).await?;
            }
        }
        Ok(swept)
    }
}

/// The collection that a pack, or its draft, is of; `None` if the path is of neither.
fn collection_of(path: &str) -> Option<(TenantId, CollectionName)> {
    let steps: Vec<&str> = path.split('/').collect();
    let [tenant, name, number, generation, build, pack] = steps[..] else {
        return None;
    };
    let numbers = [number, generation, build];
    let (pack, draft) = pack.split_once('#').unwrap_or((pack, "0"));
    let pack = pack.strip_suffix(".pack")?;
    let is_pack = pack.len() == 32
        && pack.bytes().all(|byte| byte.is_ascii_hexdigit())
        && draft.bytes().all(|byte| byte.is_ascii_digit())
        && numbers.iter().all(|number| number.parse::<u32>().is_ok());
    is_pack.then_some((tenant.parse().ok()?, name.parse().ok()?))
}

/// The paths of the packs that a collection's pointers name, those that are out of use for an hour
/// left out.
fn named(tenant: &TenantId, collection: &Collection, now: Moment) -> HashSet<String> {
    let mut paths = HashSet::new();
    for (generation, pointer) in &collection.indexes {
        let of = Generation {
            number: collection.number,
            generation: *generation,
        };
        let prefix = prefix(tenant, &collection.name, of);
        let mut name = |build, pack: &str| {
            paths.insert(search::pack_path(&prefix, build, pack));
        };
        for pack in &pointer.packs {
            name(pointer.build, &pack.name);
        }
        for retired in &pointer.retired {
            if retired.at > now - search::RETIRED_FOR {
                name(retired.build, &retired.name);
            }
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packs_and_their_drafts_are_swept() {
        let pack = "0123456789abcdef0123456789abcdef.pack";
        for path in [
            format!("t_1/parts/1/1/1/{pack}"),
            format!("t_1/parts/1/1/1/{pack}#12"),
        ] {
            let (tenant, name) = collection_of(&path).expect("a collection");
            assert_eq!((tenant.as_str(), name.as_str()), ("t_1", "parts"));
        }
        for path in [
            "t_1/parts/1/1/1/report.pack".to_owned(),
            format!("t_1/parts/1/1/{pack}"),
            format!("t_1/parts/1/1/x/{pack}"),
            format!("t_1/parts/1/1/1/{pack}.bak"),
            "photos/2026/a.jpg".to_owned(),
        ] {
            assert_eq!(collection_of(&path), None, "{path}");
        }
    }
}
