//! What is printed of an upload.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Duration;

use indicatif::HumanCount;
use model::upload::{RowError, Status, Summary};

/// How many errors are printed.
pub(super) const LISTED: usize = 10;

/// What became of an upload.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) summary: Summary,
    /// Why it failed as a whole.
    pub(super) detail: Option<String>,
    /// The first errors of rows, some more than are printed or not.
    pub(super) errors: Vec<RowError>,
}

/// A line for what it was, one for each count, and one for each of the first errors.
pub(super) fn report(file: &str, outcome: &Outcome, took: Duration) -> String {
    let Summary {
        submitted,
        accepted,
        rejected,
        dedup_skipped,
    } = outcome.summary;
    let ended = match outcome.status {
        Status::Failed => "failed",
        _ => "complete",
    };
    let seconds = took.as_secs_f64();
    let rate = u128::from(submitted) * 1_000 / took.as_millis().max(1);
    let rate = HumanCount(u64::try_from(rate).unwrap_or(u64::MAX));
    let mut text = format!("{file}: {ended} in {seconds:.1} s, {rate} rows/s\n");
    for (name, count) in [
        ("submitted", submitted),
        ("accepted", accepted),
        ("rejected", rejected),
        ("dedup_skipped", dedup_skipped),
    ] {
        let count = HumanCount(count).to_string();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<13} {count:>13}");
    }
    let mut rows = HashSet::new();
    for error in outcome.errors.iter().take(LISTED) {
        let RowError {
            row,
            field,
            error_type,
            message,
        } = error;
        let field = field.as_ref().map(|field| format!(", {field}"));
        let field = field.unwrap_or_default();
        let _ = writeln!(text, "row {row}{field}: {message} ({error_type})");
        rows.insert(row);
    }
    let more = rejected.saturating_sub(rows.len() as u64);
    if more > 0 {
        let (more, id) = (HumanCount(more), &outcome.id);
        let _ = writeln!(
            text,
            "and {more} more rejected rows: GET /api/v1/portal/uploads/{id}/errors"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(row: u64, field: Option<&str>) -> RowError {
        RowError {
            row,
            field: field.map(str::to_owned),
            error_type: "missing".into(),
            message: "Field required".to_owned(),
        }
    }

    #[test]
    fn counts_and_the_first_errors_are_lines() {
        let mut errors = vec![error(3, Some("name")), error(3, None)];
        errors.extend((4..20).map(|row| error(row, Some("name"))));
        let outcome = Outcome {
            id: "01890a5d".to_owned(),
            status: Status::Complete,
            summary: Summary {
                submitted: 75_000,
                accepted: 73_983,
                rejected: 17,
                dedup_skipped: 1_000,
            },
            detail: None,
            errors,
        };
        let text = report("catalog.csv", &outcome, Duration::from_millis(7_500));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..7],
            [
                "catalog.csv: complete in 7.5 s, 10,000 rows/s",
                "submitted            75,000",
                "accepted             73,983",
                "rejected                 17",
                "dedup_skipped         1,000",
                "row 3, name: Field required (missing)",
                "row 3: Field required (missing)",
            ]
        );
        assert_eq!(lines.len(), 5 + LISTED + 1);
        assert_eq!(
            lines[5 + LISTED],
            "and 8 more rejected rows: GET /api/v1/portal/uploads/01890a5d/errors"
        );
    }

    #[test]
    fn what_has_no_errors_lists_none() {
        let outcome = Outcome {
            id: String::new(),
            status: Status::Failed,
            summary: Summary::default(),
            detail: Some("no".to_owned()),
            errors: Vec::new(),
        };
        let text = report("a", &outcome, Duration::ZERO);
        assert!(text.starts_with("a: failed in 0.0 s, 0 rows/s\n"));
        assert_eq!(text.lines().count(), 5);
    }
}
