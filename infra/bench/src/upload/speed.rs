//! Rows a second: a file through the service over HTTP, once and again; its items written bare; and
//! PostgreSQL, which copies the same rows.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use ureq::http::StatusCode;

use super::Options;
use super::bare::{self, Item};
use super::files::{Files, Format, Most, Written};
use crate::portal::{COLLECTION, Client, Portal};
use crate::postgres::Postgres;
use crate::stats::{Durations, median, megabytes, rate, thousands, verdict};
use crate::table::Table;

/// Rows a second that it is to be at least.
const AT_LEAST: f64 = 5_000.0;

/// What came out.
pub(crate) struct Report {
    written: Written,
    rounds: Vec<Round>,
}

/// What each took in one round.
struct Round {
    first: Duration,
    again: Duration,
    bare: Duration,
    copy: Option<Duration>,
}

/// A file, what is to be found when it is uploaded, and what becomes of it.
struct Subject<'a> {
    options: &'a Options,
    csv: String,
    written: Written,
    /// The last row's number, which nothing else has.
    sku: String,
    for_postgres: Vec<u8>,
    postgres: Option<Postgres>,
    /// The items that the service made of the rows, once it has.
    items: Vec<Item>,
}

pub(crate) fn run(options: &Options, files: &Files) -> Result<Report> {
    ensure!(options.rows > 0, "there are no rows");
    let most = Most {
        rows: options.rows,
        bytes: u64::MAX,
    };
    let (csv, written) = files.text(Format::Csv, most)?;
    let sku = files.row(options.rows - 1)["sku"]
        .as_str()
        .map(str::to_owned);
    let mut subject = Subject {
        options,
        csv,
        written,
        sku: sku.context("a row has no SKU")?,
        for_postgres: files.for_postgres(options.rows)?,
        postgres: Postgres::start()?,
        items: Vec::new(),
    };
    let mut rounds = Vec::new();
    for number in 0..options.rounds {
        rounds.push(subject.round(number % 2 == 1)?);
    }
    Ok(Report { written, rounds })
}

impl Subject<'_> {
    /// Measures all, every other time the other way round.
    fn round(&mut self, backwards: bool) -> Result<Round> {
        let (first, again, bare, copy);
        if backwards {
            copy = self.copy()?;
            bare = self.bare()?;
            (first, again) = self.service()?;
        } else {
            (first, again) = self.service()?;
            bare = self.bare()?;
            copy = self.copy()?;
        }
        Ok(Round {
            first,
            again,
            bare,
            copy,
        })
    }

    /// Uploads the file to a new service, and then once more.
    fn service(&mut self) -> Result<(Duration, Duration)> {
        let portal = Portal::start(&self.options.binary)?;
        let client = portal.client();
        // The first answer needs what later ones have.
        client.get("/portal/account")?.expect(StatusCode::OK)?;
        let first = self.upload(&client, "accepted")?;
        self.find_last(&client)?;
        let again = self.upload(&client, "dedup_skipped")?;
        if self.items.is_empty() {
            self.items = Runtime::new()?.block_on(bare::records(portal.database()))?;
            let (made, rows) = (self.items.len() as u64, self.written.rows);
            ensure!(made == rows, "{made} items were made of {rows} rows");
        }
        Ok((first, again))
    }

    /// Uploads the file, each row of which is to be counted there.
    fn upload(&self, client: &Client, outcome: &str) -> Result<Duration> {
        let path = format!("/portal/upload/{COLLECTION}/product/upload");
        let (name, kind) = (Format::Csv.file_name(), Format::Csv.kind());
        let answer = client.upload(&path, name, kind, &self.csv)?;
        let summary = &answer.expect(StatusCode::CREATED)?["summary"];
        ensure!(summary[outcome] == self.written.rows, "{summary}");
        Ok(answer.took)
    }

    fn find_last(&self, client: &Client) -> Result<()> {
        let body = json!({"query": self.sku, "limit": 1}).to_string();
        let answer = client.post(&format!("/portal/search/{COLLECTION}"), &body)?;
        let found: Value = answer.expect(StatusCode::OK)?;
        let sku = &found["results"][0]["collection_data"]["sku"];
        ensure!(*sku == self.sku, "the last row is not found: {found}");
        Ok(())
    }

    fn bare(&self) -> Result<Duration> {
        Runtime::new()?.block_on(bare::write(&self.items))
    }

    fn copy(&mut self) -> Result<Option<Duration>> {
        let postgres = self.postgres.as_mut();
        postgres.map(|it| it.copy(&self.for_postgres)).transpose()
    }
}

