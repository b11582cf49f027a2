//! PostgreSQL as what the service is compared with: a cluster of its own for the time of the
//! measurement, set up as one would for this kind of search.
//!
//! Each query is one message with its values in it and one answer: fewer round trips than most
//! clients make. Rows come whole, over a Unix socket.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ::postgres::{Client, NoTls, SimpleQueryMessage};
use anyhow::{Context, Result, bail, ensure};

use crate::catalogue::{Catalogue, Product};
use crate::classes::{Class, Query};
use crate::guard::Guard;
use crate::stats::Durations;

/// Where Debian keeps PostgreSQL 15.
const BIN: &str = "/usr/lib/postgresql/15/bin";

/// Whom PostgreSQL runs as where this process is root, as which it refuses to run.
const USER: &str = "postgres";

/// Rows that one COPY brings.
const BATCH: u64 = 10_000;

/// The settings that are not PostgreSQL's own.
const SETTINGS: [&str; 3] = [
    "shared_buffers=1GB",
    "listen_addresses=''",
    // Tells sockets apart; nothing listens on a port.
    "port=54329",
];

const TABLE: &str = "
CREATE TABLE records (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id text NOT NULL,
    name text NOT NULL,
    description text,
    data jsonb NOT NULL,
    identifiers text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    tsv tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('english', name), 'A')
        || setweight(to_tsvector('english', coalesce(description, '')), 'B')
        || setweight(jsonb_to_tsvector('english', data, '[\"string\"]'), 'B')
    ) STORED
)";

/// The planner guesses badly what a JSON value selects, unless it has counted. A pending list would
/// be searched from end to end until the next vacuum, so the indexes have none.
const INDEXES: [&str; 8] = [
    "CREATE UNIQUE INDEX records_source_id ON records (source_id)",
    "CREATE INDEX records_tsv ON records USING gin (tsv) WITH (fastupdate = off)",
    "CREATE INDEX records_data ON records USING gin (data jsonb_path_ops) WITH (fastupdate = off)",
    "CREATE INDEX records_identifiers ON records USING gin (identifiers) WITH (fastupdate = off)",
    "CREATE INDEX records_price ON records (((data->>'price_eur')::numeric))",
    "CREATE INDEX records_category ON records ((data->>'category'))",
    "CREATE STATISTICS records_in_stock ON (data->>'in_stock') FROM records",
    "VACUUM ANALYZE records",
];

/// What an upload is compared with: a table that can be searched whenever a row is in it. Its indexes
/// are as PostgreSQL makes them, with lists of pending rows.
const UPLOADED: &str = "
DROP TABLE IF EXISTS uploaded;
CREATE TABLE uploaded (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id text NOT NULL,
    name text NOT NULL,
    description text,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    tsv tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('english', name), 'A')
        || setweight(to_tsvector('english', coalesce(description, '')), 'B')
        || setweight(jsonb_to_tsvector('english', data, '[\"string\"]'), 'B')
    ) STORED
);
CREATE INDEX uploaded_tsv ON uploaded USING gin (tsv);
CREATE INDEX uploaded_data ON uploaded USING gin (data jsonb_path_ops)";

const UPSERT: &str = "
INSERT INTO records (source_id, name, description, data, identifiers)
VALUES ($1, $2, $3, $4::text::jsonb, $5)
ON CONFLICT (source_id) DO UPDATE SET
    name = excluded.name, description = excluded.description, data = excluded.data,
    identifiers = excluded.identifiers, updated_at = now()";

/// A running cluster. It is stopped and removed when this is dropped, or when the process is killed.
pub struct Postgres {
    client: Client,
    _guard: Guard,
}

/// How a catalogue came in.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many rows.
    pub rows: u64,
    /// What COPY took.
    pub copy: Duration,
    /// What building the indexes and analysing took after it.
    pub indexes: Duration,
    /// Bytes of the table, with what is kept beside it.
    pub table_bytes: u64,
    /// Bytes of the indexes.
    pub index_bytes: u64,
}

