//! What the text of a CSV cell means.

use serde_json::{Number, Value};

/// More digits than this do not all survive in a double.
const MAX_DIGITS: usize = 15;

/// The value of a cell; `None` for an empty one, which is left out.
///
/// A JSON number without exponent and with at most 15 significant digits is a number, `true` and
/// `false` are booleans, all else is text: `007`, `+4` and `1e5` are codes, not amounts.
#[must_use]
pub fn infer(text: &str) -> Option<Value> {
    match text {
        "" => None,
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => Some(number(text).map_or_else(|| Value::from(text), Value::Number)),
    }
}

/// Reads a number as [`infer`] does.
#[must_use]
pub fn number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !digits(whole) || leading_zero || !fraction.is_none_or(digits) {
        return None;
    }
    let significant = unsigned
        .bytes()
        .filter(u8::is_ascii_digit)
        .skip_while(|byte| *byte == b'0')
        .count();
    if significant > MAX_DIGITS {
        return None;
    }
    let number: Number = text.parse().ok()?;
    let kept = significant == 0 || !number.as_f64().is_some_and(is_too_small);
    kept.then_some(number)
}

/// Whether a double stands for a number so close to zero that digits of it are lost, or for zero.
#[must_use]
pub fn is_too_small(double: f64) -> bool {
    double.abs() < f64::MIN_POSITIVE
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_become_numbers() {
        for (text, value) in [
            ("0", json!(0)),
            ("-4", json!(-4)),
            ("12.50", json!(12.5)),
            ("0.00000000000000000001", json!(1e-20)),
            ("123456789012345", json!(123_456_789_012_345_i64)),
        ] {
            assert_eq!(infer(text), Some(value), "{text}");
        }
    }

    #[test]
    fn codes_stay_text() {
        for text in [
            "007",
            "+4",
            "1e5",
            "1E5",
            "-",
            ".5",
            "5.",
            "1.2.3",
            "-007",
            "00",
            "0x1F",
            "1_000",
            "1234567890123456",
            "12345678.12345678",
            " 1",
            "1 ",
            "NaN",
            "Infinity",
            "True",
            "TRUE",
            "=1+1",
            "\u{663}",
        ] {
            assert_eq!(infer(text), Some(json!(text)), "{text}");
        }
    }

    #[test]
    fn what_no_double_is_close_to_stays_text() {
        for zeros in [308, 320, 330] {
            let text = format!("0.{}12345", "0".repeat(zeros));
            assert_eq!(infer(&text), Some(json!(text)), "{text}");
            let negative = format!("-{text}");
            assert_eq!(infer(&negative), Some(json!(negative)), "{negative}");
        }
        let zero = format!("0.{}", "0".repeat(400));
        assert_eq!(infer(&zero), Some(json!(0.0)));
    }

    #[test]
    fn an_empty_cell_is_left_out() {
        assert_eq!(infer(""), None);
        assert_eq!(infer("true"), Some(json!(true)));
        assert_eq!(infer("false"), Some(json!(false)));
    }
}
