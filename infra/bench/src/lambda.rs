//! Functions as Lambda runs them, one sandbox at a time: what a cold start takes, and an invocation
//! after it, beside a function that has the defaults of everything.

mod engine;
mod process;
mod report;
mod request;
mod sandbox;
mod tls;

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use chrono::Utc;
use model::time::Moment;
use serde_json::Value;

use self::engine::Engine;
use self::process::Variable;
pub use self::report::Report;
use self::sandbox::Sandbox;
use crate::stats::Durations;

/// The function that the others are measured beside.
const STOCK: &str = "stock";

/// The table's name.
const TABLE: &str = "portal";

/// What each function is asked.
const EVENTS: [(&str, &str); 4] = [
    (
        STOCK,
        include_str!("../../../events/account/get_account.json"),
    ),
    (
        "account",
        include_str!("../../../events/account/get_account.json"),
    ),
    ("keys", include_str!("../../../events/keys/list_keys.json")),
    (
        "usage",
        include_str!("../../../events/usage/get_usage.json"),
    ),
];

/// Invocations of the start that does not count.
const UNMEASURED: u32 = 5;

/// A binary and what it is called.
#[derive(Debug, Clone)]
pub struct Binary {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl FromStr for Binary {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, path) = text.split_once('=').context("not NAME=PATH")?;
        Ok(Self {
            name: name.to_owned(),
            path: path.into(),
        })
    }
}

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// The functions; one is called `stock`.
    pub functions: Vec<Binary>,
    /// Binaries of which only the size is of interest.
    pub sizes: Vec<Binary>,
    /// Cold starts of each function at each endpoint.
    pub starts: usize,
    /// Invocations after each start, where the table is reached without TLS.
    pub warm_http: u32,
    /// The same where it is reached with TLS.
    pub warm_https: u32,
}

/// How the table is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Http,
    Https,
}

/// One cold start and the invocations after it.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// From the start of the process until it asked for an event.
    init: Duration,
    /// From the first event until its whole answer.
    first: Duration,
    /// What both cost on processors.
    cpu: Duration,
    /// The other invocations.
    p50: Duration,
    p99: Duration,
    /// What one of them cost on processors.
    warm_cpu: Duration,
    /// The most memory, in bytes.
    memory: u64,
    threads: u32,
}

/// The starts of all functions at an endpoint, in the order of the functions.
struct Series {
    endpoint: Endpoint,
    warm: u32,
    starts: Vec<Vec<Start>>,
}

struct Function {
    name: String,
    path: PathBuf,
    event: Vec<u8>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured takes real time"
)]
fn now() -> Moment {
    Utc::now()
}

/// Measures the functions at both endpoints.
pub fn run(options: &Options) -> Result<Report> {
    let counts = [options.warm_http, options.warm_https];
    ensure!(
        options.starts > 0 && !counts.contains(&0),
        "nothing is to be measured"
    );
    let functions = options.functions.iter().map(Function::of);
    let functions: Vec<Function> = functions.collect::<Result<_>>()?;
    let stock = functions.iter().position(|other| other.name == STOCK);
    let stock = stock.with_context(|| format!("no function is called {STOCK}"))?;
    let engine = Engine::start()?;
    let mut series = Vec::new();
    for (endpoint, warm) in [
        (Endpoint::Http, options.warm_http),
        (Endpoint::Https, options.warm_https),
    ] {
        let variables = engine.variables(endpoint);
        series.push(Series {
            endpoint,
            warm,
            starts: rounds(&functions, &variables, options.starts, warm)?,
        });
    }
    Report::new(options, stock, series)
}

/// Starts the functions in turn. Every other round goes the other way, so that none is always
/// measured after the same.
fn rounds(
    functions: &[Function],
    variables: &[Variable],
    rounds: usize,
    warm: u32,
) -> Result<Vec<Vec<Start>>> {
    for function in functions {
        // Fetches the binary from the disk, and makes what a user's first call makes.
        function.start(variables, UNMEASURED)?;
    }
    let mut all = vec![Vec::new(); functions.len()];
    for round in 0..rounds {
        let mut turn: Vec<_> = functions.iter().zip(&mut all).collect();
        if round % 2 == 1 {
            turn.reverse();
        }
        for (function, starts) in turn {
            starts.push(function.start(variables, warm)?);
        }
    }
    Ok(all)
}

impl Function {
    fn of(binary: &Binary) -> Result<Self> {
        let Binary { name, path } = binary;
        let event = EVENTS.iter().find(|(known, _)| known == name);
        let (_, event) = event.with_context(|| format!("there is no event for {name}"))?;
        // API Gateway sends it without spaces.
        let event: Value = serde_json::from_str(event)?;
        Ok(Self {
            name: name.clone(),
            path: fs::canonicalize(path)
                .with_context(|| format!("there is no {}", path.display()))?,
            event: event.to_string().into_bytes(),
        })
    }

    /// A cold start and so many invocations after the first.
    fn start(&self, variables: &[Variable], warm: u32) -> Result<Start> {
        let mut sandbox = Sandbox::start(&self.path, variables)?;
        self.measure(&mut sandbox, warm).map_err(|error| {
            let said = sandbox.process.said().unwrap_or_default();
            error.context(format!("{} failed; it said last:\n{said}\n", self.name))
        })
    }

    fn measure(&self, sandbox: &mut Sandbox, warm: u32) -> Result<Start> {
        let init = sandbox.ready()?;
        let first = self.invoke(sandbox)?;
        let cpu = sandbox.process.cpu()?;
        let times = (0..warm).map(|_| self.invoke(sandbox));
        let times: Durations = times.collect::<Result<_>>()?;
        let warm_cpu = sandbox.process.cpu()?.saturating_sub(cpu) / warm;
        Ok(Start {
            init,
            first,
            cpu,
            p50: times.p50(),
            p99: times.p99(),
            warm_cpu,
            memory: sandbox.process.peak(),
            threads: sandbox.process.threads()?,
        })
    }

    /// One invocation, and the wait until the function is ready for the next.
    fn invoke(&self, sandbox: &mut Sandbox) -> Result<Duration> {
        let (took, answer) = sandbox.invoke(&self.event)?;
        let read: Value = serde_json::from_slice(&answer).unwrap_or_default();
        ensure!(
            read["statusCode"] == 200,
            "the answer is not a 200: {}",
            String::from_utf8_lossy(&answer)
        );
        sandbox.ready()?;
        Ok(took)
    }
}
