//! `GET /records`: the tenant's records, newest first; without a collection, collection by collection
//! in the order of their names. A cursor says after which record to go on, so that nothing is
//! repeated or left out when others are made or deleted meanwhile.

use std::fmt;
use std::str::FromStr;

use api::{App, Caller, Cursor, Params, Result};
use axum::Json;
use axum::extract::State;
use model::fault::integer_text;
use model::id::{CollectionName, RecordId, RecordType, TenantId};
use model::index::IndexingStatus;
use model::time::{Moment, stored};
use search::{DEFAULT_LIMIT, MAX_LIMIT, Request};
use serde::Serialize;
use table::record::Place;

use crate::collection::not_found;
use crate::record::{MOST_BYTES, Shown};

/// In how many collections a page looks: a record type may be in none of those that have had it.
const MOST_COLLECTIONS: usize = 100;

#[derive(Serialize)]
pub(crate) struct Answer {
    records: Vec<Shown>,
    /// Where the next page begins, if there is one.
    cursor: Option<String>,
    has_more: bool,
}

/// A place in the list: after a record of a collection, or at the collection's beginning.
#[derive(Debug, Clone)]
struct Position {
    collection: CollectionName,
    after: Option<(Moment, RecordId)>,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}", self.collection)?;
        match self.after {
            Some((at, id)) => write!(formatter, "/{}/{id}", stored(at)),
            None => Ok(()),
        }
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let mut parts = text.split('/');
        let name = parts.next().ok_or(())?;
        let collection = name.parse::<CollectionName>().map_err(|_| ())?;
        let after = match (parts.next(), parts.next()) {
            (Some(at), Some(id)) => {
                let at = at.parse::<Moment>().map_err(|_| ())?;
                Some((at, id.parse::<RecordId>()?))
            }
            _ => None,
        };
        Ok(Self { collection, after })
    }
}

/// What is asked for.
struct Wanted {
    collection: Option<CollectionName>,
    record_type: Option<RecordType>,
    limit: usize,
    from: Option<Position>,
    cursors: Cursor,
}

/// A page while it is filled.
struct Page {
    records: Vec<Shown>,
    bytes: usize,
    /// Where it goes on.
    next: Option<Position>,
    has_more: bool,
}

pub(crate) async fn page_records(
    State(app): State<App>,
    caller: Caller,
    params: Params,
) -> Result<Json<Answer>> {
    let tenant = &caller.tenant;
    let wanted = parse(params, tenant)?;
    let names = match &wanted.collection {
        Some(name) => vec![name.clone()],
        None => names(&app, tenant, &wanted).await?,
    };
    let mut page = Page {
        records: Vec::new(),
        bytes: 0,
        next: None,
        has_more: false,
    };
    for (looked, name) in names.into_iter().enumerate() {
        if looked == MOST_COLLECTIONS {
            page.end_before(name);
            break;
        }
        let is_there = page.fill(&app, tenant, &wanted, &name).await?;
        if !is_there && wanted.collection.is_some() {
            return Err(not_found());
        }
        if page.has_more {
            break;
        }
    }
    let next = page.next.filter(|_| page.has_more);
    Ok(Json(Answer {
        cursor: next.map(|next| wanted.cursors.write(&next)),
        records: page.records,
        has_more: page.has_more,
    }))
}

/// The collections that may have such records, from where the page begins.
async fn names(app: &App, tenant: &TenantId, wanted: &Wanted) -> Result<Vec<CollectionName>> {
    let summary = app.summary(tenant).await?;
    let first = wanted.from.as_ref().map(|from| &from.collection);
    let live = summary.collections.into_iter();
    let names = live.filter(|(collection, counts)| {
        let kind = wanted.record_type.as_ref();
        counts.total > 0
            && kind.is_none_or(|kind| collection.record_types.contains(kind))
            && first.is_none_or(|first| collection.name >= *first)
    });
    Ok(names.map(|(collection, _)| collection.name).collect())
}

impl Page {
    /// Takes in what there is of a collection; false if there is no such collection. The page has more
    /// if not all of it finds room.
    async fn fill(
        &mut self,
        app: &App,
        tenant: &TenantId,
        wanted: &Wanted,
        name: &CollectionName,
    ) -> Result<bool> {
        let from = wanted.from.as_ref();
        let from = from.filter(|from| from.collection == *name);
        let after = from.and_then(|from| from.after);
        if self.next.is_none() {
            self.next = Some(Position {
                collection: name.clone(),
                after,
            });
        }
        let view = app.view(tenant, name).await?;
        let Some(collection) = view.collection else {
            return Ok(false);
        };
        // One more than there is room for tells whether there are more.
        let room = wanted.limit - self.records.len();
        let limit = u32::try_from(room + 1).unwrap_or(MAX_LIMIT);
        let request = Request::list(wanted.record_type.clone(), limit, 0).after(after);
        let found = app
            .indexes()?
            .search(tenant, &collection, &view.markers, &request)
            .await;
        let found = match found {
            // It was deleted while it was searched.
            Err(indexing::Error::Gone) => return Ok(false),
            found => found?,
        };
        let hits = found.page.hits.iter();
        let ids: Vec<RecordId> = hits.take(room).map(|hit| hit.id).collect();
        let place = Place::new(tenant, found.of.number, found.of.generation);
        let mut records = app.table.records(&place, name, &ids).await?;
        for id in ids {
            let Some(record) = records.remove(&id) else {
                continue;
            };
            let status = found.statuses.get(&id).copied();
            let status = status.unwrap_or(IndexingStatus::Indexed);
            let after = Some((record.created_at, id));
            let shown = Shown::new(record, found.of.generation, status);
            let bytes = shown.size();
            if self.bytes + bytes > MOST_BYTES && !self.records.is_empty() {
                self.has_more = true;
                return Ok(true);
            }
            self.bytes += bytes;
            self.records.push(shown);
            self.next = Some(Position {
                collection: name.clone(),
                after,
            });
        }
        self.has_more = found.page.hits.len() > room;
        Ok(true)
    }

    /// Ends where a collection begins.
    fn end_before(&mut self, collection: CollectionName) {
        self.has_more = true;
        self.next = Some(Position {
            collection,
            after: None,
        });
    }
}

/// A cursor is good for the list with the same collection and record type alone.
fn parse(mut params: Params, tenant: &TenantId) -> Result<Wanted> {
    let collection = params.optional("collection", str::parse::<CollectionName>);
    let record_type = params.optional("record_type", str::parse::<RecordType>);
    let limit = params.optional("limit", |text| integer_text(text, 1, MAX_LIMIT));
    let name = collection.iter().flatten().next();
    let kind = record_type.iter().flatten().next();
    let list = format!(
        "records/{}/{}",
        name.map_or("", CollectionName::as_str),
        kind.map_or("", RecordType::as_str)
    );
    let cursors = Cursor::new(tenant, &list);
    let from = params.optional("cursor", |text| cursors.read::<Position>(text));
    match (collection, record_type, limit, from) {
        (Some(collection), Some(record_type), Some(limit), Some(from)) => Ok(Wanted {
            collection,
            record_type,
            limit: limit.unwrap_or(DEFAULT_LIMIT) as usize,
            from,
            cursors,
        }),
        _ => Err(params.faults()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        for text in [
            "parts",
            "parts/2026-03-08T12:00:00.000123Z/00000001-0000-8000-8000-000000000001",
        ] {
            let position: Position = text.parse().expect("a position");
            assert_eq!(position.to_string(), text);
        }
        for bad in ["", "-", "parts/x/y", "parts/2026-03-08T12:00:00Z/y"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
