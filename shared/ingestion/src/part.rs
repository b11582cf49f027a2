//! One part of an upload: its rows, read on a thread of their own while others are written.

use std::sync::Arc;
use std::time::Duration;

use api::{App, Result};
use formats::Cursor;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use indexing::{Ahead, Effort, Folded, Own};
use model::collection::Collection;
use model::id::{TenantId, UploadId};
use table::cap::Hold;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::errors::Errors;
use crate::input::{Input, failure};
use crate::run::{cancelled, deleted, replaced};
use crate::window::{Slice, Window};
use crate::write::{Writer, Written};

/// How many slices are written at once, so that the table is not idle at a slice's end.
const AT_ONCE: usize = 2;

/// How many slices wait to be written, so that reading goes on meanwhile.
const WAITING: usize = 1;

/// How often it is told how far a part is.
const TELL: Duration = Duration::from_secs(2);

/// How far a part came.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) written: Written,
    /// Where reading goes on.
    pub(crate) end: Cursor,
    /// How many bytes of the file lie before it.
    pub(crate) bytes: u64,
}

/// Reads a window in slices. Whoever drops the receiver stops it.
fn read(input: &Input, window: &Arc<Window>, number: u32) -> mpsc::Receiver<Result<Slice>> {
    let (send, receive) = mpsc::channel(WAITING);
    let (input, window) = (input.clone(), Arc::clone(window));
    tokio::task::spawn_blocking(move || {
        let mut reading = match input.read(&*input.source, window.start, false) {
            Ok(reading) => reading,
            Err(error) => return drop(send.blocking_send(Err(failure(error)))),
        };
        loop {
            let slice = window.slice(&mut reading, &input.target, number);
            let sent = match slice {
                Ok(Some(slice)) => send.blocking_send(Ok(slice)),
                Ok(None) => return,
                Err(error) => return drop(send.blocking_send(Err(failure(error)))),
            };
            if sent.is_err() {
                return;
            }
        }
    });
    receive
}

/// Looks through the part that begins at `start`.
pub(crate) async fn survey(input: &Input, start: Cursor, number: u32) -> Result<Window> {
    let input = input.clone();
    let survey = move || Window::survey(&input, start, number);
    tokio::task::spawn_blocking(survey).await?.map_err(failure)
}

impl Part {
    /// Writes a part; no further slice after `stop`. It tells how far it came, also if it failed.
    pub(crate) async fn write(
        writer: &Writer<'_>,
        (input, window): (&Input, &Arc<Window>),
        number: u32,
        stop: Option<Instant>,
        (errors, part): (&mut Errors, (UploadId, u32)),
    ) -> (Self, Result<()>) {
        let mut this = Self {
            written: Written::default(),
            end: window.start,
            bytes: 0,
        };
        let mut slices = read(input, window, number);
        let tenant = &writer.author.target.tenant;
        let mut told = Instant::now();
        let (mut goes_on, mut has_begun, mut failure) = (true, false, None);
        let (mut next, mut writing) = (None, FuturesOrdered::new());
        // How many records those that are being written may add.
        let mut promised = 0;
        loop {
            goes_on &= !has_begun || stop.is_none_or(|stop| Instant::now() < stop);
            let left = writer
                .rows
                .saturating_sub(this.written.tally.added() + promised);
            // What those before it may add and do not is there for a slice: one that needs it waits.
            let may_begin =
                |slice: &mut Slice| promised == 0 || slice.candidates.len() as u64 <= left;
            if goes_on && let Some(slice) = next.take_if(may_begin) {
                promised += slice.may_add(left);
                writing.push_back(writer.write(slice, left));
                has_begun = true;
            }
            let done = tokio::select! {
                slice = slices.recv(), if goes_on && next.is_none() && writing.len() < AT_ONCE => {
                    goes_on = matches!(slice, Some(Ok(_)));
                    match slice {
                        Some(Ok(slice)) => next = Some(slice),
                        Some(Err(error)) => failure = Some(error),
                        None => {}
                    }
                    continue;
                }
                Some(done) = writing.next() => done,
                else => break,
            };
            promised -= done.promised;
            (this.end, this.bytes) = (done.end, done.bytes);
            this.written.add(done.written, errors);
            // Those under way are waited for after a failure: whoever counts what was written may begin
            // afterwards.
            if failure.is_none() {
                let kept = errors
                    .keep(writer.app, (tenant, part.0), part.1, false)
                    .await;
                failure = done.result.and(kept).err();
                goes_on &= failure.is_none();
            }
            if told.elapsed() >= TELL {
                writer.tell(&this.written, this.bytes).await;
                told = Instant::now();
            }
        }
        if let Some(error) = failure {
            return (this, Err(error));
        }
        let kept = errors
            .keep(writer.app, (tenant, part.0), part.1, true)
            .await;
        (this, kept)
    }
}

