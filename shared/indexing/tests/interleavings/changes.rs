//! Single records.

use futures_util::future::{BoxFuture, FutureExt};
use model::id::RecordId;
use model::record::Record;

use crate::common::{Fate, Random, run};
use crate::flights::{Flight, Stage};
use crate::sides::next_of;
use crate::world::World;

impl World {
    /// Makes, changes or deletes a record.
    pub(crate) async fn change(&mut self, side: usize, random: &mut Random) {
        let source = random.below(self.sides[side].sources);
        let new = self.record(side, source, random);
        let id = new.id;
        let (gone, outdated) = (random.chance(45), random.chance(8));
        let fate = random.fate(15, 12);
        let Some(old) = self.currents(side, &[id]).await.remove(&id) else {
            self.turn(side, id, None, Some(new), fate).await;
            return;
        };
        if outdated {
            self.diary.note(&format!("outdated change of {id}"));
            let seen = Record {
                version: old.version + 1,
                ..old
            };
            let place = self.sides[side].place(&self.tenant);
            let next = next_of(&seen, new);
            let changed = self.table.update_record(&place, &seen, &next).await;
            assert!(!changed.expect("an answer"), "{id} was another");
            return;
        }
        let next = if gone && self.may_be_deleted(id) {
            None
        } else {
            Some(next_of(&old, new))
        };
        self.turn(side, id, Some(old), next, fate).await;
    }

    /// Deletes some records.
    pub(crate) async fn purge(&mut self, side: usize, random: &mut Random) {
        for _ in 0..8 {
            let source = random.below(self.sides[side].sources);
            self.remove(side, source).await;
        }
    }

    /// Makes or changes a record.
    pub(crate) async fn put(&mut self, side: usize, source: u64, random: &mut Random) {
        let new = self.record(side, source, random);
        let id = new.id;
        let old = self.currents(side, &[id]).await.remove(&id);
        let next = match &old {
            Some(old) => next_of(old, new),
            None => new,
        };
        self.turn(side, id, old, Some(next), Fate::Whole).await;
    }

    /// Deletes a record, if it is there and may be deleted.
    pub(crate) async fn remove(&mut self, side: usize, source: u64) {
        let id = self.id(side, source);
        let old = self.currents(side, &[id]).await.remove(&id);
        if old.is_some() && self.may_be_deleted(id) {
            self.turn(side, id, old, None, Fate::Whole).await;
        }
    }

    /// What an upload added that is then cut short cannot be counted once it is gone, so what an
    /// unsettled upload names is not deleted here.
    fn may_be_deleted(&self, id: RecordId) -> bool {
        let unsettled = |flight: &Flight| flight.stage != Stage::Settled;
        let mut flights = self.flights.iter();
        !flights.any(|flight| unsettled(flight) && flight.ids.contains(&id))
    }

    /// Makes `next` of a record that is `old`, by the verb for that.
    pub(crate) async fn turn(
        &mut self,
        side: usize,
        id: RecordId,
        old: Option<Record>,
        next: Option<Record>,
        fate: Fate,
    ) {
        let versions = [&old, &next].map(|state| state.as_ref().map(|record| record.version));
        self.diary
            .note(&format!("{id} from {versions:?}, {fate:?}"));
        let place = self.sides[side].place(&self.tenant);
        let now = self.clock.now();
        let verb: BoxFuture<'_, table::Result<bool>> = match (&old, &next) {
            (None, Some(next)) => self.table.create_record(&place, next).boxed(),
            (Some(old), Some(next)) => self.table.update_record(&place, old, next).boxed(),
            (Some(old), None) => self.table.delete_record(&place, old, now).boxed(),
            (None, None) => panic!("there is nothing to do"),
        };
        if let Some(done) = run(verb, fate).await {
            assert!(done.expect("an answer"), "{id} is another");
        } else {
            let current = self.read(side, &[id]).await.remove(&id);
            if current != next {
                assert_eq!(current, old, "{id} is neither the old nor the new");
                return;
            }
        }
        self.sides[side].adopt(id, next);
    }
}
