//! The hash of a key, by which tables know what they do not hold.

use xxhash_rust::xxh3::xxh3_64;

/// A key's hash: XXH3 with 64 bits and no seed. It is on disk, in what is made of it, so
/// it can only change with the version of those formats.
///
/// Whoever chooses the keys can choose ones that collide. What that costs is a block
/// read in vain, as without a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(pub u64);

impl KeyHash {
    /// Of `key`.
    #[inline]
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        KeyHash(xxh3_64(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that the specification's own implementation gives: another hash, or
    /// another seed, would make every key of every table on disk absent.
    #[test]
    fn example_hashes() {
        assert_eq!(KeyHash::of(b""), KeyHash(0x2d06_8005_38d3_94c2));
        assert_eq!(KeyHash::of(b"a"), KeyHash(0xe6c6_32b6_1e96_4e1f));
        assert_eq!(KeyHash::of(b"abc"), KeyHash(0x78af_5f94_892f_3950));
    }
}
