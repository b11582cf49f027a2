//! Everything small that is known of a tenant, in one query; and the part of it that a page of
//! one collection needs, in one batch of its keys.

use std::collections::{BTreeMap, HashMap};

use model::collection::{Collection, Counts};
use model::id::{CollectionName, TenantId};
use model::period::Period;
use model::plan::Plan;
use model::quickstart::Checklist;

use crate::cap::Caps;
use crate::collection::Sums;
use crate::item::Key;
use crate::marker::{Generation, Markers};
use crate::tenant::{Tenant, summary_pk};
use crate::{Error, Result, Table, cap, collection, item, quickstart, search, tenant};

/// What is known of a tenant.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The tenant itself.
    pub tenant: Option<Tenant>,
    /// The quickstart's stamps.
    pub checklist: Checklist,
    /// Reservations of uploads in flight.
    pub caps: Caps,
    /// The live collections in the order of their names, with what is counted of them.
    pub collections: Vec<(Collection, Counts)>,
    /// Collections that are reserved by an upload and not shown.
    pub reserved: Vec<Collection>,
    /// The month that was asked for.
    pub period: Period,
    /// The searches of that month.
    pub searches: u64,
    staged: BTreeMap<CollectionName, u64>,
}

impl Summary {
    /// The plan. Every caller's tenant exists, so a missing one is a fault of the table.
    pub fn plan(&self, tenant: &TenantId) -> Result<Plan> {
        plan_of(self.tenant.as_ref(), tenant)
    }

    /// Live records in all collections.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.collections
            .iter()
            .map(|(_, counts)| counts.total)
            .sum()
    }

    /// The records that a replace of a collection has counted so far; `None` if none is under way.
    #[must_use]
    pub fn staged(&self, name: &CollectionName) -> Option<u64> {
        self.staged.get(name).copied()
    }

    /// The collection of that name, live or reserved.
    #[must_use]
    pub fn collection(&self, name: &CollectionName) -> Option<&Collection> {
        self.collections
            .iter()
            .map(|(collection, _)| collection)
            .chain(&self.reserved)
            .find(|collection| collection.name == *name)
    }
}

/// What a page of one collection needs.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The tenant itself.
    pub tenant: Option<Tenant>,
    /// The quickstart's stamps.
    pub checklist: Checklist,
    /// Reservations of uploads in flight.
    pub caps: Caps,
    /// The collection, if it is live.
    pub collection: Option<Collection>,
    /// What the index of the generation that is served has not taken in yet.
    pub markers: Markers,
    /// The searches of a month that are counted apart from those under a cap; `None` if they were
    /// not asked for.
    pub uncapped: Option<(Period, u64)>,
}

impl View {
    /// The plan, as [`Summary::plan`].
    pub fn plan(&self, tenant: &TenantId) -> Result<Plan> {
        plan_of(self.tenant.as_ref(), tenant)
    }
}

pub(crate) fn plan_of(found: Option<&Tenant>, tenant: &TenantId) -> Result<Plan> {
    found.map(|tenant| tenant.plan).ok_or_else(|| {
        let key = tenant::key(tenant);
        Error::Corrupt {
            pk: key.pk,
            sk: key.sk,
            reason: "missing".to_owned(),
        }
    })
}

impl Table {
    /// Everything, with the searches of `period`.
    pub async fn summary(&self, tenant: &TenantId, period: Period) -> Result<Summary> {
        let mut summary = Summary {
            tenant: None,
            checklist: Checklist::default(),
            caps: Caps::default(),
            collections: Vec::new(),
            reserved: Vec::new(),
            period,
            searches: 0,
            staged: BTreeMap::new(),
        };
        let mut sums: HashMap<Generation, Sums> = HashMap::new();
        let searches = search::period_prefix(period);
        self.query(&summary_pk(tenant), "", None, |item| {
            let sk = Key::of(&item).sk;
            if sk == tenant::SK {
                summary.tenant = Some(item::read(item)?);
            } else if sk == quickstart::SK {
                summary.checklist = quickstart::read(item)?;
            } else if sk == cap::SK {
                summary.caps = item::read(item)?;
            } else if sk.starts_with(collection::PREFIX) {
                match collection::read(item)? {
                    (live, true) => summary.collections.push((live, Counts::default())),
                    (reserved, false) => summary.reserved.push(reserved),
                }
            } else if sk.starts_with(collection::COUNT_PREFIX) {
                let (of, shard) = collection::read_sums(item)?;
                sums.entry(of).or_default().add(&shard);
            } else if sk.starts_with(&searches) {
                summary.searches += search::count(item)?;
            }
            Ok(())
        })
        .await?;
        for (collection, counts) in &mut summary.collections {
            if let Some(sums) = sums.get(&Generation::served(collection)) {
                *counts = sums.counts();
            }
            if let Some(staging) = Generation::staging(collection) {
                let staged = sums.get(&staging).map(Sums::counts);
                let staged = staged.unwrap_or_default().total;
                summary.staged.insert(collection.name.clone(), staged);
            }
        }
        Ok(summary)
    }

    /// The part of it for a page of one collection. The markers are read first: what is folded in
    /// between is in the index that the collection points to.
    pub async fn view(&self, tenant: &TenantId, name: &CollectionName) -> Result<View> {
        self.read_view(tenant, name, None).await
    }

    /// The same, and a month's searches that [`Table::count_search`] has counted, for a search under
    /// a cap.
    pub async fn view_with_searches(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        period: Period,
    ) -> Result<View> {
        self.read_view(tenant, name, Some(period)).await
    }

    async fn read_view(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        period: Option<Period>,
    ) -> Result<View> {
        let mut markers = self.markers(tenant, name).await?;
        let keys = [
            tenant::key(tenant),
            quickstart::key(tenant),
            cap::key(tenant),
            collection::key(tenant, name),
        ];
        let searches = period.map(|period| search::uncapped_keys(tenant, period));
        let mut wanted = keys.to_vec();
        wanted.extend(searches.into_iter().flatten());
        let mut items: BTreeMap<String, item::Item> = self
            .batch_get(&wanted, None)
            .await?
            .into_iter()
            .map(|item| (Key::of(&item).sk, item))
            .collect();
        let mut take = |key: &Key| items.remove(&key.sk);
        let [tenant, checklist, caps, collection] = keys.each_ref().map(&mut take);
        let uncapped = match period {
            Some(period) => {
                let counts = items.into_values().map(search::count);
                Some((period, counts.sum::<Result<u64>>()?))
            }
            None => None,
        };
        let collection = collection
            .map(collection::read)
            .transpose()?
            .and_then(|(collection, live)| live.then_some(collection));
        let served = collection.as_ref().map(Generation::served);
        Ok(View {
            tenant: tenant.map(item::read).transpose()?,
            checklist: checklist
                .map(quickstart::read)
                .transpose()?
                .unwrap_or_default(),
            caps: caps.map(item::read).transpose()?.unwrap_or_default(),
            markers: served
                .and_then(|served| markers.remove(&served))
                .unwrap_or_default(),
            collection,
            uncapped,
        })
    }
}
