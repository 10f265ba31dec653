//! Spans of time, as arguments.

use std::time::Duration;

/// Units, with their milliseconds; `ms` before `m` and `s`.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The span that `text` names: `500ms`, `30s`, `5m`, `1h`, `2d`; a number alone is in seconds.
///
/// # Errors
/// What is expected, where it names none.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = if unit.is_empty() { "s" } else { unit };
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(scale?))
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a number and one of ms, s, m, h, d, as in 30s".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_others_refused() {
        let millis = |text| parse(text).map(|span| span.as_millis()).ok();
        let spans =
            [("500ms", 500), ("30s", 30_000), ("7", 7_000), ("5m", 300_000), ("2d", 172_800_000)];
        for (text, expected) in spans {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "s",
            "1x",
            "-1s",
            "1.5s",
            "30 s",
            "1w",
            "99999999999999999999",
            "18446744073709551615d",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
