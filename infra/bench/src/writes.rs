//! One record at a time: changed by the table's verbs, and searched for by another process's eyes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use dynoxide::Database;
use futures_util::future::try_join_all;
use indexing::{Effort, Indexes, Own};
use model::fault::Fields;
use model::period::Period;
use model::plan::Plan;
use model::record::Record;
use model::time::Moment;
use search::{Caches, FORMAT, Request, Store};
use serde_json::json;
use table::Table;
use table::cap::{Request as Reserve, Reserved, Tally};
use table::record::Place;

use crate::catalogue::Catalogue;
use crate::records::Maker;
use crate::stats::Durations;

/// Writers that work side by side.
const WRITERS: usize = 8;

/// How the writes went.
#[derive(Debug, Clone)]
pub struct Writes {
    /// Changes by one writer, one after the other.
    pub alone: Durations,
    /// The searches that found each of them, by a process that did not write.
    pub searches: Durations,
    /// Changes by several writers of one collection.
    pub together: Durations,
}

/// A collection in an engine of its own.
struct World {
    table: Table,
    writer: Indexes,
    reader: Indexes,
    maker: Maker,
    place: Place,
    records: Vec<Record>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured takes real time"
)]
fn now() -> Moment {
    Utc::now()
}

/// Starts an engine with its database in a folder, as `portal-local` does, and returns its address. It
/// ends with the runtime.
pub(crate) async fn engine(folder: &Path) -> Result<String> {
    let path = folder.join("bench.db");
    let database = Database::new(path.to_str().context("a path")?)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    database
        .disable_bulk_loading()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    Ok(endpoint)
}

/// Changes so many records of a catalogue and searches for each.
pub fn run(catalogue: &Catalogue, changes: usize) -> Result<Writes> {
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(async {
        let mut world = World::new(folder.path(), catalogue).await?;
        let (mut alone, mut searches) = (Vec::new(), Vec::new());
        for n in 0..changes {
            let word = format!("changed{n}x");
            alone.push(world.change(n, &word).await?);
            searches.push(world.find(&word).await?);
        }
        // As the task of a process that lives on does.
        world.fold().await?;
        let world = Arc::new(world);
        let writers = (0..WRITERS).map(|writer| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut took = Vec::new();
                for n in 0..changes {
                    let record = &world.records[changes + writer * changes + n];
                    took.push(world.update(record, "changed together").await?.1);
                }
                Ok::<_, anyhow::Error>(took)
            })
        });
        let together = try_join_all(writers).await?;
        let together: Vec<Vec<Duration>> = together.into_iter().collect::<Result<_>>()?;
        Ok(Writes {
            alone: alone.into_iter().collect(),
            searches: searches.into_iter().collect(),
            together: together.into_iter().flatten().collect(),
        })
    })
}

impl World {
    async fn new(folder: &Path, catalogue: &Catalogue) -> Result<Self> {
        let table = Table::at_endpoint(&engine(folder).await?, "bench");
        table.create().await?;
        let maker = Maker::new(now())?;
        let tenant = &maker.tenant;
        table.set_plan(tenant, Plan::Enterprise, now()).await?;
        let url = Store::address_of(&folder.join("search")).context("an address")?;
        let indexes = || -> Result<Indexes> {
            let store = Store::open(&url, Caches::default(), None)?;
            Ok(Indexes::new(table.clone(), store, Arc::new(now), None))
        };
        let mut world = Self {
            writer: indexes()?,
            reader: indexes()?,
            place: Place::new(tenant, 1, 1),
            records: Vec::new(),
            table,
            maker,
        };
        world.load(catalogue).await?;
        Ok(world)
    }

    async fn load(&mut self, catalogue: &Catalogue) -> Result<()> {
        let (upload, now) = (self.maker.upload, self.maker.now);
        let summary = self
            .table
            .summary(&self.maker.tenant, Period::of(now))
            .await?;
        let request = Reserve {
            upload,
            collection: &self.maker.collection,
            record_type: &self.maker.record_type,
            rows: catalogue.count(),
            since: now,
            until: now + chrono::TimeDelta::minutes(15),
            format: FORMAT,
        };
        let limits = Plan::Enterprise.limits();
        let reserved = self
            .table
            .reserve(&self.maker.tenant, &summary, limits, &request)
            .await?;
        let Reserved::Yes(_, hold) = reserved else {
            anyhow::bail!("no reservation: {reserved:?}");
        };
        for (row, number) in catalogue.rows().zip(1..) {
            let record = self.maker.record(row, number)?;
            self.records.push(record);
        }
        let all: Vec<&Record> = self.records.iter().collect();
        let deadline = tokio::time::Instant::now() + Duration::from_mins(10);
        let added = self.table.add_records(&self.place, &all, deadline).await;
        ensure!(added.failure.is_none(), "records were not added");
        let mut tally = Tally::default();
        for record in &self.records {
            tally.add(record.id, record.visibility);
        }
        let settle = self
            .table
            .settle(&self.maker.tenant, upload, &hold, &tally, now)
            .await?;
        ensure!(settle, "the upload was settled already");
        let own = Own {
            upload: Some(upload),
            ahead: None,
        };
        let effort = Effort::Call;
        self.writer
            .fold(&self.maker.tenant, &self.maker.collection, 1, own, effort)
            .await?;
        Ok(())
    }

    async fn change(&mut self, n: usize, word: &str) -> Result<Duration> {
        let (next, took) = self.update(&self.records[n], word).await?;
        self.records[n] = next;
        Ok(took)
    }

    async fn update(&self, old: &Record, word: &str) -> Result<(Record, Duration)> {
        let mut next = old.clone();
        next.name = word.to_owned();
        next.version += 1;
        next.updated_at = now();
        let started = Instant::now();
        let done = self.table.update_record(&self.place, old, &next).await?;
        ensure!(done, "a record was changed by somebody else");
        Ok((next, started.elapsed()))
    }

    async fn find(&self, word: &str) -> Result<Duration> {
        let body = json!({ "query": word });
        let mut fields = Fields::of(&body).ok().context("not an object")?;
        let request = Request::read(&mut fields).context("not a search")?;
        let started = Instant::now();
        let view = self
            .table
            .view(&self.maker.tenant, &self.maker.collection)
            .await?;
        let collection = view.collection.context("no collection")?;
        let markers = &view.markers;
        let found = self
            .reader
            .search(&self.maker.tenant, &collection, markers, &request)
            .await?;
        ensure!(found.page.total == 1, "a changed record is not found");
        Ok(started.elapsed())
    }

    async fn fold(&self) -> Result<()> {
        let (own, effort) = (Own::default(), Effort::Background);
        self.writer
            .fold(&self.maker.tenant, &self.maker.collection, 1, own, effort)
            .await?;
        Ok(())
    }
}
