//! Whether writers leave time and disk to others.

use std::time::Duration;

/// From when on it is quiet, where little is written meanwhile.
const QUIET_AFTER: Duration = Duration::from_secs(2);
/// So much is little, in bytes of keys and values.
const QUIET_BYTES_MAX: u64 = 1 << 20;

/// A time in which little has been written, up to now.
#[derive(Debug, Default)]
pub struct Quiet {
    /// When it began, and what had been written then; `None`: nobody has looked yet.
    since: Option<(Duration, u64)>,
}

impl Quiet {
    /// Whether it is quiet at `now`, when `written_bytes` have been written in all. Neither is less than at the look before.
    pub fn is_quiet(&mut self, now: Duration, written_bytes: u64) -> bool {
        let (began, before) = self.since.get_or_insert((now, written_bytes));
        if written_bytes.saturating_sub(*before) > QUIET_BYTES_MAX {
            (*began, *before) = (now, written_bytes);
        }
        now.saturating_sub(*began) >= QUIET_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quiet_a_while_after_much_was_written() {
        let mut quiet = Quiet::default();
        let mut look = |ms, bytes| quiet.is_quiet(Duration::from_millis(ms), bytes);
        assert!(!look(60_000, 5), "it begins with the first look");
        assert!(!look(61_999, 5 + QUIET_BYTES_MAX));
        assert!(look(62_000, 5 + QUIET_BYTES_MAX), "little is none");
        assert!(!look(62_001, 6 + QUIET_BYTES_MAX), "and too much of it is not");
        assert!(!look(64_000, 6 + QUIET_BYTES_MAX));
        assert!(look(64_001, 6 + QUIET_BYTES_MAX));
        assert!(look(99_000, 6 + 2 * QUIET_BYTES_MAX));
    }
}
