//! Values of which half compresses away.

use crate::mix::mix;

const MIB: u64 = 1 << 20;

/// A run of bytes that values are cut out of, of up to a mebibyte.
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// Of each `unit` bytes, a multiple of 16, the first half is random and the rest all the same.
    pub fn new(unit: u64) -> Self {
        let word = |n: u64| if n * 8 % unit < unit / 2 { mix(n).to_le_bytes() } else { [b'v'; 8] };
        Bytes((0..2 * MIB / 8).flat_map(word).collect())
    }

    /// The value of `size` bytes that this number stands for.
    pub fn value(&self, random: u64, size: usize) -> &[u8] {
        let at = usize::try_from(mix(random) % (MIB - 1)).expect("small");
        &self.0[at..at + size]
    }
}
