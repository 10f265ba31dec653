//! Keys and values: functions of an index and of the seed, so that every process can say what a key must hold.
//!
//! A key is `config/` and 16 hexadecimal digits of `SplitMix64`, so that keys come in random order, each once. With
//! seed 0 they are those of the kept figures (docs/performance.md). Of a value half compresses away.

use std::hint::black_box;

/// Bytes of every key.
pub const KEY_BYTES: usize = 23;
/// Keys below one prefix, where prefixes are listed.
pub const KEYS_PER_PREFIX: u64 = 100;
/// Indexes from here on are never loaded: theirs are the absent keys.
pub const ABSENT_FROM: u64 = 1 << 40;

const PREFIX: &[u8; 7] = b"config/";
const LISTED_PREFIX_BYTES: usize = 15;

/// Values of so many bytes and more are drawn beforehand: to make them would be a good part of what is timed.
const DRAWN_BYTES_MIN: usize = 1 << 10;
/// Memory for those, and how many there are at most: one for each value of a byte.
const DRAWN_BYTES_MAX: usize = 8 << 20;
const DRAWN_MAX: usize = 256;

/// A key.
pub type Key = [u8; KEY_BYTES];

/// One step of `SplitMix64`: a bijection of 64 bits.
pub const fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random numbers.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// The next number below `bound`, without a division in what is timed.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.number()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("below the bound")
    }
}

/// The keys of one seed.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    salt: u64,
}

impl Keys {
    /// Of the seed.
    pub const fn new(seed: u64) -> Keys {
        Keys { salt: if seed == 0 { 0 } else { mix(seed) } }
    }

    /// The key of an index.
    pub fn key(self, index: u64) -> Key {
        hex_key(mix(index.wrapping_add(self.salt)))
    }

    /// The key of a member of a group; the [`KEYS_PER_PREFIX`] members share [`Keys::prefix`].
    pub fn listed_key(self, group: u64, member: u64) -> Key {
        let number = |n: u64| mix(n.wrapping_add(self.salt));
        let low = number(group * KEYS_PER_PREFIX + member) & 0xffff_ffff;
        hex_key(number(group) & 0xffff_ffff_0000_0000 | low)
    }

    /// The prefix of a group: `config/` and 8 digits.
    pub fn prefix(self, group: u64) -> [u8; LISTED_PREFIX_BYTES] {
        let mut prefix = [0; LISTED_PREFIX_BYTES];
        prefix.copy_from_slice(&self.listed_key(group, 0)[..LISTED_PREFIX_BYTES]);
        prefix
    }

    /// The random numbers of a thread.
    pub const fn random(self, thread: u64) -> Random {
        Random(mix(thread ^ self.salt ^ 0x5eed_0000_0000_0000))
    }
}

fn hex_key(number: u64) -> Key {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut key = [0; KEY_BYTES];
    key[..PREFIX.len()].copy_from_slice(PREFIX);
    for (pair, byte) in key[PREFIX.len()..].chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    key
}

/// Makes values of one size: the first half is random and begins with the value's stamp, the second is constant.
#[derive(Debug)]
pub struct Values {
    size: usize,
    drawn: Vec<Vec<u8>>,
}

impl Values {
    /// Of so many bytes.
    pub fn new(size: usize) -> Values {
        let count =
            if size < DRAWN_BYTES_MIN { 0 } else { (DRAWN_BYTES_MAX / size).clamp(4, DRAWN_MAX) };
        let draw = |seed| {
            let mut value = Vec::new();
            draw(size, seed, &mut value);
            value
        };
        Values { size, drawn: (0_u64..).take(count).map(draw).collect() }
    }

    /// Writes the value of an index, in a version, into `value`.
    pub fn fill(&self, index: u64, version: u64, value: &mut Vec<u8>) {
        let stamp = stamp(index, version);
        if self.drawn.is_empty() {
            draw(self.size, stamp, value);
        } else {
            let slot = usize::from(stamp.to_le_bytes()[7]) % self.drawn.len();
            value.clear();
            value.extend_from_slice(&self.drawn[slot]);
        }
        let length = self.size.min(8);
        value[..length].copy_from_slice(&stamp.to_le_bytes()[..length]);
    }
}

fn draw(size: usize, seed: u64, value: &mut Vec<u8>) {
    let mut random = Random(seed);
    value.clear();
    while value.len() < size / 2 {
        value.extend_from_slice(&random.number().to_le_bytes());
    }
    value.truncate(size / 2);
    value.resize(size, b'.');
}

/// What the value of an index, in a version, begins with.
const fn stamp(index: u64, version: u64) -> u64 {
    mix(index.wrapping_add(version << 48))
}

/// What a reader saw of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub size: usize,
    first: [u8; 8],
}

impl Seen {
    /// Looks at both ends of a value, so that none is found without being there.
    pub fn of(value: &[u8]) -> Seen {
        let mut first = [0; 8];
        let length = value.len().min(8);
        first[..length].copy_from_slice(&value[..length]);
        black_box(value.last());
        Seen { size: value.len(), first }
    }

    /// What is to be seen of the first version of an index's value of `size` bytes.
    pub fn expected(index: u64, size: usize) -> Seen {
        Seen::of(&stamp(index, 0).to_le_bytes()[..size.min(8)]).with_size(size)
    }

    fn with_size(self, size: usize) -> Seen {
        Seen { size, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_are_distinct_shaped_and_those_of_their_seed() {
        let keys = Keys::new(0);
        let made: HashSet<Key> = (0..10_000).chain([ABSENT_FROM]).map(|n| keys.key(n)).collect();
        assert_eq!(made.len(), 10_001);
        assert_eq!(keys.key(0), *b"config/e220a8397b1dcdaf");
        assert_ne!(keys.key(0), Keys::new(1).key(0));
        assert!(made.iter().all(|key| key.starts_with(PREFIX)));
        assert!(keys.listed_key(7, 99).starts_with(&keys.prefix(7)));
        assert_ne!(keys.prefix(7), keys.prefix(8));
    }

    #[test]
    fn values_have_their_size_their_stamp_and_half_that_compresses_away() {
        for size in [1, 7, 8, 128, 1024, 16 << 10, 1 << 20] {
            let values = Values::new(size);
            let mut value = Vec::new();
            values.fill(5, 0, &mut value);
            assert_eq!(Seen::of(&value), Seen::expected(5, size));
            assert_eq!(value.len(), size);
            assert!(value[size.div_ceil(2).max(8.min(size))..].iter().all(|byte| *byte == b'.'));
            let first = value.clone();
            values.fill(5, 1, &mut value);
            assert_ne!(value, first, "{size}");
        }
    }

    #[test]
    fn random_numbers_stay_below_their_bound_and_reach_all_below_it() {
        let mut random = Keys::new(9).random(1);
        let seen: HashSet<u64> = (0..1000).map(|_| random.below(10)).collect();
        assert_eq!(seen, (0..10).collect());
    }
}
