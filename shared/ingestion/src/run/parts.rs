//! Part after part: each is written and settled, which reserves the next.

use std::collections::HashSet;
use std::sync::Arc;

use api::{Error, Result};
use chrono::TimeDelta;
use indexing::Ahead;
use model::collection::Collection;
use model::id::UploadId;
use table::cap::{Ending, Hold, Note};
use table::record::Place;
use tokio::sync::OnceCell;

use super::{Reservation, Run, cursor, unavailable};
use crate::part::{Part, fold, moved, reject, survey};
use crate::write::{Author, Writer};

/// How long a step's reservation waits for the next step.
const FOLLOWS: TimeDelta = TimeDelta::minutes(15);

impl Run<'_> {
    /// What a file without a good row comes to, or the rest of one for which there is no time: every
    /// row that is left is rejected. In the background that has a step's time, too.
    pub(crate) async fn reject_all(&mut self) -> Result<()> {
        let number = 0;
        loop {
            let window = survey(&self.input, cursor(&self.job), number).await?;
            if window.end == window.start.row {
                break;
            }
            self.errors.begin();
            let errors = (&mut self.errors, (self.job.id, self.job.checkpoint.part));
            let part = reject(self.app, (&self.input, &window.into()), number, errors).await?;
            self.take(&part);
            if self.is_late() {
                return self.save().await;
            }
        }
        self.end();
        self.save().await
    }

    /// Writes part after part.
    pub(crate) async fn parts(&mut self, mut now: Reservation) -> Result<()> {
        while let Some(next) = self.part(now).await? {
            now = next;
        }
        Ok(())
    }

    /// Writes a part and settles; what comes next, if anything does.
    pub(crate) async fn part(&mut self, reservation: Reservation) -> Result<Option<Reservation>> {
        let Reservation {
            hold,
            window,
            collection,
        } = reservation;
        let (tenant, number) = (self.tenant().clone(), hold.number);
        let checkpoint = self.job.checkpoint;
        let upload = self.job.writer(checkpoint.part, checkpoint.attempt);
        let author = Author {
            target: self.input.target.clone(),
            upload,
            source_type: self.job.way.source_type(),
            source_name: self.job.source_name.clone(),
            visibility: collection.default_visibility,
        };
        let ahead = self.ahead(&hold, &collection)?;
        let writer = Writer {
            app: self.app,
            ahead: ahead.as_ref(),
            author: &author,
            place: Place::new(&tenant, number, hold.generation),
            collection: &collection,
            rows: hold.rows,
            note: self.lease.as_ref().map(|lease| Note {
                job: &self.job,
                lease: Some(lease),
            }),
            earlier: self.earlier(),
            own: self.own(),
            deadline: self.deadline,
            listed: OnceCell::new(),
        };
        let end = window.end;
        self.errors.begin();
        let errors = (&mut self.errors, (self.job.id, checkpoint.part));
        let (input, window) = (&self.input, Arc::new(window));
        let written = Part::write(&writer, (input, &window), number, self.stop, errors).await;
        let (part, done) = written;
        let last = part.written.last.unwrap_or(hold.since);
        // Whatever was written is counted, also when the rest failed; where it is not known what
        // was, by the records themselves.
        if done.is_err() || part.written.unsure {
            self.app.recount(&tenant, upload, &hold).await?;
            let folded = fold(self.app, &tenant, (upload, &hold), ahead, self.deadline).await;
            done?;
            if !folded {
                self.in_use(&hold).await?;
            }
            // The next step tries the part again.
            if self.lease.is_some() {
                return Ok(None);
            }
            self.take(&part);
            return self.reject_all().await.map(|()| None);
        }
        self.job.checkpoint.generation = Some(hold.generation);
        self.take(&part);
        let is_over = part.end.row >= end && part.end.row >= self.job.rows.unwrap_or(0);
        let next = (!is_over).then(|| self.next(&hold, part.written.tally.added()));
        if is_over {
            self.end();
        }
        let ending = Ending {
            note: Some(Note {
                job: &self.job,
                lease: self.lease.as_ref(),
            }),
            next: next.as_ref().map(|(id, hold)| (*id, hold)),
        };
        let tally = &part.written.tally;
        let settled = self
            .app
            .table
            .settle_part(&tenant, (upload, &hold), tally, last, ending)
            .await?;
        let folded = tally.is_empty()
            || fold(self.app, &tenant, (upload, &hold), ahead, self.deadline).await;
        if !settled {
            self.in_use(&hold).await?;
            self.settled = false;
            return match &self.lease {
                Some(_) => Err(unavailable("somebody else works on the upload")),
                // Somebody counted what was written and nothing is reserved for the rest.
                None if is_over => self.save().await.map(|()| None),
                None => self.reject_all().await.map(|()| None),
            };
        }
        match next {
            Some((id, hold)) if !self.is_late() => self.begin_part(id, &hold).await.map(Some),
            // It became late since: the reservation waits for the next step.
            Some((id, mut hold)) if self.job.checkpoint.begun => {
                hold.until = self.until + FOLLOWS;
                if self.app.table.move_hold(&tenant, id, &hold).await? {
                    self.job.checkpoint.begun = false;
                    self.save().await?;
                }
                Ok(None)
            }
            None if !folded => self.in_use(&hold).await.map(|()| None),
            _ => Ok(None),
        }
    }

    /// What went to a collection that is deleted, or to a generation that is swapped out, is not found
    /// by anybody: a conflict. Whatever else is wrong by now, the rows are written and counted.
    async fn in_use(&self, hold: &Hold) -> Result<()> {
        match moved(self.app, self.tenant(), hold).await {
            Err(conflict @ Error::Conflict(_)) => Err(conflict),
            _ => Ok(()),
        }
    }

    /// Takes what is added into the index while more is written.
    fn ahead(&self, hold: &Hold, collection: &Collection) -> Result<Option<Ahead>> {
        let (indexes, tenant) = (self.app.indexes()?, self.tenant());
        let pointer = collection.indexes.get(&hold.generation).cloned();
        Ok(pointer.map(|pointer| indexes.ahead(tenant, &hold.collection, hold.of(), pointer)))
    }

    /// The ids under which anything of the upload was written before: no row of it is written twice.
    fn own(&self) -> HashSet<UploadId> {
        let checkpoint = self.job.checkpoint;
        let parts = 0..=checkpoint.part;
        let attempts = |part| (0..=checkpoint.attempts).map(move |attempt| (part, attempt));
        let all = parts.flat_map(attempts);
        let before = all.filter(|place| *place < (checkpoint.part, checkpoint.attempt));
        before
            .map(|(part, attempt)| self.job.writer(part, attempt))
            .collect()
    }

    /// The ids under which the rows of this part were written before.
    fn earlier(&self) -> HashSet<UploadId> {
        let checkpoint = self.job.checkpoint;
        (0..checkpoint.attempt)
            .map(|attempt| self.job.writer(checkpoint.part, attempt))
            .collect()
    }

    /// What is reserved for the next part, which goes on in this step or a later one.
    fn next(&mut self, hold: &Hold, added: u64) -> (UploadId, Hold) {
        let is_late = self.is_late();
        let checkpoint = &mut self.job.checkpoint;
        checkpoint.begun = !is_late;
        let id = self.job.writer(self.job.checkpoint.part, 0);
        let mut next = hold.clone();
        next.rows = hold.rows.saturating_sub(added);
        next.since = self.app.clock.now();
        next.until = self.until + if is_late { FOLLOWS } else { TimeDelta::zero() };
        (id, next)
    }

    /// Begins the part whose reservation is there: where the index is by now, what is added is known
    /// to be new.
    pub(crate) async fn begin_part(
        &mut self,
        upload: UploadId,
        hold: &Hold,
    ) -> Result<Reservation> {
        let tenant = self.tenant().clone();
        let (collection, mut hold) = moved(self.app, &tenant, hold).await?;
        hold.until = self.until;
        if !self.app.table.move_hold(&tenant, upload, &hold).await? {
            self.in_use(&hold).await?;
            return Err(unavailable("what was reserved is gone"));
        }
        let window = survey(&self.input, cursor(&self.job), hold.number).await?;
        Ok(Reservation {
            hold,
            window,
            collection,
        })
    }
}
