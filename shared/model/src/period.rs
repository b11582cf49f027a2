//! The month that usage and analytics are counted in, and its days.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use serde::{Serialize, Serializer};

use crate::fault::Fault;
use crate::time::Moment;

/// A calendar month in UTC, shown as `2026-03`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    year: i32,
    month: u32,
}

impl Period {
    /// The month that `moment` lies in.
    #[must_use]
    pub fn of(moment: Moment) -> Self {
        Self {
            year: moment.year(),
            month: moment.month(),
        }
    }

    /// Its days, first to last, up to `today`: nothing is known of a day that has not begun.
    pub fn days_to(self, today: Day) -> impl Iterator<Item = Day> {
        let exists =
            move |day: &u32| NaiveDate::from_ymd_opt(self.year, self.month, *day).is_some();
        let days = (1..=31).filter(exists).map(move |number| Day {
            period: self,
            number,
        });
        days.take_while(move |day| *day <= today)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Period {
    type Err = Fault;

    /// Only the form in which it is shown.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let number = |digits: &str| {
            let all = digits.bytes().all(|byte| byte.is_ascii_digit());
            all.then(|| digits.parse::<u32>().ok()).flatten()
        };
        let read = || {
            let (year, month) = text.split_once('-')?;
            if (year.len(), month.len()) != (4, 2) {
                return None;
            }
            let (year, month) = (i32::try_from(number(year)?).ok()?, number(month)?);
            (1..=12).contains(&month).then_some(Self { year, month })
        };
        read().ok_or_else(|| {
            Fault::new(
                "string_pattern_mismatch",
                "String should match pattern '^[0-9]{4}-(0[1-9]|1[0-2])$'",
            )
        })
    }
}

/// A day in UTC, shown as `2026-03-08`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    period: Period,
    number: u32,
}

impl Day {
    /// The day that `moment` lies in.
    #[must_use]
    pub fn of(moment: Moment) -> Self {
        Self {
            period: Period::of(moment),
            number: moment.day(),
        }
    }

    /// The month that it belongs to.
    #[must_use]
    pub fn period(self) -> Period {
        self.period
    }

    /// Its number within the month, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}-{:02}", self.period, self.number)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_with_its_last_instant_in_utc() {
        let of = |text: &str| Period::of(text.parse().unwrap()).to_string();
        assert_eq!(of("2026-03-31T23:59:59.999Z"), "2026-03");
        assert_eq!(of("2026-04-01T00:00:00Z"), "2026-04");
        assert_eq!(of("2026-04-01T01:00:00+02:00"), "2026-03");
        assert_eq!(of("2028-02-29T23:59:59Z"), "2028-02");
    }

    #[test]
    fn a_day_ends_with_its_last_instant_in_utc() {
        let of = |text: &str| Day::of(text.parse().unwrap()).to_string();
        assert_eq!(of("2026-03-08T23:59:59.999Z"), "2026-03-08");
        assert_eq!(of("2026-03-09T00:00:00Z"), "2026-03-09");
        assert_eq!(of("2026-03-09T01:00:00+02:00"), "2026-03-08");
    }

    #[test]
    fn a_month_is_read_as_it_is_shown_and_in_no_other_form() {
        for good in ["2026-03", "2025-12", "1999-01"] {
            assert_eq!(good.parse::<Period>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "2026",
            "2026-3",
            "2026-00",
            "2026-13",
            "26-03",
            "2026-03-08",
            "2026/03",
            "202603",
            " 2026-03",
            "2026-03 ",
            "+026-03",
            "-026-03",
            "2026-+3",
            "\u{ff12}026-03",
            "2026-\u{663}",
        ] {
            let fault = bad.parse::<Period>().unwrap_err();
            assert_eq!(fault.kind, "string_pattern_mismatch", "{bad:?}");
        }
    }

    #[test]
    fn a_past_month_has_all_of_its_days_in_order() {
        let today = Day::of("2126-03-08T12:00:00Z".parse().unwrap());
        for (month, days) in [
            ("2026-01", 31),
            ("2026-02", 28),
            ("2028-02", 29),
            ("2100-02", 28),
            ("2026-04", 30),
        ] {
            let period: Period = month.parse().unwrap();
            let all: Vec<Day> = period.days_to(today).collect();
            assert_eq!(all.len(), days, "{month}");
            assert!(all.is_sorted());
            assert!(all.iter().all(|day| day.period() == period));
            assert_eq!(all[0].to_string(), format!("{month}-01"));
            assert_eq!(all[days - 1].to_string(), format!("{month}-{days}"));
        }
    }

    #[test]
    fn a_month_has_no_day_after_today() {
        let today = Day::of("2026-03-08T00:00:00Z".parse().unwrap());
        let days = |month: &str| month.parse::<Period>().unwrap().days_to(today).count();
        assert_eq!(days("2026-03"), 8);
        assert_eq!(days("2026-02"), 28);
        assert_eq!(days("2026-04"), 0);
        assert_eq!(days("2027-01"), 0);
    }
}