/// One query, run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// What the page took.
    pub page: Duration,
    /// What the exact count took.
    pub count: Duration,
    /// Rows on the page.
    pub hits: usize,
    /// All matches.
    pub total: u64,
}

/// A class of queries, run.
#[derive(Debug, Clone)]
pub struct ClassRun {
    /// The pages.
    pub page: Durations,
    /// Each page with its count.
    pub both: Durations,
    /// All matches of each query.
    pub totals: Vec<u64>,
}

impl Postgres {
    /// Starts a cluster; `None` if PostgreSQL 15 is not installed.
    pub fn start() -> Result<Option<Self>> {
        if !Path::new(BIN).join("postgres").exists() {
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("bench-pg-").tempdir()?;
        let is_root = fs::metadata("/proc/self")?.uid() == 0;
        if is_root {
            chown(folder.path(), Some(user_id()?), None)?;
        }
        let prefix = if is_root {
            format!("runuser -u {USER} -- ")
        } else {
            String::new()
        };
        // From here on the guard removes it.
        let folder = folder.keep();
        let stop =
            format!("{prefix}{BIN}/pg_ctl -D \"$1/data\" -m immediate -w stop; rm -rf -- \"$1\"");
        let guard = Guard::new(&stop, &folder)?;
        let shell = |line: &str| shell(&format!("{prefix}{BIN}/{line}"), &folder);
        shell("initdb -D \"$1/data\" -A trust -E UTF8 --locale=C.UTF-8")?;
        let settings = SETTINGS.map(|setting| format!("-c {setting}")).join(" ");
        shell(&format!(
            "pg_ctl -D \"$1/data\" -l \"$1/data/log\" -o \"{settings} -k $1\" -w start"
        ))?;
        let own = ask_id(&["-un"])?;
        let client = Client::configure()
            .host_path(&folder)
            .port(54329)
            .user(if is_root { USER } else { &own })
            .dbname("postgres")
            .connect(NoTls)
            .context("cannot connect to PostgreSQL")?;
        Ok(Some(Self {
            client,
            _guard: guard,
        }))
    }

    /// Loads a catalogue with COPY, then builds the indexes. Making up the rows is not measured.
    pub fn load(&mut self, catalogue: &Catalogue) -> Result<Load> {
        self.client.batch_execute(TABLE)?;
        let mut copy = Duration::ZERO;
        for first in (0..catalogue.count()).step_by(usize::try_from(BATCH)?) {
            let mut rows = csv::Writer::from_writer(Vec::new());
            for n in first..(first + BATCH).min(catalogue.count()) {
                rows.write_record(cells(&catalogue.product(n)))?;
            }
            let rows = rows.into_inner().context("cannot end a batch")?;
            let started = Instant::now();
            let mut writer = self.client.copy_in(
                "COPY records (source_id, name, description, data, identifiers) \
                 FROM STDIN (FORMAT csv)",
            )?;
            writer.write_all(&rows)?;
            writer.finish()?;
            copy += started.elapsed();
        }
        let started = Instant::now();
        for statement in INDEXES {
            self.client
                .batch_execute(statement)
                .with_context(|| statement.to_owned())?;
        }
        let indexes = started.elapsed();
        // What is still to be written to disk would disturb what is measured next.
        self.client.batch_execute("CHECKPOINT")?;
        let sizes = self.client.query_one(
            "SELECT pg_table_size('records'), pg_indexes_size('records')",
            &[],
        )?;
        let bytes = |column| sizes.get::<_, i64>(column).unsigned_abs();
        Ok(Load {
            rows: catalogue.count(),
            copy,
            indexes,
            table_bytes: bytes(0),
            index_bytes: bytes(1),
        })
    }

    /// Copies a CSV of `source_id`, `name`, `description` and `data` into a new table that has its
    /// indexes already.
    pub fn copy(&mut self, rows: &[u8]) -> Result<Duration> {
        self.client.batch_execute(UPLOADED)?;
        self.client.batch_execute("CHECKPOINT")?;
        let started = Instant::now();
        let mut writer = self.client.copy_in(
            "COPY uploaded (source_id, name, description, data) FROM STDIN (FORMAT csv)",
        )?;
        writer.write_all(rows)?;
        writer.finish()?;
        Ok(started.elapsed())
    }

    /// Runs one query: the page, then the count.
    pub fn run(&mut self, query: &Query) -> Result<Run> {
        let started = Instant::now();
        let page = self.rows(&query.page_sql)?;
        let paged = started.elapsed();
        let count = self.rows(&query.count_sql)?;
        let both = started.elapsed();
        let total = count.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).and_then(|text| text.parse().ok()),
            _ => None,
        });
        let is_row = |message: &&SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(_));
        Ok(Run {
            page: paged,
            count: both.saturating_sub(paged),
            hits: page.iter().filter(is_row).count(),
            total: total.context("the count has no row")?,
        })
    }

    /// Runs all queries of a class once to warm up and then `rounds` times.
    pub fn run_class(&mut self, class: &Class, rounds: usize) -> Result<ClassRun> {
        let mut totals = Vec::with_capacity(class.queries.len());
        for query in &class.queries {
            totals.push(self.run(query)?.total);
        }
        let mut runs = Vec::with_capacity(rounds * class.queries.len());
        for _ in 0..rounds {
            for query in &class.queries {
                runs.push(self.run(query)?);
            }
        }
        Ok(ClassRun {
            page: runs.iter().map(|run| run.page).collect(),
            both: runs.iter().map(|run| run.page + run.count).collect(),
            totals,
        })
    }

    /// How PostgreSQL goes about a statement.
    pub fn explain(&mut self, sql: &str) -> Result<String> {
        let lines = self.rows(&format!("EXPLAIN (ANALYZE, BUFFERS) {sql}"))?;
        let mut plan = String::new();
        for line in lines {
            if let SimpleQueryMessage::Row(row) = line {
                plan += row.get(0).unwrap_or_default();
                plan.push('\n');
            }
        }
        Ok(plan)
    }

    /// Writes single rows, a changed one and a new one in turn, each durable before the next.
    pub fn upserts(&mut self, catalogue: &Catalogue, count: u64) -> Result<Durations> {
        let statement = self.client.prepare(UPSERT)?;
        let mut taken = Vec::new();
        for n in 0..count {
            let mut product = if n % 2 == 0 {
                catalogue.product(n * 7_919 % catalogue.count())
            } else {
                catalogue.product(catalogue.count() + n)
            };
            product.name.push_str(" (revised)");
            let data = serde_json::to_string(&product.data())?;
            let identifiers = product.identifiers();
            let started = Instant::now();
            self.client.execute(
                &statement,
                &[
                    &product.source_id,
                    &product.name,
                    &product.description,
                    &data,
                    &identifiers,
                ],
            )?;
            taken.push(started.elapsed());
        }
        Ok(taken.into_iter().collect())
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>> {
        let rows = self.client.simple_query(sql);
        rows.with_context(|| sql.to_owned())
    }
}

fn cells(product: &Product) -> [String; 5] {
    [
        product.source_id.clone(),
        product.name.clone(),
        product.description.clone(),
        serde_json::Value::Object(product.data()).to_string(),
        // They have letters and digits alone, so that nothing is to be quoted.
        format!("{{{}}}", product.identifiers().join(",")),
    ]
}

/// Runs a line of shell in a folder, which is its `$1`.
fn shell(line: &str, folder: &Path) -> Result<()> {
    let output = Command::new("sh")
        .args(["-c", &format!("cd \"$1\" && {line} >\"$1/out\" 2>&1"), "sh"])
        .arg(folder)
        // What starts a server must not leave it our pipes: we would wait for their end.
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cannot start sh")?;
    if !output.success() {
        let said = fs::read_to_string(folder.join("out")).unwrap_or_default();
        bail!("{line}: {}", said.trim());
    }
    Ok(())
}

fn user_id() -> Result<u32> {
    ask_id(&["-u", USER])?
        .parse()
        .context("the user postgres has no number")
}

fn ask_id(args: &[&str]) -> Result<String> {
    let output = Command::new("id").args(args).output()?;
    ensure!(output.status.success(), "there is no user {USER}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