/// Reads a part whose rows cannot become records any more: those that could have are rejected.
pub(crate) async fn reject(
    app: &App,
    (input, window): (&Input, &Arc<Window>),
    number: u32,
    (errors, part): (&mut Errors, (UploadId, u32)),
) -> Result<Part> {
    let mut this = Part {
        written: Written::default(),
        end: window.start,
        bytes: 0,
    };
    let mut slices = read(input, window, number);
    let tenant = &input.target.tenant;
    while let Some(slice) = slices.recv().await {
        let mut slice = slice?;
        (this.end, this.bytes) = (slice.end, slice.bytes);
        let mut rejected = Written::before(&mut slice);
        for candidate in slice.candidates {
            rejected.not_written(candidate.row);
        }
        this.written.add(rejected, errors);
        errors.keep(app, (tenant, part.0), part.1, false).await?;
    }
    errors.keep(app, (tenant, part.0), part.1, true).await?;
    Ok(this)
}

/// Folds what a part wrote into the search index, so that it is indexed when the call answers.
/// Where that cannot be now, somebody else does it later: search finds it all the same. Says whether
/// it was folded.
pub(crate) async fn fold(
    app: &App,
    tenant: &TenantId,
    (upload, hold): (UploadId, &Hold),
    ahead: Option<Ahead>,
    deadline: Instant,
) -> bool {
    let name = &hold.collection;
    let own = Own {
        upload: Some(upload),
        ahead,
    };
    let folding = async {
        let indexes = app.indexes()?;
        let folded = indexes.fold(tenant, name, hold.generation, own, Effort::Call);
        Ok::<_, api::Error>(folded.await?)
    };
    let folded = tokio::time::timeout_at(deadline, folding).await;
    match &folded {
        Ok(Ok(Folded::Yes(_))) => return true,
        Ok(Ok(Folded::Nothing)) => return false,
        Ok(Ok(Folded::Busy)) | Err(_) => {}
        Ok(Err(error)) => {
            tracing::warn!(%tenant, collection = %name, cause = ?error, "an upload was not folded");
        }
    }
    let left = app
        .table
        .leave_batch(tenant, name, hold.of(), upload, app.clock.now())
        .await;
    if let Err(error) = left {
        tracing::warn!(%tenant, %error, "an upload is folded only after its time");
    }
    if let Ok(indexes) = app.indexes() {
        indexes.touched(tenant, name);
    }
    false
}

/// The collection, and the reservation with the index's pointer as it is by now. A generation that is
/// not in use any more ends the upload.
pub(crate) async fn moved(app: &App, tenant: &TenantId, hold: &Hold) -> Result<(Collection, Hold)> {
    let view = app.table.index_view(tenant, &hold.collection).await?;
    let collection = view.map(|view| view.collection);
    // One of the same name that was made since is another.
    let same = |collection: &Collection| collection.number == hold.number;
    let collection = collection.filter(same).ok_or_else(deleted)?;
    let in_use = if hold.staging {
        // One that is served already was swapped in.
        collection.uses(hold.generation)
    } else {
        collection.generation == hold.generation
    };
    if !in_use {
        return Err(if hold.staging {
            cancelled()
        } else {
            replaced()
        });
    }
    let pointer = collection.indexes.get(&hold.generation);
    let mut moved = hold.clone();
    moved.base = pointer.map_or(0, |pointer| pointer.version);
    Ok((collection, moved))
}
