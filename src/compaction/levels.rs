//! How large each level may become.

use crate::format::{LEVELS, Level};

/// Each level is this many times as large as the one above it.
pub const GROWTH: u64 = 10;

/// The sizes that levels should have, worked out from the last one upwards, so
/// that nine tenths of the data and more stand in the last level, however much there is:
/// what the levels above hold twice is then little. (Dong et al., "Optimizing
/// Space Amplification in RocksDB", CIDR 2017.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelTargets {
    /// The level into which level 0 is merged; the levels between are to be empty.
    pub base: Level,
    /// The largest size of each level that is no reason to compact, in bytes.
    pub bytes_max: [u64; LEVELS],
}

impl LevelTargets {
    /// For levels of these sizes, where the base level has up to `base_bytes`.
    #[must_use]
    pub fn new(level_bytes: &[u64; LEVELS], base_bytes: u64) -> Self {
        let mut bytes_max = [0; LEVELS];
        let mut base = Level::LAST;
        let mut target = level_bytes.iter().skip(1).copied().max().unwrap_or(0).max(base_bytes);
        bytes_max[0] = base_bytes;
        for level in Level::all().rev().filter(|level| *level != Level::ZERO) {
            bytes_max[level.index()] = target;
            base = level;
            if target <= base_bytes {
                break;
            }
            target /= GROWTH;
        }
        LevelTargets { base, bytes_max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(level_bytes: [u64; LEVELS]) -> String {
        let LevelTargets { base, bytes_max } = LevelTargets::new(&level_bytes, 100);
        format!("{base} {:?}", &bytes_max[1..])
    }

    #[test]
    fn the_last_level_sets_the_size_of_the_others() {
        assert_eq!(targets([0; LEVELS]), "L6 [0, 0, 0, 0, 0, 100]");
        assert_eq!(targets([500, 0, 0, 0, 0, 0, 90]), "L6 [0, 0, 0, 0, 0, 100]");
        assert_eq!(targets([0, 0, 0, 0, 0, 0, 101]), "L5 [0, 0, 0, 0, 10, 101]");
        assert_eq!(targets([0, 0, 0, 0, 0, 0, 5_000]), "L4 [0, 0, 0, 50, 500, 5000]");
        // A level that has not been merged down yet counts like the last.
        assert_eq!(targets([0, 0, 0, 0, 0, 5_000, 9]), "L4 [0, 0, 0, 50, 500, 5000]");
        let huge = targets([0, 0, 0, 0, 0, 0, 100_000_000_000]);
        assert_eq!(
            huge,
            "L1 [1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000]"
        );
    }
}