impl Report {
    fn times(&self, of: impl Fn(&Round) -> Option<Duration>) -> Durations {
        self.rounds.iter().filter_map(of).collect()
    }

    /// How many times as fast one is as another, in the middle of the rounds.
    fn ratio(&self, of: fn(&Round) -> Option<Duration>) -> Option<f64> {
        let pairs = self.rounds.iter().filter_map(|round| {
            let other = of(round)?;
            Some(other.as_secs_f64() / round.first.as_secs_f64())
        });
        let ratios: Vec<f64> = pairs.collect();
        (!ratios.is_empty()).then(|| median(ratios.into_iter()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Written { rows, bytes } = self.written;
        let title = format!("{} rows, {}", thousands(rows), megabytes(bytes));
        let mut table = Table::new(&[title.as_str(), "rows/s", "least", "most"]);
        let all: [(&str, Durations); 4] = [
            ("through HTTP", self.times(|round| Some(round.first))),
            ("the same file again", self.times(|round| Some(round.again))),
            ("the same items, bare", self.times(|round| Some(round.bare))),
            ("PostgreSQL, COPY", self.times(|round| round.copy)),
        ];
        for (name, times) in &all {
            let cells = [times.p50(), times.longest(), times.percentile(0)];
            let cells = cells.map(|time| rate(rows, time));
            let mut row = vec![(*name).to_owned()];
            row.extend(cells);
            table.row(row);
        }
        writeln!(f, "{table}")?;

        let mut goals = Table::new(&["through HTTP", "is", "at least", ""]);
        let seconds = all[0].1.p50().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let speed = rows as f64 / seconds;
        goals.row([
            "rows/s".to_owned(),
            rate(rows, all[0].1.p50()),
            format!("{AT_LEAST:.0}"),
            verdict(speed >= AT_LEAST).to_owned(),
        ]);
        let mut goal = |name: &str, is: Option<f64>, least: f64| {
            let (is, met) = match is {
                Some(is) => (format!("{is:.2}"), verdict(is >= least)),
                None => ("-".to_owned(), ""),
            };
            goals.row([name.to_owned(), is, format!("{least:.2}"), met.to_owned()]);
        };
        goal(
            "of the same items, bare",
            self.ratio(|round| Some(round.bare)),
            0.6,
        );
        goal("of PostgreSQL", self.ratio(|round| round.copy), 0.5);
        // Here the other one is to be the faster.
        let again = self.ratio(|round| Some(round.again)).map(f64::recip);
        goal("the same file again, of the first time", again, 1.0);
        write!(f, "{goals}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_say_how_much_of_another_it_is() {
        let ms = Duration::from_millis;
        let round = |copy| Round {
            first: ms(1_000),
            again: ms(500),
            bare: ms(700),
            copy,
        };
        let written = Written {
            rows: 6_000,
            bytes: 3_600_000,
        };
        let with = Report {
            written,
            rounds: vec![round(Some(ms(400))), round(Some(ms(400)))],
        };
        let text = with.to_string();
        for line in [
            "| 6,000 rows, 3.60 MB | ",
            "| through HTTP         | ",
            "rows/s                                 | 6,000 |     5000 |  holds |",
            "of the same items, bare                |  0.70 |     0.60 |  holds |",
            "of PostgreSQL                          |  0.40 |     0.50 | MISSED |",
            "the same file again, of the first time |  2.00 |     1.00 |  holds |",
        ] {
            let (line, all) = (line.replace(' ', ""), text.replace(' ', ""));
            assert!(all.contains(&line), "{line} is not in\n{text}");
        }
        let without = Report {
            written,
            rounds: vec![round(None)],
        };
        assert!(without.ratio(|round| round.copy).is_none());
        assert!(!without.to_string().contains("MISSED"));
    }
}
