//! Uploads.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::FutureExt;
use indexing::{Ahead, Own};
use model::id::{CollectionName, RecordId, TenantId, UploadId};
use model::index::Pointer;
use model::period::Period;
use model::plan::Plan;
use model::record::{Record, SourceType};
use model::time::Moment;
use table::Table;
use table::cap::{self, Hold, Reserved, Tally};
use table::record::{Added, Place};
use tokio::time::Instant;

use crate::common::{Fate, Random, run, whole};
use crate::jobs::Job;
use crate::sides::{Side, next_of};
use crate::world::{MOST_FLIGHTS, THINGS, World, product};

/// How long an upload may write.
const UPLOAD: TimeDelta = TimeDelta::minutes(15);

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its rows are written.
    Written,
    /// It is settled; its fold is to come.
    Settled,
    /// Its process died before it was settled.
    Dead,
}

/// An upload under way.
pub(crate) struct Flight {
    side: usize,
    pub(crate) upload: UploadId,
    hold: Hold,
    /// The records that its rows name.
    pub(crate) ids: BTreeSet<RecordId>,
    tally: Tally,
    pub(crate) ahead: Option<Ahead>,
    pub(crate) stage: Stage,
}

/// A row of an upload: the record that it makes where there is none, and the one that is there.
pub(crate) struct Row {
    pub(crate) record: Record,
    pub(crate) before: Option<Record>,
}

impl Row {
    /// What the record is once the row is written.
    fn after(&self) -> Record {
        let row = &self.record;
        match &self.before {
            None => row.clone(),
            Some(before) => {
                let same = row.name == before.name
                    && row.data == before.data
                    && row.visibility == before.visibility;
                if same {
                    before.clone()
                } else {
                    next_of(before, row.clone())
                }
            }
        }
    }
}

/// Reserves room for an upload as its call does.
pub(crate) async fn reserve(
    table: &Table,
    tenant: &TenantId,
    name: &CollectionName,
    upload: UploadId,
    rows: u64,
    now: Moment,
) -> (Pointer, Hold) {
    let record_type = product();
    let request = cap::Request {
        upload,
        collection: name,
        record_type: &record_type,
        rows,
        since: now,
        until: now + UPLOAD,
        format: search::FORMAT,
    };
    for _ in 0..20 {
        let summary = table.summary(tenant, Period::of(now)).await;
        let summary = summary.expect("a summary");
        let limits = Plan::Scale.limits();
        let reserved = table.reserve(tenant, &summary, limits, &request).await;
        match reserved.expect("an answer") {
            Reserved::Yes(collection, hold) => {
                return (collection.indexes[&hold.generation].clone(), hold);
            }
            Reserved::Again => tokio::time::sleep(Duration::from_millis(5)).await,
            refused => panic!("{refused:?}"),
        }
    }
    panic!("an upload is not let in")
}

