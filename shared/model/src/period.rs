//! The month that usage and analytics are counted in.

use std::fmt;

use chrono::Datelike;

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
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{:04}-{:02}", self.year, self.month)
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
}
