//! Moments as the portal keeps and shows them.

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde::{Serialize, Serializer};

/// A moment in UTC.
pub type Moment = DateTime<Utc>;

/// RFC 3339 with `Z`, in whole seconds or, where there are any, milliseconds.
#[must_use]
pub fn show(moment: Moment) -> String {
    let moment = moment.trunc_subsecs(3);
    let format = if moment.timestamp_subsec_millis() == 0 {
        SecondsFormat::Secs
    } else {
        SecondsFormat::Millis
    };
    moment.to_rfc3339_opts(format, true)
}

/// For `#[serde(serialize_with)]`: a moment in an answer.
pub fn shown<S: Serializer>(moment: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show(*moment))
}

/// For `#[serde(serialize_with)]`: a moment in an answer, or null.
pub fn shown_option<S: Serializer>(
    moment: &Option<Moment>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    moment.map(show).serialize(serializer)
}

/// The form in which the table keeps a moment: microseconds, of one width, so that text order is
/// time order.
#[must_use]
pub fn stored(moment: Moment) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// For `#[serde(serialize_with)]`: a moment in the table.
pub fn in_table<S: Serializer>(moment: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&stored(*moment))
}

/// For `#[serde(serialize_with)]`: a moment in the table, or none.
pub fn in_table_option<S: Serializer>(
    moment: &Option<Moment>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    moment.map(stored).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_whole_unless_there_are_milliseconds() {
        let at = |text: &str| show(text.parse().unwrap());
        assert_eq!(at("2026-03-08T12:00:00Z"), "2026-03-08T12:00:00Z");
        assert_eq!(at("2026-03-08T12:00:00.25Z"), "2026-03-08T12:00:00.250Z");
        assert_eq!(at("2026-03-08T12:00:00.0009Z"), "2026-03-08T12:00:00Z");
        assert_eq!(at("2026-03-08T14:00:00+02:00"), "2026-03-08T12:00:00Z");
    }
}
