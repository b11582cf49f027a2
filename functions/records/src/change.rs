//! Changing records that are there: read, decide, and write if nobody was faster. Many are read part
//! by part: all of them at once may take more memory than there is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use api::{App, Error, Patience, Place, Result};
use model::collection::Collection;
use model::id::{RecordId, TenantId};
use model::index::IndexingStatus;
use model::record::{Record, RecordPatch, Visibility};
use table::record::Located;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::record::{Room, Shown, find};

/// How many records are changed at once.
const AT_ONCE: usize = 16;

/// How many records are in memory at once. Those of one collection are read in one batch, with their
/// markers.
const PART: usize = 48;

/// Changes a record, however often others change it meanwhile.
pub(crate) async fn update(
    app: &App,
    tenant: &TenantId,
    id: RecordId,
    patch: &RecordPatch,
) -> Result<Shown> {
    update_within(app, tenant, id, patch, Patience::default()).await
}

async fn update_within(
    app: &App,
    tenant: &TenantId,
    id: RecordId,
    patch: &RecordPatch,
    mut patience: Patience,
) -> Result<Shown> {
    loop {
        let (located, record) = find(app, tenant, id).await?;
        if let Some(shown) = try_update(app, tenant, &located, record, patch).await? {
            return Ok(shown);
        }
        patience.pause().await?;
    }
}

/// Changes a record as it was read; `None` if it is not that any more. What changes nothing is not
/// written.
async fn try_update(
    app: &App,
    tenant: &TenantId,
    located: &Located,
    record: Record,
    patch: &RecordPatch,
) -> Result<Option<Shown>> {
    let (now, collection) = (app.clock.now(), &located.collection);
    let fault = |fault| Error::Invalid(Place::Body, vec![fault]);
    let Some(next) = patch.apply(&record, now).map_err(fault)? else {
        let status = located.status(record.id, now);
        return Ok(Some(Shown::new(record, collection.generation, status)));
    };
    if next.visibility == Visibility::Public && !collection.listed {
        let (name, number) = (&collection.name, collection.number);
        app.table.list_openly(tenant, name, number).await?;
    }
    let place = located.place(tenant);
    if !app.table.update_record(&place, &record, &next).await? {
        return Ok(None);
    }
    app.indexes()?.touched(tenant, &collection.name);
    let status = IndexingStatus::Pending;
    Ok(Some(Shown::new(next, collection.generation, status)))
}

/// Changes the same of many records, and returns those that there are, in the order of their ids, as
/// an answer has room for them. Nothing is changed if one of them may not become what it would.
pub(crate) async fn update_all(
    app: &App,
    tenant: &TenantId,
    ids: &[(usize, RecordId)],
    patch: RecordPatch,
) -> Result<Vec<Shown>> {
    let patience = Patience::default();
    let mut collections = app.table.collections_by_number(tenant).await?;
    let mut room = check(app, tenant, &collections, ids, &patch).await?;
    if patch.visibility == Some(Visibility::Public) {
        let numbers = ids.iter().map(|(_, id)| id.collection_number());
        let named: BTreeSet<u32> = numbers.collect();
        for (number, collection) in &mut collections {
            if named.contains(number) && !collection.listed {
                let name = &collection.name;
                app.table.list_openly(tenant, name, *number).await?;
                collection.listed = true;
            }
        }
    }
    let patch = Arc::new(patch);
    let (mut all_shown, mut failure) = (Vec::with_capacity(ids.len()), None);
    for part in ids.chunks(PART) {
        let part = without_places(part);
        let found = app
            .table
            .find_records_in(tenant, &collections, &part)
            .await?;
        let (updated, failed) = update_part(app, tenant, found, &patch, patience).await;
        failure = failure.or(failed);
        let mut updated: HashMap<RecordId, Shown> = updated.into_iter().flatten().collect();
        for id in part {
            if let Some(mut shown) = updated.remove(&id) {
                room.fit(&mut shown);
                all_shown.push(shown);
            }
        }
    }
    failure.map_or(Ok(all_shown), Err)
}

/// Changes records that were read, each unless it was deleted meanwhile.
async fn update_part(
    app: &App,
    tenant: &TenantId,
    found: Vec<Located>,
    patch: &Arc<RecordPatch>,
    patience: Patience,
) -> (Vec<Option<(RecordId, Shown)>>, Option<Error>) {
    let mut updates = Vec::with_capacity(PART);
    for mut located in found {
        let records = std::mem::take(&mut located.records);
        let located = Arc::new(located);
        for (id, record) in records {
            let (app, tenant, patch) = (app.clone(), tenant.clone(), Arc::clone(patch));
            let located = Arc::clone(&located);
            updates.push(async move {
                let first = try_update(&app, &tenant, &located, record, &patch).await?;
                let shown = match first {
                    Some(shown) => Ok(shown),
                    None => update_within(&app, &tenant, id, &patch, patience).await,
                };
                match shown {
                    Ok(shown) => Ok(Some((id, shown))),
                    // It was deleted meanwhile.
                    Err(Error::NotFound(_)) => Ok(None),
                    Err(error) => Err(error),
                }
            });
        }
    }
    all(updates).await
}

