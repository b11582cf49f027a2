//! `bench`: runs the measurements and prints them as Markdown.

use std::path::PathBuf;

use anyhow::Result;
use bench::catalogue::Catalogue;
use bench::classes::classes;
use bench::engine::Engine;
use bench::http::{self, Closed, Options};
use bench::lambda::{self, Binary};
use bench::portal::Memory;
use bench::postgres::Postgres;
use bench::stats::{Durations, mean, megabytes, millis, rate, ratio, thousands};
use bench::table::Table;
use bench::{upload, writes};
use clap::{Args, Parser, Subcommand};

/// That of `portal-local`: what is measured beside it is to have the same means.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures the search, uploads, the service and its functions.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The engine inside this process, beside PostgreSQL if that is installed
    Engine {
        #[command(flatten)]
        size: Size,
        /// Leave PostgreSQL out
        #[arg(long)]
        alone: bool,
    },
    /// PostgreSQL alone
    Postgres {
        #[command(flatten)]
        size: Size,
        /// Print how PostgreSQL goes about the first query of each class
        #[arg(long)]
        explain: bool,
    },
    /// The service alone, over HTTP
    Http {
        #[command(flatten)]
        size: Size,
        /// A built portal-local
        #[arg(long, value_name = "PATH")]
        binary: PathBuf,
        /// Requests of a class
        #[arg(long, default_value_t = 200)]
        requests: usize,
    },
    /// Uploads: how fast they are, what they need, and what they cost
    Upload(upload::Options),
    /// Functions as Lambda runs them
    Cold {
        /// A built function; one is called stock, and the others are measured beside it
        #[arg(long = "function", value_name = "NAME=PATH", default_values = FUNCTIONS)]
        functions: Vec<Binary>,
        /// Another built function, of which only the size is of interest
        #[arg(long = "size", value_name = "NAME=PATH")]
        sizes: Vec<Binary>,
        /// Cold starts of a function, without TLS to the table and with it
        #[arg(long, default_value_t = 15)]
        starts: usize,
        /// Invocations after each, without TLS
        #[arg(long, default_value_t = 500)]
        warm: u32,
        /// The same with TLS
        #[arg(long, default_value_t = 100)]
        warm_https: u32,
    },
}

const FUNCTIONS: [&str; 4] = [
    "stock=target/stock/release/stock",
    "account=target/release/account",
    "keys=target/release/keys",
    "usage=target/release/usage",
];

#[derive(Debug, Args)]
struct Size {
    /// Products in the catalogue
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// What determines the catalogue and the queries
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Engine { size, alone } => engine(size, alone),
        Command::Postgres { size, explain } => postgres(size, explain),
        Command::Http {
            size,
            binary,
            requests,
        } => over_http(size, binary, requests),
        Command::Upload(options) => upload::run(&options),
        Command::Cold {
            functions,
            sizes,
            starts,
            warm,
            warm_https,
        } => {
            let report = lambda::run(&lambda::Options {
                functions,
                sizes,
                starts,
                warm_http: warm,
                warm_https,
            })?;
            print!("{report}");
            Ok(())
        }
    }
}

fn engine(size: Size, alone: bool) -> Result<()> {
    let catalogue = Catalogue::new(size.seed, size.records);
    let (engine, built) = Engine::build(&catalogue)?;
    let mut table = Table::new(&["engine", ""]);
    table.row(["records".to_owned(), thousands(built.rows)]);
    table.row([
        "indexing, records/s".to_owned(),
        rate(built.rows, built.indexing),
    ]);
    table.row([
        "indexing, merging and packing, records/s".to_owned(),
        rate(built.rows, built.indexing + built.merging),
    ]);
    table.row(["size".to_owned(), megabytes(built.bytes)]);
    table.row(["read when opened".to_owned(), megabytes(built.tails)]);
    table.row(["segments".to_owned(), built.segments.to_string()]);
    table.row([
        "peak memory".to_owned(),
        megabytes(Memory::of(std::process::id()).peak),
    ]);
    let mut postgres = if alone { None } else { Postgres::start()? };
    if let Some(postgres) = &mut postgres {
        let load = postgres.load(&catalogue)?;
        table.row([
            "PostgreSQL: COPY and indexes, rows/s".to_owned(),
            rate(load.rows, load.copy + load.indexes),
        ]);
        let bytes = load.table_bytes + load.index_bytes;
        table.row(["PostgreSQL: size".to_owned(), megabytes(bytes)]);
    } else if !alone {
        println!("PostgreSQL is not installed, skipped");
    }
    let mut warm = Table::new(&[
        "warm, ms",
        "matches",
        "p50",
        "p99",
        "8 at once, 1/s",
        "PostgreSQL page p50",
        "page+count p50",
        "ratio",
    ]);
    let mut cold = Table::new(&[
        "cold, ms",
        "first",
        "longest",
        "GETs",
        "fetched",
        "next query",
    ]);
    for class in classes(&catalogue, 40)? {
        let ran = engine.run_class(&class, 5)?;
        let together = engine.together(&class, 8, 100)?;
        let mut cells = vec![
            class.name.to_owned(),
            thousands(mean(&ran.totals)),
            millis(ran.times.p50()),
            millis(ran.times.p99()),
            format!("{together:.0}"),
        ];
        if let Some(postgres) = &mut postgres {
            let other = postgres.run_class(&class, 3)?;
            cells.extend([
                millis(other.page.p50()),
                millis(other.both.p50()),
                ratio(other.both.p50(), ran.times.p50()),
            ]);
        } else {
            cells.extend(["-", "-", "-"].map(str::to_owned));
        }
        warm.row(cells);
        let colds = engine.cold(&class)?;
        let first: Durations = colds.iter().map(|cold| cold.took).collect();
        let next: Durations = colds.iter().map(|cold| cold.next).collect();
        let gets = colds.iter().map(|cold| cold.reads.requests).max();
        let bytes = colds.iter().map(|cold| cold.reads.bytes).max();
        cold.row([
            class.name.to_owned(),
            millis(first.p50()),
            millis(first.longest()),
            gets.unwrap_or_default().to_string(),
            megabytes(bytes.unwrap_or_default()),
            millis(next.p50()),
        ]);
    }
    let changes = engine.changes(&catalogue, 50)?;
    table.row([
        "one record taken in and found, p50 and p99, ms".to_owned(),
        format!("{} / {}", millis(changes.p50()), millis(changes.p99())),
    ]);
    let writes = writes::run(&Catalogue::new(size.seed, size.records.min(20_000)), 100)?;
    for (name, times) in [
        ("one record changed in the table", &writes.alone),
        ("then searched for by another process", &writes.searches),
        ("changed by 8 writers at once", &writes.together),
    ] {
        let cells = format!("{} / {}", millis(times.p50()), millis(times.p99()));
        table.row([format!("{name}, p50 and p99, ms"), cells]);
    }
    println!("{table}\n{warm}\n{cold}");
    Ok(())
}

