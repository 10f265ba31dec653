//! The filter: which keys a table does not hold, for one cache miss.
//!
//! A Bloom filter in lines of 64 bytes, the processor's own: all bits of a key are in
//! one line (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom
//! Filters, 2007). Keys spread over lines unevenly, so it takes a little more than an even
//! Bloom filter would: 11 bits a key for 0.6% that pass though they are not there.
//!
//! A key is in it if one of its versions is in the table, a tombstone too.

use crate::format::KeyHash;
use crate::format::codec::to_u64;

/// Size of a line, in bytes.
pub const LINE_SIZE: usize = 64;
const LINE_WORDS: usize = LINE_SIZE / 8;
const LINE_BITS: usize = LINE_SIZE * 8;
/// Bits of the filter for each key.
const KEY_BITS: usize = 11;
/// Bits that are set for a key. With 9 bits for the place of each, they take 54 bits of a hash.
const PROBES: u32 = 6;
const PLACE_BITS: u32 = 9;
const _: () = assert!(1 << PLACE_BITS == LINE_BITS && PROBES * PLACE_BITS <= 64);

/// On its own in a cache line, so that a probe waits for memory once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(64))]
struct Line([u64; LINE_WORDS]);

const _: () = assert!(size_of::<Line>() == LINE_SIZE);

/// A filter in memory.
#[derive(Debug, Default)]
pub struct Filter {
    lines: Vec<Line>,
}

impl Filter {
    fn of(hashes: &[KeyHash]) -> Filter {
        let lines = (hashes.len() * KEY_BITS).div_ceil(LINE_BITS);
        let mut filter = Filter { lines: vec![Line::default(); lines] };
        for &hash in hashes {
            let line = filter.line_of(hash);
            if let Some(Line(words)) = filter.lines.get_mut(line) {
                for (word, bit) in places(hash) {
                    words[word] |= 1 << bit;
                }
            }
        }
        filter
    }

    /// Without a line yet, and with room for a payload of so many bytes.
    pub fn with_room(payload_bytes: usize) -> Filter {
        Filter { lines: Vec::with_capacity(payload_bytes / LINE_SIZE) }
    }

    /// Adds the lines of a part of the payload.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn extend(&mut self, payload: &[u8]) -> Result<(), String> {
        let (lines, rest) = payload.as_chunks::<LINE_SIZE>();
        if !rest.is_empty() {
            return Err(format!(
                "filter: expected lines of {LINE_SIZE} B, found {payload} B",
                payload = payload.len()
            ));
        }
        let line = |bytes: &[u8; LINE_SIZE]| {
            let mut words = [0; LINE_WORDS];
            let (chunks, _) = bytes.as_chunks();
            words.iter_mut().zip(chunks).for_each(|(to, from)| *to = u64::from_le_bytes(*from));
            Line(words)
        };
        self.lines.extend(lines.iter().map(line));
        Ok(())
    }

    /// The payload of the filter block.
    fn encode(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.0).flat_map(u64::to_le_bytes).collect()
    }

    /// True when it has no lines: of a table without entries.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes of memory.
    pub fn weight(&self) -> usize {
        self.lines.capacity() * LINE_SIZE
    }

    /// False: no entry of the table has a key of this hash.
    #[inline]
    pub fn may_contain(&self, hash: KeyHash) -> bool {
        let Some(Line(words)) = self.lines.get(self.line_of(hash)) else { return false };
        // No early end: the line has been waited for, and a branch taken wrongly costs
        // more than all the rest.
        places(hash).fold(1, |all, (word, bit)| all & (words[word] >> bit)) & 1 == 1
    }

    /// The upper bits of a hash choose the line.
    #[inline]
    fn line_of(&self, hash: KeyHash) -> usize {
        let product = u128::from(hash.0) * to_u64(self.lines.len()) as u128;
        usize::try_from(product >> 64).expect("less than the count of lines")
    }
}

/// Where in its line a key has its bits: word and bit. The multiplication spreads
/// the lower bits of the hash, which the choice of the line left over, over all.
#[inline]
fn places(hash: KeyHash) -> impl Iterator<Item = (usize, u32)> {
    let spread = hash.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (1..=PROBES).map(move |probe| {
        let [low, high, ..] = (spread >> (64 - PLACE_BITS * probe)).to_le_bytes();
        (usize::from(low >> 6 | (high & 1) << 2), u32::from(low & 63))
    })
}