/// Finds out whether every record may become what it would, and how much room an answer has for
/// what they become.
async fn check(
    app: &App,
    tenant: &TenantId,
    collections: &BTreeMap<u32, Collection>,
    ids: &[(usize, RecordId)],
    patch: &RecordPatch,
) -> Result<Room> {
    let now = app.clock.now();
    let (mut room, mut faults) = (Room::default(), Vec::new());
    for part in ids.chunks(PART) {
        let wanted = without_places(part);
        let found = app
            .table
            .find_records_in(tenant, collections, &wanted)
            .await?;
        let mut records: HashMap<RecordId, (Record, u32)> = HashMap::with_capacity(part.len());
        for located in found {
            let generation = located.collection.generation;
            let found = located.records.into_iter();
            records.extend(found.map(|(id, record)| (id, (record, generation))));
        }
        for (index, id) in part {
            let Some((record, generation)) = records.remove(id) else {
                continue;
            };
            match patch.apply(&record, now) {
                Ok(next) => {
                    let (next, status) = (next.unwrap_or(record), IndexingStatus::Pending);
                    room.keep_for(&Shown::without_content(next, generation, status));
                }
                Err(fault) => faults.push(fault.at_index(*index).at("record_ids")),
            }
        }
    }
    if faults.is_empty() {
        Ok(room)
    } else {
        Err(Error::Invalid(Place::Body, faults))
    }
}

/// The ids of a part of a list, without their places in it.
fn without_places(part: &[(usize, RecordId)]) -> Vec<RecordId> {
    part.iter().map(|(_, id)| *id).collect()
}

/// Deletes a record, and says whether there was one. While the upload that made it is not counted, it
/// waits: whoever counts that by the records themselves would not find this one.
pub(crate) async fn delete(app: &App, tenant: &TenantId, id: RecordId) -> Result<bool> {
    delete_within(app, tenant, id, Patience::default()).await
}

async fn delete_within(
    app: &App,
    tenant: &TenantId,
    id: RecordId,
    mut patience: Patience,
) -> Result<bool> {
    loop {
        let found = app.table.find_record_with_caps(tenant, id).await?;
        let Some((mut located, caps)) = found else {
            return Ok(false);
        };
        let Some(record) = located.records.remove(&id) else {
            return Ok(false);
        };
        if caps.hold(record.upload).is_some() {
            // One that a crash cut short is counted now, and need not be waited for.
            let summary = app.summary(tenant).await?;
            if summary.caps.hold(record.upload).is_none() {
                continue;
            }
        } else if try_delete(app, tenant, &located, &record).await? {
            return Ok(true);
        }
        patience.pause().await?;
    }
}

/// Deletes a record as it was read, if it still is that.
async fn try_delete(
    app: &App,
    tenant: &TenantId,
    located: &Located,
    record: &Record,
) -> Result<bool> {
    let place = located.place(tenant);
    let deleted = app.table.delete_record(&place, record, app.clock.now());
    if deleted.await? {
        app.indexes()?.touched(tenant, &located.collection.name);
        return Ok(true);
    }
    Ok(false)
}

/// Deletes many records, and says how many there were.
pub(crate) async fn delete_all(
    app: &App,
    tenant: &TenantId,
    ids: &[(usize, RecordId)],
) -> Result<usize> {
    let patience = Patience::default();
    let collections = app.table.collections_by_number(tenant).await?;
    let (mut count, mut failure) = (0, None);
    for part in ids.chunks(PART) {
        let part = without_places(part);
        let found = app
            .table
            .find_records_in(tenant, &collections, &part)
            .await?;
        // After the records: what is not reserved by now was counted when it was read.
        let caps = app.table.caps(tenant).await?;
        let mut deletes = Vec::with_capacity(part.len());
        for mut located in found {
            let records = std::mem::take(&mut located.records);
            let located = Arc::new(located);
            for (id, record) in records {
                let is_counted = caps.hold(record.upload).is_none();
                let (app, tenant, located) = (app.clone(), tenant.clone(), Arc::clone(&located));
                deletes.push(async move {
                    if is_counted && try_delete(&app, &tenant, &located, &record).await? {
                        return Ok(true);
                    }
                    delete_within(&app, &tenant, id, patience).await
                });
            }
        }
        let (deleted, failed) = all(deletes).await;
        failure = failure.or(failed);
        count += deleted.into_iter().filter(|deleted| *deleted).count();
    }
    failure.map_or(Ok(count), Err)
}

/// Awaits all of these, some at once, in any order: what came of them, and the first failure. One that
/// fails does not keep the others from being done.
async fn all<T: Send + 'static>(
    tasks: Vec<impl Future<Output = Result<T>> + Send + 'static>,
) -> (Vec<T>, Option<Error>) {
    let (mut done, mut failure) = (Vec::with_capacity(tasks.len()), None);
    let mut tasks = tasks.into_iter();
    let mut running = JoinSet::new();
    for task in tasks.by_ref().take(AT_ONCE) {
        running.spawn(task.in_current_span());
    }
    while let Some(result) = running.join_next().await {
        match result.map_err(Error::from).flatten() {
            Ok(one) => done.push(one),
            Err(error) => failure = failure.or(Some(error)),
        }
        if let Some(task) = tasks.next() {
            running.spawn(task.in_current_span());
        }
    }
    (done, failure)
}
