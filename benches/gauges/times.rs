//! How long things took, all of them kept.

use std::time::Instant;

pub fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).expect("short")
}

/// The time within which this part of them was done, in microseconds; 0 where there is none.
#[expect(clippy::cast_possible_truncation, reason = "a part of a length")]
pub fn quantile_us(times: &mut [u64], part: f64) -> f64 {
    times.sort_unstable();
    let at = times.len().saturating_sub(1) as f64 * part;
    times.get(at as usize).map_or(0.0, |ns| *ns as f64 / 1000.0)
}
