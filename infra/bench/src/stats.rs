//! Percentiles of durations, and how numbers are written.

use std::time::Duration;

/// Durations of one kind of thing, in order of size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations(Vec<Duration>);

impl FromIterator<Duration> for Durations {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut sorted: Vec<Duration> = durations.into_iter().collect();
        sorted.sort_unstable();
        Self(sorted)
    }
}

impl Durations {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The least duration that so many percent of all do not exceed; zero if there is none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        let found = self.0.get(rank.saturating_sub(1));
        found.copied().unwrap_or_default()
    }

    /// The one in the middle.
    #[must_use]
    pub fn p50(&self) -> Duration {
        self.percentile(50)
    }

    /// What 99 of 100 do not exceed.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.percentile(99)
    }

    /// The longest.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.percentile(100)
    }
}

/// A duration in milliseconds, to about three digits.
#[must_use]
pub fn millis(duration: Duration) -> String {
    digits(duration.as_secs_f64() * 1_000.0)
}

/// How many times one duration is another.
#[must_use]
pub fn ratio(long: Duration, short: Duration) -> String {
    if short.is_zero() {
        return "-".to_owned();
    }
    let times = long.as_secs_f64() / short.as_secs_f64();
    if times < 10.0 {
        format!("{times:.1}x")
    } else {
        format!("{times:.0}x")
    }
}

/// How many a second, in whole numbers.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub fn rate(count: u64, time: Duration) -> String {
    if time.is_zero() {
        return "-".to_owned();
    }
    let rate = count as f64 / time.as_secs_f64();
    match format!("{rate:.0}").parse() {
        Ok(whole) if rate >= 100.0 => thousands(whole),
        _ => digits(rate),
    }
}

/// A size in MB of a million bytes.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
pub fn megabytes(bytes: u64) -> String {
    format!("{} MB", digits(bytes as f64 / 1e6))
}

/// A whole number with commas.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The mean of whole numbers, rounded down; 0 if there is none.
#[must_use]
pub fn mean(numbers: &[u64]) -> u64 {
    numbers
        .iter()
        .sum::<u64>()
        .checked_div(numbers.len() as u64)
        .unwrap_or(0)
}

/// The one in the middle; of an even number, the larger of the two.
#[must_use]
pub fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Whether a goal is met, as a word of a table.
#[must_use]
pub fn verdict(good: bool) -> &'static str {
    if good { "holds" } else { "MISSED" }
}

fn digits(number: f64) -> String {
    match number {
        n if n < 10.0 => format!("{n:.2}"),
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_durations_themselves() {
        let ms = Duration::from_millis;
        let durations: Durations = (1..=200).rev().map(ms).collect();
        assert_eq!(durations.p50(), ms(100));
        assert_eq!(durations.p99(), ms(198));
        assert_eq!(durations.longest(), ms(200));
        assert_eq!(Durations::default().p50(), Duration::ZERO);
        assert_eq!([ms(3)].into_iter().collect::<Durations>().p50(), ms(3));
    }

    #[test]
    fn numbers_are_written_short() {
        assert_eq!(millis(Duration::from_micros(1_234)), "1.23");
        assert_eq!(millis(Duration::from_millis(1_234)), "1234");
        let ms = Duration::from_millis;
        assert_eq!(ratio(ms(220), ms(1)), "220x");
        assert_eq!(ratio(ms(3), ms(2)), "1.5x");
        assert_eq!(ratio(ms(3), Duration::ZERO), "-");
        assert_eq!(rate(2_469, ms(2_000)), "1,234");
        assert_eq!(rate(3, ms(2_000)), "1.50");
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(megabytes(12_340_000), "12.3 MB");
        assert_eq!(mean(&[1, 4]), 2);
        assert_eq!(mean(&[]), 0);
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
    }
}
