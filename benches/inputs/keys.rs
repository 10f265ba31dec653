//! Keys of 23 bytes in random order, and which of them are asked for often.

use crate::mix::mix;

/// The key with this number: in the order of the numbers no order of the keys shows.
pub fn key(n: u64) -> [u8; 23] {
    let mut key = *b"config/................";
    let mixed = mix(n);
    for (place, shift) in key[7..].iter_mut().zip((0..64).step_by(4).rev()) {
        let digit = u8::try_from(mixed >> shift & 15).expect("four bits");
        *place = if digit < 10 { b'0' + digit } else { b'a' - 10 + digit };
    }
    key
}

/// A number below `count`, by Zipf's distribution with exponent 1. The ranks are spread over
/// the numbers: what is hot is not what was written first.
pub fn zipf(random: u64, count: u64) -> u64 {
    mix(zipf_rank(mix(random), count)) % count
}

/// A rank from 1 to `count`, the first the most often.
#[expect(clippy::cast_possible_truncation, reason = "a rank is at most the count")]
fn zipf_rank(random: u64, count: u64) -> u64 {
    let u = (random >> 11) as f64 / (1_u64 << 53) as f64;
    ((count as f64).powf(u) as u64).clamp(1, count)
}