/// Writes the rows of an upload as its call does. Returns what it did and what it added.
pub(crate) async fn write(
    table: &Table,
    place: &Place,
    rows: &[Row],
    upload: UploadId,
) -> (Tally, Vec<Record>) {
    let records: Vec<&Record> = rows.iter().map(|row| &row.record).collect();
    let deadline = Instant::now() + Duration::from_mins(1);
    let additions = table.add_records(place, &records, deadline).await;
    assert!(additions.failure.is_none(), "{:?}", additions.failure);
    let (mut tally, mut all) = (Tally::default(), Vec::new());
    for (row, added) in rows.iter().zip(additions.rows) {
        match added {
            Some(Added::Yes) => {
                assert_eq!(row.before, None);
                tally.add(row.record.id, row.record.visibility);
                all.push(row.record.clone());
            }
            Some(Added::Exists(existing)) => {
                let existing = existing.record;
                assert_eq!(Some(&existing), row.before.as_ref());
                let next = row.after();
                if next != existing {
                    let changed = table.change_record(place, &existing, &next, upload).await;
                    assert!(changed.expect("an answer"), "{} is another", next.id);
                    tally.change(next.id);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    (tally, all)
}

impl World {
    /// Begins an upload.
    pub(crate) async fn begin(&mut self, side: usize, random: &mut Random) {
        if self.flights.len() >= MOST_FLIGHTS {
            self.go_on(random).await;
            return;
        }
        let most = if random.chance(70) { 5 } else { 40 };
        let rows = 1 + random.below(most);
        let all = self.sides[side].sources;
        let sources = (0..rows).map(|_| random.below(all)).collect();
        let fates = [random.fate(8, 16), random.fate(25, 30)];
        self.upload(side, sources, fates, random).await;
    }

    /// Reserves room for rows and writes them, each with its fate.
    pub(crate) async fn upload(
        &mut self,
        side: usize,
        sources: BTreeSet<u64>,
        [reserving, writing]: [Fate; 2],
        random: &mut Random,
    ) {
        let (upload, rows) = (random.upload(), sources.len());
        self.diary
            .note(&format!("{upload} of {rows}, {reserving:?}, {writing:?}"));
        let (name, now) = (&self.sides[side].name, self.clock.now());
        let reserved = reserve(&self.table, &self.tenant, name, upload, rows as u64, now);
        // What it has reserved by then is found abandoned later.
        let Some((pointer, hold)) = run(reserved.boxed(), reserving).await else {
            return;
        };
        let mut fresh = Vec::new();
        for (source, row) in sources.into_iter().zip(1..) {
            fresh.push(Record {
                source_type: SourceType::FileUpload,
                upload,
                row,
                ..self.record(side, source, random)
            });
        }
        let ids: Vec<RecordId> = fresh.iter().map(|record| record.id).collect();
        let mut before = self.currents(side, &ids).await;
        let rows: Vec<Row> = fresh
            .into_iter()
            .map(|record| Row {
                before: before.remove(&record.id),
                record,
            })
            .collect();
        for row in &rows {
            self.sides[side].doubt(row.record.id, Some(row.after()));
        }
        self.flights.push(Flight {
            side,
            upload,
            hold,
            ids: ids.into_iter().collect(),
            tally: Tally::default(),
            ahead: None,
            stage: Stage::Dead,
        });
        let place = self.sides[side].place(&self.tenant);
        let written = write(&self.table, &place, &rows, upload);
        let written = run(written.boxed(), writing).await;
        if let (Some((tally, added)), Some(flight)) = (written, self.flights.last_mut()) {
            flight.tally = tally;
            let (process, name) = (&self.processes[0], &self.sides[side].name);
            let ahead = process.ahead(&self.tenant, name, flight.hold.of(), pointer);
            ahead.take(added).await;
            flight.ahead = Some(ahead);
            flight.stage = Stage::Written;
        }
    }

    /// Takes an upload that is alive a step further.
    pub(crate) async fn go_on(&mut self, random: &mut Random) {
        let alive: Vec<usize> = (0..self.flights.len())
            .filter(|at| self.flights[*at].stage != Stage::Dead)
            .collect();
        if alive.is_empty() {
            return;
        }
        let at = *random.pick(&alive);
        if self.flights[at].stage == Stage::Written {
            let fate = random.fate(15, 20);
            self.settle(at, fate).await;
        } else {
            self.leave(at, random).await;
        }
    }

    /// Settles an upload.
    pub(crate) async fn settle(&mut self, at: usize, fate: Fate) {
        let flight = &self.flights[at];
        let note = format!("{} settles, {fate:?}", flight.upload);
        self.diary.note(&note);
        let now = self.clock.now();
        let settling = self.table.settle(
            &self.tenant,
            flight.upload,
            &flight.hold,
            &flight.tally,
            now,
        );
        let Some(settled) = run(settling.boxed(), fate).await else {
            self.flights[at].stage = Stage::Dead;
            self.look_for_settled().await;
            return;
        };
        assert!(settled.expect("an end"), "it was settled already");
        let flight = &mut self.flights[at];
        flight.stage = Stage::Settled;
        let (side, ids) = (flight.side, flight.ids.clone());
        self.make_certain(side, &ids).await;
    }

    /// Ends the call of an upload that is settled: by its fold, or by leaving that to others now or
    /// after its time.
    async fn leave(&mut self, at: usize, random: &mut Random) {
        let Flight {
            side,
            upload,
            ahead,
            ..
        } = self.flights.swap_remove(at);
        match random.below(10) {
            0..6 => {
                let own = Own {
                    upload: Some(upload),
                    ahead,
                };
                self.start(side, Job::Own(own), random).await;
            }
            6..8 => {
                self.diary.note(&format!("{upload} is left to others"));
                let Side { name, .. } = &self.sides[side];
                let (of, now) = (self.sides[side].of(), self.clock.now());
                let left = self.table.leave_batch(&self.tenant, name, of, upload, now);
                whole(left.boxed()).await.expect("a marker for others");
            }
            _ => self.diary.note(&format!("{upload} is left")),
        }
    }

    /// Settles uploads whose time is over, as the first who looks does.
    pub(crate) async fn settle_abandoned(&mut self, crashes: u64, random: &mut Random) {
        let view = self.view(THINGS).await;
        for (upload, hold) in view.caps.abandoned(self.clock.now(), None) {
            let fate = random.fate(crashes, 40);
            self.diary
                .note(&format!("{upload} is settled for, {fate:?}"));
            let settling = self.table.settle_abandoned(&self.tenant, upload, &hold);
            if let Some(settled) = run(settling.boxed(), fate).await {
                settled.expect("an end");
            }
        }
        self.look_for_settled().await;
    }

    /// Finds out which uploads were settled by others, or by a call that was cut short.
    async fn look_for_settled(&mut self) {
        for side in 0..self.sides.len() {
            let unsettled = |flight: &Flight| flight.side == side && flight.stage != Stage::Settled;
            if !self.flights.iter().any(unsettled) {
                continue;
            }
            let view = self.view(side).await;
            let later = self.clock.now() + TimeDelta::days(1);
            let held = view.caps.abandoned(later, None).into_iter();
            let held: HashSet<UploadId> = held.map(|(upload, _)| upload).collect();
            let (over, rest): (Vec<Flight>, Vec<Flight>) = std::mem::take(&mut self.flights)
                .into_iter()
                .partition(|flight| {
                    let marked = view.markers.batches.contains_key(&flight.upload);
                    unsettled(flight) && (marked || !held.contains(&flight.upload))
                });
            self.flights = rest;
            for flight in over {
                self.make_certain(side, &flight.ids).await;
            }
        }
    }

    /// From now on records are what the table has, but those that an upload is still to tell of.
    async fn make_certain(&mut self, side: usize, ids: &BTreeSet<RecordId>) {
        let told = |id: &RecordId| {
            let mut flights = self.flights.iter();
            !flights.any(|flight| flight.stage != Stage::Settled && flight.ids.contains(id))
        };
        let ids: Vec<RecordId> = ids.iter().copied().filter(told).collect();
        let mut currents = self.currents(side, &ids).await;
        for id in ids {
            self.sides[side].adopt(id, currents.remove(&id));
        }
    }
}
