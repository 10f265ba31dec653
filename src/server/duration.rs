//! Times as people write them: `30s`, `1h30m`, `1.5h`, `250ms`.

use crate::error::{Error, Result};
use std::time::Duration;

/// The units, in nanoseconds. A longer one stands before those it begins with.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Digits behind the point beyond which a nanosecond is no longer told.
const FRACTION_DIGITS_MAX: usize = 15;

/// Reads a time as Go and systemd write them: numbers, each with its unit (`ns`, `us`, `ms`, `s`, `m`, `h`, `d`).
///
/// ```
/// use esker::server::parse_duration;
/// use std::time::Duration;
/// assert_eq!(parse_duration("1h30m")?, Duration::from_secs(5400));
/// assert_eq!(parse_duration("1.5s")?, Duration::from_millis(1500));
/// assert!(parse_duration("30").is_err());
/// # Ok::<(), esker::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidArgument`] for anything else. A time that is too long to count is the longest.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let wrong = || {
        Error::invalid(format!(
            "{:?} is no length of time; write numbers with units, such as 30s, 5m or 1h30m",
            text.chars().take(40).collect::<String>()
        ))
    };
    let mut rest = text;
    let mut total_ns: u128 = 0;
    while !rest.is_empty() || text.is_empty() {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, after) = rest.split_at(digits(rest));
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(digits(after)),
            None => ("", after),
        };
        let has_digits = !whole.is_empty() || !fraction.is_empty();
        let unit = UNITS.iter().filter(|(unit, _)| after.starts_with(unit));
        // `m` is also the beginning of `ms`.
        let unit = unit.max_by_key(|(unit, _)| unit.len()).filter(|_| has_digits);
        let &(unit, unit_ns) = unit.ok_or_else(wrong)?;
        rest = after.strip_prefix(unit).ok_or_else(wrong)?;
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u128::MAX) };
        let fraction = fraction.get(..FRACTION_DIGITS_MAX).unwrap_or(fraction);
        let scale = (0..fraction.len()).fold(1_u128, |scale, _| scale * 10);
        let part: u128 =
            if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| wrong())? };
        let unit_ns = u128::from(unit_ns);
        total_ns = total_ns
            .saturating_add(whole.saturating_mul(unit_ns))
            .saturating_add(part * unit_ns / scale);
    }
    let seconds = u64::try_from(total_ns / 1_000_000_000).unwrap_or(u64::MAX);
    let nanos = u32::try_from(total_ns % 1_000_000_000).unwrap_or(0);
    Ok(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_what_is_not() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("30s", ms(30_000)),
            ("0s", ms(0)),
            ("1h30m", ms(5_400_000)),
            ("1m30ms", ms(60_030)),
            ("1.5s", ms(1500)),
            (".5s", ms(500)),
            ("2d", ms(172_800_000)),
            ("250ms", ms(250)),
            ("1.0000000000000001s", ms(1000)),
        ] {
            assert_eq!(parse_duration(text).expect(text), expected, "{text}");
        }
        let long = parse_duration(&format!("{}h", "9".repeat(60))).expect("saturates");
        assert_eq!(long.as_secs(), u64::MAX);
        for text in ["", "s", "30", "-1s", "1x", "1 s", " 1s", "1s ", ".s", "1.2.3s", "1ſ", "９s"]
        {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