fn postgres(size: Size, explain: bool) -> Result<()> {
    let catalogue = Catalogue::new(size.seed, size.records);
    let Some(mut postgres) = Postgres::start()? else {
        println!("PostgreSQL is not installed, skipped");
        return Ok(());
    };
    let load = postgres.load(&catalogue)?;
    let mut table = Table::new(&["PostgreSQL", ""]);
    table.row(["rows".to_owned(), thousands(load.rows)]);
    table.row(["COPY, rows/s".to_owned(), rate(load.rows, load.copy)]);
    table.row([
        "COPY and indexes, rows/s".to_owned(),
        rate(load.rows, load.copy + load.indexes),
    ]);
    table.row(["table".to_owned(), megabytes(load.table_bytes)]);
    table.row(["indexes".to_owned(), megabytes(load.index_bytes)]);

    let mut ran = Table::new(&[
        "class",
        "queries",
        "matches",
        "least",
        "most",
        "page p50",
        "page+count p50",
        "page+count p99",
    ]);
    for class in classes(&catalogue, 40)? {
        if explain {
            println!("{}", class.name);
            println!("{}", postgres.explain(&class.queries[0].page_sql)?);
            println!("{}", postgres.explain(&class.queries[0].count_sql)?);
        }
        let run = postgres.run_class(&class, 3)?;
        let extreme = |total: Option<&u64>| thousands(total.copied().unwrap_or(0));
        ran.row([
            class.name.to_owned(),
            run.totals.len().to_string(),
            thousands(mean(&run.totals)),
            extreme(run.totals.iter().min()),
            extreme(run.totals.iter().max()),
            millis(run.page.p50()),
            millis(run.both.p50()),
            millis(run.both.p99()),
        ]);
    }
    let upserts = postgres.upserts(&catalogue, 200)?;
    table.row(["1-row upsert p50, ms".to_owned(), millis(upserts.p50())]);
    table.row(["1-row upsert p99, ms".to_owned(), millis(upserts.p99())]);
    println!("{table}\n{ran}");
    Ok(())
}

fn over_http(size: Size, binary: PathBuf, requests: usize) -> Result<()> {
    let catalogue = Catalogue::new(size.seed, size.records);
    let options = Options {
        requests,
        ..Options::default()
    };
    let report = http::run(&binary, &catalogue, options)?;
    let upload = report.upload;
    let mut table = Table::new(&["over HTTP", ""]);
    let mut put = |name: &str, value: String| table.row([name.to_owned(), value]);
    put(
        "files",
        format!("{} of {}", upload.files, megabytes(upload.bytes)),
    );
    put("upload, rows/s", rate(upload.rows, upload.took));
    put("memory idle", megabytes(upload.before.resident));
    put("memory peak of the upload", megabytes(upload.after.peak));
    put("memory after the upload", megabytes(upload.after.resident));
    put(
        "memory after all searches",
        megabytes(report.searched.resident),
    );
    put("memory peak of everything", megabytes(report.searched.peak));
    put("disk", megabytes(upload.disk));
    put(
        "first search after the upload, ms",
        millis(report.first_search),
    );
    put("account p50, ms", millis(report.account.p50()));
    for (offset, durations) in &report.lists {
        put(
            &format!("records at {} p50, ms", thousands(*offset)),
            millis(durations.p50()),
        );
    }
    let change = &report.change;
    put("change a record p50, ms", millis(change.patch.p50()));
    put("search after a change p50, ms", millis(change.search.p50()));
    put("restart until it serves, ms", millis(report.restart.ready));
    put(
        "first search after a restart, ms",
        millis(report.restart.first),
    );
    put("second search, ms", millis(report.restart.second));
    put(
        "memory after both",
        megabytes(report.restart.memory.resident),
    );

    let clients = format!("{} clients p50", options.clients);
    let mut ran = Table::new(&[
        "class",
        "matches",
        "warm",
        "1 client p50",
        "p99",
        "requests/s",
        &clients,
        "p99",
        "requests/s",
    ]);
    for class in &report.classes {
        let mut cells = vec![
            class.name.to_owned(),
            thousands(mean(&class.totals)),
            class.warm.to_string(),
        ];
        cells.extend(columns(&class.alone));
        cells.extend(columns(&class.together));
        ran.row(cells);
    }
    println!("{table}\n{ran}");
    Ok(())
}

fn columns(closed: &Closed) -> [String; 3] {
    [
        millis(closed.requests.p50()),
        millis(closed.requests.p99()),
        rate(closed.requests.count() as u64, closed.took),
    ]
}
