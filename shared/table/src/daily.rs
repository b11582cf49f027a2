//! Counters of a month that tell its days apart: `n` is the month, `d01` to `d31` beside it are its
//! days, so that a count is one write.

use aws_sdk_dynamodb::types::AttributeValue;
use model::id::SHARDS;
use model::period::Day;

use crate::item::{self, Item, Key};
use crate::retry::{Change, random};
use crate::{Error, Result};

/// The most days that a month has.
const DAYS: usize = 31;

/// What was counted in a month, and of it on each day. Items that are older than the counters of
/// days have a month alone, so the days may come to less than the month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Daily {
    /// The month.
    pub total: u64,
    days: [u64; DAYS],
}

impl Daily {
    /// What was counted on that day of the month.
    #[must_use]
    pub fn on(&self, day: Day) -> u64 {
        let place = day.number() as usize - 1;
        self.days.get(place).copied().unwrap_or_default()
    }

    /// Adds what an item counts.
    pub(crate) fn add(&mut self, item: &Item) -> Result<()> {
        self.total += month(item)?;
        for (day, number) in self.days.iter_mut().zip(1..) {
            if let Some(value) = item.get(&attribute(number)) {
                *day += number_of(item, value)?;
            }
        }
        Ok(())
    }
}

fn attribute(day: u32) -> String {
    format!("d{day:02}")
}

/// The counter that a call adds to, of those that count the same: at random.
pub(crate) fn shard() -> u8 {
    u8::try_from(random() % u64::from(SHARDS)).unwrap_or(0)
}

/// Adds to a counter, in its month and in its day.
pub(crate) fn count(day: Day, amount: impl ToString) -> Change {
    let day = attribute(day.number());
    Change::update(format!("ADD n :amount, {day} :amount")).value(":amount", item::number(amount))
}

/// The condition that a counter has counted something on that day.
pub(crate) fn counted_on(day: Day) -> String {
    format!("attribute_exists({})", attribute(day.number()))
}

/// What an item counts in its month. One that is no number is a fault of the table and not a zero,
/// which would be a free ride.
pub(crate) fn month(item: &Item) -> Result<u64> {
    match item.get("n") {
        Some(value) => number_of(item, value),
        None => Err(corrupt(item, "it counts nothing")),
    }
}

fn number_of(item: &Item, value: &AttributeValue) -> Result<u64> {
    let number = value.as_n().ok().and_then(|number| number.parse().ok());
    number.ok_or_else(|| corrupt(item, "a counter that is no number"))
}

fn corrupt(item: &Item, reason: &str) -> Error {
    let Key { pk, sk } = Key::of(item);
    Error::Corrupt {
        pk,
        sk,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::of(format!("{text}T12:00:00Z").parse().unwrap())
    }

    fn item(counts: &[(&str, &str)]) -> Item {
        let number = |number: &str| AttributeValue::N(number.to_owned());
        let counts = counts.iter();
        counts
            .map(|(name, count)| ((*name).to_owned(), number(count)))
            .collect()
    }

    #[test]
    fn the_shards_of_a_month_are_summed_day_by_day() {
        let mut daily = Daily::default();
        daily.add(&item(&[("n", "3"), ("d01", "3")])).unwrap();
        let other = item(&[("n", "10"), ("d01", "4"), ("d31", "6")]);
        daily.add(&other).unwrap();

        assert_eq!(daily.total, 13);
        assert_eq!(daily.on(day("2026-03-01")), 7);
        assert_eq!(daily.on(day("2026-03-02")), 0);
        assert_eq!(daily.on(day("2026-03-31")), 6);
    }

    #[test]
    fn an_item_that_is_older_than_days_counts_in_its_month() {
        let mut daily = Daily::default();
        daily.add(&item(&[("n", "5")])).unwrap();
        assert_eq!(daily.total, 5);
        assert_eq!(daily.on(day("2026-03-01")), 0);
    }

    #[test]
    fn a_counter_that_is_no_number_is_a_fault() {
        for faulty in [
            item(&[]),
            item(&[("n", "many")]),
            item(&[("n", "-1")]),
            item(&[("n", "1"), ("d07", "many")]),
        ] {
            assert!(Daily::default().add(&faulty).is_err(), "{faulty:?}");
        }
    }
}
