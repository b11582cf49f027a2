//! What an upload writes in DynamoDB's units, as the engine counts them in `ConsumedCapacity`.

use anyhow::{Result, bail, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use model::plan::Plan;
use testkit::{Call, Client, TestApp};
use tokio::runtime::Runtime;

use super::bare::{self, Item};
use super::files::{Files, Format, Most};
use crate::stats::verdict;
use crate::table::Table;

/// Rows of the file.
const ROWS: u64 = 10_000;

/// A write unit is for so many bytes.
const UNIT: usize = 1_024;

/// How much of the records' own units may come on top, in percent.
const MOST: f64 = 2.0;

/// Units of writes.
struct Units {
    all: f64,
    /// Those of calls that touch records.
    of_records: f64,
}

pub(crate) fn run(files: &Files) -> Result<Table> {
    Runtime::new()?.block_on(async {
        let most = Most {
            rows: ROWS,
            bytes: u64::MAX,
        };
        let (csv, _) = files.text(Format::Csv, most)?;
        let app = TestApp::new(::upload::router()).await;
        let client = app.tenant(Plan::Enterprise).await;
        // The first call of a tenant makes what later ones find.
        upload(&client, "others", "name\nFirst\n", "accepted", 1).await?;
        let before: usize = own_units(&bare::records(&app.endpoint).await?)?;

        app.calls.record();
        upload(&client, "parts", &csv, "accepted", ROWS).await?;
        let first = units(&app.calls.take());
        let records = bare::records(&app.endpoint).await?;
        let own = own_units(&records)? - before;
        upload(&client, "parts", &csv, "dedup_skipped", ROWS).await?;
        let again = units(&app.calls.take());

        #[expect(clippy::cast_precision_loss, reason = "units are few")]
        let own = own as f64;
        ensure!(first.of_records >= own, "the engine counts no units");
        let over = 100.0 * (first.all - own) / own;
        let mut table = Table::new(&["write units", "new records", "the same file again"]);
        let mut put = |name: &str, first: String, again: String| {
            table.row([name.to_owned(), first, again]);
        };
        let figure = |number: f64| format!("{number:.0}");
        put("the records' own", figure(own), figure(0.0));
        put(
            "calls that touch records",
            figure(first.of_records),
            figure(again.of_records),
        );
        put("all calls", figure(first.all), figure(again.all));
        let goal = format!("{over:.2}% over the own");
        put("is", goal, figure(again.of_records));
        let goal = format!("{MOST:.2}% over the own");
        put("at most", goal, figure(0.0));
        let holds = again.of_records.abs() < f64::EPSILON;
        put(
            "",
            verdict(over <= MOST).to_owned(),
            verdict(holds).to_owned(),
        );
        Ok(table)
    })
}

/// Uploads a CSV, all rows of which are to be counted there.
async fn upload(client: &Client<'_>, to: &str, csv: &str, outcome: &str, rows: u64) -> Result<()> {
    let answer = client.upload_csv(to, csv).await;
    ensure!(answer.status.as_u16() == 201, "{}", answer.text);
    let summary = &answer.json()["summary"];
    ensure!(summary[outcome] == rows, "{summary}");
    Ok(())
}

fn units(calls: &[Call]) -> Units {
    let mut units = Units {
        all: 0.0,
        of_records: 0.0,
    };
    for call in calls.iter().filter(|call| !call.is_read()) {
        // What failed has no answer that says it.
        let used = call.units.unwrap_or_default();
        units.all += used;
        let mut keys = call.accesses.iter().map(|access| &access.key);
        if keys.any(|key| key.contains("#RECORDS#")) {
            units.of_records += used;
        }
    }
    units
}

/// The units that it takes to write each item alone.
fn own_units(items: &[Item]) -> Result<usize> {
    let units = |item| size(item).map(|bytes| bytes.div_ceil(UNIT));
    items.iter().map(units).sum()
}

/// The bytes of an item, as DynamoDB counts them.
fn size(item: &Item) -> Result<usize> {
    item.iter()
        .map(|(name, value)| {
            let bytes = match value {
                AttributeValue::S(text) => text.len(),
                // Two digits a byte, and one for the rest.
                AttributeValue::N(number) => {
                    number
                        .bytes()
                        .filter(u8::is_ascii_digit)
                        .count()
                        .div_ceil(2)
                        + 1
                }
                AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
                other => bail!("how many bytes has {other:?}?"),
            };
            Ok(name.len() + bytes)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_as_large_as_its_names_and_values() {
        let text = |length| AttributeValue::S("x".repeat(length));
        let item = |length| {
            Item::from([
                ("pk".to_owned(), text(10)),
                ("n".to_owned(), AttributeValue::N("123".to_owned())),
                ("text".to_owned(), text(length)),
            ])
        };
        assert_eq!(size(&item(1)).unwrap(), 12 + 4 + 5);
        assert_eq!(own_units(&[item(1), item(1_004), item(1_005)]).unwrap(), 4);
    }
}
