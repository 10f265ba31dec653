//! The keys and values, the same for every engine: a function of an index
//! and nothing else, so that any process can say what a key must hold.

/// Bytes of every key.
pub const KEY_SIZE: usize = 23;
/// Bytes of the values of the ordinary rows.
pub const VALUE_SIZE: usize = 128;
/// Bytes of the values of the `large_*`, `overwrite` and backup rows.
pub const LARGE_VALUE_SIZE: usize = 16 * 1024;
/// Keys below one prefix in the `list100` row.
pub const KEYS_PER_PREFIX: u64 = 100;
/// Indexes from here on are never loaded: they are the absent keys.
pub const ABSENT_FROM: u64 = 1 << 40;

const PREFIX: &[u8; 7] = b"config/";
const LISTED_PREFIX_SIZE: usize = 15;
/// Large values whose random half is drawn beforehand, one for each value of
/// a byte of the stamp; a compressor's window (64 KiB for Snappy and LZ4) is
/// far shorter than the whole ring.
const RING_SIZE: usize = 256;

/// One step of the SplitMix64 generator: a bijection of 64 bits, so that
/// distinct indexes give distinct keys, in an order that looks random.
pub const fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A stream of random numbers; streams of other seeds are independent.
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x5EED_0000_0000_0000))
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// A number below `bound`, by multiplication: no division in timed code.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }
}

/// A key of 23 bytes.
pub type Key = [u8; KEY_SIZE];

/// The key of an index: `config/` and 16 hexadecimal digits.
pub fn key(index: u64) -> Key {
    hex_key(mix(index))
}

/// The key of one of the `KEYS_PER_PREFIX` members of a listed group: the
/// group's members share `listed_prefix`.
pub fn listed_key(group: u64, member: u64) -> Key {
    let low = mix(group * KEYS_PER_PREFIX + member) & 0xFFFF_FFFF;
    hex_key(mix(group) & 0xFFFF_FFFF_0000_0000 | low)
}

/// The prefix of a listed group: `config/` and 8 hexadecimal digits.
pub fn listed_prefix(group: u64) -> [u8; LISTED_PREFIX_SIZE] {
    let key = listed_key(group, 0);
    let mut prefix = [0; LISTED_PREFIX_SIZE];
    prefix.copy_from_slice(&key[..LISTED_PREFIX_SIZE]);
    prefix
}

fn hex_key(number: u64) -> Key {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut key = [0; KEY_SIZE];
    key[..PREFIX.len()].copy_from_slice(PREFIX);
    for (position, byte) in key[PREFIX.len()..].iter_mut().enumerate() {
        *byte = DIGITS[(number >> (60 - 4 * position) & 15) as usize];
    }
    key
}

/// Makes values of one size, of which half compresses away: the first half
/// is random and opens with the value's stamp, the second is constant.
pub struct Values {
    size: usize,
    /// Drawn beforehand for large values, where 8 KiB of random bytes would
    /// cost a good part of what is timed.
    ring: Vec<Vec<u8>>,
}

impl Values {
    pub fn new(size: usize) -> Self {
        let mut values = Self { size, ring: Vec::new() };
        if size > 1024 {
            values.ring = (0..RING_SIZE)
                .map(|slot| {
                    let mut value = Vec::new();
                    values.draw(slot as u64, &mut value);
                    value
                })
                .collect();
        }
        values
    }

    /// Writes the value of (`index`, `version`) into `value`.
    pub fn fill(&self, index: u64, version: u64, value: &mut Vec<u8>) {
        let stamp = stamp(index, version);
        if self.ring.is_empty() {
            self.draw(stamp, value);
        } else {
            let slot = &self.ring[usize::from(stamp.to_le_bytes()[0])];
            value.clear();
            value.extend_from_slice(slot);
        }
        value[..8].copy_from_slice(&stamp.to_le_bytes());
    }

    fn draw(&self, seed: u64, value: &mut Vec<u8>) {
        let mut random = Random::new(seed);
        value.clear();
        for _ in 0..self.size / 16 {
            value.extend_from_slice(&random.next().to_le_bytes());
        }
        value.resize(self.size, b'.');
    }
}

/// The first 8 bytes of the value of (`index`, `version`).
pub const fn stamp(index: u64, version: u64) -> u64 {
    mix(index.wrapping_add(version << 48))
}

/// What a reader saw of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub size: usize,
    pub stamp: u64,
}

impl Seen {
    /// Reads both ends of a value, so that none is found without being there.
    pub fn of(value: &[u8]) -> Self {
        let mut first = [0; 8];
        let head = value.len().min(8);
        first[..head].copy_from_slice(&value[..head]);
        std::hint::black_box(value.last());
        Self { size: value.len(), stamp: u64::from_le_bytes(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_are_distinct_and_shaped() {
        let keys: HashSet<Key> = (0..10_000).map(key).collect();
        assert_eq!(keys.len(), 10_000);
        assert!(keys.iter().all(|key| key.starts_with(PREFIX)));
        assert!(!keys.contains(&key(ABSENT_FROM)));
    }

    #[test]
    fn every_listed_group_has_a_prefix_and_members_of_its_own() {
        let prefixes: HashSet<_> = (0..2_000).map(listed_prefix).collect();
        assert_eq!(prefixes.len(), 2_000);
        let members: HashSet<Key> = (0..2_000)
            .flat_map(|group| (0..KEYS_PER_PREFIX).map(move |member| listed_key(group, member)))
            .collect();
        assert_eq!(members.len(), 200_000);
        assert!(listed_key(7, 3).starts_with(&listed_prefix(7)));
    }

    #[test]
    fn values_carry_their_stamp_and_a_constant_half() {
        for size in [VALUE_SIZE, LARGE_VALUE_SIZE] {
            let values = Values::new(size);
            let mut value = Vec::new();
            values.fill(5, 2, &mut value);
            assert_eq!(Seen::of(&value), Seen { size, stamp: stamp(5, 2) });
            assert!(value[size / 2..].iter().all(|byte| *byte == b'.'));
        }
    }
}
