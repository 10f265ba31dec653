//! Dates for the names of backups, in UTC.

/// A moment, given in milliseconds since the Unix epoch, as `YYYYMMDD-HHMMSS`.
#[must_use]
pub fn stamp(ms: u64) -> String {
    let (year, month, day, second) = parts(ms);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{:02}", second % 60)
}

/// A moment, given in milliseconds since the Unix epoch, as RFC 3339 has it.
#[must_use]
pub fn rfc3339(ms: u64) -> String {
    let (year, month, day, second) = parts(ms);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let (second, milli) = (second % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month, day, and the second of the day.
fn parts(ms: u64) -> (u64, u64, u64, u64) {
    let seconds = ms / 1000;
    let mut days = seconds / 86_400;
    // Whole spans of the calendar's period first, so that few years are left to count.
    const PERIOD_DAYS: u64 = 146_097;
    let mut year = 1970 + days / PERIOD_DAYS * 400;
    days %= PERIOD_DAYS;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let february = if days_of(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1, seconds % 86_400)
}

fn days_of(year: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if is_leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, stamped) in [
            (0, "19700101-000000"),
            (951_782_399, "20000228-235959"),
            (951_782_400, "20000229-000000"),
            (951_868_800, "20000301-000000"),
            (1_709_251_199, "20240229-235959"),
            (1_735_689_600, "20250101-000000"),
            (4_107_542_400, "21000301-000000"),
            (253_402_300_799, "99991231-235959"),
        ] {
            assert_eq!(stamp(seconds * 1000), stamped);
        }
        assert_eq!(rfc3339(1_735_689_600_007), "2025-01-01T00:00:00.007Z");
        assert!(stamp(u64::MAX).len() > 15, "it ends, whatever the clock says");
    }
}
