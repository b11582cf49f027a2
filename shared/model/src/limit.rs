//! The rule of the rate limit: a sliding minute.

use crate::time::Moment;

const MINUTE_MS: i64 = 60_000;

/// How a bucket stands after a request was counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Requests a minute.
    pub limit: u32,
    /// How many more would pass now.
    pub remaining: u32,
    /// When the count of this minute starts to fade, or a refused caller may come back: unix
    /// seconds.
    pub reset: i64,
    /// Set when the request is over the limit: seconds until one would pass.
    pub retry_after: Option<u32>,
}

/// The minute that `now` lies in, counted from 1970.
#[must_use]
pub fn minute(now: Moment) -> i64 {
    now.timestamp_millis().div_euclid(MINUTE_MS)
}

/// Reads a bucket: `current` requests in this minute, the one to judge included, and `previous`
/// in the last one, which count by the part of them that the sliding minute still covers.
#[must_use]
pub fn read(limit: u32, current: u32, previous: u32, now: Moment) -> Reading {
    let limit_ms = i64::from(limit) * MINUTE_MS;
    let into_minute = now.timestamp_millis().rem_euclid(MINUTE_MS);
    let used = weight(current, previous, into_minute);
    if used <= limit_ms {
        return Reading {
            limit,
            remaining: u32::try_from((limit_ms - used) / MINUTE_MS).unwrap_or(0),
            reset: (minute(now) + 1) * 60,
            retry_after: None,
        };
    }
    // Refused requests do not count, this one and those that came with it: no more were let in than
    // the limit had room for. The one that comes back counts.
    let room = (limit_ms - weight(0, previous, into_minute)).max(0) / MINUTE_MS;
    let counted = current
        .saturating_sub(1)
        .min(u32::try_from(room).unwrap_or(u32::MAX));
    let passes = |seconds: &u32| {
        let at = into_minute + i64::from(*seconds) * 1000;
        let used = match at / MINUTE_MS {
            0 => weight(counted + 1, previous, at),
            1 => weight(1, counted, at - MINUTE_MS),
            _ => MINUTE_MS,
        };
        used <= limit_ms
    };
    let retry_after = (1..=120).find(passes).unwrap_or(120);
    Reading {
        limit,
        remaining: 0,
        // Rounded up, as the wait is: who comes back then passes.
        reset: (now.timestamp_millis() + 999).div_euclid(1000) + i64::from(retry_after),
        retry_after: Some(retry_after),
    }
}

fn weight(current: u32, previous: u32, into_minute: i64) -> i64 {
    i64::from(current) * MINUTE_MS + i64::from(previous) * (MINUTE_MS - into_minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from_timestamp(1_772_971_200 + seconds, 0).unwrap()
    }

    #[test]
    fn the_limit_itself_passes_and_one_more_does_not() {
        assert_eq!(read(60, 60, 0, at(0)).retry_after, None);
        assert_eq!(read(60, 60, 0, at(0)).remaining, 0);
        assert_eq!(read(60, 1, 0, at(0)).remaining, 59);
        // 60 in this minute's first second: one more passes when a sixtieth of them has faded.
        assert_eq!(read(60, 61, 0, at(0)).retry_after, Some(61));
    }

    #[test]
    fn the_last_minute_counts_by_what_is_left_of_it() {
        assert_eq!(read(60, 30, 60, at(30)).retry_after, None);
        let over = read(60, 31, 60, at(30));
        assert_eq!(over.retry_after, Some(1));
        assert_eq!(over.remaining, 0);
        assert_eq!(read(60, 31, 60, at(31)).retry_after, None);
    }

    #[test]
    fn whoever_waits_as_told_passes() {
        for previous in [0, 7, 20, 60, 200] {
            for second in 0..60 {
                // As many as there is room for, then one more, of a crowd of ten.
                let faded = previous * (60 - u32::try_from(second).unwrap());
                let let_in = (20 * 60_u32).saturating_sub(faded) / 60;
                let refused = read(20, let_in + 10, previous, at(second));
                let wait = refused.retry_after.unwrap();
                let back = at(second + i64::from(wait));
                let (current, previous) = match minute(back) - minute(at(second)) {
                    0 => (let_in + 1, previous),
                    1 => (1, let_in),
                    _ => (1, 0),
                };
                assert_eq!(read(20, current, previous, back).retry_after, None);
                assert_eq!(refused.reset, back.timestamp());
            }
        }
    }
}
