//! What is printed: a table an endpoint, whether the functions are as fast and as small as they are
//! to be, and on what machine.

use std::fmt;
use std::fs;
use std::num::NonZero;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Binary, Endpoint, Options, STOCK, Series, Start};
use crate::stats::{median, thousands, verdict};
use crate::table::Table;

/// The largest binary.
const LARGEST: u64 = 10_000_000;

/// The same for those with the search engine in them.
const LARGEST_WITH_SEARCH: u64 = 16_000_000;
const WITH_SEARCH: [&str; 3] = ["indexer", "records", "upload"];

/// What came out.
pub struct Report {
    names: Vec<String>,
    /// Which of them is stock.
    stock: usize,
    rounds: usize,
    series: Vec<Series>,
    sizes: Vec<(String, u64)>,
}

/// A figure of a start, in the unit that its name says.
#[derive(Clone, Copy)]
struct Figure {
    name: &'static str,
    decimals: usize,
    of: fn(&Start) -> f64,
    /// The most that it may be, as a multiple of stock's, without TLS and with it.
    most: Option<(f64, f64)>,
}

const FIGURES: [Figure; 9] = [
    figure("init, ms", 2, |start| millis(start.init)),
    figure("first invocation, ms", 2, |start| millis(start.first)),
    figure("both, ms", 2, |start| millis(start.init + start.first)).at_most(0.6, 0.25),
    figure("CPU of both, ms", 2, |start| millis(start.cpu)),
    figure("warm p50, ms", 2, |start| millis(start.p50)).at_most(1.15, 1.15),
    figure("warm p99, ms", 2, |start| millis(start.p99)),
    figure("warm CPU, ms", 2, |start| millis(start.warm_cpu)),
    figure("memory, MB", 1, |start| megabytes(start.memory)).at_most(1.2, 1.2),
    figure("threads", 0, |start| start.threads.into()),
];

const fn figure(name: &'static str, decimals: usize, of: fn(&Start) -> f64) -> Figure {
    Figure {
        name,
        decimals,
        of,
        most: None,
    }
}

impl Figure {
    const fn at_most(self, http: f64, https: f64) -> Self {
        Self {
            most: Some((http, https)),
            ..self
        }
    }

    fn median(self, starts: &[Start]) -> f64 {
        median(starts.iter().map(self.of))
    }

    /// The median of what the rounds have each for a ratio: what the machine did meanwhile, it did
    /// to both.
    fn ratio(self, starts: &[Start], stock: &[Start]) -> f64 {
        let rounds = starts.iter().zip(stock);
        median(rounds.map(|(start, stock)| (self.of)(start) / (self.of)(stock)))
    }
}

impl Report {
    pub(super) fn new(options: &Options, stock: usize, series: Vec<Series>) -> Result<Self> {
        let functions = options.functions.iter();
        let sizes = functions.clone().chain(&options.sizes).map(size);
        Ok(Self {
            names: functions.map(|function| function.name.clone()).collect(),
            stock,
            rounds: options.starts,
            sizes: sizes.collect::<Result<_>>()?,
            series,
        })
    }

    fn starts(&self, series: &Series) -> Table {
        let mut columns = vec![series.endpoint.name()];
        columns.extend(FIGURES.map(|figure| figure.name));
        let mut table = Table::new(&columns);
        let stock = &series.starts[self.stock];
        for (at, starts) in series.starts.iter().enumerate() {
            let cell = |figure: Figure| {
                let (median, decimals) = (figure.median(starts), figure.decimals);
                if at == self.stock {
                    return format!("{median:.decimals$}");
                }
                let ratio = figure.ratio(starts, stock);
                format!("{median:.decimals$} ({ratio:.2})")
            };
            let mut cells = vec![self.names[at].clone()];
            cells.extend(FIGURES.map(cell));
            table.row(cells);
        }
        table
    }

    fn sizes(&self) -> Table {
        let mut table = Table::new(&["binary", "bytes", "at most", ""]);
        for (name, bytes) in &self.sizes {
            let mut cells = vec![name.clone(), thousands(*bytes)];
            if name != STOCK {
                let most = if WITH_SEARCH.contains(&name.as_str()) {
                    LARGEST_WITH_SEARCH
                } else {
                    LARGEST
                };
                cells.extend([thousands(most), verdict(*bytes <= most).to_owned()]);
            }
            table.row(cells);
        }
        table
    }