/// The filter of a table being written. It holds 8 bytes for each key until the end.
#[derive(Debug, Default)]
pub struct FilterBuilder {
    hashes: Vec<KeyHash>,
}

impl FilterBuilder {
    /// Adds a key, once, whatever the count of its versions.
    pub fn add(&mut self, key: &[u8]) {
        self.hashes.push(KeyHash::of(key));
    }

    /// The payload of the filter block.
    pub fn finish(self) -> Vec<u8> {
        Filter::of(&self.hashes).encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(payload: &[u8]) -> Result<Filter, String> {
        let mut filter = Filter::with_room(payload.len());
        filter.extend(payload).map(|()| filter)
    }

    fn filter_of(keys: impl Iterator<Item = Vec<u8>>) -> Filter {
        let mut builder = FilterBuilder::default();
        keys.for_each(|key| builder.add(&key));
        decode(&builder.finish()).expect("valid")
    }

    /// The format, in bits: the lines and places of keys are on disk.
    #[test]
    fn example_bytes() {
        let mut builder = FilterBuilder::default();
        builder.hashes.push(KeyHash(0x0123_4567_89ab_cdef));
        let payload = builder.finish();
        assert_eq!(payload.len(), LINE_SIZE);
        let set: Vec<usize> =
            (0..LINE_BITS).filter(|bit| payload[bit / 8] >> (bit % 8) & 1 == 1).collect();
        // 0x0123456789abcdef * 0x9e3779b97f4a7c15, in pieces of nine bits from the top.
        let spread: u64 = 0x0123_4567_89ab_cdef_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut expected: Vec<usize> = format!("{spread:064b}").as_bytes()[..54]
            .chunks(9)
            .map(|digits| digits.iter().fold(0, |n, d| n * 2 + usize::from(d - b'0')))
            .collect();
        expected.sort_unstable();
        assert_eq!(set, expected);
        assert_eq!(set.len(), 6, "of this hash all are different");
    }

    #[test]
    fn at_most_one_in_a_hundred_passes_that_is_not_there() {
        const COUNT: u64 = 300_000;
        let scattered = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i >> 7;
        type Shape<'a> = (&'a str, &'a dyn Fn(u64) -> Vec<u8>);
        let shapes: [Shape<'_>; 5] = [
            ("numbers in order", &|i| i.to_be_bytes().to_vec()),
            ("decimal, a long prefix", &|i| format!("tenant/eu-west/user:{i:012}").into_bytes()),
            ("scattered, in hex", &|i| format!("config/{:016x}", scattered(i)).into_bytes()),
            ("of many lengths", &|i| format!("{i}{}", "x".repeat((i % 300) as usize)).into_bytes()),
            ("a byte that differs in front", &|i| {
                [&i.to_le_bytes()[..], b"/the/same/for/all"].concat()
            }),
        ];
        for (name, key) in shapes {
            let filter = filter_of((0..COUNT).map(key));
            assert!((0..COUNT).all(|i| filter.may_contain(KeyHash::of(&key(i)))), "{name}");
            let passed = (COUNT..2 * COUNT).filter(|&i| filter.may_contain(KeyHash::of(&key(i))));
            let passed = passed.count();
            // Far fewer would mean that it is larger than it says.
            assert!((1200..2400).contains(&passed), "{name}: {passed} of {COUNT} passed");
            assert!(filter.weight() <= 300_000 * KEY_BITS / 8 + LINE_SIZE, "{}", filter.weight());
        }
    }

    #[test]
    fn an_empty_filter_has_no_lines_and_passes_nothing() {
        let filter = filter_of(std::iter::empty());
        assert!(filter.is_empty() && !filter.may_contain(KeyHash(0)));
        decode(&[0; LINE_SIZE - 1]).expect_err("not a whole line");
        decode(&[0; LINE_SIZE + 1]).expect_err("not a whole line");
    }

    proptest! {
        #[test]
        fn what_was_added_passes(keys in proptest::collection::vec(any::<Vec<u8>>(), 1..200)) {
            let filter = filter_of(keys.iter().cloned());
            for key in &keys {
                prop_assert!(filter.may_contain(KeyHash::of(key)));
            }
        }
    }
}
