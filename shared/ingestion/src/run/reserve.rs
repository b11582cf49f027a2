//! Reserving what a file adds, by what its first look has found.

use std::time::Duration;

use api::{Error, Result};
use model::id::RecordId;
use table::cap::{Note, Request, Reserved};
use table::record::Place;
use tokio::time::Instant;

use super::{Reservation, Room, Run, cancelled, cursor, deleted, held, replaced, unavailable};
use crate::input::failure;
use crate::look::Look;
use crate::part::survey;

/// How long an upload waits for others on which it depends whether it fits the plan.
const WAITING: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Reserves what the file adds.
    pub(crate) async fn reserve(&mut self, mut look: Look) -> Result<Room> {
        if !look.is_good {
            return Ok(Room::NotNeeded);
        }
        let limits = self.plan.limits();
        // Nobody waits for a step; who waits for an answer is asked to come again.
        let soon = Instant::now() + WAITING.min(self.app.config.upload_time);
        let give_up = self.stop.unwrap_or(soon);
        let mut wait = Duration::from_millis(5);
        let tenant = self.tenant().clone();
        loop {
            let summary = self.app.summary(&tenant).await?;
            let known = summary.collection(&self.job.collection);
            let before = self.job.checkpoint;
            let is_other = |number: u32| known.is_none_or(|it| it.number != number);
            if before.number.is_some_and(is_other) {
                return Err(deleted());
            }
            let is_unused = |generation: u32| known.is_none_or(|it| !it.uses(generation));
            if before.generation.is_some_and(is_unused) {
                return Err(replaced());
            }
            let mut rows = look.rows;
            if let Some(most) = limits.records {
                // Ids depend on the collection's number, and are known up to what was wanted.
                let number = known.map_or(look.number, |known| known.number);
                let most = most.max(summary.records());
                if number != look.number || look.wanted < Some(most) {
                    look = self.look_as(number, Some(most)).await.map_err(failure)?;
                }
                // All of them are live afterwards. More than there are now means that some are new.
                rows = look.ids.len() as u64;
                if rows > most {
                    return Err(Error::over_records("upload", self.plan));
                }
                if let (Some(known), None) = (known, self.staging) {
                    let place = Place::new(&tenant, known.number, known.generation);
                    let ids: Vec<RecordId> = look.ids.iter().copied().collect();
                    rows -= self.app.table.existing_records(&place, &ids).await?.len() as u64;
                }
            }
            let number = known.map_or(summary.caps.next_number(), |known| known.number);
            self.job.checkpoint.begun = true;
            self.job.checkpoint.number = Some(number);
            let request = Request {
                upload: self.job.writer(before.part, before.attempt),
                collection: &self.job.collection,
                record_type: &self.job.record_type,
                rows,
                since: self.app.clock.now(),
                until: self.until,
                format: search::FORMAT,
            };
            let note = Note {
                job: &self.job,
                lease: self.lease.as_ref(),
            };
            match self
                .app
                .table
                .reserve_for(
                    &tenant,
                    &summary,
                    limits,
                    &request,
                    (self.staging, Some(note)),
                )
                .await?
            {
                Reserved::Yes(collection, hold) => {
                    let start = cursor(&self.job);
                    let is_first = look.window.start == start;
                    let window = if is_first && collection.number == look.number {
                        look.window
                    } else {
                        survey(&self.input, start, collection.number).await?
                    };
                    return Ok(Room::Yes(Box::new(Reservation {
                        hold,
                        window,
                        collection,
                    })));
                }
                Reserved::RecordCap => return Err(Error::over_records("upload", self.plan)),
                Reserved::CollectionCap => {
                    return Err(Error::over_collections("upload", self.plan));
                }
                Reserved::Again if Instant::now() < give_up => {
                    // A collection that is to be made is given its number by the next try.
                    self.job.checkpoint = before;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_millis(200));
                }
                Reserved::Again if self.stop.is_some() => return Ok(Room::Later),
                Reserved::Again => return Err(held()),
                Reserved::Lost if self.staging.is_some() => return Err(cancelled()),
                Reserved::Lost => return Err(unavailable("somebody else works on the upload")),
            }
        }
    }
}