    /// What the functions' figures are to be.
    fn goals(&self) -> Table {
        let mut table = Table::new(&["of stock", "", "is", "at most", ""]);
        for series in &self.series {
            let stock = &series.starts[self.stock];
            for figure in FIGURES {
                let Some((http, https)) = figure.most else {
                    continue;
                };
                let most = match series.endpoint {
                    Endpoint::Http => http,
                    Endpoint::Https => https,
                };
                for (at, starts) in series.starts.iter().enumerate() {
                    if at == self.stock {
                        continue;
                    }
                    let ratio = figure.ratio(starts, stock);
                    table.row([
                        format!("{}: {}", series.endpoint.name(), figure.name),
                        self.names[at].clone(),
                        format!("{ratio:.2}"),
                        format!("{most:.2}"),
                        verdict(ratio <= most).to_owned(),
                    ]);
                }
            }
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let command: Vec<String> = std::env::args().collect();
        writeln!(f, "{}, {}", super::now().date_naive(), machine())?;
        writeln!(f, "\n    {}", command.join(" "))?;
        let rounds = self.rounds;
        for series in &self.series {
            let (name, warm) = (series.endpoint.name(), series.warm);
            writeln!(
                f,
                "\n{name}: {rounds} cold starts of each function, {warm} invocations after each; \
                 medians, and in parentheses how many times stock's they are\n"
            )?;
            write!(f, "{}", self.starts(series))?;
        }
        write!(f, "\n{}\n{}", self.goals(), self.sizes())
    }
}

impl Endpoint {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

fn size(binary: &Binary) -> Result<(String, u64)> {
    let file = fs::metadata(&binary.path);
    let file = file.with_context(|| format!("there is no {}", binary.path.display()))?;
    Ok((binary.name.clone(), file.len()))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The processor and how many of its cores there are.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("an unknown kind", |rest| {
        rest.trim_start_matches([' ', '\t', ':'])
    });
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    format!("{cores} cores of {model}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(milliseconds: u64) -> Start {
        let time = Duration::from_millis(milliseconds);
        Start {
            init: time,
            first: time,
            cpu: time,
            p50: time,
            p99: time,
            warm_cpu: time,
            memory: milliseconds * 1_000_000,
            threads: 1,
        }
    }

    fn series(endpoint: Endpoint) -> Series {
        let starts = |all: [u64; 3]| all.map(start).to_vec();
        Series {
            endpoint,
            warm: 5,
            starts: vec![starts([10, 20, 100]), starts([5, 6, 90])],
        }
    }

    #[test]
    fn ratios_are_those_of_the_rounds() {
        let series = series(Endpoint::Http);
        let init = FIGURES[0];
        assert!((init.median(&series.starts[0]) - 20.0).abs() < 1e-9);
        assert!((init.ratio(&series.starts[1], &series.starts[0]) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn what_is_missed_is_said() {
        let report = Report {
            names: vec![STOCK.to_owned(), "keys".to_owned()],
            stock: 0,
            rounds: 3,
            series: vec![series(Endpoint::Http), series(Endpoint::Https)],
            sizes: vec![
                ("keys".to_owned(), 10_000_000),
                ("upload".to_owned(), 16_000_001),
            ],
        };
        let text = report.to_string();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start));
        let ends = |start: &str, end: &str| line(start).is_some_and(|line| line.ends_with(end));
        assert!(
            ends("| http: both, ms", "| 0.50 |    0.60 |  holds |"),
            "{text}"
        );
        assert!(
            ends("| https: both, ms", "| 0.50 |    0.25 | MISSED |"),
            "{text}"
        );
        assert!(
            ends("| upload ", "| 16,000,001 | 16,000,000 | MISSED |"),
            "{text}"
        );
        assert!(
            text.contains("| 10,000,000 | 10,000,000 |  holds |"),
            "{text}"
        );
    }
}
