//! Checks of what searches find, and of what the table and the store hold.

use std::collections::BTreeSet;

use futures_util::future::FutureExt;
use model::collection::Collection;
use model::id::RecordId;
use model::period::Period;
use model::record::{Record, Visibility};
use table::summary::View;

use crate::common::{Random, run, whole};
use crate::flights::Stage;
use crate::queries::{Query, assert_agrees, assert_ordered};
use crate::sides::{States, widen};
use crate::world::World;

pub(crate) fn live(view: &View) -> &Collection {
    view.collection.as_ref().expect("a live collection")
}

/// A look at the table that a search has yet to come of, and what records were since.
pub(crate) struct Late {
    pub(crate) side: usize,
    view: View,
    pub(crate) states: States,
}

impl World {
    // Searches.

    /// Everything that a search finds, page after page.
    async fn find(&self, process: usize, view: &View, query: Query) -> Vec<RecordId> {
        let mut ids: Vec<RecordId> = Vec::new();
        loop {
            let request = query.request(ids.len());
            let (indexes, markers) = (&self.processes[process], &view.markers);
            let searching = indexes.search(&self.tenant, live(view), markers, &request);
            let page = whole(searching.boxed()).await.expect("a page").page;
            let next = page.hits.iter().map(|hit| hit.id);
            ids.extend(next);
            if page.hits.is_empty() || ids.len() >= page.total {
                assert_eq!(ids.len(), page.total, "the total of {query:?}");
                return ids;
            }
        }
    }

    pub(crate) async fn check(&self, side: usize, process: usize, query: Query) {
        let view = self.view(side).await;
        let found = self.find(process, &view, query).await;
        let states = self.sides[side].states();
        assert_agrees(&states, &found, query);
        assert_ordered(&states, &found, query);
    }

    /// Checks what both processes find.
    pub(crate) async fn check_both(&self, side: usize) {
        for process in 0..self.processes.len() {
            for query in [Query::Everything, Query::Smallest] {
                self.check(side, process, query).await;
            }
            self.check_progress(side, process).await;
        }
    }

    /// Begins a search and hangs up.
    pub(crate) async fn hang_up(&mut self, side: usize, random: &mut Random) {
        let view = self.view(side).await;
        let (request, process) = (Query::any(random).request(0), random.index(2));
        let fate = random.fate(100, 10);
        self.diary
            .note(&format!("process {process} searches, {fate:?}"));
        let (indexes, markers) = (&self.processes[process], &view.markers);
        let searching = indexes.search(&self.tenant, live(&view), markers, &request);
        if let Some(found) = run(searching.boxed(), fate).await {
            found.expect("a page");
        }
    }

    /// Looks at the table for a search that comes later; or searches by such a look.
    pub(crate) async fn search_late(&mut self, side: usize, random: &mut Random) {
        let Some(late) = self.late.take() else {
            self.diary.note("a look at the table");
            let (view, states) = (self.view(side).await, self.sides[side].states());
            self.late = Some(Late { side, view, states });
            return;
        };
        let process = random.index(2);
        self.diary
            .note(&format!("process {process} searches by an old look"));
        let request = Query::Everything.request(0);
        let (indexes, markers) = (&self.processes[process], &late.view.markers);
        let searching = indexes.search(&self.tenant, live(&late.view), markers, &request);
        let page = whole(searching.boxed()).await.expect("a page").page;
        let found: Vec<RecordId> = page.hits.iter().map(|hit| hit.id).collect();
        let mut states = late.states;
        widen(&mut states, &self.sides[late.side].states());
        if page.total > found.len() {
            states.retain(|id, _| found.contains(id));
        }
        assert_agrees(&states, &found, Query::Everything);
    }

    /// Checks that what is not indexed yet adds up. Two things are not told apart by markers alone:
    /// a record of an upload that is gone by now, and one that came back by an upload.
    pub(crate) async fn check_progress(&self, side: usize, process: usize) {
        let view = self.view(side).await;
        let (collection, markers) = (live(&view), &view.markers);
        let states = self.sides[side].states();
        let (mut named, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for (upload, marker) in &markers.batches {
            let batch = self.table.batch(&self.tenant, *upload, marker).await;
            let ids = batch.expect("an answer").expect("an upload's ids").ids();
            assert_eq!(marker.count, ids.len() as u64);
            named.extend(ids);
        }
        for (id, marker) in &markers.records {
            if marker.gone {
                gone.insert(*id);
            } else {
                let there = states
                    .get(id)
                    .is_some_and(|all| all.iter().any(Option::is_some));
                assert!(there, "{id} is marked as changed and not there");
                named.insert(*id);
            }
        }
        let surely = |id: &&RecordId| states.get(*id).is_some_and(|all| !all.contains(&None));
        let least = named.difference(&gone).filter(surely).count() as u64;
        let most = named.len() as u64;

        let indexes = &self.processes[process];
        let progress = indexes.progress(&self.tenant, collection, markers).await;
        let progress = progress.expect("progress");

        let waiting = progress.pending + progress.processing;
        assert!(
            (least..=most).contains(&waiting),
            "{progress:?} where from {least} to {most} are waiting"
        );
        assert_eq!(progress.failed, 0);
        let request = Query::Everything.request(0);
        let searching = indexes.search(&self.tenant, collection, markers, &request);
        let found = whole(searching.boxed()).await.expect("a page");
        for (id, status) in &found.statuses {
            let marked = named.contains(id) || gone.contains(id);
            assert!(marked, "{id} is {status:?} without a marker");
        }
    }

    /// Checks what the table counts, once every upload has told what it did.
    pub(crate) async fn check_counters(&self) {
        if self
            .flights
            .iter()
            .any(|flight| flight.stage != Stage::Settled)
        {
            return;
        }
        let period = Period::of(self.clock.now());
        let summary = self.table.summary(&self.tenant, period).await;
        let summary = summary.expect("a summary");
        for side in &self.sides {
            assert!(side.doubtful.is_empty(), "{:?}", side.doubtful);
            let mut collections = summary.collections.iter();
            let counted = collections.find(|(collection, _)| collection.name == side.name);
            let (_, counts) = counted.expect("a live collection");
            let public = |record: &&Record| record.visibility == Visibility::Public;
            let public = side.records.values().filter(public).count();
            assert_eq!(
                (counts.total, counts.public),
                (side.records.len() as u64, public as u64),
                "the counters of {}",
                side.name
            );
        }
    }

    /// Checks what the table holds.
    pub(crate) async fn check_records(&self) {
        for (at, side) in self.sides.iter().enumerate() {
            let ids: Vec<RecordId> = (0..side.sources).map(|n| self.id(at, n)).collect();
            self.currents(at, &ids).await;
        }
    }

    /// Checks that the store holds the packs that pointers name, and no other.
    pub(crate) async fn check_packs(&self) {
        let now = self.clock.now();
        let mut named = BTreeSet::new();
        for (at, side) in self.sides.iter().enumerate() {
            let view = self.view(at).await;
            let pointer = live(&view).index().expect("an index");
            let prefix = format!(
                "{}/{}/{}/{}",
                self.tenant, side.name, side.number, side.generation
            );
            for pack in &pointer.packs {
                named.insert(search::pack_path(&prefix, pointer.build, &pack.name));
            }
            for retired in &pointer.retired {
                if retired.at > now - search::RETIRED_FOR {
                    named.insert(search::pack_path(&prefix, retired.build, &retired.name));
                }
            }
        }
        let listed = self.store.list("").await.expect("a list").into_iter();
        let listed: BTreeSet<String> = listed.map(|object| object.path).collect();
        assert_eq!(listed, named);
    }
}
